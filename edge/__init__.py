"""Edge Digits: handwritten digits in a picture become text, on a small device.

    from edge import DigitReader

    reader = DigitReader()
    reader.read("page.jpg").text  # "5550100"
    reader.classify("seven.png").label  # "7"

`DigitReader` takes pictures; `Classifier` takes glyphs that are already 28x28 and returns probabilities.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.classifier import Classifier
    from edge.errors import EdgeDigitsError, MissingRuntimeError, ModelError, PictureError, SourceError, UsageError
    from edge.reader import Candidate, Classification, DigitReader
    from edge.reading import Digit, Field, Reading

__version__ = "0.1.0"

__all__ = [
    "Candidate",
    "Classification",
    "Classifier",
    "Digit",
    "DigitReader",
    "EdgeDigitsError",
    "Field",
    "MissingRuntimeError",
    "ModelError",
    "PictureError",
    "Reading",
    "SourceError",
    "UsageError",
    "__version__",
]

_HOMES = {
    "Candidate": "edge.reader",
    "Classification": "edge.reader",
    "Classifier": "edge.classifier",
    "Digit": "edge.reading",
    "DigitReader": "edge.reader",
    "EdgeDigitsError": "edge.errors",
    "Field": "edge.reading",
    "MissingRuntimeError": "edge.errors",
    "ModelError": "edge.errors",
    "PictureError": "edge.errors",
    "Reading": "edge.reading",
    "SourceError": "edge.errors",
    "UsageError": "edge.errors",
}


def __getattr__(name: str) -> Any:
    # NumPy, OpenCV and the runtime take a tenth of a second; `import edge` alone does not pay for them (PEP 562).
    if name in _HOMES:
        from importlib import import_module

        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Edge Digits: a handwritten digit in a picture becomes text, on a small device.

    from edge import DigitReader

    reader = DigitReader()
    reader.classify("seven.png").label  # "7"

`DigitReader` takes pictures; `Classifier` takes glyphs that are already 28x28 and returns probabilities.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.classifier import Classifier
    from edge.errors import EdgeDigitsError, MissingRuntimeError, ModelError, PictureError, UsageError
    from edge.reader import Candidate, Classification, DigitReader

__version__ = "0.1.0"

__all__ = [
    "Candidate",
    "Classification",
    "Classifier",
    "DigitReader",
    "EdgeDigitsError",
    "MissingRuntimeError",
    "ModelError",
    "PictureError",
    "UsageError",
    "__version__",
]

_HOMES = {
    "Candidate": "edge.reader",
    "Classification": "edge.reader",
    "Classifier": "edge.classifier",
    "DigitReader": "edge.reader",
    "EdgeDigitsError": "edge.errors",
    "MissingRuntimeError": "edge.errors",
    "ModelError": "edge.errors",
    "PictureError": "edge.errors",
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

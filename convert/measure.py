"""How a converted model does on the device's own runtimes, through the device's own classifier."""

import importlib.util
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError
from convert.metadata import ModelCard, packed
from edge.errors import ModelError
from train.quiet import quiet

RUNTIMES = {"litert": "ai_edge_litert", "tflite": "tflite_runtime"}  # name in edge: package
WARM_UP = 20  # calls before the clock starts
TIMED_CALLS = 300  # calls of one glyph each, of which the median is given
# The classifier gives probabilities; at this temperature none is so small that its logarithm loses digits in float32.
SOFT_TEMPERATURE = 64.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One model file on one runtime over one set of glyphs."""

    logits: NDArray[np.float32]
    """(n, classes), up to a constant in each row."""

    @property
    def answers(self) -> NDArray[np.int64]:
        """The winning class of each glyph, (n,)."""
        return self.logits.argmax(axis=1)


def runtimes() -> tuple[str, ...]:
    """The runtimes installed here, the one the device takes first in front. Raises ConversionError for none."""
    found = tuple(name for name, package in RUNTIMES.items() if importlib.util.find_spec(package))
    if not found:
        raise ConversionError("no runtime to try the models on; install ai-edge-litert or tflite-runtime")
    return found


def run(content: bytes, card: ModelCard, glyphs: NDArray[np.uint8], runtime: str) -> Measured:
    """What the device makes of glyphs, uint8 (n, 28, 28).

    content: a .tflite file without metadata. card: what it is to say of itself. Raises ConversionError.
    """
    from edge.classifier import Classifier

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(packed(content, replace(card, temperature=SOFT_TEMPERATURE)))
        try:
            with quiet():
                probabilities = Classifier(path, runtime=runtime)(glyphs)
        except ModelError as error:
            raise ConversionError(f"{card.name} does not run on {runtime}: {error}") from None
    smallest = np.finfo(np.float32).tiny
    return Measured(np.log(np.maximum(probabilities, smallest)) * np.float32(SOFT_TEMPERATURE))


def microseconds_per_glyph(path: Path, glyphs: NDArray[np.uint8], runtime: str) -> float:
    """Median time of the device's classifier for one glyph at a time, one thread."""
    from edge.classifier import Classifier

    with quiet():
        classifier = Classifier(path, runtime=runtime)
        times = []
        for k in range(WARM_UP + TIMED_CALLS):
            glyph = glyphs[k % len(glyphs)][None]
            start = time.perf_counter()
            classifier(glyph)
            times.append(time.perf_counter() - start)
    return float(np.median(times[WARM_UP:]) * 1e6)

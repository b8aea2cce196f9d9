"""Pictures drawn on the spot and model files put together, for the edge's tests."""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.preprocess import single_glyph

ROOT = Path(__file__).parent.parent.parent
MODEL = ROOT / "models" / "digits-int8.tflite"


@dataclass(frozen=True)
class Run:
    """One run of the command."""

    status: int
    stdout: bytes
    stderr: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.decode().splitlines()]


def digit(text: str = "7", size: int = 200, ink: int = 30, paper: int = 230) -> np.ndarray:
    """uint8 (size, size): a digit in ink on paper."""
    picture = np.full((size, size), paper, np.uint8)
    scale = size / 50
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    origin = ((size - width) // 2, (size + height) // 2)
    cv2.putText(picture, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, max(1, size // 16), cv2.LINE_AA)
    return picture


def glyph(text: str = "7") -> np.ndarray:
    """uint8 (28, 28): a digit as MNIST has it."""
    found = single_glyph(digit(text))
    assert found is not None
    return found


def pack(model: Path, to: Path, labels: Sequence[str] | None = None, **settings: Any) -> Path:
    """A copy of a model with labels and edge settings packed behind it."""
    to.write_bytes(model.read_bytes())
    said = {
        "format": 1,
        "preprocessing": 1,
        "input_range": [0.0, 1.0],
        "output": "logits",
        "temperature": 1.0,
        "rejection_threshold": 0.0,
        "training_data": {"name": "mnist", "sha256": "0" * 64},
    } | settings
    with zipfile.ZipFile(to, "a") as archive:
        if labels is not None:
            archive.writestr("labels.txt", "\n".join(labels) + "\n")
        archive.writestr("edge-digits.json", json.dumps(said))
    return to


def page(
    *lines: str, height: int = 48, ink: int = 40, paper: int = 225, size: tuple[int, int] | None = None
) -> np.ndarray:
    """uint8 (h, w): lines of digits, each `height` pixels, on plain paper; of `size` (h, w) where it is given."""
    step = round(height * 2.2)
    scale = height / 21
    widest = max((len(line) for line in lines), default=1)
    tall, wide = size or (step * len(lines) + step, round(height * (1.15 * widest + 2)))
    picture = np.full((tall, wide), paper, np.uint8)
    for row, line in enumerate(lines):
        for place, text in enumerate(line):
            at = (round(height * (1 + 1.15 * place)), round(step * (row + 1)))
            cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, max(2, height // 9), cv2.LINE_AA)
    return picture

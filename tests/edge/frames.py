"""Frames with handwritten digits, and frames that carry their own number, for the tests of live sources."""

import functools
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from train.strokes import FORMS, draw

SIZE = 640, 352  # width and height, pixels
PAPER, INK = 225.0, 35.0  # grey levels
DIGIT = 112  # pixels: side of a glyph on the page
STEP = 100  # pixels from one digit to the next

BITS = 12  # a frame's number is drawn as so many black or white blocks
BLOCK = 32  # pixels


@functools.cache
def page(text: str) -> np.ndarray:
    """uint8 (352, 640, 3): digits written in a row in the middle of a sheet; a blank sheet for an empty text."""
    rng = np.random.default_rng(5)
    sheet = np.full(SIZE[::-1], PAPER)
    left, top = (SIZE[0] - STEP * len(text)) // 2, (SIZE[1] - DIGIT) // 2
    for place, digit in enumerate(text):
        glyph = cv2.resize(draw(FORMS[digit][0], rng), (DIGIT, DIGIT), interpolation=cv2.INTER_CUBIC) / 255
        part = sheet[top : top + DIGIT, left + place * STEP :][:, :DIGIT]
        part[:] = np.minimum(part, PAPER - (PAPER - INK) * glyph)
    return cv2.cvtColor(np.uint8(np.rint(sheet)), cv2.COLOR_GRAY2BGR)


def numbered(number: int) -> np.ndarray:
    """uint8 (64, 384, 3): a frame from which its number can be had back, whatever a codec did to it."""
    bits = [255 * (number >> bit & 1) for bit in range(BITS)]
    row = np.repeat(np.array(bits, np.uint8), BLOCK)
    return np.broadcast_to(row[None, :, None], (2 * BLOCK, len(row), 3)).copy()


def number_of(frame: np.ndarray) -> int:
    """The number of a frame that `numbered` drew."""
    middle = frame[BLOCK, BLOCK // 2 :: BLOCK, 0]
    return sum(1 << bit for bit, level in enumerate(middle) if level > 127)


def write_video(path: Path, frames: Iterable[np.ndarray], rate: float = 20, codec: str = "MJPG") -> Path:
    """A video file of these frames."""
    writer = None
    for frame in frames:
        if writer is None:
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, frame.shape[1::-1])
            assert writer.isOpened()
        writer.write(frame)
    assert writer is not None
    writer.release()
    return path


def write_pages(path: Path, shown: Iterable[tuple[str, int]], rate: float = 20, codec: str = "MJPG") -> Path:
    """A video file that shows each text for so many frames."""
    return write_video(path, (page(text) for text, times in shown for _ in range(times)), rate, codec)

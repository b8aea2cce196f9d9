"""Sheets with handwriting drawn stroke by stroke, and where each digit of them stands, for the tests of reading."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from edge import DigitReader
from edge.reading import Reading
from train.strokes import FORMS, smooth

FRACTION_BITS = 5  # OpenCV draws with so many
WIDTH = 0.62  # of the height: how wide a digit is, but a 1
NARROW = 0.3  # of the height: a 1
SPACING = 0.34  # of the height: paper between two digits
PEN = 0.1  # of the height
HAND = {"1": 0, "2": 1, "3": 1, "4": 1, "5": 0, "6": 0, "7": 1, "8": 1, "9": 0}  # which form of a digit is written

PAPER, INK = 225.0, 45.0  # grey levels
NOISE = 2.0  # grey levels, standard deviation

Box = tuple[float, float, float, float]
Strokes = Sequence[np.ndarray]


@dataclass(frozen=True)
class Written:
    """A digit as it was written: `box` x, y, width, height in pixels."""

    text: str
    box: Box
    line: int


@dataclass
class Sheet:
    """A sheet that is written on, turned clockwise by `tilt` degrees around its middle.

    `marks`: float32 (height, width), how much ink lies on each pixel, 0 to 1.
    """

    height: int = 300
    width: int = 480
    tilt: float = 0.0
    written: list[Written] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.marks = np.zeros((self.height, self.width), np.float32)
        cos, sin = math.cos(math.radians(self.tilt)), math.sin(math.radians(self.tilt))
        self._turn = np.array([[cos, -sin], [sin, cos]])
        self._middle = np.array([self.width, self.height]) / 2

    def placed(self, points: np.ndarray) -> np.ndarray:
        """Points (n, 2) of the upright sheet on the turned one."""
        return (np.asarray(points, np.float64) - self._middle) @ self._turn.T + self._middle

    def write(self, text: str, x: float, y: float, height: float = 40, pen: float = PEN, gap: float = SPACING) -> float:
        """Writes a line of digits whose upper left corner is x, y; a blank leaves room. Returns where it ends.

        pen: in digit heights. gap: from one digit's ink to the next, in digit heights; less than 0 lets them touch.
        """
        line = max((digit.line for digit in self.written), default=-1) + 1
        half = pen * height / 2
        for letter in text:
            if letter == " ":
                x += (WIDTH + gap) * height
                continue
            size = np.array([NARROW if letter == "1" else WIDTH, 1.0]) * height - 2 * half
            strokes = [points * size + (x + half, y + half) for points in _strokes(letter)]
            self.draw(strokes, 2 * half)
            self.written.append(Written(letter, self._box(strokes, half), line))
            x += size[0] + 2 * half + gap * height
        return x

    def draw(self, strokes: Strokes, pen: float, level: float = 1.0) -> None:
        """Draws lines through points (n, 2) of the upright sheet, so many pixels wide."""
        drawn = np.zeros_like(self.marks, np.uint8)
        for points in strokes:
            at = np.rint(self.placed(points) * 2**FRACTION_BITS).astype(np.int32)
            cv2.polylines(drawn, [at], False, 255, max(1, round(pen)), cv2.LINE_AA, FRACTION_BITS)
        self.marks = np.maximum(self.marks, drawn / np.float32(255) * np.float32(level))

    def line(self, x0: float, y0: float, x1: float, y1: float, pen: float = 2, level: float = 1.0) -> None:
        """Draws a straight line."""
        self.draw([np.array([(x0, y0), (x1, y1)])], pen, level)

    def rule(self, pitch: float, squared: bool = False, level: float = 0.45, pen: float = 1, start: float = 0) -> None:
        """Rules the whole sheet, over its edges where it is turned, so that one line lies `start` pixels down."""
        reach = math.hypot(self.width, self.height) / 2
        for offset in np.arange(-math.ceil(reach / pitch) * pitch, 2 * reach, pitch):
            x, y = offset, offset + start
            self.line(self._middle[0] - reach, y, self._middle[0] + reach, y, pen, level)
            if squared:
                self.line(x, self._middle[1] - reach, x, self._middle[1] + reach, pen, level)

    def box(self, x: float, y: float, width: float, height: float, cells: int = 1, pen: float = 2) -> None:
        """Draws a row of cells."""
        for k in range(cells + 1):
            self.line(x + k * width / cells, y, x + k * width / cells, y + height, pen)
        self.line(x, y, x + width, y, pen)
        self.line(x, y + height, x + width, y + height, pen)

    @property
    def text(self) -> str:
        """What is written, a line below the other."""
        lines: list[str] = []
        for digit in self.written:
            lines += [""] * (digit.line + 1 - len(lines))
            lines[digit.line] += digit.text
        return "\n".join(lines)

    def grey(self, paper: float = PAPER, ink: float = INK, light: np.ndarray | float = 1.0) -> np.ndarray:
        """The picture, uint8 (height, width). light: what falls on each pixel, in parts of the full light."""
        return _seen((paper + (ink - paper) * self.marks) * light)

    def colour(self, paper: Sequence[float], ink: Sequence[float]) -> np.ndarray:
        """The picture, uint8 (height, width, 3), in two colours BGR."""
        return _seen(np.array(paper) + (np.array(ink) - np.array(paper)) * self.marks[:, :, None])

    def _box(self, strokes: Strokes, half: float) -> Box:
        points = self.placed(np.concatenate(strokes))
        left, top = points.min(axis=0) - half
        right, bottom = points.max(axis=0) + half
        return float(left), float(top), float(right - left), float(bottom - top)


def _strokes(letter: str) -> list[np.ndarray]:
    """The strokes of a digit in a unit box that they fill."""
    form = FORMS[letter][HAND.get(letter, 0)]
    strokes = [smooth(np.asarray(points)) if kind == "~" else np.asarray(points) for kind, points in form]
    everything = np.concatenate(strokes)
    low, high = everything.min(axis=0), everything.max(axis=0)
    return [(points - low) / (high - low) for points in strokes]


def _seen(light: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(11).normal(0, NOISE, light.shape)
    return np.clip(np.rint(light + noise), 0, 255).astype(np.uint8)


def overlap(box: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two boxes."""
    wide = min(box[0] + box[2], other[0] + other[2]) - max(box[0], other[0])
    high = min(box[1] + box[3], other[1] + other[3]) - max(box[1], other[1])
    both = max(wide, 0) * max(high, 0)
    return both / (box[2] * box[3] + other[2] * other[3] - both)


def check_boxes(reading: Reading, sheet: Sheet, scale: float = 1.0, least: float = 0.5) -> None:
    """Each digit of a sheet's reading lies where it was written. scale: pixels of the picture for one of the sheet."""
    assert len(reading.digits) == len(sheet.written), reading.text
    for found, digit in zip(reading.digits, sheet.written, strict=True):
        assert found.line == digit.line, reading.text
        wanted = tuple(scale * value for value in digit.box)
        assert overlap(found.box, wanted) >= least, f"{found} is not at {wanted}"


def check_reading(reader: DigitReader, sheet: Sheet, picture: np.ndarray | Path | None = None) -> None:
    """A sheet is read as it was written, and each digit's box is where it stands."""
    reading = reader.read(sheet.grey() if picture is None else picture)
    assert reading.text == sheet.text, f"{reading.lines} is not {sheet.text.splitlines()}"
    check_boxes(reading, sheet)

"""Read a whole line of writing at once: a second network, asked where glyphs one by one are in doubt.

A line image is uint8 (LINE_HEIGHT, width), ink bright on 0, its digits about DIGIT_HEIGHT high. For every column of
COLUMN pixels the network says which digit has its middle there, if any, and how far its sides are.
"""

import os
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge import model_file
from edge.classifier import load_interpreter, load_runtime
from edge.segment import as_image

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

MODEL_NAME = "lines-int8.tflite"

LINE_HEIGHT = 40  # pixels
DIGIT_HEIGHT = 24  # pixels: of the digits in a line image, about
COLUMN = 2  # pixels
DIGITS = 10  # classes; one more is the blank

WIDTHS = (48, 64, 96, 144, 224, 320, 448)  # pixels: an interpreter is made for each that is asked for
LEAST_PRESENCE = 0.3  # probability that a column holds a digit's middle
NEAREST = 1.5  # columns: a neighbour as likely belongs to the same digit
SAME_SPAN = 0.6  # of the narrower one's width: two digits share no more


@dataclass(frozen=True, slots=True)
class Found:
    """A digit in a line image: how likely it is there and each of the ten, float32 (10,), and its box in pixels."""

    shares: Floats
    left: float
    top: float
    right: float
    bottom: float

    @property
    def value(self) -> int:
        """The likeliest digit."""
        return int(self.shares.argmax())

    @property
    def middle(self) -> float:
        """Pixels from the image's left side."""
        return (self.left + self.right) / 2


def in_one_place(one: Found, other: Found) -> bool:
    """Whether two boxes hold the same digit."""
    narrower = max(min(one.right - one.left, other.right - other.left), 1)
    return min(one.right, other.right) - max(one.left, other.left) > SAME_SPAN * narrower


class LineNetwork:
    """The network that ships, behind either runtime. Safe to call from several threads."""

    def __init__(
        self, model: str | os.PathLike[str] | None = None, runtime: str | None = None, threads: int = 1
    ) -> None:
        """model: a .tflite file, None for the one that ships; threads: the runtime's own.

        The file is read when the first line is. Raises MissingRuntimeError or UsageError.
        """
        self._path = None if model is None else Path(model)
        self._threads = threads
        self.runtime, self._interpreter_class = load_runtime(runtime)
        # Interpreters that nobody is using, for each width: see Classifier.
        self._idle: dict[int, deque[_Interpreter]] = {width: deque() for width in WIDTHS}

    def read(self, image: Image) -> list[Found]:
        """The digits of a line image, uint8 (LINE_HEIGHT, width) with at most WIDTHS[-1] columns of pixels.

        Raises ValueError for one of another size, and ModelError.
        """
        height, width = image.shape
        if height != LINE_HEIGHT or not 0 < width <= WIDTHS[-1]:
            raise ValueError(
                f"a line image is {LINE_HEIGHT} pixels high and at most {WIDTHS[-1]} wide, not {width} wide"
            )
        wide = next(w for w in WIDTHS if w >= width)
        if wide > width:
            image = as_image(cv2.copyMakeBorder(image, 0, 0, 0, wide - width, cv2.BORDER_CONSTANT, value=(0,)))
        idle = self._idle[wide]
        try:
            interpreter = idle.pop()
        except IndexError:
            interpreter = self._new_interpreter(wide)
        try:
            scores, boxes = interpreter.run(image)
        finally:
            idle.append(interpreter)
        columns = -(-width // COLUMN)
        return decoded(scores[:columns] / self._temperature, boxes[:columns])

    def forget_interpreters(self) -> None:
        """Make new interpreters from here on: those made before a fork lost their threads to it."""
        for idle in self._idle.values():
            idle.clear()

    @cached_property
    def _file(self) -> tuple[Path, bytes]:
        path = self._path or model_file.default_model(MODEL_NAME)
        return path, model_file.load(path)

    @cached_property
    def _temperature(self) -> np.float32:
        return np.float32(model_file.parse(*self._file).temperature)

    def _new_interpreter(self, width: int) -> "_Interpreter":
        shape = (1, LINE_HEIGHT, width, 1)
        interpreter = load_interpreter(*self._file, self.runtime, self._interpreter_class, self._threads, shape)
        return _Interpreter(interpreter, width)


class _Interpreter:
    """One interpreter for line images of one width."""

    def __init__(self, interpreter: Any, width: int) -> None:
        self._interpreter, self._shape = interpreter, (1, LINE_HEIGHT, width, 1)
        self._input = interpreter.get_input_details()[0]["index"]
        outputs = {int(output["shape"][-1]): output["index"] for output in interpreter.get_output_details()}
        self._scores, self._boxes = outputs[DIGITS + 1], outputs[len(("left", "right", "top", "bottom"))]

    def run(self, image: Image) -> tuple[Floats, Floats]:
        """Scores (columns, DIGITS + 1) and boxes (columns, 4) of an image of its width."""
        self._interpreter.set_tensor(self._input, image.reshape(self._shape))
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._scores)[0, 0], self._interpreter.get_tensor(self._boxes)[0, 0]


def decoded(scores: Floats, boxes: Floats, least: float = LEAST_PRESENCE) -> list[Found]:
    """The digits of a line, from the left.

    scores: logits (columns, DIGITS + 1). boxes: (columns, 4), from the column's middle to the left and right side and
    from the image's top to the digit's top and bottom, in DIGIT_HEIGHT. least: the likelihood of a column's digit.
    """
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    presence = 1 - shares[:, DIGITS]
    found: list[tuple[float, Found]] = []
    for column in np.argsort(-presence, kind="stable").tolist():
        likely = presence.item(column)
        if likely < least:
            break
        if any(abs(at - column) <= NEAREST for at, _ in found):
            continue
        middle = (column + 0.5) * COLUMN
        left, right, top, bottom = (boxes[column] * DIGIT_HEIGHT).tolist()
        near = shares[max(0, column - 1) : column + 2, :DIGITS].sum(axis=0)
        digit = Found(near * np.float32(likely / near.sum()), middle - left, top, middle + right, bottom)
        if not any(in_one_place(digit, other) for _, other in found):
            found.append((column, digit))
    return sorted((digit for _, digit in found), key=lambda digit: digit.middle)

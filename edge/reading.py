"""What was read in one picture: digits with their boxes, in lines, and the fields of a form."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Box = tuple[int, int, int, int]

SURE = 0.9  # confidence: an answer with less is worth a look by a person
REFUSED = "?"  # stands in a text where there is ink that is not a digit


@dataclass(frozen=True, slots=True)
class Digit:
    """One character of a line.

    `label`: None where it is refused. `confidence`: of the best label, 0 to 1. `box`: x, y, width, height in pixels
    of the upright original picture. `line`: index of its line. `glyph`: uint8 (28, 28), what the network saw. `mark`:
    whether it was refused for being a point, a comma, a dash or the like between digits.
    """

    label: str | None
    confidence: float
    box: Box
    line: int
    glyph: Image = field(repr=False, compare=False)
    mark: bool = False

    @property
    def text(self) -> str:
        """The label, or `?`."""
        return REFUSED if self.label is None else self.label


@dataclass(frozen=True, slots=True)
class Field:
    """What stands in one named box of a form.

    `text`: as read, `?` for what is not a digit. `value`: the text where it is valid, else None, and `reason` says why.
    `confidence`: of its least sure digit, 0 to 1. `box`: x, y, width, height in pixels of the upright original picture.
    `digits`: what it was read from; their lines are those of the text.
    """

    name: str
    text: str
    value: str | None
    confidence: float
    valid: bool
    reason: str | None
    box: Box
    digits: tuple[Digit, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Reading:
    """The digits of one picture, `width` by `height` pixels upright, in reading order; and its form's fields.

    `beside`: of a form, what is as large as a digit, is none, and stands in no line: its number is -1.
    """

    width: int
    height: int
    digits: tuple[Digit, ...]
    fields: tuple[Field, ...] = ()
    beside: tuple[Digit, ...] = field(default=(), repr=False, compare=False)

    @property
    def lines(self) -> tuple[str, ...]:
        """The text of each line, from the top."""
        texts: list[str] = []
        for digit in self.digits:
            if digit.line == len(texts):
                texts.append("")
            texts[digit.line] += digit.text
        return tuple(texts)

    @property
    def text(self) -> str:
        """All lines, one below the other."""
        return "\n".join(self.lines)

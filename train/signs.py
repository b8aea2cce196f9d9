"""Signs that stand beside written numbers and are none: per cent, currencies, sums, ticks, boxes to tick.

Few handwriting fonts hold them in a form that hands write. Each form is a list of strokes through control points in a
unit box, as in `train/strokes.py`; every drawing moves the points, the width, the slant and the pen. They stand in
lines beside digits: some are told from one by nothing else (a point, a ring that is a degree sign).
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from train.strokes import POINT_FIVE, Points, traced

Image = NDArray[np.uint8]
Strokes = tuple[tuple[str, Points], ...]

SIGN_SIZE = 64  # pixels: height of a sign as high as a digit
SLANT = 0.15  # of the height, standard deviation
STRETCH = 0.15  # standard deviation of the logarithm of width over height
PEN = (0.06, 0.17)  # of the height
SUPERSAMPLING = 2


def _ring(x: float, y: float, across: float, down: float, start: float = -0.6) -> tuple[str, Points]:
    """A ring around (x, y) in one stroke that runs a little past its start, a turn of 9 eighths."""
    angles = start + np.arange(10) * np.pi / 4
    return "~", tuple((x + across * float(np.cos(a)), y + down * float(np.sin(a))) for a in angles)


_BOX: tuple[str, Points] = ("-", ((0, 0), (1, 0.02), (0.98, 1), (0.01, 0.98), (0, -0.02)))
_S: tuple[str, Points] = (
    "~",
    ((0.92, 0.25), (0.55, 0.1), (0.1, 0.25), (0.45, 0.5), (0.9, 0.72), (0.5, 0.91), (0.05, 0.76)),
)
_C: tuple[str, Points] = (
    "~",
    ((1, 0.16), (0.72, 0), (0.32, 0.15), (0.2, 0.5), (0.32, 0.86), (0.7, 1), (1, 0.86)),
)


class Form(NamedTuple):
    """How a sign is written."""

    aspect: float
    """Width over height."""
    height: float
    """Of a digit's."""
    foot: float
    """Of a digit's height: so far above the line its foot is."""
    ways: tuple[Strokes, ...]
    """Strokes of each way to write it: "-" straight, "~" smoothed through their points."""


FORMS: dict[str, Form] = {
    "%": Form(
        0.85, 1.0, 0,
        (
            (_ring(0.18, 0.2, 0.16, 0.17), ("-", ((0.85, 0), (0.15, 1))), _ring(0.82, 0.8, 0.16, 0.17)),
            (_ring(0.15, 0.27, 0.13, 0.14), ("-", ((0.95, 0), (0.05, 1))), _ring(0.85, 0.75, 0.13, 0.14)),
            (_ring(0.25, 0.22, 0.22, 0.2), ("~", ((0.95, 0.02), (0.55, 0.45), (0.12, 1))), _ring(0.8, 0.78, 0.2, 0.2)),
            (  # the first ring runs into the stroke
                ("~", ((0.3, 0.05), (0.05, 0.18), (0.2, 0.38), (0.4, 0.2), (0.3, 0.05), (0.6, 0.1), (0.9, 0.0))),
                ("-", ((0.9, 0), (0.15, 1))),
                _ring(0.8, 0.8, 0.15, 0.16),
            ),
        ),
    ),
    "$": Form(
        0.6, 1.15, -0.08,
        (
            (_S, ("-", ((0.5, 0), (0.5, 1)))),
            (_S, ("-", ((0.6, -0.02), (0.42, 1.02)))),
            (_S, ("-", ((0.42, 0), (0.4, 1))), ("-", ((0.6, 0), (0.58, 1)))),
            (_S, ("-", ((0.52, -0.03), (0.52, 0.18))), ("-", ((0.48, 0.84), (0.48, 1.03)))),
        ),
    ),
    "€": Form(
        0.75, 1.0, 0,
        (
            (_C, ("-", ((0, 0.4), (0.75, 0.39))), ("-", ((0, 0.6), (0.7, 0.59)))),
            (_C, ("-", ((0.02, 0.45), (0.85, 0.4))), ("-", ((0.02, 0.62), (0.7, 0.58)))),
        ),
    ),
    "£": Form(
        0.7, 1.0, 0,
        (
            (
                ("~", ((0.92, 0.16), (0.65, 0), (0.38, 0.2), (0.42, 0.6), (0.08, 0.98))),
                ("~", ((0.08, 0.98), (0.35, 0.9), (0.7, 1), (1, 0.9))),
                ("-", ((0.1, 0.52), (0.78, 0.5))),
            ),
        ),
    ),
    "¥": Form(0.75, 1.0, 0, ((("-", ((0, 0), (0.5, 0.45), (1, 0))), ("-", ((0.5, 0.45), (0.48, 1))),
                       ("-", ((0.1, 0.55), (0.9, 0.53))), ("-", ((0.1, 0.72), (0.9, 0.7)))),)),
    "#": Form(
        0.85, 0.95, 0.02,
        (
            (("-", ((0.38, 0), (0.25, 1))), ("-", ((0.78, 0), (0.65, 1))), ("-", ((0.02, 0.33), (1, 0.3))),
             ("-", ((0, 0.7), (0.96, 0.67)))),
            (("-", ((0.3, 0), (0.3, 1))), ("-", ((0.7, 0), (0.7, 1))), ("-", ((0, 0.3), (1, 0.3))),
             ("-", ((0, 0.7), (1, 0.7)))),
        ),
    ),
    "×": Form(
        0.95, 0.55, 0.2,
        (
            (("-", ((0, 0), (1, 1))), ("-", ((1, 0), (0, 1)))),
            (("~", ((0, 0.05), (0.25, 0.1), (0.75, 0.9), (1, 0.95))), ("-", ((0.95, 0), (0.05, 1)))),
        ),
    ),
    "+": Form(0.95, 0.6, 0.18, ((("-", ((0.5, 0), (0.5, 1))), ("-", ((0, 0.5), (1, 0.5)))),)),
    "÷": Form(0.9, 0.6, 0.18, ((("-", ((0, 0.5), (1, 0.5))), ("-", ((0.48, 0.08), (0.52, 0.1))),
                               ("-", ((0.48, 0.9), (0.52, 0.92)))),)),
    "=": Form(1.4, 0.35, 0.3, ((("-", ((0, 0.1), (1, 0.05))), ("-", ((0, 0.95), (1, 0.9)))),)),
    "✓": Form(
        0.75, 1.0, 0,
        (
            (("-", ((0, 0.6), (0.32, 1), (1, 0))),),
            (("~", ((0, 0.55), (0.15, 0.75), (0.28, 1))), ("~", ((0.28, 1), (0.5, 0.5), (1, 0)))),
            (("~", ((0.02, 0.72), (0.18, 0.7), (0.28, 1))), ("~", ((0.28, 1), (0.6, 0.4), (1, 0.08)))),
            (("-", ((0, 0.7), (0.22, 0.98), (1, 0.25))),),
        ),
    ),
    "√": Form(
        1.3, 1.15, -0.02,
        (
            (("-", ((0, 0.65), (0.1, 0.58), (0.26, 1), (0.45, 0), (1, 0.01))),),
            (("-", ((0, 0.6), (0.08, 0.55), (0.22, 1), (0.32, 0.02), (1, 0))), ("-", ((1, 0), (1, 0.1)))),
        ),
    ),
    "☐": Form(1.0, 0.8, 0.05, ((_BOX,),)),
    "☑": Form(
        1.0, 0.85, 0.05,
        (
            (_BOX, ("-", ((0.2, 0.5), (0.42, 0.85), (0.95, -0.1)))),
            (_BOX, ("-", ((0.2, 0.55), (0.42, 0.82), (0.8, 0.2)))),
        ),
    ),
    "☒": Form(
        1.0, 0.85, 0.05,
        (
            (_BOX, ("-", ((0.15, 0.15), (0.85, 0.85))), ("-", ((0.85, 0.15), (0.15, 0.85)))),
            (_BOX, ("-", ((-0.05, 0), (1.05, 1))), ("-", ((1.05, -0.05), (-0.05, 1.05)))),
        ),
    ),
    "→": Form(1.5, 0.45, 0.25, ((("-", ((0, 0.5), (1, 0.5))), ("-", ((0.7, 0), (1, 0.5), (0.72, 1)))),)),
    "←": Form(1.5, 0.45, 0.25, ((("-", ((1, 0.5), (0, 0.5))), ("-", ((0.3, 0), (0, 0.5), (0.28, 1)))),)),
    "&": Form(
        0.85, 1.0, 0,
        (
            (("~", ((1, 0.98), (0.6, 0.6), (0.25, 0.2), (0.45, 0), (0.62, 0.2), (0.2, 0.55), (0.05, 0.82), (0.35, 1),
                    (0.75, 0.8), (0.95, 0.55))),),
            (("~", ((0.75, 0.08), (0.3, 0.02), (0.2, 0.3), (0.55, 0.46))),
             ("~", ((0.55, 0.46), (0.1, 0.62), (0.2, 0.98), (0.7, 0.92), (0.85, 0.5))),
             ("-", ((0.6, 0.55), (1, 0.5)))),
        ),
    ),
}  # fmt: skip
# Marks between digits: alone, as high as a digit, each would be a speck, a 1 or a 0.
MARKS: dict[str, Form] = {
    ".": Form(1.0, 0.05, 0.0, ((("-", ((0, 0.4), (1, 0.6))),),)),
    ",": Form(0.5, 0.24, -0.18, ((("~", ((0.8, 0), (0.9, 0.4), (0.1, 1))),), (("-", ((0.8, 0), (0.2, 1))),))),
    ":": Form(0.12, 0.5, 0.1, ((("-", ((0.3, 0), (0.7, 0.05))), ("-", ((0.3, 0.95), (0.7, 1)))),)),
    "-": Form(4.5, 0.1, 0.42, ((("-", ((0, 0.5), (1, 0.4))),), (("~", ((0, 0.6), (0.5, 0.3), (1, 0.5))),))),
    "°": Form(0.95, 0.26, 0.72, ((_ring(0.5, 0.5, 0.5, 0.5),),)),
}
# Likely enough beside a number that each is drawn more often.
COMMON = "%$€✓×+="


class Sign(NamedTuple):
    """A drawn sign."""

    ink: Image
    """uint8 (height, width), cut tight, in the scale in which a digit is SIGN_SIZE high."""
    name: str
    foot: float
    """Of a digit's height: so far above the line its foot is."""


def drawn_sign(rng: np.random.Generator, names: Sequence[str]) -> Sign:
    """One of the signs named, of FORMS or MARKS, in some way it is written, with some pen."""
    name = names[int(rng.integers(len(names)))]
    form = FORMS.get(name) or MARKS[name]
    height = SIGN_SIZE * SUPERSAMPLING * form.height
    width = height * form.aspect * np.exp(rng.normal(0, STRETCH))
    pen = max(2, round(SIGN_SIZE * SUPERSAMPLING * rng.uniform(*PEN)))
    slant = rng.normal(0, SLANT)
    room = SIGN_SIZE * SUPERSAMPLING
    strokes = []
    for at in traced(form.ways[int(rng.integers(len(form.ways)))], rng):
        at *= (width, height)
        at[:, 0] -= slant * (at[:, 1] - height / 2)
        strokes.append(np.rint((at + room / 2) * POINT_FIVE).astype(np.int32))
    canvas = np.zeros((int(height) + room, int(width) + room), np.uint8)
    cv2.polylines(canvas, strokes, False, 255, pen, cv2.LINE_AA, 5)
    x, y, w, h = cv2.boundingRect(canvas)
    size = (max(1, round(w / SUPERSAMPLING)), max(1, round(h / SUPERSAMPLING)))
    ink = np.asarray(cv2.resize(canvas[y : y + h, x : x + w], size, interpolation=cv2.INTER_AREA), np.uint8)
    return Sign(ink, name, form.foot)

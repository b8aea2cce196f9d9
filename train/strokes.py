"""Digits drawn from strokes: forms that few of MNIST's writers used and much of the world does.

A 1 with a long flag and a foot, a crossed 7, a 6 with a wide hook. Each form is a list of strokes through control
points in a unit box (x to the right, y down); every drawing moves the points and the pen a little.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.preprocess import BOX_SIZE, GLYPH_SIZE, to_glyph
from edge.segment import Region

Points = tuple[tuple[float, float], ...]

SUPERSAMPLING = 6  # canvas pixels a glyph pixel
JITTER = 0.035  # of the box, standard deviation of each control point
PEN = (1.8, 3.6)  # pixels of the glyph
SMOOTH_STEPS = 12  # points drawn between two control points
WIDTH = (0.45, 0.85)  # of the height: how wide a hand writes
POINT_FIVE = 32  # OpenCV draws with 5 fractional bits

# Straight strokes are marked "-", strokes smoothed through their points "~".
FORMS: dict[str, tuple[tuple[tuple[str, Points], ...], ...]] = {
    "0": (
        (("~", ((0.5, 0), (0.08, 0.3), (0.05, 0.7), (0.5, 1), (0.92, 0.75), (0.95, 0.3), (0.5, 0), (0.4, 0.03))),),
        (("~", ((0.65, 0.08), (0.3, 0), (0.03, 0.5), (0.3, 0.98), (0.8, 0.9), (0.97, 0.4), (0.7, 0.03), (0.5, 0.1))),),
    ),
    "1": (
        (("-", ((0.15, 0.35), (0.6, 0), (0.55, 1))),),
        (("-", ((0.0, 0.52), (0.7, 0), (0.6, 1))),),
        (("-", ((0.2, 0.28), (0.55, 0), (0.55, 1))), ("-", ((0.1, 1), (0.98, 0.98)))),
        (("-", ((0.05, 0.45), (0.6, 0), (0.52, 1))), ("-", ((0.0, 0.99), (1.0, 0.97)))),
        (("~", ((0.1, 0.3), (0.4, 0.2), (0.6, 0))), ("-", ((0.6, 0), (0.58, 1)))),
    ),
    "2": (
        (("~", ((0.05, 0.25), (0.4, 0), (0.9, 0.2), (0.65, 0.55), (0.03, 0.97))), ("-", ((0.03, 0.97), (1, 0.95)))),
        (("~", ((0.1, 0.2), (0.55, 0), (0.85, 0.3), (0.4, 0.75), (0.1, 0.97), (0.1, 0.8), (0.45, 0.85), (1, 0.98))),),
        (("-", ((0.08, 0.05), (0.85, 0.03), (0.05, 0.97), (0.95, 0.97))),),
    ),
    "3": (
        (("-", ((0.08, 0.02), (0.85, 0.03), (0.38, 0.4))), ("~", ((0.38, 0.4), (0.9, 0.65), (0.5, 1), (0.03, 0.88)))),
        (
            ("~", ((0.1, 0.1), (0.55, 0), (0.8, 0.22), (0.35, 0.47))),
            ("~", ((0.35, 0.47), (0.92, 0.7), (0.5, 1), (0.02, 0.9))),
        ),
    ),
    "4": (
        (("-", ((0.4, 0), (0.02, 0.62), (1, 0.58))), ("-", ((0.68, 0.3), (0.62, 1)))),
        (("-", ((0.7, 1), (0.72, 0), (0.02, 0.65), (1, 0.66))),),
        (("-", ((0.12, 0.02), (0.08, 0.55), (0.95, 0.52))), ("-", ((0.78, 0.02), (0.74, 1)))),
    ),
    "5": (
        (
            ("-", ((0.2, 0.03), (0.15, 0.45))),
            ("~", ((0.15, 0.45), (0.6, 0.38), (0.9, 0.68), (0.5, 1), (0.03, 0.9))),
            ("-", ((0.2, 0.04), (0.95, 0.02))),
        ),
        (("-", ((0.95, 0), (0.2, 0.02), (0.12, 0.42))), ("~", ((0.12, 0.42), (0.85, 0.5), (0.8, 0.92), (0.05, 0.95)))),
    ),
    "6": (
        (("~", ((0.9, 0.1), (0.5, 0.03), (0.1, 0.4), (0.1, 0.85), (0.5, 1), (0.88, 0.75), (0.5, 0.52), (0.1, 0.7))),),
        (
            (
                "~",
                ((1, 0.06), (0.45, 0.02), (0.05, 0.3), (0.1, 0.9), (0.6, 0.98), (0.68, 0.68), (0.4, 0.55), (0.06, 0.6)),
            ),
        ),
        (("~", ((0.75, 0), (0.25, 0.4), (0.05, 0.8), (0.45, 1), (0.9, 0.8), (0.55, 0.55), (0.12, 0.68))),),
        (
            ("-", ((0.9, 0.04), (0.2, 0.03))),
            ("~", ((0.2, 0.03), (0.06, 0.6), (0.3, 1), (0.75, 0.82), (0.5, 0.55), (0.1, 0.62))),
        ),
    ),
    "7": (
        (("-", ((0.02, 0.05), (0.95, 0.03), (0.35, 1))), ("-", ((0.25, 0.52), (0.9, 0.5)))),
        (("-", ((0.05, 0.22), (0.08, 0.02), (0.95, 0.04), (0.45, 1))),),
        (("~", ((0.02, 0.08), (0.5, 0.06), (0.95, 0.02))), ("~", ((0.95, 0.02), (0.55, 0.5), (0.42, 1)))),
        (("-", ((0.0, 0.04), (0.9, 0.04), (0.82, 1))), ("-", ((0.5, 0.48), (1, 0.47)))),
    ),
    "8": (
        (
            (
                "~",
                ((0.85, 0.12), (0.4, 0), (0.2, 0.25), (0.75, 0.6), (0.7, 0.97), (0.2, 0.92), (0.25, 0.6), (0.9, 0.15)),
            ),
        ),
        (
            ("~", ((0.5, 0), (0.15, 0.2), (0.5, 0.45), (0.85, 0.22), (0.5, 0), (0.4, 0.02))),
            ("~", ((0.5, 0.45), (0.05, 0.72), (0.5, 1), (0.95, 0.72), (0.5, 0.45), (0.4, 0.5))),
        ),
    ),
    "9": (
        (("~", ((0.85, 0.2), (0.4, 0), (0.08, 0.3), (0.45, 0.52), (0.85, 0.2))), ("-", ((0.85, 0.15), (0.75, 1)))),
        (("~", ((0.88, 0.15), (0.45, 0), (0.1, 0.28), (0.5, 0.5), (0.88, 0.18), (0.9, 0.7), (0.5, 1), (0.05, 0.85))),),
        (("~", ((0.8, 0.1), (0.3, 0.02), (0.1, 0.35), (0.6, 0.42), (0.82, 0.12), (0.8, 0.6), (0.3, 1))),),
    ),
}


def drawn_digits(count: int, seed: int | list[int]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Glyphs uint8 (count, 28, 28) of drawn digits and their values int64 (count,), every digit as often as another."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(FORMS)
    glyphs = np.empty((count, GLYPH_SIZE, GLYPH_SIZE), np.uint8)
    for k, label in enumerate(labels):
        forms = FORMS[str(label)]
        glyphs[k] = draw(forms[int(rng.integers(len(forms)))], rng)
    return glyphs, labels.astype(np.int64)


def draw(form: tuple[tuple[str, Points], ...], rng: np.random.Generator) -> NDArray[np.uint8]:
    """One drawing, uint8 (28, 28), of a form."""
    height = BOX_SIZE * SUPERSAMPLING
    width = height * rng.uniform(*WIDTH)
    pen = max(2, round(rng.uniform(*PEN) * SUPERSAMPLING))
    canvas = np.zeros((height + 8 * SUPERSAMPLING, height + 8 * SUPERSAMPLING), np.uint8)
    for at in traced(form, rng):
        pixels = at * (width, height) + 4 * SUPERSAMPLING
        cv2.polylines(canvas, [np.rint(pixels * POINT_FIVE).astype(np.int32)], False, 255, pen, cv2.LINE_AA, 5)
    x, y, w, h = cv2.boundingRect(canvas)
    return to_glyph(Region(x, y, w, h, canvas[y : y + h, x : x + w]))


def traced(form: tuple[tuple[str, Points], ...], rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """The strokes of a form, each (points, 2) about its unit box, as a hand draws them this time."""
    for kind, points in form:
        at = np.asarray(points, np.float64) + rng.normal(0, JITTER, (len(points), 2))
        yield smooth(at) if kind == "~" else at


def smooth(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points on a Catmull-Rom spline through the control points (n, 2)."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, SMOOTH_STEPS, endpoint=False)[:, None]
    pieces = []
    for p0, p1, p2, p3 in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        quadratic, cubic = 2 * p0 - 5 * p1 + 4 * p2 - p3, -p0 + 3 * p1 - 3 * p2 + p3
        pieces.append(0.5 * (2 * p1 + (p2 - p0) * t + quadratic * t**2 + cubic * t**3))
    return np.concatenate([*pieces, points[-1:]])

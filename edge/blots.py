"""Tell the outline of a blot and the side of a shadow from a digit: what is too wide for the look at a page is seen by
its edge alone."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.page import FINE_REACH
from edge.segment import Region, as_image, hull_of, levels_at, median_level

Image = NDArray[np.uint8]
Matrix = NDArray[np.float64]

LARGEST = 1 / FINE_REACH  # of the page's longer side: what is no larger is seen whole
COPY_SIDE = 48  # pixels: a region is looked at no larger
SURROUNDINGS = 0.15  # of its longer side: so far around it the page is looked at,
NEXT, NEAR = 1, 2  # pixels of the copy: from right beside it on, and so far, separately
EDGE, EDGE_PART = 2, 0.25  # pixels, and of the strokes' width: nearer to ink is its soft edge
LEAST_PIXELS = 12  # of the copy: fewer tell no level
DARKER = 0.25  # of the lighter level: the edge of a blot is so much darker than what is around it, or lighter,
UNLIKE = 0.7  # and of that what is within is the darker, or lighter, too
NO_INK = 0.2  # of the way from what is within to what is around is as good as no ink; that is a blot's faint edge
STEP = 0.5  # if the way is so long: of the lighter level
SHADED, EVEN = 0.2, 0.5  # only so much of what is around may lie nearer to what is within than this part of the way
SIDES = 0.3, 0.7  # of what is right beside a stroke, from dark to light: at these places lie its two sides
SIDE_ALIKE = 0.25  # of the way from the ink to the paper at one side: so near is what lies at the other,
SIDE_STEP = 0.15  # if that way is so long, of the lighter level: less is ink of a colour that looks alike in grey


def is_outline(grey: Image, turn: Matrix | None, region: Region, stroke: float) -> bool:
    """Whether what looks like a digit is the edge of a blot.

    Within a digit lies the same paper as right around it. What is within a blot is as dark as its edge, or, where a
    light blot was taken for paper, far lighter than all around it.

    grey: uint8 (h, w), the page. turn: (2, 3), from there to the pixels of the region; None where it was not turned.
    stroke: how wide the region's strokes are, in pixels.
    """
    longer = max(region.width, region.height)
    if longer <= LARGEST * max(grey.shape):
        return False
    ink, levels, reach = _copies(grey, turn, region, stroke)
    corners = hull_of(ink)
    if corners is None:
        return False
    hull = np.zeros_like(ink)
    cv2.fillConvexPoly(hull, corners, (255,))
    kernel = _square(reach)
    within = levels[cv2.subtract(hull, cv2.dilate(ink, kernel)) > 0]
    outside = levels[cv2.dilate(hull, kernel) == 0]
    if min(within.size, outside.size) < LEAST_PIXELS:
        return False
    drawn, inner, outer = median_level(levels[ink > 0]), median_level(within), median_level(outside)
    contrast, step = outer - drawn, outer - inner
    if abs(contrast) <= NO_INK * abs(step):
        unlike = abs(step) > STEP * max(inner, outer)
    else:
        unlike = abs(contrast) >= DARKER * max(drawn, outer) and step / contrast >= UNLIKE
    if not unlike:
        return False
    # On a small patch a digit has the same paper within and right beside it.
    beside = _around(hull, levels, NEXT, NEXT + NEAR)
    if abs(median_level(beside) - inner) < EVEN * abs(step):
        return False
    # The edge of a shadow leaves paper as dark as it is within on one side of a digit.
    nearest = float(np.quantile(outside, SHADED if step > 0 else 1 - SHADED))
    return abs(nearest - inner) >= EVEN * abs(step)


def is_side(grey: Image, turn: Matrix | None, region: Region, stroke: float) -> bool:
    """Whether what looks like a digit is the side of a shadow, or of something else that is wide: beside a pen's stroke
    there is paper all around, beside that on one side what is about as dark as itself, right there and farther away.
    Arguments as for `is_outline`."""
    ink, levels, reach = _copies(grey, turn, region, stroke)
    drawn = median_level(levels[ink > 0])
    near, far = _around(ink, levels, NEXT, NEXT + 1), _around(ink, levels, reach, reach + NEAR)
    if min(near.size, far.size) < LEAST_PIXELS:
        return False
    spans = [levels_at(beside, [round(part * (beside.size - 1)) for part in SIDES]) for beside in (near, far)]
    low, high = spans[1]
    # Ink is darker than what lies at both its sides, chalk lighter.
    dark = high - drawn >= SIDE_STEP * high and all(_is_alike(drawn, *span) for span in spans)
    light = drawn - low >= SIDE_STEP * drawn and all(_is_alike(drawn, *span[::-1]) for span in spans)
    return dark or light


def _around(mask: Image, levels: Image, inner: int, outer: int) -> Image:
    """The grey levels, uint8 (n,), of what lies between so many pixels around what is not 0."""
    return levels[cv2.subtract(cv2.dilate(mask, _square(outer)), cv2.dilate(mask, _square(inner))) > 0]


def _is_alike(drawn: float, one: float, other: float) -> bool:
    """Whether ink is about as deep as what lies at one side, or deeper still, seen from the other."""
    way = other - drawn
    return way != 0 and (one - drawn) / way <= SIDE_ALIKE


def _copies(grey: Image, turn: Matrix | None, region: Region, stroke: float) -> tuple[Image, Image, int]:
    """A region's ink, 255 and else 0, and the page's grey levels in the same place, both uint8 (h, w), no larger than
    they have to be and with room around; and how many of their pixels the ink's soft edge reaches."""
    longer = max(region.width, region.height)
    scale = min(1.0, COPY_SIDE / longer)
    size = max(1, round(region.width * scale)), max(1, round(region.height * scale))
    reach = 1 + math.ceil((EDGE + EDGE_PART * stroke) * scale)
    around = round(SURROUNDINGS * max(size)) + reach
    small = cv2.resize(region.mask, size, interpolation=cv2.INTER_AREA)
    # A line far thinner than a pixel of the copy is faint there.
    ink = as_image(cv2.threshold(small, int(small.max()) // 2, 255, cv2.THRESH_BINARY)[1])
    ink = as_image(cv2.copyMakeBorder(ink, around, around, around, around, cv2.BORDER_CONSTANT, value=(0,)))
    there = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]) if turn is None else turn.copy()
    there[:, 2] -= region.x, region.y
    there = there * scale + [[0.0, 0.0, around]] * 2
    levels = cv2.warpAffine(grey, there, ink.shape[::-1], flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return ink, as_image(levels), reach


def _square(reach: int) -> Image:
    """What grows ink by so many pixels to all sides."""
    return np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)

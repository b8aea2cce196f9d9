"""Tell the outline of a blot from a digit: what is too wide for the look at a page is seen by its edge alone."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.page import FINE_REACH
from edge.segment import Region, as_image, hull_of, median_level

Image = NDArray[np.uint8]
Matrix = NDArray[np.float64]

LARGEST = 1 / FINE_REACH  # of the page's longer side: what is no larger is seen whole
COPY_SIDE = 48  # pixels: a region is looked at no larger
SURROUNDINGS = 0.15  # of its longer side: so far around it the page is looked at,
NEAR = 2  # pixels of the copy: and so far separately
EDGE, EDGE_PART = 2, 0.25  # pixels, and of the strokes' width: nearer to ink is its soft edge
LEAST_PIXELS = 12  # of the copy: fewer tell no level
DARKER = 0.25  # of the lighter level: the edge of a blot is so much darker than what is around it, or lighter,
UNLIKE = 0.7  # and of that what is within is the darker, or lighter, too
NO_INK = 0.2  # of the way from what is within to what is around is as good as no ink; that is a blot's faint edge
STEP = 0.5  # if the way is so long: of the lighter level
SHADED, EVEN = 0.2, 0.5  # only so much of what is around may lie nearer to what is within than this part of the way


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
    scale = min(1.0, COPY_SIDE / longer)
    size = max(1, round(region.width * scale)), max(1, round(region.height * scale))
    reach = 1 + math.ceil((EDGE + EDGE_PART * stroke) * scale)
    around = round(SURROUNDINGS * max(size)) + reach
    small = cv2.resize(region.mask, size, interpolation=cv2.INTER_AREA)
    # A line far thinner than a pixel of the copy is faint there.
    ink = as_image(cv2.threshold(small, int(small.max()) // 2, 255, cv2.THRESH_BINARY)[1])
    ink = as_image(cv2.copyMakeBorder(ink, around, around, around, around, cv2.BORDER_CONSTANT, value=(0,)))
    corners = hull_of(ink)
    if corners is None:
        return False
    hull = np.zeros_like(ink)
    cv2.fillConvexPoly(hull, corners, (255,))
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    there = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]) if turn is None else turn.copy()
    there[:, 2] -= region.x, region.y
    there = there * scale + [[0.0, 0.0, around]] * 2
    levels = cv2.warpAffine(grey, there, ink.shape[::-1], flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    levels = as_image(levels)
    within = levels[cv2.subtract(hull, cv2.dilate(ink, kernel)) > 0]
    beside = levels[cv2.subtract(cv2.dilate(hull, _NEAR), cv2.dilate(hull, _NEXT)) > 0]
    outside = levels[cv2.dilate(hull, kernel) == 0]
    if min(within.size, outside.size) < LEAST_PIXELS:
        return False
    drawn, inner, outer = median_level(levels[ink > 0]), median_level(within), median_level(outside)
    contrast, step = outer - drawn, outer - inner
    if abs(contrast) <= NO_INK * abs(step):
        unlike = abs(step) > STEP * max(inner, outer)
    else:
        unlike = abs(contrast) >= DARKER * max(drawn, outer) and step / contrast >= UNLIKE
    # On a small patch a digit has the same paper within and right beside it.
    if not unlike or abs(median_level(beside) - inner) < EVEN * abs(step):
        return False
    # The edge of a shadow leaves paper as dark as it is within on one side of a digit.
    nearest = float(np.quantile(outside, SHADED if step > 0 else 1 - SHADED))
    return abs(nearest - inner) >= EVEN * abs(step)


_NEXT, _NEAR = (np.ones((2 * reach + 1, 2 * reach + 1), np.uint8) for reach in (1, 1 + NEAR))

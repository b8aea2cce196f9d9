"""Take the line under a number out of a page's ink where digits touch it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.components import Components
from edge.segment import as_image

Image = NDArray[np.uint8]

WIDEST_DIGIT = 1.5  # times as wide as high: a wider component may be digits on a line
WHOLE = 0.97  # of its columns hold ink: the line goes through all of them
STRAYS, STRAIGHT = 0.05, 0.92  # of its height: so far off, at least a pixel and a half, is the lowest ink in so many
THICKEST = 0.22  # of its height: a line is no thicker
ALONE, ALONE_THICK = 0.5, 1.5  # of the columns the line is the lowest stroke, and no thicker than usual by this factor
STICKS_OUT = 0.18  # heights: at both its ends it is alone so far
WRITTEN = 0.3  # of its ink stands on the line
MOST = 100  # components are tried: more are a texture


def underlines(components: Components, smallest: float, shape: tuple[int, ...]) -> Image | None:
    """uint8, of that shape: 255 on lines on which digits stand and that they touch; None where there are none.

    smallest: height of the smallest digit, in pixels.
    """
    boxes = components.boxes
    wide = (boxes[:, 2] > WIDEST_DIGIT * boxes[:, 3]) & (boxes[:, 3] > smallest)
    found: Image | None = None
    for k in np.flatnonzero(wide)[:MOST].tolist():
        line = _line_below(components.mask(k), smallest)
        if line is not None:
            found = np.zeros(shape, np.uint8) if found is None else found
            x, y, width, height = boxes[k].tolist()
            found[y : y + height, x : x + width] |= line
    return found


def _line_below(mask: Image, smallest: float) -> Image | None:
    """The line along the lower side of a component, uint8 (h, w); None where there is none."""
    ink = mask > 0
    height, width = ink.shape
    # Each column from its foot upwards, and paper above it: searched along memory, many times as fast as across.
    upwards = np.zeros((width, height + 1), np.bool_)
    upwards[:, :height] = ink[::-1].T
    first = upwards.argmax(axis=1)
    columns = np.flatnonzero(upwards[np.arange(width), first])
    if columns.size < WHOLE * width:
        return None
    first = first[columns]
    lowest = height - 1 - first
    # From there upwards, the first paper: how thick the stroke is.
    thick = (upwards[columns, :-1] > upwards[columns, 1:]).argmax(axis=1) + 1 - first
    usual = float(np.median(thick))
    if usual > THICKEST * height or np.count_nonzero(thick <= ALONE_THICK * usual) < ALONE * columns.size:
        return None
    chosen = thick <= ALONE_THICK * usual
    ends = max(2, round(STICKS_OUT * height))
    if not (chosen[:ends].all() and chosen[-ends:].all()):
        return None  # the foot of a 2 begins under its own stroke
    reach = max(1.5, STRAYS * height)
    slope, level = np.polyfit(columns[chosen], lowest[chosen], 1)
    near = abs(lowest - slope * columns - level) <= reach
    if np.count_nonzero(near) < STRAIGHT * columns.size:
        return None
    slope, level = np.polyfit(columns[near], lowest[near], 1)
    across = np.arange(width)
    top = slope * across + level - usual - 0.5
    line = ink & (np.arange(height)[:, None] > top) & (np.arange(height)[:, None] <= top + usual + reach + 1)
    rest = as_image((ink & ~line).view(np.uint8) * 255)
    _, _, statistics, _ = cv2.connectedComponentsWithStats(rest, connectivity=8, ltype=cv2.CV_32S)
    heights = np.asarray(statistics)[1:, cv2.CC_STAT_HEIGHT]
    # One digit alone is a wide 2.
    if np.count_nonzero(heights >= smallest) < 2 or cv2.countNonZero(rest) < WRITTEN * cv2.countNonZero(mask):
        return None
    return as_image(line.view(np.uint8) * 255)

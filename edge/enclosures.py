"""Take what is drawn around digits out of a page's ink: a circle, a cloud, a triangle. Boxes are for `edge.boxes`."""

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.components import Components
from edge.segment import as_image

Image = NDArray[np.uint8]
Integers = NDArray[np.int32]

MOST_PAIRS, MOST_AROUND = 1 << 21, 300  # of components: where more lie in one another it is a texture
LARGEST_FILL = 0.4  # of its box: more ink is no line around something
INSIDE_HEIGHT = (0.28, 0.88)  # of its height: what stands in it; a dot in a 0 is lower
OUTSIDE = 0.04  # of its longer side: what stands in it reaches no farther out of its box
SECTORS = 32  # directions, seen from the middle of what stands in it
CLOSED = 0.8  # of them meet its line: a circle by hand need not be closed
TOUCHING = 0.15  # of the height of what stands in it: so deep it may reach into the line
CROSSED = 0.03  # of its line lies deeper among it, at most
SLASH = 2.2  # times as high as wide: a bar in a 0
SLASHED = 1.1  # of the other digits' height: such a 0 is no higher, a circle around a 1 is
LINE_WIDTH = 1.5  # times as wide as its strokes usually are: so far from the hull reaches its line
STRAYS = 0.05  # of its shorter side: and so much farther, where it is not closed
HOLLOW = 0.5  # of its box lies within the outline of a line that is closed


def enclosures(components: Components, smallest: float, shape: tuple[int, ...]) -> Image | None:
    """uint8, of that shape: 255 on lines that are drawn around other components; None where there are none.

    smallest: height of the smallest digit, in pixels.
    """
    boxes = components.boxes
    widths, heights = boxes[:, 2], boxes[:, 3]
    high = np.flatnonzero(heights >= smallest)
    open_ones = high[(widths[high] > smallest) & (components.areas[high] < LARGEST_FILL * (widths * heights)[high])]
    if not open_ones.size or open_ones.size * high.size > MOST_PAIRS:
        return None
    # On most pages no middle but its own lies in any box.
    middles = boxes[high, :2] + boxes[high, 2:] // 2
    off = abs(2 * (middles - middles[np.searchsorted(high, open_ones), None])) < boxes[open_ones, None, 2:]
    held = off[:, :, 0] & off[:, :, 1]
    around = np.flatnonzero(held.sum(axis=1) > 1)
    if around.size > MOST_AROUND:
        return None
    found: Image | None = None
    for k, own in zip(open_ones[around].tolist(), held[around], strict=True):
        near = high[own]
        inside = near[_lie_in(boxes[near], boxes[k])]
        if not inside.size:
            continue
        line, within = _line_of(components.mask(k), smallest)
        everything = np.vstack([boxes[inside], within + boxes[k] * (1, 1, 0, 0)])
        if _surrounds(boxes[k], line, everything, heights[np.setdiff1d(high, [k, *inside])]):
            found = np.zeros(shape, np.uint8) if found is None else found
            x, y, width, height = boxes[k].tolist()
            found[y : y + height, x : x + width] |= line
    return found


def _lie_in(boxes: Integers, box: Integers) -> NDArray[np.bool_]:
    """bool (n,): which boxes, (n, 4) as x, y, width, height, lie in this one, (4,), as high as a digit in it is."""
    over = np.maximum(box[:2] - boxes[:, :2], boxes[:, :2] + boxes[:, 2:] - box[:2] - box[2:]).max(axis=1)
    share = boxes[:, 3] / box[3]
    fits = (over <= OUTSIDE * box[2:].max()) & (share >= INSIDE_HEIGHT[0]) & (share <= INSIDE_HEIGHT[1])
    return np.asarray(fits, np.bool_)


def _line_of(mask: Image, smallest: float) -> tuple[Image, Integers]:
    """A component's pixels along its outline, and the boxes, (n, 4), of what touches them from within.

    mask: uint8 (h, w), its pixels.
    """
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    length = sum(len(contour) for contour in contours) / 2
    reach = LINE_WIDTH * cv2.countNonZero(mask) / max(1.0, length)
    padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(0,))
    outlines, _ = cv2.findContours(padded, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    whole = cv2.drawContours(padded, outlines, -1, (255,), cv2.FILLED)
    if cv2.countNonZero(whole) < HOLLOW * mask.size:
        # A line that is not closed has no inside; and no hand draws it as round as its hull.
        cv2.fillConvexPoly(whole, cv2.convexHull(outlines[0]), (255,))
        reach += STRAYS * min(mask.shape)
    deep = np.where(cv2.distanceTransform(whole, cv2.DIST_L2, 3) > reach, np.uint8(255), np.uint8(0))[1:-1, 1:-1]
    rest = cv2.bitwise_and(mask, deep)
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(rest, connectivity=8, ltype=cv2.CV_32S)
    stats = np.asarray(statistics, np.int32)
    share = stats[:, 3] / mask.shape[0]
    kept = (stats[:, 3] >= smallest) & (share >= INSIDE_HEIGHT[0]) & (share <= INSIDE_HEIGHT[1])
    kept[0] = False
    # A bar that touches it above and below stands between two cells.
    touches = (stats[:, 1] <= reach + 1) & (stats[:, 1] + stats[:, 3] >= mask.shape[0] - reach - 1)
    kept &= ~touches | (SLASH * stats[:, 2] > stats[:, 3])
    if not kept.any():
        return mask, np.zeros((0, 4), np.int32)
    within = (kept.astype(np.uint8) * 255)[np.asarray(labels)]
    return as_image(cv2.subtract(mask, within)), stats[kept, :4]


def _surrounds(box: Integers, line: Image, inside: Integers, others: Integers) -> bool:
    """Whether a line runs around what lies in its box.

    box: (4,), as x, y, width, height. line: uint8, of that size. inside: boxes, (n, 4), of what lies in it. others:
    (n,), heights of what does not.
    """
    left, top = (inside[:, :2].min(axis=0) - box[:2]).tolist()
    right, bottom = ((inside[:, :2] + inside[:, 2:]).max(axis=0) - box[:2]).tolist()
    is_slash = len(inside) == 1 and inside.item(0, 3) > SLASH * inside.item(0, 2)
    if is_slash and others.size and box.item(3) <= SLASHED * float(np.median(others)):
        return False
    across, down = cv2.findNonZero(line).reshape(-1, 2).T
    reach = TOUCHING * (bottom - top)
    among = (abs(2 * across - left - right) < right - left - 2 * reach) & (
        abs(2 * down - top - bottom) < bottom - top - 2 * reach
    )
    if np.count_nonzero(among) > CROSSED * len(across):
        return False
    # Seen from the middle of what is written in it, as if that were as high as wide.
    angles = np.arctan2((2 * down - top - bottom) * (right - left), (2 * across - left - right) * (bottom - top))
    sectors = np.unique(((angles / np.pi + 1) * (SECTORS / 2 - 1e-6)).astype(np.int64))
    return bool(sectors.size >= CLOSED * SECTORS)

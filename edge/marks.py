"""Tell what stands between the digits of a line and is none: dashes, points, commas, slashes, brackets, barcodes."""

from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.components import pixels_of
from edge.segment import Region, as_image, hull_of, ink_within, mean_within

Image = NDArray[np.uint8]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

BOX_HULL = 0.97  # of the tightest box around it is filled by the hull of a box, of a square 0 less
FACE_MARK, FACE_LEAST = 0.004, 20  # of the box of what looks like a 0, and pixels: ink of an eye in it, at least
FACE_INSET = 0.08  # of that box's shorter side: an eye is no nearer to its edge
LOW = 0.55  # of the digits' height: a comma is no higher,
HANGS = 0.05  # heights: begins so far below their middle,
BELOW = 0.4  # and ends no farther below their feet
APART = 0.6  # heights from a comma to the digit before it
PASSES, PASSES_BY = 1.2, 0.06  # times as high as the digits beside it, and heights beyond both their ends: no 1
SLANTED = 0.33  # of its height: width of a bar that, between two digits, need not pass them as far
SLANTED_PASSES, SLANTED_BY = 1.12, 0.03
CODE_BARS = 12  # a barcode has more; nobody writes so many 1s
CODE_LEVEL, CODE_PART = 3.0, 0.04  # pixels, and of their height: their ends stray no farther
ROOM = 0.12  # heights above the digits: what is written between them reaches no higher
THINNEST = 0.6  # of the pen's width, both ways: a smaller point is a speck
DASH, DASH_THINNEST = 2.0, 0.3  # times that width: what is so long may be thinner
DASH_LEVEL = (0.25, 0.8)  # of the height of the digits: where a dash stands, be it ever so near to one
SMALLEST = 9  # pixels of ink, at least
DOT_LEVEL, LOWEST = 0.35, 1.1  # of the height of the digits: between these stands a point
UPRIGHT, UPRIGHT_HEIGHT = 3.0, 0.4  # times as high as wide, and of their height: what is left of a line between cells
NEAR = 0.03  # heights from a digit: what is nearer may have fallen off it
FAINTEST = 0.7  # of the depth of their ink: a fainter one is a flaw of the paper
MINUS, MINUS_REACH = 0.2, 0.8  # heights: width of a minus before a number, and how far before it it may begin
MINUS_LEVEL = (0.3, 0.7)  # of the digit's height: where it stands
MINUS_FLAT = 2.0  # times as wide as high, at least


def hanging(boxes: Floats) -> Bools:
    """bool (n,): which boxes, (n, 4) as x, y, width, height, hang at the foot of a much higher one: commas."""
    heights = boxes[:, 3]
    found = np.zeros(len(boxes), np.bool_)
    low = np.flatnonzero(heights <= LOW * heights.max(initial=0))
    if not low.size:
        return found
    left, top = boxes[:, 0], boxes[:, 1]
    right, bottom = left + boxes[:, 2], top + heights
    for k in low.tolist():
        higher = heights[k] <= LOW * heights
        gap = np.maximum(left - right[k], left[k] - right)
        begins = (top[k] - top) / heights
        ends = (bottom[k] - bottom) / heights
        at_foot = (begins >= 0.5 + HANGS) & (begins <= 1) & (ends <= BELOW)
        found[k] = bool((higher & at_foot & (gap <= APART * heights)).any())
    return found


def raised(boxes: Floats, rings: Bools) -> Bools:
    """bool (n,): which rings stand small beside the upper half of a digit: degree signs.

    boxes: (n, 4), x, y, width, height. rings: bool (n,).
    """
    heights = boxes[:, 3]
    found = np.zeros(len(boxes), np.bool_)
    small = np.flatnonzero(rings & (heights <= LOW * heights.max(initial=0)))
    if not small.size:
        return found
    left, top = boxes[:, 0], boxes[:, 1]
    right, bottom = left + boxes[:, 2], top + heights
    for k in small.tolist():
        gap = left[k] - right
        beside = (heights[k] <= LOW * heights) & (gap <= APART * heights) & (left[k] > left)
        beside &= (bottom[k] <= bottom - heights / 2) & (bottom[k] > top)
        found[k] = bool(beside.any())
    return found


def is_empty_box(mask: Image) -> bool:
    """Whether what looks like a 0 has straight sides and sharp corners: a box to tick. mask: uint8 (h, w), its ink."""
    hull = hull_of(ink_within(mask))
    if hull is None:
        return False
    _, (width, height), _ = cv2.minAreaRect(hull)
    return bool(cv2.contourArea(hull) >= BOX_HULL * width * height > 0)


def is_face(ink: Image, region: Region) -> bool:
    """Whether several marks stand within what looks like a 0, as eyes and a mouth do; the point in a 0 is one.

    ink: uint8 (h, w), 255 where there is ink on the page.
    """
    rows, columns = region.mask.shape
    there = ink[region.y : region.y + rows, region.x : region.x + columns]
    statistics = np.asarray(cv2.connectedComponentsWithStats(there)[2])[1:]
    inset = FACE_INSET * min(rows, columns)
    left, top, width, height, area = statistics.T
    inside = (left >= inset) & (top >= inset) & (left + width <= columns - inset) & (top + height <= rows - inset)
    return np.count_nonzero(inside & (area >= max(FACE_LEAST, FACE_MARK * region.mask.size))) > 1


def passing(boxes: Floats, bars: Bools) -> Bools:
    """bool (n,): which bars reach farther both up and down than their neighbours: slashes and brackets.

    boxes: (n, 4), x, y, width, height on a levelled page of what stands in a line, from the left. bars: bool (n,).
    """
    found = np.zeros(len(boxes), np.bool_)
    tall = np.flatnonzero(bars & (boxes[:, 3] >= SLANTED_PASSES * boxes[:, 3].min()))
    whole = np.flatnonzero(~bars) if tall.size else tall
    for k in tall.tolist():
        nearest = [n for n in (k - 1, k + 1) if 0 <= n < len(boxes)]
        beside = boxes[[n[0] for n in (whole[whole < k][-1:], whole[whole > k][:1]) if n.size] or nearest]
        top, height = boxes.item(k, 1), boxes.item(k, 3)
        most = beside[:, 3].max()
        slanted = 0 < k < len(boxes) - 1 and boxes.item(k, 2) >= SLANTED * height
        least, by = (SLANTED_PASSES, SLANTED_BY) if slanted else (PASSES, PASSES_BY)
        found[k] = (
            height >= least * most
            and top <= beside[:, 1].min() - by * most
            and top + height >= (beside[:, 1] + beside[:, 3]).max() + by * most
        )
    return found


def is_barcode(boxes: Floats, bars: Bools) -> bool:
    """Whether a line is one: many bars, and all begin and end at one level.

    boxes: (n, 4), x, y, width, height on a levelled page of what stands in it. bars: bool (n,).
    """
    if np.count_nonzero(bars) < CODE_BARS or not bars.all():
        return False
    level = max(CODE_LEVEL, CODE_PART * float(np.median(boxes[:, 3])))
    tops, bottoms = boxes[:, 1], boxes[:, 1] + boxes[:, 3]
    return bool(np.ptp(tops) <= level and np.ptp(bottoms) <= level)


class Written(Protocol):
    """A digit of a line: its region, the depth of its ink, and how wide its strokes are, in pixels."""

    @property
    def region(self) -> Region: ...
    @property
    def depth(self) -> float: ...
    @property
    def stroke(self) -> float: ...


def mark_between(mask: Image, depth: Image, left: Written, right: Written) -> tuple[Region, float] | None:
    """What stands between two digits of a line, and the depth of its ink; None where there is paper.

    mask, depth: uint8 (h, w) of the page, 255 where there is ink, and how deep it is.
    """
    start, end = left.region.x + left.region.width, right.region.x
    height = min(left.region.height, right.region.height)
    near = max(1, round(NEAR * height))
    if end - start <= 2:
        return None
    head = min(left.region.y, right.region.y)
    foot = max(left.region.y + left.region.height, right.region.y + right.region.height)
    top, bottom = max(0, round(head - ROOM * height)), round(foot + BELOW * height)
    window = mask[top:bottom, start:end]
    if not cv2.countNonZero(window):
        return None
    stroke, deep = min(left.stroke, right.stroke), min(left.depth, right.depth)

    def is_mark(x: int, y: int, w: int, h: int) -> bool:
        # What leaves the window above or below belongs to another line.
        if y == 0 or y + h == len(window):
            return False
        level = (top + y + h / 2 - head) / (foot - head)
        lies = DASH_LEVEL[0] <= level <= DASH_LEVEL[1]
        room = 1 if lies and w >= DASH * max(stroke, h) else near
        if x < room or x + w > end - start - room:
            return False
        if w >= DASH * stroke and w > h:
            return h >= DASH_THINNEST * stroke and level <= LOWEST
        upright = h >= UPRIGHT_HEIGHT * height and h >= UPRIGHT * w
        return w >= THINNEST * stroke and h >= THINNEST * stroke and not upright and DOT_LEVEL <= level <= LOWEST

    return _marks(window, depth[top:bottom, start:end], (start, top), is_mark, FAINTEST * deep)


def is_clear_between(mask: Image, left: Written, right: Written) -> bool:
    """Whether there is no ink at all where a mark could stand between two digits of a line.

    mask: uint8 (h, w) of the page, 255 where there is ink.
    """
    head = min(left.region.y, right.region.y)
    high = max(left.region.y + left.region.height, right.region.y + right.region.height) - head
    top, bottom = round(head + DASH_LEVEL[0] * high), round(head + LOWEST * high)
    window = mask[top:bottom, left.region.x + left.region.width : right.region.x]
    return not window.size or not cv2.countNonZero(window)


def minus_before(mask: Image, depth: Image, digit: Written) -> tuple[Region, float] | None:
    """The minus before the first digit of a line, and the depth of its ink, as `mark_between` gives them."""
    region, height = digit.region, digit.region.height
    start, top = max(0, round(region.x - MINUS_REACH * height)), max(0, round(region.y + MINUS_LEVEL[0] * height))
    bottom, end = round(region.y + MINUS_LEVEL[1] * height), region.x
    window = mask[top:bottom, start:end]
    if not window.size or not cv2.countNonZero(window):
        return None
    near = max(1, round(NEAR * height))

    def is_minus(x: int, y: int, w: int, h: int) -> bool:
        if x == 0 or x + w > end - start - near or y == 0 or y + h == len(window):
            return False
        return w >= MINUS * height and w >= MINUS_FLAT * h and h >= DASH_THINNEST * digit.stroke

    return _marks(window, depth[top:bottom, start:end], (start, top), is_minus, FAINTEST * digit.depth)


def _marks(
    window: Image,
    depth: Image,
    origin: tuple[int, int],
    is_mark: Callable[[int, int, int, int], bool],
    faintest: float,
) -> tuple[Region, float] | None:
    """All ink of a window that is a mark, as one region with a pixel of paper around it, and how deep it is.

    is_mark: tells it by its box in the window, x, y, width, height. faintest: what is less deep is none.
    """
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(window, connectivity=8, ltype=cv2.CV_32S)
    numbers, stats = np.asarray(labels, np.int32), np.asarray(statistics)
    own = np.zeros_like(window)
    for k in range(1, len(stats)):
        x, y, w, h, area = stats[k].tolist()
        if area >= SMALLEST and is_mark(x, y, w, h):
            mark = pixels_of(numbers, k)
            if mean_within(depth, mark) >= faintest:
                own |= mark
    x, y, w, h = cv2.boundingRect(own)
    if w == 0:
        return None
    mask = cv2.copyMakeBorder(own[y : y + h, x : x + w], 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(0,))
    return Region(origin[0] + x - 1, origin[1] + y - 1, w + 2, h + 2, as_image(mask)), mean_within(depth, own)

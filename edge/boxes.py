"""Take boxes drawn around digits out of a page's ink: those nothing touches, seen from aslant too, and upright ones."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.page import floor_of, ink_of_page, mask_above
from edge.segment import as_image, hull_of

Image = NDArray[np.uint8]
Integers = NDArray[np.int32]

AXES = (0, 1)  # lines across the page, and down

BOX_HEIGHTS = 1.3  # of the smallest digit's height: a component this high and wide may be a box around a digit
BOX_FILL = 0.6  # of it is ink, at most
LINK = 9  # pixels: gaps in the side of a box up to this are bridged
BOX_LINK = 16  # a box's height over the gaps that are bridged in its sides
SIDE_COVER = 0.85  # of a box's side is ink
ROW, SIDE_LEFT = 1.6, 0.15  # a box so many times as wide as high is a row of cells: less of one side will do
GAP = 5  # pixels: gaps in faint sides up to this are bridged
SIDE_BAND = 0.16  # of the box's side: width of the band in which it lies
SIDE_PART = 0.4  # of the box's side: a piece of it is at least so long
SEPARATOR = 0.85  # of the box's height: a line between two of its cells is at least so long

MOST_LONE = 200  # components that are tried as boxes that nothing touches; and as many that hold nothing
MOST_PAIRS = 1 << 21  # of components that may be boxes and such as may lie in them: where more are it is a texture
CORNERS = 0.02  # of its outline's length: so far from its ink a side of such a box may run
HELD = (0.25, 0.95)  # of its height: what is written in it
EMPTY_WIDTH = 2.0  # times as wide as high: an empty one that is narrower may be a square 0,
ALIKE = 1.3  # but not beside boxes that hold something and are as large: times as wide or high, at most
OFF_SIDES, GAPS = 0.01, 0.06  # of its ink lies beside its sides; of its sides has no ink; at most
SIDE_ROOM = 1.5  # pixels beside a side's usual width
SOFT_EDGE = 5  # pixels: what is taken out is so much wider than the ink, both sides together


def without_lone_boxes(depth: Image, floor: Image, smallest: float) -> Image:
    """The depth without boxes that nothing touches: four straight sides, at whatever angles to one another.

    Of a page seen from aslant they are at no one angle. What may be a square 0 stays: a box in which nothing is
    written, unless it is far wider than high or as large as one that holds something. floor: what `floor_of` gives.
    smallest: height of the smallest digit in pixels. Where there is no such box, the depth is the very array that was
    given.
    """
    mask = ink_of_page(depth, floor).mask
    _, labels, statistics, _ = cv2.connectedComponentsWithStatsWithAlgorithm(mask, 8, cv2.CV_32S, cv2.CCL_SPAGHETTI)
    numbers, stats = np.asarray(labels, np.int32), np.asarray(statistics, np.int32)
    sizes = stats[:, 2:4]
    found = _large_and_open(stats, smallest)
    high = stats[1:][stats[1:, 3] >= smallest]
    if found.size * len(high) > MOST_PAIRS:
        return depth
    across, down, heights = high[:, 0] + high[:, 2] / 2, high[:, 1] + high[:, 3] / 2, high[:, 3]
    full: list[int] = []
    empty: list[int] = []
    for k in found.tolist():
        x, y, w, h, _ = stats[k].tolist()
        held = (heights >= HELD[0] * h) & (heights <= HELD[1] * h)
        held &= (abs(across - x - w / 2) < w / 2) & (abs(down - y - h / 2) < h / 2)
        (full if held.any() else empty).append(k)
    full = [k for k in full[:MOST_LONE] if _is_lone_box(_padded(numbers, stats[k], k))]
    like = np.asarray(sizes[full], np.int32)
    wide = [k for k in empty if sizes.item(k, 0) >= EMPTY_WIDTH * sizes.item(k, 1) or _is_alike(sizes[k], like)]
    boxes = full + [k for k in wide[:MOST_LONE] if _is_lone_box(_padded(numbers, stats[k], k))]
    if not boxes:
        return depth
    plain = depth.copy()
    for k in boxes:
        x, y, w, h, _ = stats[k].tolist()
        left, top = min(SOFT_EDGE, x), min(SOFT_EDGE, y)
        area = np.s_[y - top : y + h + SOFT_EDGE, x - left : x + w + SOFT_EDGE]
        own = numbers[area] == k
        wider = cv2.dilate(own.view(np.uint8), np.ones((SOFT_EDGE, SOFT_EDGE), np.uint8)) > 0
        plain[area][wider & (own | (numbers[area] == 0))] = 0
    return plain


def _large_and_open(stats: Integers, smallest: float) -> NDArray[np.int64]:
    """Numbers of the components that may be boxes around a digit. stats: (n, 5), the first that of the paper."""
    large = (stats[:, 2:4].min(axis=1) >= BOX_HEIGHTS * smallest) & (stats[:, 4] < BOX_FILL * stats[:, 2] * stats[:, 3])
    return np.flatnonzero(large[1:]) + 1


def _padded(numbers: Integers, stats: Integers, k: int) -> Image:
    """The pixels of a component as 1 among 0, with room around them."""
    x, y, w, h = stats[:4].tolist()
    own = (numbers[y : y + h, x : x + w] == k).view(np.uint8)
    return np.asarray(cv2.copyMakeBorder(own, *4 * (SOFT_EDGE,), cv2.BORDER_CONSTANT), np.uint8)


def _is_alike(size: Integers, others: Integers) -> bool:
    """Whether a size, (2,), is about that of one of the others, (n, 2)."""
    return bool(((others <= ALIKE * size) & (size <= ALIKE * others)).all(axis=1).any())


def _is_lone_box(own: Image) -> bool:
    """Whether a component, uint8 (h, w), is the four sides of a convex box and nothing else."""
    hull = hull_of(own)
    assert hull is not None
    corners = cv2.approxPolyDP(hull, CORNERS * cv2.arcLength(hull, True), True)
    ink = cv2.countNonZero(own)
    if len(corners) != 4 or ink > BOX_FILL * cv2.contourArea(corners):
        return False  # a slash has four corners, too
    length = cv2.arcLength(corners, True)
    # The corners lie on its outer edge, half a line's width from the middle of its sides.
    band = round(2 * (ink / length + SIDE_ROOM))
    sides = cv2.polylines(np.zeros_like(own), [corners], True, (1,), band)
    if ink - cv2.countNonZero(cv2.bitwise_and(own, sides)) > OFF_SIDES * ink:
        return False
    middle = cv2.polylines(np.zeros_like(own), [corners], True, (1,), 1)
    near = cv2.dilate(own, np.ones((SOFT_EDGE, SOFT_EDGE), np.uint8))
    there = cv2.countNonZero(middle)
    return there - cv2.countNonZero(cv2.bitwise_and(middle, near)) <= GAPS * there


def without_boxes(depth: Image, smallest: float) -> Image:
    """The depth of a levelled page without boxes and rows of cells, of which the strokes that cross them stay."""
    # Looked for among the deep ink, where ruling does not join them, and among all, where they are fainter than digits.
    for only_deep in (True, False):
        floor = floor_of(depth)
        mask = ink_of_page(depth, floor).mask if only_deep else mask_above(depth, floor)
        # A faint side comes in pieces.
        whole = mask if only_deep else as_image(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((GAP, GAP), np.uint8)))
        boxes = _box_sides(whole, smallest)
        if boxes is not None:
            for axis in AXES:
                depth = as_image(cv2.bitwise_and(depth, cv2.bitwise_not(_without_crossings(mask, boxes[axis], axis))))
    return depth


def _runs(mask: Image, run: int, axis: int, link: int = LINK) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Components of straight runs along an axis (0 across, 1 down), small gaps bridged, and their statistics."""
    kernel = np.ones((1, run) if axis == 0 else (run, 1), np.uint8)
    gap = np.ones((1, link) if axis == 0 else (link, 1), np.uint8)
    whole = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, gap, borderType=cv2.BORDER_CONSTANT, borderValue=(0,))
    runs = cv2.morphologyEx(whole, cv2.MORPH_OPEN, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=(0,))
    step = np.ones((3, link) if axis == 0 else (link, 3), np.uint8)  # a line not quite level goes on a pixel higher
    linked = cv2.morphologyEx(runs, cv2.MORPH_CLOSE, step, borderType=cv2.BORDER_CONSTANT, borderValue=(0,))
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(as_image(linked), connectivity=8, ltype=cv2.CV_32S)
    return np.asarray(labels, np.int32), np.asarray(statistics, np.int32)


def _box_sides(mask: Image, smallest: float) -> tuple[Image, Image] | None:
    """Masks of the lying and the standing lines of boxes and rows of cells drawn around digits; None where none is."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStatsWithAlgorithm(mask, 8, cv2.CV_32S, cv2.CCL_SPAGHETTI)
    numbers, boxes = np.asarray(labels, np.int32), np.asarray(statistics, np.int32)
    flat, upright = np.zeros_like(mask), np.zeros_like(mask)
    some = False
    for k in _large_and_open(boxes, smallest).tolist():
        x, y, w, h, _ = boxes[k].tolist()
        within = numbers[y : y + h, x : x + w]
        low, wide = max(3, round(SIDE_BAND * h)), max(3, round(SIDE_BAND * min(w, h)))
        sides = (within[:low], 0), (within[-low:], 0), (within[:, :wide], 1), (within[:, -wide:], 1)
        if not _are_sides(sides, k, SIDE_COVER if w < ROW * h else SIDE_LEFT):
            continue
        if not mask[y + low : y + h - low, x + wide : x + w - wide].any():
            continue  # nothing in it: a square 0
        own = as_image((within == k).view(np.uint8) * 255)
        link = min(LINK, max(3, h // BOX_LINK | 1))
        across, stats = _runs(own, max(5, min(w, 2 * h) // 4), 0, link)
        at_edge = (stats[:, 1] + stats[:, 3] <= 2 * low) | (stats[:, 1] >= h - 2 * low)
        lying = at_edge & (stats[:, 2] >= SIDE_PART * min(w, h)) & (stats[:, 3] <= 2 * low)
        down, stats = _runs(own, max(5, h // 3), 1, link)
        standing = (stats[:, 3] >= SEPARATOR * h) & (stats[:, 2] <= 2 * wide)
        lying[0] = standing[0] = False
        if not lying.any() or not standing.any():
            continue
        some = True
        flat[y : y + h, x : x + w] |= (lying.view(np.uint8) * 255)[across]
        upright[y : y + h, x : x + w] |= (standing.view(np.uint8) * 255)[down]
    return (flat, upright) if some else None


def _are_sides(edges: Sequence[tuple[Integers, int]], own: int, least: float) -> bool:
    """Whether a component runs along all these edges of its box; along one it may cover no more than `least`.

    edges: int32 (h, w), the component of each pixel there, and the axis across. own: the component's number.
    """
    one_short = False
    for edge, across in edges:
        along = cv2.reduce((edge == own).view(np.uint8), across, cv2.REDUCE_MAX)
        cover = cv2.countNonZero(along) / edge.shape[1 - across]
        if cover < least or (one_short and cover < SIDE_COVER):
            return False
        one_short |= cover < SIDE_COVER
    return True


def _without_crossings(mask: Image, lines: Image, axis: int) -> Image:
    """The pixels of lines along an axis, a little wider, that no stroke runs through."""
    ink = as_image(cv2.bitwise_and(mask, lines))
    along = max(1, cv2.countNonZero(cv2.reduce(ink, axis, cv2.REDUCE_MAX)))
    thick = round(cv2.countNonZero(ink) / along / max(1, _count(ink, axis)))
    through = thick + 4
    kernel = np.ones((through, 1) if axis == 0 else (1, through), np.uint8)
    strokes = cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=(0,))
    wider = cv2.dilate(lines, np.ones((3, 1) if axis == 0 else (1, 3), np.uint8))
    return as_image(cv2.subtract(wider, strokes))


def _count(ink: Image, axis: int) -> float:
    """How many lines a column (or row) crosses, on average."""
    steps = np.diff((ink > 0).astype(np.int8), axis=axis) > 0
    crossed = steps.sum(axis=axis)
    return float(crossed[crossed > 0].mean()) if (crossed > 0).any() else 1.0

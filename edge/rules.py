"""Take ruling, boxes and table lines out of a page's ink without eating the strokes that cross them."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.page import floor_of, ink_of_page, mask_above
from edge.segment import as_image

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]
Matrix = NDArray[np.float64]

LOOK_SCALE = 4  # nets of lines are looked for on a copy reduced by this
LOOK_PART, LOOK_LESS = 0.5, -1.5  # of the floor: a thin line fills little of a pixel of that copy, and noise less
NET_PART = 0.16  # of the frame's longer side: a component larger than this is more than a digit
NET_THIN = 22.0  # times as long as its strokes are wide, where a digit is 6 to 14 times
NET_HEIGHTS = 3.0  # or larger than this, in the usual height of the others
BOX_HEIGHTS = 1.3  # of the smallest digit's height: a component this high and wide may be a box around a digit
BOX_FILL = 0.6  # of it is ink, at most
MOST_LOOKED_AT = 60  # components, for boxes
MIN_NET = 24  # pixels of the reduced mask: fewer tell no angle

MAX_ANGLE = 17.0  # degrees: a page is tilted no more
COARSE_STEP, FINE_STEP = 1.0, 0.2  # degrees
LEVEL = 0.35  # degrees: less tilt is not turned back
ANGLE_POINTS = 6000  # of the net's pixels are enough to tell its angle

RUN_HEIGHTS = 0.75  # digit heights: a straight run of ink this long may be part of a line
SHORTEST_RUN = 18  # pixels
LINE_HEIGHTS = 2.4  # digit heights: a line is longer than any stroke
LINE_PART = 0.12  # of the frame's longer side, where no digit stands apart to tell the height
THICKEST = 0.22  # digit heights: a line is no thicker
THIN = 6.0  # pixels: or than this, its gaps bridged
LINK = 9  # pixels: gaps in a line up to this are bridged
BOX_LINK = 16  # a box's height over the gaps that are bridged in its sides
SIDE_COVER = 0.85  # of a box's side is ink
ROW, SIDE_LEFT = 1.6, 0.15  # a box so many times as wide as high is a row of cells: less of one side will do
GAP = 5  # pixels: gaps in faint sides up to this are bridged
SIDE_BAND = 0.16  # of the box's side: width of the band in which it lies
SIDE_PART = 0.4  # of the box's side: a piece of it is at least so long
SEPARATOR = 0.85  # of the box's height: a line between two of its cells is at least so long
BOX_HULL = 0.9  # of the tightest rotated box is filled by the hull of a drawn one
NEAR = 5  # pixels: a separator's end is no farther from the line it stands on


def without_rules(depth: Image, smallest: float, floor: Image | None = None) -> tuple[Image, Matrix | None]:
    """The depth with lines set to 0, and the turn that made them level: (2, 3), from pixels of `depth` to those of the
    result; None where nothing was turned.

    smallest: height of the smallest digit in pixels. floor: what `floor_of` gives, where it is known already. Where no
    line is found, the depth is the very array that was given.
    """
    if floor is None:
        floor = floor_of(depth)
    net, height = _net(depth, floor, smallest)
    if net is None:
        return depth, None
    mask = mask_above(depth, floor)
    angle = _angle(net)
    turn = None
    if abs(angle) > LEVEL:
        depth, turn = levelled(depth, angle)
        size = depth.shape[::-1]
        mask = as_image(cv2.threshold(cv2.warpAffine(mask, turn, size, flags=cv2.INTER_LINEAR), 127, 255, 0)[1])
    depth = _without_boxes(depth, smallest)
    lines = _lines(as_image(cv2.bitwise_and(mask, cv2.threshold(depth, 0, 255, cv2.THRESH_BINARY)[1])), height)
    if lines is None:
        return depth, turn
    # Some boxes stand out only once the ruling that they were drawn across is gone.
    return _without_boxes(as_image(cv2.bitwise_and(depth, cv2.bitwise_not(lines))), smallest), turn


def _without_boxes(depth: Image, smallest: float) -> Image:
    # Looked for among the deep ink, where ruling does not join them, and among all, where they are fainter than digits.
    for only_deep in (True, False):
        mask = ink_of_page(depth).mask if only_deep else mask_above(depth, floor_of(depth))
        # A faint side comes in pieces.
        whole = mask if only_deep else as_image(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((GAP, GAP), np.uint8)))
        boxes = _box_sides(whole, smallest)
        if boxes is not None:
            for axis in (0, 1):
                depth = as_image(cv2.bitwise_and(depth, cv2.bitwise_not(_without_crossings(mask, boxes[axis], axis))))
    return depth


def _net(depth: Image, floor: Image, smallest: float) -> tuple[Image | None, float]:
    """What may be lines on a copy reduced by LOOK_SCALE, None if nothing; and the usual height of what is not, 0 where
    nothing else is there, in pixels of the page."""
    size = tuple(max(1, -(-side // LOOK_SCALE)) for side in depth.shape[1::-1])
    look = cv2.resize(depth, size, interpolation=cv2.INTER_AREA)
    least = cv2.resize(floor, size, interpolation=cv2.INTER_LINEAR)
    small = as_image(cv2.compare(look, cv2.convertScaleAbs(least, alpha=LOOK_PART, beta=LOOK_LESS), cv2.CMP_GT))
    count, labels, statistics, _ = cv2.connectedComponentsWithStatsWithAlgorithm(small, 8, cv2.CV_32S, cv2.CCL_GRANA)
    if count < 2:
        return None, 0.0
    boxes, areas = np.asarray(statistics)[1:, :4].astype(np.float64), np.asarray(statistics)[1:, 4]
    extent = boxes[:, 2:].max(axis=1)

    def drawn_thin(large: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which of the large ones have thin strokes; on most pages none is large, and nothing has to be measured."""
        if not large.any():
            return large
        distance = cv2.distanceTransform(small, cv2.DIST_L2, 3)
        sums = np.bincount(np.asarray(labels).ravel(), weights=distance.ravel(), minlength=count)[1:]
        # Across a bar of width w the distance to its edge is w/4 on average, and half a pixel more from pixel centres.
        thin: NDArray[np.bool_] = extent > NET_THIN * np.maximum(4 * (sums / areas - 0.5), 1)
        return large & thin

    nets = drawn_thin(extent > NET_PART * max(small.shape))
    plain = ~nets & (boxes[:, 3] * LOOK_SCALE >= smallest) & (areas >= 3)
    height = _usual(boxes[plain, 3]) if plain.any() else 0.0
    if height:
        nets |= drawn_thin((extent > NET_HEIGHTS * height) & ~nets)
    fill = areas / np.maximum(boxes[:, 2] * boxes[:, 3], 1)
    open_ones = ~nets & (boxes[:, 2:].min(axis=1) * LOOK_SCALE >= BOX_HEIGHTS * smallest) & (fill < BOX_FILL)
    for k in np.flatnonzero(open_ones)[:MOST_LOOKED_AT]:
        x, y, w, h = (int(v) for v in boxes[k])
        nets[k] = _is_box(as_image((np.asarray(labels)[y : y + h, x : x + w] == k + 1).view(np.uint8)))
    chosen = np.flatnonzero(nets) + 1
    if not chosen.size:
        return None, 0.0
    table = np.zeros(count, np.uint8)
    table[chosen] = 255
    net = table[np.asarray(labels)]
    # The angle is told by all of it: a faint line comes in many pieces.
    return (small, height * LOOK_SCALE) if cv2.countNonZero(net) >= MIN_NET else (None, 0.0)


def _is_box(own: Image) -> bool:
    """Whether the hull of a component fills the tightest box around it."""
    hull = cv2.convexHull(cv2.findNonZero(own))
    (_, sides, _) = cv2.minAreaRect(hull)
    return min(sides) > 2 and cv2.contourArea(hull) >= BOX_HULL * sides[0] * sides[1]


def _usual(heights: Floats) -> float:
    """The height that most of the ink has: small dots count less than large letters."""
    order = np.sort(heights)
    weight = np.cumsum(order)
    return float(order[int(np.searchsorted(weight, weight[-1] / 2))])


def _angle(net: Image) -> float:
    """By how many degrees its lines are turned clockwise: where the projections on both axes are the sharpest."""
    points = cv2.findNonZero(net).reshape(-1, 2).astype(np.float64)
    if len(points) > ANGLE_POINTS:
        points = points[:: -(-len(points) // ANGLE_POINTS)]
    points -= points.mean(axis=0)

    def sharpness(degrees: float) -> float:
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        total = 0.0
        for along, across in ((cos, sin), (-sin, cos)):
            place = points[:, 1] * along - points[:, 0] * across
            counts = np.bincount((place - place.min()).astype(np.int64)).astype(np.float64)
            total += float(np.square(np.diff(counts, prepend=0.0, append=0.0)).sum())
        return total

    coarse = max(np.arange(-MAX_ANGLE, MAX_ANGLE + COARSE_STEP / 2, COARSE_STEP), key=sharpness)
    return float(max(np.arange(coarse - COARSE_STEP, coarse + COARSE_STEP, FINE_STEP), key=sharpness))


def levelled(depth: Image, degrees: float) -> tuple[Image, Matrix]:
    """The depth of a page turned clockwise by so many degrees, turned back, on a canvas that holds all of it; and the
    turn (2, 3)."""
    height, width = depth.shape
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    size = math.ceil(width * cos + height * abs(sin)), math.ceil(width * abs(sin) + height * cos)
    linear = np.array([[cos, sin], [-sin, cos]])
    turn = np.column_stack([linear, np.array(size) / 2 - linear @ (width / 2, height / 2)])
    paper = int(np.median(depth[::LOOK_SCALE, ::LOOK_SCALE]))
    return as_image(cv2.warpAffine(depth, turn, size, flags=cv2.INTER_LINEAR, borderValue=(paper,))), turn


def _lines(mask: Image, height: float) -> Image | None:
    """uint8 (h, w): 255 on the lines of a levelled page, but not where a stroke crosses them; None for no line."""
    longer = max(mask.shape)
    run = max(SHORTEST_RUN, round(RUN_HEIGHTS * height)) if height else max(SHORTEST_RUN, round(LINE_PART * longer / 3))
    length = LINE_HEIGHTS * height if height else LINE_PART * longer
    thick = max(THIN, THICKEST * height) if height else max(THIN, THICKEST * run)
    across, stats_across = _runs(mask, run, 0)
    down, stats_down = _runs(mask, run, 1)
    table = _long(stats_across, 0, length, thick)
    flat = table[across] if table.any() else None
    table = _long(stats_down, 1, length, thick)
    if flat is not None:
        # A separator of cells is as short as a 1; it stands on lines with both its ends.
        near = cv2.dilate(flat, np.ones((2 * NEAR + 1, 3), np.uint8))
        x, top, w, h = (stats_down[:, k] for k in range(4))
        bottom, middle = np.minimum(top + h - 1, len(mask) - 1), x + w // 2
        table[(near[top, middle] > 0) & (near[bottom, middle] > 0) & (w <= thick) & (h > RUN_HEIGHTS * height)] = 255
        table[0] = 0
    upright = table[down] if table.any() else None
    found = None
    for axis, lines in ((0, flat), (1, upright)):
        if lines is not None and lines.any():
            kept = _without_crossings(mask, lines, axis)
            found = kept if found is None else as_image(cv2.bitwise_or(found, kept))
    return found


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


def _long(statistics: NDArray[np.int32], axis: int, length: float, thick: float) -> Image:
    """uint8 (components,): 255 for those that are long and thin along an axis."""
    along = statistics[:, 2 + axis]
    table = np.where((along >= length) & (statistics[:, 4] <= thick * along), 255, 0).astype(np.uint8)
    table[0] = 0
    return table


def _box_sides(mask: Image, smallest: float) -> tuple[Image, Image] | None:
    """Masks of the lying and the standing lines of boxes and rows of cells drawn around digits; None where none is."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStatsWithAlgorithm(mask, 8, cv2.CV_32S, cv2.CCL_SPAGHETTI)
    boxes = np.asarray(statistics)
    flat, upright = np.zeros_like(mask), np.zeros_like(mask)
    some = False
    large = (boxes[:, 2:4].min(axis=1) >= BOX_HEIGHTS * smallest) & (boxes[:, 4] < BOX_FILL * boxes[:, 2] * boxes[:, 3])
    for k in np.flatnonzero(large[1:]) + 1:
        x, y, w, h, _ = (int(v) for v in boxes[k])
        own = as_image((np.asarray(labels)[y : y + h, x : x + w] == k).view(np.uint8) * 255)
        bands = max(3, round(SIDE_BAND * h)), max(3, round(SIDE_BAND * min(w, h)))
        edges = own[: bands[0]], own[-bands[0] :], own[:, : bands[1]].T, own[:, -bands[1] :].T
        covers = sorted(float(edge.any(axis=0).mean()) for edge in edges)
        if covers[1] < SIDE_COVER or covers[0] < (SIDE_COVER if w < ROW * h else SIDE_LEFT):
            continue
        if not mask[y + bands[0] : y + h - bands[0], x + bands[1] : x + w - bands[1]].any():
            continue  # nothing in it: a square 0
        link = min(LINK, max(3, h // BOX_LINK | 1))
        across, stats = _runs(own, max(5, min(w, 2 * h) // 4), 0, link)
        at_edge = (stats[:, 1] + stats[:, 3] <= 2 * bands[0]) | (stats[:, 1] >= h - 2 * bands[0])
        lying = at_edge & (stats[:, 2] >= SIDE_PART * min(w, h)) & (stats[:, 3] <= 2 * bands[0])
        down, stats = _runs(own, max(5, h // 3), 1, link)
        standing = (stats[:, 3] >= SEPARATOR * h) & (stats[:, 2] <= 2 * bands[1])
        lying[0] = standing[0] = False
        if not lying.any() or not standing.any():
            continue
        some = True
        flat[y : y + h, x : x + w] |= as_image(lying[across] * 255)
        upright[y : y + h, x : x + w] |= as_image(standing[down] * 255)
    return (flat, upright) if some else None


def _without_crossings(mask: Image, lines: Image, axis: int) -> Image:
    """The pixels of lines along an axis, a little wider, that no stroke runs through."""
    ink = as_image(cv2.bitwise_and(mask, lines))
    along = max(1, int(np.count_nonzero(ink.any(axis=axis))))
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

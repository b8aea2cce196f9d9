"""Take ruling and the lines of tables out of a page's ink without eating the strokes that cross them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.boxes import AXES, BOX_FILL, BOX_HEIGHTS, without_boxes, without_lone_boxes
from edge.page import PAPER_SCALE, enlarged, floor_of, ink_of_page, mask_above, reduced
from edge.segment import as_image

Image = NDArray[np.uint8]
Integers = NDArray[np.int32]
Floats = NDArray[np.float64]
Matrix = NDArray[np.float64]
Rules = NDArray[np.float64]  # (n, 2, 2): x, y of the upper and the lower end of standing lines

NO_RULES: Rules = np.empty((0, 2, 2))

LOOK_SCALE = 4  # nets of lines are looked for on a copy reduced by this
LOOK_PART, LOOK_LESS = 0.5, -1.5  # of the floor: a thin line fills little of a pixel of that copy, and noise less
NET_PART = 0.16  # of the frame's longer side: a component larger than this is more than a digit
NET_THIN = 22.0  # times as long as its strokes are wide, where a digit is 6 to 14 times
NET_HEIGHTS = 3.0  # or larger than this, in the usual height of the others
MOST_LOOKED_AT = 60  # components, for boxes
MIN_NET = 24  # pixels of the reduced mask: fewer tell no angle

MAX_ANGLE = 17.0  # degrees: a page is tilted no more
COARSE_STEP, FINE_STEP = 1.0, 0.2  # degrees
FINE_REACH = 2.0  # degrees: the angle told by a reduced copy is off by no more
LEVEL = 0.35  # degrees: less tilt is not turned back
ANGLE_POINTS = 6000  # of the net's pixels are enough to tell its angle
STRAIGHT = 1.75  # times as sharp at its angle as at the usual one: thin ink in which there are lines, not writing alone
STRAIGHT_ALONE = 3.2  # the same of what may be lines, without the rest

LOW = 0.6  # of the floor: ink shallower than it may still be a line, being straight
RULE_WINDOW = 0.14  # of the frame's longer side: ruling is looked for along windows of this length
RULE_LENGTH = 0.12  # of the frame's longer side: ruling is longer
WINDOW_HEIGHTS = 1.6  # digit heights: other lines are looked for along windows of this length, wider than any digit
LINE_HEIGHTS = 2.4  # digit heights: a line is longer than any stroke
SHORTEST_WINDOW = 18  # pixels
COVER, THIN_COVER = 0.85, 0.4  # of such a window is ink; is ink with paper to both sides
REACH = COVER - 0.5  # of the window: so far beyond the middle of the last one that is covered a line goes on
SMOOTH = 3  # pixels along a line, over which its depth is taken
THICKEST_RULE = 0.01  # of the frame's longer side: ruling is no thicker
THICKEST = 0.25  # digit heights: other lines are no thicker
THIN = 8  # pixels: or than this
DEEPER = 1.3  # times as deep as the line usually is: the ink of a stroke that crosses it
DEEPER_ROOM = 0.5  # of the floor: and by so much more
USUAL_REACH = 40  # pixels to either side along a line, over which its usual depth is taken
THROUGH = 3  # pixels: a stroke that crosses a line as dark as itself goes on at both sides, so far at least
WHOLE_PAGE = 0.85  # of the frame's shorter side
EDGE = 0.015  # of the frame's longer side: so near to its edge ruling ends
BOX_HEIGHT = (0.8, 3.0)  # digit heights from the upper to the lower side of a box
BOX_WIDTH = 1.2  # digit heights: the upper and the lower side of a box lie above one another so far at least
BOX_ENDS = 0.25  # of the box's height: so far from the end of such a side stands a line
SEPARATOR_COVER = 0.85  # of the box's height is ink on a line between two of its cells
SEPARATOR_ENDS = 0.2  # of the box's height: the ends of such a line, which reaches both sides, where a digit does not
MOST_LINES = 400  # lines on a page that are tried as the sides of boxes
SMALL_BOX = 14.0  # pixels of the reduced copy: a smaller component that fills its tightest box may be a digit, or two
LOOK_NEAR, LOOK_BAND = 0.75, 0.1  # pixels, and part of its other side: so near a side of a box lies the ink along it
LOOK_BIN = 1.5  # pixels: gaps along it, where a drawn line steps to the next row, are no wider
LOOK_COVER = 0.75  # of three of its sides is ink
SLASH = 3.0  # times as high as wide: so small a component is no box around a digit
BOX_HULL = 0.9  # of the tightest rotated box is filled by the hull of a drawn one


def without_rules(depth: Image, smallest: float, floor: Image | None = None) -> tuple[Image, Matrix | None, Rules]:
    """The depth with lines set to 0; the turn that made them level, (2, 3), from pixels of `depth` to those of the
    result, None where nothing was turned; and the ends of the standing ones, (n, 2, 2), upper and lower x, y there.

    smallest: height of the smallest digit in pixels. floor: what `floor_of` gives, where it is known already. Where no
    line is found, the depth is the very array that was given.
    """
    if floor is None:
        floor = floor_of(depth)
    angle = angle_of_rules(depth, floor, smallest)
    if angle is None:
        return depth, None, NO_RULES
    depth = without_lone_boxes(depth, floor, smallest)
    turn, frame = None, _Frame(depth.shape, None)
    if abs(angle) > LEVEL:
        depth, turn = levelled(depth, angle)
        floor, frame = floor_of(depth), _Frame(frame.shape, turn)
    plain, standing = _without_straight(depth, floor, smallest, frame)
    return without_boxes(plain, smallest), turn, standing


def _without_straight(depth: Image, floor: Image, smallest: float, frame: "_Frame") -> tuple[Image, Rules]:
    """The depth of a levelled page with straight lines set to 0, and the ends of the standing ones."""
    longer = max(depth.shape)
    ink = _straight_ink(depth, floor, THICKEST_RULE * longer)
    ruling = _ruling(ink, RULE_WINDOW * longer, RULE_LENGTH * longer)
    plain = _erased(depth, floor, ink, ruling)
    height = _digit_height(plain, smallest)
    if height > WHOLE_PAGE * min(frame.shape):
        return depth, NO_RULES  # no writing is so high: a net that was not taken apart
    if not height:
        return plain, NO_RULES
    upright = as_image(cv2.subtract(ink[1].whole, cv2.dilate(ruling[1], _across(3, 1))))
    ink = _straight_ink(plain, floor, THICKEST * height)
    window, length = WINDOW_HEIGHTS * height, LINE_HEIGHTS * height
    others = _ruling(ink, window, length)
    flat = as_image(cv2.bitwise_or(ruling[0], others[0]))
    others[1] = as_image(cv2.bitwise_or(others[1], _cell_sides(upright, flat, height, frame)))
    # A line between two columns may stand alone: it is too high for a digit, and need not be taken out.
    drawn = cv2.bitwise_or(ruling[1], others[1]) if cv2.countNonZero(flat) else _lines(ink[1], 1, window, length)
    return _erased(plain, floor, ink, others), _ends(as_image(drawn), length)


def _ends(standing: Image, length: float) -> Rules:
    """The ends of standing lines, uint8 (h, w), 255 on them, that are at least so long, in pixels."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(standing, connectivity=8, ltype=cv2.CV_32S)
    ends = []
    for k, (x, y, width, height, _) in enumerate(np.asarray(statistics).tolist()):
        if k and height >= length:
            own = np.asarray(labels)[[y, y + height - 1], x : x + width] == k
            ends.append([(x + np.flatnonzero(row).mean(), at) for row, at in zip(own, (y, y + height), strict=True)])
    return np.array(ends, np.float64).reshape(-1, 2, 2)


@dataclass(frozen=True, slots=True)
class _Ink:
    """Ink in which lines along an axis are looked for, uint8 (h, w), 255 where it is: all of it, and that which is thin
    across the axis; and how thick a line is at most, in pixels."""

    whole: Image
    thin: Image
    thickest: int


def _straight_ink(depth: Image, floor: Image, thickest: float) -> tuple[_Ink, _Ink]:
    """For each axis the ink in which lines are looked for: smoothed along it, which quiets noise, but no line."""
    least = as_image(cv2.convertScaleAbs(floor, alpha=LOW))
    thickest = max(THIN, round(thickest))
    found = []
    for axis in AXES:
        whole = mask_above(as_image(cv2.blur(depth, _along(SMOOTH, axis))), least)
        thick = _opened(whole, _across(thickest + 1, axis))
        found.append(_Ink(whole, as_image(cv2.subtract(whole, thick)), thickest))
    return found[0], found[1]


def _along(size: int, axis: int) -> tuple[int, int]:
    """Width and height of a window that is so long along an axis."""
    return (size, 1) if axis == 0 else (1, size)


def _across(size: int, axis: int) -> Image:
    """A kernel of that size across lines along an axis."""
    return np.ones((size, 1) if axis == 0 else (1, size), np.uint8)


def _opened(image: Image, kernel: Image) -> Image:
    """With paper outside of the frame, so that what ends there is not taken to go on."""
    return as_image(cv2.morphologyEx(image, cv2.MORPH_OPEN, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=(0,)))


def _ruling(ink: Sequence[_Ink], window: float, length: float) -> list[Image]:
    """The lines across the page and those down, as `_lines` finds them; what stands where none lies is no ruling."""
    flat = _lines(ink[0], 0, window, length)
    return [flat, _lines(ink[1], 1, window, length) if cv2.countNonZero(flat) else flat]


def _lines(ink: _Ink, axis: int, window: float, length: float) -> Image:
    """uint8 (h, w): 255 on lines along an axis of a levelled page that are at least so long, and a pixel to each side.

    window: pixels along which a line is mostly ink.
    """
    size = max(SHORTEST_WINDOW, round(window)) | 1
    covered = np.full_like(ink.whole, 255)
    for mask, least in ((ink.whole, COVER), (ink.thin, THIN_COVER)):
        # A line not quite level goes on a pixel higher.
        share = cv2.blur(cv2.dilate(mask, _across(3, axis)), _along(size, axis), borderType=cv2.BORDER_REPLICATE)
        enough = cv2.threshold(share, round(255 * least), 255, cv2.THRESH_BINARY)[1]
        covered = as_image(cv2.bitwise_and(covered, enough))
    if not cv2.countNonZero(covered):
        return covered
    bands = as_image(cv2.dilate(covered, _across(2 * round(REACH * size) + 1, 1 - axis)))
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(bands, connectivity=8, ltype=cv2.CV_32S)
    stats = np.asarray(statistics)
    reached = stats[:, 2 + axis]
    chosen = (reached >= length) & (stats[:, cv2.CC_STAT_AREA] <= (ink.thickest + 2) * reached)
    chosen[0] = False
    if not chosen.any():
        return np.zeros_like(bands)
    return as_image((chosen.astype(np.uint8) * 255)[np.asarray(labels)])


def _erased(depth: Image, floor: Image, ink: Sequence[_Ink], lines: Sequence[Image]) -> Image:
    """The depth with lines along both axes set to 0, but not where a stroke crosses them.

    A stroke is deeper than the line usually is, or goes on at both its sides.
    """
    both = as_image(cv2.bitwise_or(*lines))
    if not cv2.countNonZero(both):
        return depth
    line = as_image(cv2.bitwise_and(cv2.compare(depth, _deepest(depth, floor, ink, lines), cv2.CMP_LE), both))
    plain = as_image(cv2.subtract(depth, line))
    through = np.zeros_like(depth)
    for axis in AXES:
        if cv2.countNonZero(lines[axis]):
            size = _thickness(lines[axis], axis) + THROUGH
            falling = np.eye(size, dtype=np.uint8)
            for kernel in (_across(size, axis), falling, np.ascontiguousarray(falling[::-1])):
                closed = cv2.bitwise_and(cv2.morphologyEx(plain, cv2.MORPH_CLOSE, kernel), lines[axis])
                cv2.max(through, closed, through)
    cv2.min(depth, through, through)
    return as_image(cv2.max(plain, cv2.bitwise_and(through, line)))


def _deepest(depth: Image, floor: Image, ink: Sequence[_Ink], lines: Sequence[Image]) -> Image:
    """How deep a line is at each of its places, uint8 (h, w), at most; arguments as for `_erased`."""
    usual = np.zeros_like(depth)
    for axis in AXES:
        cv2.add(usual, _usual_along(depth, ink[axis], lines[axis], axis), usual)
    return as_image(cv2.addWeighted(usual, DEEPER, enlarged(floor, PAPER_SCALE, depth.shape), DEEPER_ROOM, 0))


def _usual_along(depth: Image, ink: _Ink, line: Image, axis: int) -> Image:
    """The usual depth of the thin ink on lines along an axis around each of their places, uint8 (h, w)."""
    own = cv2.bitwise_and(ink.thin, line)
    along = _along(2 * USUAL_REACH + 1, axis)
    total = cv2.boxFilter(cv2.bitwise_and(depth, own), cv2.CV_16U, along, normalize=False)
    share = cv2.boxFilter(own, cv2.CV_16U, along, normalize=False)
    mean = cv2.divide(total, share, scale=255, dtype=cv2.CV_8U)  # 0 where there is no share
    return as_image(cv2.bitwise_and(mean, line))


def _thickness(lines: Image, axis: int) -> int:
    """How thick lines along an axis usually are, in pixels."""
    edges = cv2.countNonZero(cv2.subtract(lines, cv2.erode(lines, _across(3, axis))))
    return max(3, round(2 * cv2.countNonZero(lines) / max(1, edges)))


def _digit_height(depth: Image, smallest: float) -> float:
    """The usual height of what is written, in pixels; 0 where nothing is."""
    _, _, statistics, _ = cv2.connectedComponentsWithStatsWithAlgorithm(
        ink_of_page(depth).mask, 8, cv2.CV_32S, cv2.CCL_SPAGHETTI
    )
    heights = np.asarray(statistics)[1:, cv2.CC_STAT_HEIGHT]
    heights = heights[heights >= smallest]
    return _usual(heights.astype(np.float64)) if heights.size else 0.0


@dataclass(frozen=True, slots=True)
class _Frame:
    """A frame, its shape (h, w), and how it was turned, (2, 3); None where it was not."""

    shape: tuple[int, ...]
    turn: Matrix | None

    def at_edge(self, points: Floats) -> NDArray[np.bool_]:
        """bool (n,): which points (n, 2) of the turned frame lie at the frame's edge."""
        if self.turn is not None:
            points = (points - self.turn[:, 2]) @ self.turn[:, :2]
        room = EDGE * max(self.shape)
        return np.asarray(((points < room) | (points > np.array(self.shape[::-1]) - room)).any(axis=1), np.bool_)


def _cell_sides(ink: Image, flat: Image, height: float, frame: _Frame) -> Image:
    """uint8 (h, w): 255 on lines that stand between the upper and the lower side of boxes.

    ink: uint8 (h, w), 255 on ink. flat: the same on lying lines. height: of a digit, in pixels.
    """
    found = np.zeros_like(flat)
    bridge = np.ones((3, round(WINDOW_HEIGHTS * height) | 1), np.uint8)
    whole = cv2.morphologyEx(flat, cv2.MORPH_CLOSE, bridge)
    _, _, statistics, _ = cv2.connectedComponentsWithStats(whole, connectivity=8, ltype=cv2.CV_32S)
    sides = np.asarray(statistics)[1:, :4]
    sides = sides[np.argsort(sides[:, 1])][:MOST_LINES]
    lefts, rights, middles = sides[:, 0], sides[:, 0] + sides[:, 2], sides[:, 1] + sides[:, 3] // 2
    # Ruling, from edge to edge, may pass for one side of a box, but there are no boxes between two of its lines.
    rules = frame.at_edge(np.column_stack([lefts, middles])) & frame.at_edge(np.column_stack([rights, middles]))
    for k in range(len(sides)):
        gaps = middles - middles[k]
        left, right = np.maximum(lefts, lefts[k]), np.minimum(rights, rights[k])
        fits = (gaps >= BOX_HEIGHT[0] * height) & (gaps <= BOX_HEIGHT[1] * height) & ~(rules & rules[k])
        fits &= (right - left >= BOX_WIDTH * height) & (sides[:, 1] > sides[k, 1] + sides[k, 3])
        if fits.any():
            other = int(fits.argmax())
            margin = round(BOX_ENDS * gaps[other])
            rows = slice(int(sides[k, 1] + sides[k, 3]), int(sides[other, 1]))
            columns = slice(max(0, int(left[other]) - margin), int(right[other]) + margin)
            standing = _standing(ink[rows, columns], max(THIN, round(THICKEST * height)))
            at = np.flatnonzero(standing)
            # Underlines stand above one another, too, but do not end at standing lines.
            if at.size and (at[0] <= 2 * margin or standing.size - 1 - at[-1] <= 2 * margin):
                found[int(middles[k]) : int(middles[other]) + 1, columns][:, standing] = 255
    return found


def _standing(ink: Image, thickest: int) -> NDArray[np.bool_]:
    """bool (w,): columns of a box, uint8 (h, w), in which a line runs from the upper to the lower side."""
    thin = cv2.subtract(ink, _opened(ink, _across(thickest + 1, 1)))
    near = cv2.dilate(ink, _across(3, 1)) > 0
    end = max(2, round(SEPARATOR_ENDS * len(near)))
    ends = np.minimum(near[:end].mean(axis=0), near[-end:].mean(axis=0))
    covered = (near.mean(axis=0) >= SEPARATOR_COVER) & (ends >= SEPARATOR_COVER)
    return np.asarray(covered & ((cv2.dilate(thin, _across(3, 1)) > 0).mean(axis=0) >= THIN_COVER), np.bool_)


def _net(depth: Image, floor: Image, smallest: float) -> tuple[Image, Image] | None:
    """All ink on a copy reduced by LOOK_SCALE, and that of it which may be lines; None if nothing may."""
    look = reduced(depth, LOOK_SCALE)
    least = enlarged(floor, PAPER_SCALE // LOOK_SCALE, look.shape)
    small = as_image(cv2.compare(look, cv2.convertScaleAbs(least, alpha=LOOK_PART, beta=LOOK_LESS), cv2.CMP_GT))
    count, labels, statistics, _ = cv2.connectedComponentsWithStatsWithAlgorithm(small, 8, cv2.CV_32S, cv2.CCL_GRANA)
    if count < 2:
        return None
    stats = np.asarray(statistics, np.int32)[1:]
    widths, heights, areas = stats[:, 2], stats[:, 3], stats[:, 4]
    extent = np.maximum(widths, heights)

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
    plain = heights[~nets & (heights * LOOK_SCALE >= smallest) & (areas >= 3)]
    if plain.size:
        nets |= drawn_thin((extent > NET_HEIGHTS * _usual(plain.astype(np.float64))) & ~nets)
    least_box = BOX_HEIGHTS * smallest / LOOK_SCALE
    open_ones = ~nets & (np.minimum(widths, heights) >= least_box) & (areas < BOX_FILL * (widths * heights))
    for k in np.flatnonzero(open_ones)[:MOST_LOOKED_AT].tolist():
        x, y, w, h, _ = stats[k].tolist()
        nets[k] = _is_box((np.asarray(labels)[y : y + h, x : x + w] == k + 1).view(np.uint8), least_box)
    chosen = np.flatnonzero(nets) + 1
    if not chosen.size:
        return None
    table = np.zeros(count, np.uint8)
    table[chosen] = 255
    net = table[np.asarray(labels)]
    return (small, as_image(net)) if cv2.countNonZero(net) >= MIN_NET else None


def _is_box(own: Image, least: float) -> bool:
    """Whether the hull of a component fills the tightest box around it; for a small one, ink also runs along its sides.

    own: uint8 (h, w). least: pixels, the smaller side of a box. Of a round digit, or two that touch, the hull fills
    that box, too, where they are a few pixels high on the copy.
    """
    points = cv2.findNonZero(own)
    hull = cv2.convexHull(points)
    middle, sides, angle = cv2.minAreaRect(hull)
    if min(sides) <= 2 or min(sides) + 1 < least or cv2.contourArea(hull) < BOX_HULL * sides[0] * sides[1]:
        return False
    if min(sides) >= SMALL_BOX:
        return True
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    if max(sides) > SLASH * min(sides) and (abs(sin) > abs(cos)) == (sides[0] > sides[1]):
        return False  # an upright stroke: a thick slash between two numbers
    places = (points.reshape(-1, 2) - np.array(middle)) @ np.array([[cos, -sin], [sin, cos]])
    covers: list[float] = []
    for axis in AXES:
        length, height = sides[axis], sides[1 - axis]
        count = round(length / LOOK_BIN)
        bins = ((places[:, axis] / length + 0.5) * count - 1e-6).clip(0).astype(np.int64)
        for beyond in (places[:, 1 - axis], -places[:, 1 - axis]):
            near = beyond >= height / 2 - max(LOOK_NEAR, LOOK_BAND * height)
            covers.append(np.unique(bins[near]).size / count)
    return bool(sorted(covers)[1] >= LOOK_COVER)


def _usual(heights: Floats) -> float:
    """The height that most of the ink has: small dots count less than large letters."""
    order = np.sort(heights)
    weight = np.cumsum(order)
    return float(order[int(np.searchsorted(weight, weight[-1] / 2))])


def angle_of_rules(depth: Image, floor: Image, smallest: float) -> float | None:
    """By how many degrees a page's lines are turned clockwise; None where it has none. Arguments as for
    `without_rules`."""
    look = _net(depth, floor, smallest)
    if look is None:
        return None
    ink, net = look
    # All of it tells the angle, for a faint line comes in many pieces; but where much is written a box alone does.
    angles = np.arange(-MAX_ANGLE, MAX_ANGLE + COARSE_STEP / 2, COARSE_STEP)
    coarse, sharpness = _sharpest(_thin(ink, LOOK_SCALE), angles)
    if sharpness < STRAIGHT:
        coarse, sharpness = _sharpest(net, angles)
        if sharpness < STRAIGHT_ALONE:
            return None
    low, high = max(-MAX_ANGLE, coarse - FINE_REACH), min(MAX_ANGLE, coarse + FINE_REACH)
    return _sharpest(_thin(mask_above(depth, floor)), np.arange(low, high + FINE_STEP / 2, FINE_STEP))[0]


def _thin(mask: Image, scale: int = 1) -> Image:
    """Without what is thicker than any line, such as a shadow, whose edge is at no line's angle. scale: by which the
    mask is reduced."""
    side = round(max(THICKEST_RULE * max(mask.shape), THIN / scale)) + 1
    thick = cv2.dilate(_opened(mask, np.ones((side, side), np.uint8)), np.ones((3, 3), np.uint8))
    return as_image(cv2.subtract(mask, thick))


def _sharpest(mask: Image, angles: Floats) -> tuple[float, float]:
    """The angle at which the projections on both axes are the sharpest, and how many times as sharp as they usually
    are."""
    found = cv2.findNonZero(mask)
    if found is None:
        return 0.0, 0.0
    points = found.reshape(-1, 2)
    if len(points) > ANGLE_POINTS:
        points = points[:: -(-len(points) // ANGLE_POINTS)]
    points = points - points.mean(axis=0)

    def sharpness(degrees: float) -> float:
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        total = 0.0
        for along, across in ((cos, sin), (-sin, cos)):
            place = points[:, 1] * along - points[:, 0] * across
            counts = np.bincount((place - place.min()).astype(np.int64)).astype(np.float64)
            total += float(np.square(np.diff(counts, prepend=0.0, append=0.0)).sum())
        return total

    at_each = [sharpness(degrees) for degrees in angles.tolist()]
    best = int(np.argmax(at_each))
    return float(angles[best]), at_each[best] / float(np.median(at_each))


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

"""Arrange boxes in lines by their baselines, also on a tilted page, and lines in reading order, column by column."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np
from numpy.typing import NDArray

from edge.rules import NO_RULES, Rules

Boxes = NDArray[np.float64]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]
Extent = tuple[float, float, float, float]  # left, top, right, bottom

MAX_TILT = 25.0  # degrees: a page is not tilted more
NEIGHBOUR_GAP = 2.2  # heights between two boxes of a line, at most
NEIGHBOUR_SHIFT = 0.55  # heights between the middles of two boxes of a line, at most, across it
NEIGHBOURS = 2  # to the right of a box, the nearest, tell how its line is tilted
PAIRS = 1 << 14  # of boxes are looked at a time: 128 KB for each of their numbers
FARTHER_PART = 0.25  # of the larger of what middles and feet are off; the smaller counts whole
GAP_COST = 0.1  # of the gap counts like a shift: of two lines the nearer
HEIGHT_RATIO = 2.2  # of the higher to the lower of two neighbours, at most
MEMORY = 3  # boxes: a line goes on at the height of its last few
GUTTER = 1.0  # heights of clear paper between two columns, at least
LEVEL_PART = 0.5  # of the lower of two lines' heights is at the height of the other: they are on one level
COLUMN_LINES = 2  # lines in each column, at least: beside a single line stands the same line
BORDER_HEIGHT = 2.5  # heights: a rule between two columns is longer; one around a single number is not
BORDER_ROOM = 0.25  # heights of clear paper across such a rule more than there are between the digits of a number
BORDER_ROWS = 0.5  # of the rows that it runs through have two digits in one cell there: in a comb each has its own
BORDER_CELL = 1.8  # heights to the rule next to it on one side: a square of paper, or a digit's cell, is narrower


def arrange(boxes: Boxes, borders: Rules = NO_RULES) -> tuple[list[list[int]], float]:
    """Lines in reading order, each the indices of its boxes from left to right, and the tilt in radians.

    boxes: (n, 4), x, y, width, height. borders: (m, 2, 2), those of columns, as `borders_of` gives them.
    """
    if len(boxes) == 0:
        return [], 0.0
    tilt = tilt_of(boxes)
    level = turned(boxes, tilt)
    sides = _sides(boxes, borders) if len(borders) else None
    lines = _lines(level, sides)
    return [lines[k] for k in _reading_order(lines, level, sides)], tilt


def borders_of(boxes: Boxes, rules: Rules) -> Rules:
    """Those standing lines that are borders of columns: (m, 2, 2). boxes: (n, 4), of digits. rules: (k, 2, 2).

    Combs and squared paper have rules between the digits of a number, with no more room there than anywhere in it, and
    next to one another.
    """
    if len(boxes) == 0 or len(rules) == 0:
        return NO_RULES
    height = float(np.median(boxes[:, 3]))
    rules = rules[rules[:, 1, 1] - rules[:, 0, 1] >= BORDER_HEIGHT * height]
    rows = _lines(turned(boxes, tilt_of(boxes)), most=math.inf)
    pairs = [pair for row in rows for pair in pairwise(row)]
    left, right = np.array(pairs, np.int64).reshape(-1, 2).T
    gaps = boxes[right, 0] - boxes[left, 0] - boxes[left, 2]
    divided = _sides(boxes, rules).divided(left, right)
    together = ~divided.any(axis=1)
    if not together.any():
        return NO_RULES
    least = float(np.median(gaps[together])) + BORDER_ROOM * height
    in_company = np.zeros(len(boxes), np.bool_)
    in_company[left[together]] = in_company[right[together]] = True
    several = in_company[left] | in_company[right]
    found = _widest_cells(rules) >= BORDER_CELL * height
    for k in np.flatnonzero(found).tolist():
        over = divided[:, k]
        found[k] = over.any() and np.median(gaps[over]) >= least and several[over].mean() >= BORDER_ROWS
    return rules[found]


def _widest_cells(rules: Rules) -> Floats:
    """Pixels from each rule to the next on its left or right, whichever is farther; infinite where there is none."""
    places, tops, bottoms = rules[:, :, 0].mean(axis=1), rules[:, 0, 1], rules[:, 1, 1]
    widest = np.empty(len(rules))
    for k, place in enumerate(places.tolist()):
        off = places[(tops < bottoms[k]) & (bottoms > tops[k])] - place
        widest[k] = max(np.min(off[off > 0], initial=np.inf), np.min(-off[off < 0], initial=np.inf))
    return widest


def are_divided(boxes: Boxes, borders: Rules) -> bool:
    """Whether a border runs between two boxes, (2, 4), whichever is on its left."""
    sides = _sides(boxes, borders)
    return bool((sides.divided(0, 1) | sides.divided(1, 0)).any())


def tilt_of(boxes: Boxes) -> float:
    """By how much the lines rise or fall: the weighted median over neighbours, in radians."""
    if len(boxes) < 2:
        return 0.0
    rows = max(1, PAIRS // len(boxes))
    if rows < len(boxes):  # of so many, only those not far to the right are looked at
        boxes = boxes[np.argsort(boxes[:, 0] + boxes[:, 2] / 2, kind="stable")]
    x, y = boxes[:, 0] + boxes[:, 2] / 2, boxes[:, 1] + boxes[:, 3] / 2
    foot = boxes[:, 1] + boxes[:, 3]
    heights = boxes[:, 3]
    angles, weights = [], []
    for start in range(0, len(boxes), rows):
        own, others = slice(start, start + rows), slice(None)
        if rows < len(boxes):
            reach = (x[own] + (NEIGHBOUR_GAP + 1) * HEIGHT_RATIO * heights[own]).max()
            others = slice(start, max(int(x.searchsorted(reach, side="right")), start + NEIGHBOURS))
        dx = x[others] - x[own, None]
        dy = (y[others] - y[own, None] + foot[others] - foot[own, None]) / 2
        high = heights[own, None]
        larger, smaller = np.maximum(heights[others], high), np.minimum(heights[others], high)
        near = (dx > 0.15 * larger) & (dx < (NEIGHBOUR_GAP + 1) * larger) & (larger <= HEIGHT_RATIO * smaller)
        near &= np.abs(dy) < math.tan(math.radians(MAX_TILT)) * dx + 0.1 * larger
        steep = np.where(near, np.hypot(dx, 2.5 * dy), np.inf)
        if steep.shape[1] > NEIGHBOURS:
            near &= steep <= np.partition(steep, NEIGHBOURS - 1, axis=1)[:, NEIGHBOURS - 1, None]
        angles.append(np.arctan2(dy[near], dx[near]))
        weights.append(dx[near] / larger[near])
    angle, weight = np.concatenate(angles), np.concatenate(weights)
    if not angle.size:
        return 0.0
    order = np.argsort(angle)
    total = np.cumsum(weight[order])
    found = float(angle[order][int(np.searchsorted(total, total[-1] / 2))])
    limit = math.radians(MAX_TILT)
    return min(max(found, -limit), limit)


def turned(boxes: Boxes, tilt: float) -> Boxes:
    """Boxes of the same size around their middles on the levelled page."""
    x, y = boxes[:, 0] + boxes[:, 2] / 2, boxes[:, 1] + boxes[:, 3] / 2
    cos, sin = math.cos(tilt), math.sin(tilt)
    turned = boxes.astype(np.float64)
    turned[:, 0] = x * cos + y * sin - boxes[:, 2] / 2
    turned[:, 1] = y * cos - x * sin - boxes[:, 3] / 2
    return turned


@dataclass(frozen=True, slots=True)
class _Sides:
    """Where boxes stand beside rules.

    `off`: float64 (boxes, rules), pixels from a rule, or where it would go on, to the middle of a box, less than 0 on
    its left. `passed`: bool (boxes, rules), whether the rule runs past the box.
    """

    off: Floats
    passed: Bools

    def divided(self, left: Integers | int, right: Integers | int) -> Bools:
        """bool (..., rules): whether a rule runs between two boxes, numbered from the left."""
        beside = self.passed[left] & self.passed[right]
        return np.asarray(beside & (self.off[left] < 0) & (self.off[right] >= 0), np.bool_)


def _sides(boxes: Boxes, rules: Rules) -> _Sides:
    x, y = boxes[:, :1] + boxes[:, 2:3] / 2, boxes[:, 1:2] + boxes[:, 3:] / 2
    (left, top), (right, bottom) = rules[:, 0].T, rules[:, 1].T
    return _Sides(x - left - (y - top) / (bottom - top) * (right - left), (y > top) & (y < bottom))


def _lines(level: Boxes, sides: _Sides | None = None, most: float = NEIGHBOUR_GAP) -> list[list[int]]:
    """Boxes of a levelled page chained from left to right, but not over the borders of columns.

    most: heights between two of them.
    """
    boxes: list[list[float]] = level.tolist()
    lines: list[list[int]] = []
    ends: list[tuple[float, float, float, float]] = []  # right end, height, middle and foot of each line's last boxes
    for k in np.argsort(level[:, 0] + level[:, 2] / 2, kind="stable").tolist():
        x, y, w, h = boxes[k]
        best, least = -1, math.inf
        own_middle, own_foot, farthest = y + h / 2, y + h, NEIGHBOUR_SHIFT * HEIGHT_RATIO * h
        for number, (right, height, middle, foot) in enumerate(ends):
            off = abs(own_middle - middle), abs(own_foot - foot)
            if off[0] > farthest and off[1] > farthest:
                continue
            larger, smaller = max(h, height), min(h, height)
            gap = x - right
            if gap > most * larger or larger > HEIGHT_RATIO * smaller:
                continue
            shift = min(off) + FARTHER_PART * max(off)
            if shift > NEIGHBOUR_SHIFT * larger or shift + GAP_COST * max(gap, 0) >= least:
                continue
            if sides is None or not sides.divided(lines[number][-1], k).any():
                best, least = number, shift + GAP_COST * max(gap, 0)
        if best < 0:
            best = len(lines)
            lines.append([])
            ends.append((0.0, 0.0, 0.0, 0.0))
        lines[best].append(k)
        recent = [boxes[member] for member in lines[best][-MEMORY:]]
        ends[best] = (
            x + w,
            sorted(box[3] for box in recent)[len(recent) // 2],
            sum(box[1] + box[3] / 2 for box in recent) / len(recent),
            sum(box[1] + box[3] for box in recent) / len(recent),
        )
    return lines


def _reading_order(lines: Sequence[Sequence[int]], level: Boxes, sides: _Sides | None) -> list[int]:
    boxes: list[list[float]] = level.tolist()
    extents = []
    for line in lines:
        edges = [(x, y, x + w, y + h) for x, y, w, h in (boxes[k] for k in line)]
        lefts, tops, rights, bottoms = zip(*edges, strict=True)
        extents.append((min(lefts), min(tops), max(rights), max(bottoms)))
    of_lines = [] if sides is None else [_side_of_lines(off, lines) for off in sides.off.T]
    return _ordered(list(range(len(lines))), extents, GUTTER * median(box[3] for box in boxes), of_lines)


def _side_of_lines(off: Floats, lines: Sequence[Sequence[int]]) -> list[int]:
    """-1 for each line that stands on the left of where a border runs or would go on, 1 on its right, 0 on both sides.

    off: as `_Sides` has it, of one border.
    """
    rights = [(off[line] >= 0).mean() for line in lines]
    return [-1 if right == 0 else int(right == 1) for right in rights]


def _ordered(lines: list[int], extents: Sequence[Extent], gutter: float, sides: Sequence[Sequence[int]]) -> list[int]:
    """The XY cut (Nagy and Seth, 1984): columns where a border or a gutter runs past several lines, else from the top.

    sides: of each border, where each line stands, as `_side_of_lines` has it.
    """
    found: list[int] = []
    left = [lines]  # not by recursion: a page may have more lines than Python nests calls
    while left:
        group = left.pop()
        parts = _cut(group, extents, gutter, sides)
        if parts is None:
            found += [k for level in _levels(group, extents) for k in sorted(level, key=lambda k: extents[k][0])]
        else:
            left += reversed(parts)
    return found


def _cut(
    lines: list[int], extents: Sequence[Extent], gutter: float, sides: Sequence[Sequence[int]]
) -> tuple[list[int], list[int]] | None:
    """The lines that come first and the others, arguments as for `_ordered`; None where nothing parts them."""
    for side in sides:
        before, after = ([k for k in lines if side[k] == which] for which in (-1, 1))
        if before and after and len(before) + len(after) == len(lines):
            return before, after
    for start, end, least in ((0, 2, COLUMN_LINES), (1, 3, 1)):
        order = sorted(lines, key=lambda k: extents[k][start])
        reach = extents[order[0]][end]
        for position in range(1, len(order)):
            first = order[position]
            wide = extents[first][start] - reach > (gutter if start == 0 else 0)
            if wide and min(_stacked(order[:position], extents), _stacked(order[position:], extents)) >= least:
                return order[:position], order[position:]
            reach = max(reach, extents[first][end])
    return None


def _levels(lines: Sequence[int], extents: Sequence[Extent]) -> list[list[int]]:
    """Lines side by side, from the top: hands do not keep to a level over a gap."""
    levels: list[list[int]] = []
    for k in sorted(lines, key=lambda k: extents[k][1] + extents[k][3]):
        _, top, _, bottom = extents[k]
        for level in levels:
            _, other_top, _, other_bottom = extents[level[0]]
            lower = min(bottom - top, other_bottom - other_top)
            if min(bottom, other_bottom) - max(top, other_top) >= LEVEL_PART * lower:
                level.append(k)
                break
        else:
            levels.append([k])
    return levels


def _stacked(lines: Sequence[int], extents: Sequence[Extent]) -> int:
    """How many of these lines lie one below another."""
    count, bottom = 0, -math.inf
    for k in sorted(lines, key=lambda k: extents[k][3]):
        if extents[k][1] >= bottom:
            count, bottom = count + 1, extents[k][3]
    return count

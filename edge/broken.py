"""Join what a stroke that fell apart left of a digit, where the pieces are as large as digits themselves."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from edge.candidate import Bools, Boxes, Candidate, boxes_of
from edge.segment import Region, joined

PIECE_GAP = 0.1  # of the whole digit's height: its pieces are no farther apart
LOWEST_PIECE = 10  # times as high as its lower piece is a whole digit, at most
PIECE_HEIGHT = 0.88  # of it: one piece at least is lower
WHOLE_WIDTH = 1.05  # of its height: a whole digit is no wider
WHOLE_HEIGHT = 1.25  # of the highest beside it: nor is it higher than that
WHOLE_REACH = 2.5  # of its height: so far to either side is beside it
WHOLE_COMMON = 0.6  # of the lower one's height is at the height of the other
STACKED = 0.4  # of the narrower piece lies above or below the other
WHOLE_SURE = 0.9  # confidence of the whole digit where a piece lies above or below the other in a line;
WHOLE_SURE_ELSE = 0.98  # and beside it, where two digits could stand as well, or where nothing tells their height
PIECE_SURE = 0.9  # confidence of both pieces beside one another that leaves them apart,
STACKED_SURE = 0.98  # and of one above the other,
SCRATCH = 0.03  # where they are farther apart than this: of the whole digit's height
TELLING, TELLING_WIDTH = 0.9, 0.35  # confidence, and of its height: what tells how high a line's digits are is as wide
CUT = 0.08  # of its height, at most: the gap between two pieces that nothing beside them is as high as
ROUNDS = 3  # what one joined tells in the next how high a digit beside it is
MOST_PAIRS = 500  # on a page: where more boxes lie so near to one another it is a texture
TWO_DIGITS = (0.25, 0.45)  # of its height: so wide is a pair of digits one below the other


def mended(found: list[Candidate], candidate: Callable[[Region, float], Candidate]) -> list[Candidate]:
    """The candidates, pairs of them joined that are a digit together, no less sure than the lesser of them alone.

    candidate: what a region is taken for whose ink is so deep.
    """
    for _ in range(ROUNDS):
        pairs = _pairs(found)
        whole = list(found)
        gone: set[int] = set()
        used: set[int] = set()
        for pair in pairs:
            if pair.one in used or pair.other in used:
                continue
            a, b = whole[pair.one], whole[pair.other]
            least = min(a.confidence, b.confidence)
            if least >= pair.apart:
                continue
            both = candidate(joined([a.region, b.region]), max(a.depth, b.depth))
            if both.confidence >= max(pair.together, least):
                whole[pair.one] = both
                gone.add(pair.other)
                used |= {pair.one, pair.other}
        if not gone:
            break
        found = [c for k, c in enumerate(whole) if k not in gone]
    return found


class _Pair(NamedTuple):
    """Two candidates, by their numbers, that could be pieces of one digit.

    `apart`: confidence of both by themselves that leaves them apart. `together`: confidence of the digit they make.
    """

    one: int
    other: int
    apart: float
    together: float


class _Near(NamedTuple):
    """Two boxes, by their numbers, close enough to be pieces of one digit: how high and wide both together are, and
    pixels between them; `stacked`: whether one lies above the other."""

    one: int
    other: int
    high: float
    wide: float
    apart: float
    stacked: bool


def _pairs(found: list[Candidate]) -> list[_Pair]:
    """Candidates that could be pieces of one digit; none on a page that is full of such pairs."""
    boxes = boxes_of(found)
    near = _near(boxes)
    if not near:
        return []
    # Lines, braces and pieces of ruling do not tell how high the digits are.
    tells = np.array([c.confidence >= TELLING for c in found]) & (boxes[:, 2] >= TELLING_WIDTH * boxes[:, 3])
    pairs = []
    for pair in near:
        if pair.stacked and TWO_DIGITS[0] < pair.wide / pair.high < TWO_DIGITS[1]:
            continue
        stacked_apart = math.inf if pair.apart <= SCRATCH * pair.high else STACKED_SURE
        if pair.high <= WHOLE_HEIGHT * _highest_beside(boxes, tells, pair.one, pair.other):
            told = (stacked_apart, WHOLE_SURE) if pair.stacked else (PIECE_SURE, WHOLE_SURE_ELSE)
        elif len(boxes) == 2:
            told = (stacked_apart if pair.stacked else PIECE_SURE, WHOLE_SURE_ELSE)
        elif pair.stacked and pair.apart <= CUT * pair.high and pair.wide >= TWO_DIGITS[1] * pair.high:
            # All digits of a number may be cut through alike; between lines there is more room.
            told = (PIECE_SURE, WHOLE_SURE_ELSE)
        else:
            continue
        pairs.append(_Pair(pair.one, pair.other, *told))
    return pairs


def _near(boxes: Boxes) -> list[_Near]:
    """Which boxes, (n, 4), are close enough to one another; none where MOST_PAIRS are."""
    found = []
    # On most pages nothing is so near to anything else, and a list is looked through sooner than NumPy is called.
    sides = sorted((x, y, x + width, y + height, k) for k, (x, y, width, height) in enumerate(boxes.tolist()))
    highest = boxes[:, 3].max(initial=0).item()
    for position, (left, top, right, bottom, one) in enumerate(sides):
        reach = PIECE_GAP * LOWEST_PIECE * (bottom - top)
        # The gap is a part of the height of both with it.
        room = PIECE_GAP / (1 - PIECE_GAP) * (bottom - top + highest)
        above, below = top - room, bottom + room
        for k in range(position + 1, len(sides)):
            x, y, x1, y1, other = sides[k]
            if x - right > reach:
                break
            if y > below or y1 < above:
                continue
            high, wide = max(bottom, y1) - min(top, y), max(right, x1) - left
            apart = max(x - right, 0) + max(y - bottom, top - y1, 0)
            lower = min(bottom - top, y1 - y)
            if apart > PIECE_GAP * high or wide > WHOLE_WIDTH * high or lower > PIECE_HEIGHT * high:
                continue
            stacked = min(right, x1) - x >= STACKED * min(right - left, x1 - x)
            found.append(_Near(one, other, high, wide, apart, stacked))
            if len(found) > MOST_PAIRS:
                return []
    return found


def _highest_beside(boxes: Boxes, tells: Bools, one: int, other: int) -> float:
    """Height of the highest of the boxes, (n, 4), that stand in a line with two of them; 0 where none does.

    tells: bool (n,), which of them count.
    """
    left, top, right, bottom = boxes[:, 0], boxes[:, 1], boxes[:, 0] + boxes[:, 2], boxes[:, 1] + boxes[:, 3]
    both = [one, other]
    highest, lowest = top[both].min(), bottom[both].max()
    height = lowest - highest
    common = np.minimum(bottom, lowest) - np.maximum(top, highest)
    beside = tells & (common >= WHOLE_COMMON * np.minimum(boxes[:, 3], height))
    beside &= left <= right[both].max() + WHOLE_REACH * height
    beside &= right >= left[both].min() - WHOLE_REACH * height
    beside[both] = False
    return float(boxes[beside, 3].max(initial=0))

"""Look again at what is in doubt on a page: regions whose glyph is not sure are read in their line, as a whole.

A glyph alone does not tell a 4 from two touching ones, nor a 1 from the side of a cell. The line network sees the ink
to both sides, and the lines that were taken out of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.line_network import DIGIT_HEIGHT, LINE_HEIGHT, WIDTHS, Found, LineNetwork, in_one_place
from edge.segment import Region

Image = NDArray[np.uint8]
Matrix = NDArray[np.float64]

CONTEXT = 16  # pixels of the line image to either side of what is looked at
INK_LEVEL = 185.0  # grey levels that a line's ink is brought to
PAPER_PART = 0.12  # of the ink's depth: what is shallower is left out
ALIASING = 0.7  # a smaller scale is reached by way of a larger image
WORN_HEIGHT = (0.62, 1.6)  # of the height of the sure digits beside it: a region of its own size
BESIDE_GAP = 2.0  # heights from a region to the sure digits that tell its size
BESIDE_COMMON = 0.5  # of the lower one's height is at the height of the other
RUN_GAP = 0.7  # heights between two regions that are looked at together
PIECE_GAP, PIECE_HEIGHT = 0.2, 0.6  # of a digit's height: a piece of it is no farther above or below, and lower
OUTSIDE = 0.15  # of a digit's height: its middle lies no farther outside the region that holds it
PART_INSIDE = 0.6  # of a region lies in a digit's box: it is a part of that digit


@dataclass(frozen=True, slots=True)
class Doubt:
    """A region to be looked at again: its box, and how deep its ink usually is."""

    region: Region
    depth: float


@dataclass(frozen=True, slots=True)
class Seen:
    """A digit that was seen in a line, its box in pixels of the regions.

    `home`: index of the doubt in whose region its middle lies, None where no region is. `parts`: of those that lie in
    its box and hold no digit of their own: pieces of it that fell off.
    """

    digit: Found
    home: int | None
    parts: tuple[int, ...]


def look_again(
    doubts: Sequence[Doubt],
    sure: Sequence[Region],
    depth: Image,
    turn: Matrix | None,
    network: LineNetwork,
) -> list[Seen]:
    """The digits in the lines of what is in doubt, line by line from the left.

    sure: regions that are digits beyond doubt: they tell how high the digits of a line are. depth: uint8 (h, w), the
    page's ink as it was before lines were taken out. turn: (2, 3), from there to the pixels of the regions.
    """
    seen: list[Seen] = []
    heights = _heights(doubts, sure)
    for run in _runs(doubts, heights):
        found: list[Found] = []
        for window in _windows(run, doubts, heights):
            image, back = _line_image(depth, turn, window)
            for digit in (_placed(digit, back) for digit in network.read(image)):
                # A digit where one window's part ends is seen by the next one, too.
                fits = window.first <= digit.middle < window.last
                if fits and not any(in_one_place(digit, other) for other in found[-1:]):
                    found.append(digit)
        # Beside a run stand digits that are not in doubt, and at the ends of its images halves of them.
        left = min(doubts[k].region.x for k in run)
        right = max(doubts[k].region.x + doubts[k].region.width for k in run)
        inside = [d for d in sorted(found, key=lambda d: d.middle) if left <= d.middle <= right]
        homes = [_home(digit, run, doubts) for digit in inside]
        for digit, home in zip(inside, homes, strict=True):
            parts = tuple(k for k in run if k not in homes and _lies_in(doubts[k].region, digit))
            seen.append(Seen(digit, home, parts))
    return seen


def _heights(doubts: Sequence[Doubt], sure: Sequence[Region]) -> list[float]:
    """How high the digits of each doubt's line are, in pixels."""
    boxes = np.array([(d.region.x, d.region.y, d.region.width, d.region.height) for d in doubts], np.float64)
    left, top, width, height = boxes.reshape(-1, 4, 1).transpose(1, 0, 2)
    x, y, w, h = np.array([(r.x, r.y, r.width, r.height) for r in sure], np.float64).reshape(-1, 4).T
    gap = np.maximum(x, left) - np.minimum(x + w, left + width)
    common = np.minimum(y + h, top + height) - np.maximum(y, top)
    beside = gap <= BESIDE_GAP * np.maximum(h, height)
    beside &= common >= BESIDE_COMMON * np.minimum(h, height)
    found: list[float] = height.ravel().tolist()
    for k in np.flatnonzero(beside.any(axis=1)).tolist():
        usual, own = median(h[beside[k]].tolist()), found[k]
        if WORN_HEIGHT[0] * usual <= own:
            found[k] = usual if own > WORN_HEIGHT[1] * usual else (usual + own) / 2
    return found


def _runs(doubts: Sequence[Doubt], heights: Sequence[float]) -> list[list[int]]:
    """Which doubts are neighbours, and so looked at together."""
    runs: list[list[int]] = []
    highest = max(heights, default=0.0)
    for k in sorted(range(len(doubts)), key=lambda k: doubts[k].region.x):
        region = doubts[k].region
        above, below = region.y - PIECE_GAP * highest, region.y + region.height + PIECE_GAP * highest
        for run in runs:
            last = doubts[run[-1]].region
            if last.y > below or last.y + last.height < above:
                continue
            if _are_neighbours(region, last, max(heights[k], heights[run[-1]])):
                run.append(k)
                break
        else:
            runs.append([k])
    return runs


def _are_neighbours(one: Region, other: Region, height: float) -> bool:
    """Whether two regions stand side by side in a line of digits so high, or one may be a piece of the other."""
    down = max(one.y, other.y) - min(one.y + one.height, other.y + other.height)
    if down > PIECE_GAP * height:
        return False
    across = max(one.x, other.x) - min(one.x + one.width, other.x + other.width)
    lower, higher = sorted((one.height, other.height))
    beside = across <= RUN_GAP * height and -down >= BESIDE_COMMON * lower
    return beside or (across < 0 and lower < PIECE_HEIGHT * higher)


@dataclass(frozen=True, slots=True)
class _Window:
    """A part of a line, in pixels of the regions: from where to where, where its middle is; and how to scale it."""

    left: float
    right: float
    first: float
    """Where the part begins that is this window's own, where several share a line,"""
    last: float
    """and where it ends."""
    middle: float
    scale: float
    depth: float


def _windows(run: Sequence[int], doubts: Sequence[Doubt], heights: Sequence[float]) -> list[_Window]:
    regions = [doubts[k].region for k in run]
    highest = max(heights[k] for k in run)
    height = median([heights[k] for k in run if heights[k] >= PIECE_HEIGHT * highest])
    scale = DIGIT_HEIGHT / height
    whole = [region for region in regions if region.height >= PIECE_HEIGHT * max(r.height for r in regions)]
    middle = median([region.y + region.height / 2 for region in whole])
    left = min(region.x for region in regions) - CONTEXT / scale
    right = max(region.x + region.width for region in regions) + CONTEXT / scale
    depth = median([doubts[k].depth for k in run])
    # What is too long for one image is read in several; where two overlap, each has its half.
    most, overlap = (WIDTHS[-1] - 1) / scale, 4 * CONTEXT / scale
    count = max(1, math.ceil((right - left - overlap) / (most - overlap)))
    step = (right - left - overlap) / count
    windows = []
    for k in range(count):
        start = left + k * step
        end = start + step + overlap
        first = -math.inf if k == 0 else start + overlap / 2
        last = math.inf if k == count - 1 else end - overlap / 2
        windows.append(_Window(start, end, first, last, middle, scale, depth))
    return windows


def _line_image(depth: Image, turn: Matrix | None, window: _Window) -> tuple[Image, Matrix]:
    """The line image of a window, and the way from its pixels back to those of the regions, (2, 3)."""
    more = 1 if window.scale >= ALIASING else round(1 / window.scale)
    scale = window.scale * more
    width = max(1, round((window.right - window.left) * window.scale))
    top = window.middle - LINE_HEIGHT / 2 / window.scale
    there = np.array([[scale, 0.0, -window.left * scale], [0.0, scale, -top * scale], [0.0, 0.0, 1.0]])
    whole = there if turn is None else there @ np.vstack([turn, (0, 0, 1)])
    # Pixels are squares: their middles lie half a pixel off.
    whole = whole[:2] + [[0.0, 0.0, part - 0.5] for part in whole[:2, :2].sum(axis=1) / 2]
    image = cv2.warpAffine(depth, whole, (width * more, LINE_HEIGHT * more), flags=cv2.INTER_LINEAR)
    if more > 1:
        image = cv2.resize(image, (width, LINE_HEIGHT), interpolation=cv2.INTER_AREA)
    paper = PAPER_PART * window.depth
    gain = INK_LEVEL / max(window.depth - paper, 1.0)
    image = cv2.addWeighted(image, gain, image, 0, -gain * paper)
    back = np.array([[1 / window.scale, 0.0, window.left], [0.0, 1 / window.scale, top]])
    return np.asarray(image, np.uint8), back


def _placed(digit: Found, back: Matrix) -> Found:
    left, top = back @ (digit.left, digit.top, 1.0)
    right, bottom = back @ (digit.right, digit.bottom, 1.0)
    return Found(digit.shares, float(left), float(top), float(right), float(bottom))


def _home(digit: Found, run: Sequence[int], doubts: Sequence[Doubt]) -> int | None:
    """The doubt in whose region a digit lies."""
    best, least = None, OUTSIDE * (digit.bottom - digit.top)
    middle = (digit.top + digit.bottom) / 2
    for k in run:
        region = doubts[k].region
        across = max(region.x - digit.middle, digit.middle - (region.x + region.width), 0.0)
        down = max(region.y - middle, middle - (region.y + region.height), 0.0)
        off = max(across, down)
        if off < least or (off == 0 and best is None):
            best, least = k, off
    return best


def _lies_in(region: Region, digit: Found) -> bool:
    """Whether most of a region is in a digit's box."""
    wide = min(region.x + region.width, digit.right) - max(region.x, digit.left)
    high = min(region.y + region.height, digit.bottom) - max(region.y, digit.top)
    return max(wide, 0.0) * max(high, 0.0) >= PART_INSIDE * region.width * region.height

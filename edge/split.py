"""Take touching digits apart: cut where little ink is crossed, and let the classifier choose among the cuts.

Segmentation by recognition, as in Casey and Lecolinet, "A Survey of Methods and Strategies in Character Segmentation"
(1996): a few cuts are proposed, every run of pieces between two cuts is a candidate digit, and the chain of candidates
with the best product of confidences wins.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.segment import Region, as_image

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]

CUT_HEIGHT = 32  # pixels: cuts are searched on a copy of this height
PAPER_COST = 0.03  # of a step through paper, where one through ink costs 1: the straighter cut wins
SLANT_COSTS = (0.06, 0.3)  # of a step to the side: winding cuts around strokes, and straight ones through them
CUT_ROWS = (7, 13, 19, 25)  # of that copy: seams are led through these
SLANTS = (-0.3, -0.15, 0.0, 0.15, 0.3)  # columns a row, of straight cuts
MAX_CUTS = 12  # proposed
MAX_CROSSED = 0.7  # of the height: a cut through more ink runs along a stroke
CUT_DISTANCE = 0.07  # of the height, between two cuts, on average
EDGE_DISTANCE = 0.12  # of the height, from a cut to either end
SHRED = 0.1  # of a piece's ink: what is smaller and not connected to it is the neighbour's
NARROWEST, WIDEST = 0.10, 1.35  # of the height: a digit's width
LOWEST = 0.42  # of the height of the whole: a digit's
LEAST_INK = 0.04  # of the whole ink
SPAN_SLACK = 0.25  # of the height: a cut lies no farther from the end of the digit that it cuts off
EMPTY = 127  # a pixel with less ink is paper


Answer = TypeVar("Answer")
Candidate = TypeVar("Candidate")


@dataclass(frozen=True, slots=True)
class Piece(Generic[Answer]):
    """A digit cut out of a region: what the caller made of it, and how likely (0 to 1) it is one."""

    answer: Answer
    likelihood: float


def split(region: Region, judge: Callable[[Region], tuple[Answer, float]], alone: float) -> list[Piece[Answer]]:
    """The digits that a region is better read as, from left to right; empty where it is best left whole.

    judge: what a candidate is, and how likely it is a digit. alone: how likely the whole is one.
    """
    cuts = _cuts(region.mask)
    if not cuts:
        return []
    height, width = region.mask.shape
    edges = [np.zeros(height), *cuts, np.full(height, float(width))]
    total = float(np.count_nonzero(region.mask > EMPTY))
    last = len(edges) - 1
    best: list[tuple[float, list[Piece[Answer]]] | None] = [(1.0, [])] + [None] * last
    for end in range(1, last + 1):
        for start in range(end):
            before = best[start]
            if before is None or (start == 0 and end == last):
                continue
            so_far = best[end]
            if so_far is not None and before[0] <= so_far[0]:
                continue
            piece = _between(region, edges[start], edges[end], total)
            if piece is None:
                continue
            answer, likelihood = judge(piece)
            score = before[0] * likelihood
            if so_far is None or score > so_far[0]:
                best[end] = (score, [*before[1], Piece(answer, likelihood)])
    found = best[last]
    return found[1] if found is not None and found[0] > alone else []


def split_as(
    region: Region,
    spans: Sequence[tuple[float, float]],
    judge: Callable[[list[Region]], list[Candidate]],
    name: Callable[[Candidate, int], tuple[Answer, float]],
    *,
    straight: bool = False,
) -> list[Answer]:
    """The pieces of a region that holds as many digits as there are spans, from left to right.

    spans: where each digit begins and ends, in pixels from the region's left side, about. judge: what candidates are.
    name: what one of them is as the digit of that number, and how likely. straight: it is cut straight between the
    spans without a look at other ways, as it is where none fits them.
    """
    height, width = region.mask.shape
    if not straight:
        edges = [np.zeros(height), *_cuts(region.mask), np.full(height, float(width))]
        steps = _steps([float(edge.mean()) for edge in edges], spans, SPAN_SLACK * height)
        cut = {ends: _cut_out(region, edges[ends[0]], edges[ends[1]]) for ends in {step[1:] for step in steps}}
        pieces = {ends: piece for ends, piece in cut.items() if piece is not None}
        judged = dict(zip(pieces, judge([*pieces.values()]), strict=True))
        best: dict[tuple[int, int], tuple[float, list[Answer]]] = {(0, 0): (1.0, [])}
        for number, start, end in steps:
            before = best.get((number, start))
            if before is None or (start, end) not in judged:
                continue
            answer, likely = name(judged[start, end], number)
            so_far = best.get((number + 1, end))
            if so_far is None or before[0] * likely > so_far[0]:
                best[number + 1, end] = (before[0] * likely, [*before[1], answer])
        found = best.get((len(spans), len(edges) - 1))
        if found is not None:
            return found[1]
    middles = [(one[1] + other[0]) / 2 for one, other in pairwise(spans)]
    between = [np.zeros(height), *(np.full(height, at) for at in sorted(middles)), np.full(height, float(width))]
    parts = [_cut_out(region, left, right) for left, right in pairwise(between)]
    numbers = [number for number, part in enumerate(parts) if part is not None]
    candidates = judge([part for part in parts if part is not None])
    return [name(candidate, number)[0] for candidate, number in zip(candidates, numbers, strict=True)]


def _steps(places: Sequence[float], spans: Sequence[tuple[float, float]], slack: float) -> list[tuple[int, int, int]]:
    """Each digit's number with the edges between which it may lie, the first digit's first, of the ways from the first
    edge to the last one."""
    last = len(places) - 1
    steps: list[tuple[int, int, int]] = []
    reached = {0}
    for number, (left, right) in enumerate(spans):
        starts = [k for k in sorted(reached) if not number or abs(places[k] - left) <= slack]
        if number == len(spans) - 1:
            steps += [(number, start, last) for start in starts]
            reached = {last} if starts else set()
        else:
            ends = [k for k in range(1, last) if abs(places[k] - right) <= slack]
            own = [(number, start, end) for start in starts for end in ends if end > start]
            steps += own
            reached = {end for _, _, end in own}
    wanted = {last} & reached
    kept: list[tuple[int, int, int]] = []
    for number in range(len(spans) - 1, -1, -1):
        own = [step for step in steps if step[0] == number and step[2] in wanted]
        kept = own + kept
        wanted = {start for _, start, _ in own}
    return kept


def _cuts(mask: Image) -> list[Floats]:
    """Cuts from top to bottom, each the column at every row, from left to right, that cross little ink.

    For some rows, the best seam through each of their pixels is found by dynamic programming from both ends; straight
    cuts join them, and the cheapest that differ are taken.
    """
    height, width = mask.shape
    scale = CUT_HEIGHT / height
    columns = max(3, round(width * scale))
    small = cv2.resize(mask, (columns, CUT_HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float64) / 255
    cost = np.maximum(small, PAPER_COST)
    totals, paths = (np.concatenate(parts) for parts in zip(_winding(cost), _straight(cost), strict=True))
    edge = EDGE_DISTANCE * CUT_HEIGHT
    middles = paths.mean(axis=1)
    inside = (edge <= middles) & (middles <= columns - 1 - edge)
    paths = paths[inside][np.argsort(totals[inside], kind="stable")]
    cuts = np.empty((MAX_CUTS, CUT_HEIGHT))
    count = 0
    for path in paths:
        if (np.abs(cuts[:count] - path).sum(axis=1) >= CUT_DISTANCE * CUT_HEIGHT * CUT_HEIGHT).all():
            cuts[count] = path
            count += 1
            if count == MAX_CUTS:
                break
    rows = (np.arange(height) + 0.5) * scale - 0.5
    return [
        (np.interp(rows, np.arange(CUT_HEIGHT), path) + 0.5) / columns * width
        for path in sorted(cuts[:count], key=lambda path: float(path.mean()))
    ]


def _winding(cost: Floats) -> tuple[Floats, Floats]:
    """What the best seams through the pixels of CUT_ROWS cross, (n,), and where they are at every row, (n, rows)."""
    rows = len(cost)
    slants, through_rows = len(SLANT_COSTS), np.array(CUT_ROWS)
    # Downwards and upwards, for each slant.
    ways, came = _seams(np.stack([cost, cost[::-1]] * slants), np.repeat(SLANT_COSTS, 2))
    total = ways[::2, through_rows] + ways[1::2, rows - 1 - through_rows] - cost[through_rows]
    slant, which, through = np.nonzero(_are_lowest(total, rows))
    row = through_rows[which]
    paths = np.empty((through.size, rows))
    everyone = np.arange(through.size)
    paths[everyone, row] = through
    for upwards in (False, True):
        # All at once, a row at a time, each until it is at the end.
        left, image, at, at_row = everyone, 2 * slant + upwards, through, rows - 1 - row if upwards else row
        while (going := at_row > 0).any():
            left, image, at, at_row = left[going], image[going], at[going], at_row[going]
            at = at + came[image, at_row, at]
            at_row = at_row - 1
            paths[left, rows - 1 - at_row if upwards else at_row] = at
    return total[slant, which, through], paths


def _straight(cost: Floats) -> tuple[Floats, Floats]:
    """The same of straight cuts that cross less than their neighbours do, at a few slants: where two bowls touch, every
    seam winds through one of them."""
    height, columns = cost.shape
    rows = np.arange(height)
    shifts = np.array(SLANTS)[:, None] * (rows - (height - 1) / 2)
    at = np.clip(np.rint(np.arange(columns) + shifts[:, :, None]).astype(np.int64), 0, columns - 1)
    total = cost[rows[:, None], at].sum(axis=1)
    slant, through = np.nonzero(_are_lowest(total, height))
    return total[slant, through], np.clip(through[:, None] + shifts[slant], 0, columns - 1)


def _are_lowest(total: Floats, height: int) -> NDArray[np.bool_]:
    """Where a cut crosses no more than those to both sides, and not too much. total: (..., columns)."""
    lowest: NDArray[np.bool_] = total <= MAX_CROSSED * height
    lowest[..., 1:] &= total[..., 1:] <= total[..., :-1]
    lowest[..., :-1] &= total[..., :-1] <= total[..., 1:]
    return lowest


def _seams(cost: Floats, slants: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The cost of the best way from the first row to each pixel, and the step to the side it came from, of some images.

    cost: (n, rows, columns). slants: (n,), what a step to the side costs more.
    """
    images, rows, columns = cost.shape
    total = np.empty_like(cost)
    came = np.zeros(cost.shape, np.int64)
    total[:, 0] = cost[:, 0]
    padded = np.full((images, columns + 2), np.inf)
    steps = np.empty((3, images, columns))
    for row in range(1, rows):
        padded[:, 1:-1] = total[:, row - 1]
        steps[0] = padded[:, :-2] + slants[:, None]
        steps[1] = padded[:, 1:-1]
        steps[2] = padded[:, 2:] + slants[:, None]
        came[:, row] = steps.argmin(axis=0) - 1
        total[:, row] = steps.min(axis=0) + cost[:, row]
    return total, came


def _between(region: Region, left: Floats, right: Floats, total: float) -> Region | None:
    """The ink between two cuts as a region of its own; None where it cannot be a digit."""
    height = region.mask.shape[0]
    piece = _cut_out(region, left, right)
    if piece is None:
        return None
    ink = as_image(cv2.threshold(piece.mask, EMPTY, 255, cv2.THRESH_BINARY)[1])
    _, _, w, h = cv2.boundingRect(ink)
    if h < LOWEST * height or not NARROWEST * height <= w <= WIDEST * h:
        return None
    return piece if cv2.countNonZero(ink) >= LEAST_INK * total else None


def _cut_out(region: Region, left: Floats, right: Floats) -> Region | None:
    """The ink between two cuts as a region of its own; None where there is none."""
    first, end = max(0, math.floor(left.min()) - 1), min(region.mask.shape[1], math.ceil(right.max()) + 1)
    if first >= end:
        return None
    part = region.mask[:, first:end]
    height, width = part.shape
    columns = np.arange(first, end)
    own = (columns >= left[:, None]) & (columns < right[:, None])
    mask = np.where(own, part, np.uint8(0))
    ink = as_image(cv2.threshold(mask, EMPTY, 255, cv2.THRESH_BINARY)[1])
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(ink, connectivity=8, ltype=cv2.CV_32S)
    areas = np.asarray(statistics)[1:, cv2.CC_STAT_AREA]
    if count > 2:
        keep = np.zeros(count, np.uint8)
        keep[1:][areas >= SHRED * areas.sum()] = 255
        ink = keep[np.asarray(labels)]
        mask = as_image(cv2.bitwise_and(mask, cv2.dilate(ink, np.ones((3, 3), np.uint8))))
    x, y, w, h = cv2.boundingRect(ink)
    if not w:
        return None
    x, y, x1, y1 = max(0, x - 1), max(0, y - 1), min(width, x + w + 1), min(height, y + h + 1)
    return Region(region.x + first + x, region.y + y, x1 - x, y1 - y, np.ascontiguousarray(mask[y:y1, x:x1]))

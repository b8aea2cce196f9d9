"""Take touching digits apart: cut where little ink is crossed, and let the classifier choose among the cuts.

Segmentation by recognition, as in Casey and Lecolinet, "A Survey of Methods and Strategies in Character Segmentation"
(1996): a few cuts are proposed, every run of pieces between two cuts is a candidate digit, and the chain of candidates
with the best product of confidences wins.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.segment import Region

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]

CUT_HEIGHT = 32  # pixels: cuts are searched on a copy of this height
PAPER_COST = 0.03  # of a step through paper, where one through ink costs 1: the straighter cut wins
SLANT_COST = 0.06  # of a step to the side
MAX_CUTS = 7  # proposed
MAX_CROSSED = 0.55  # of the height: a cut through more ink runs along a stroke
CUT_DISTANCE = 0.12  # of the height, between two cuts and to either end
NARROWEST, WIDEST = 0.10, 1.35  # of the height: a digit's width
LOWEST = 0.42  # of the height of the whole: a digit's
LEAST_INK = 0.04  # of the whole ink
EMPTY = 127  # a pixel with less ink is paper


@dataclass(frozen=True, slots=True)
class Piece:
    """A candidate digit cut out of a region, with what the caller made of it and how likely (0 to 1) it is a digit."""

    region: Region
    answer: object
    likelihood: float


Judge = Callable[[Region], tuple[object, float]]


def split(region: Region, judge: Judge, alone: float) -> list[Piece]:
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
    best: list[tuple[float, list[Piece]] | None] = [(1.0, [])] + [None] * last
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
                best[end] = (score, [*before[1], Piece(piece, answer, likelihood)])
    found = best[last]
    return found[1] if found is not None and found[0] > alone else []


def _cuts(mask: Image) -> list[Floats]:
    """Cuts from top to bottom, each the column at every row, from left to right: seams of least crossed ink."""
    height, width = mask.shape
    scale = CUT_HEIGHT / height
    columns = max(3, round(width * scale))
    small = cv2.resize(mask, (columns, CUT_HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float64) / 255
    cost = np.maximum(small, PAPER_COST)
    total = cost[0].copy()
    came = np.zeros((CUT_HEIGHT, columns), np.int64)
    padded = np.full(columns + 2, np.inf)
    steps = np.empty((3, columns))
    for row in range(1, CUT_HEIGHT):
        padded[1:-1] = total
        steps[0], steps[1], steps[2] = padded[:-2] + SLANT_COST, padded[1:-1], padded[2:] + SLANT_COST
        choice = steps.argmin(axis=0)
        came[row] = choice - 1
        total = steps.min(axis=0) + cost[row]
    distance = CUT_DISTANCE * CUT_HEIGHT
    cuts: list[tuple[float, Floats]] = []
    for end in np.argsort(total, kind="stable"):
        if total[end] > MAX_CROSSED * CUT_HEIGHT or len(cuts) == MAX_CUTS:
            break
        path = np.empty(CUT_HEIGHT)
        column = int(end)
        for row in range(CUT_HEIGHT - 1, -1, -1):
            path[row] = column
            column += int(came[row, column])
        middle = float(path.mean())
        if not distance <= middle <= columns - 1 - distance:
            continue
        if any(abs(middle - float(other.mean())) < distance for _, other in cuts):
            continue
        cuts.append((middle, path))
    rows = (np.arange(height) + 0.5) * scale - 0.5
    return [
        (np.interp(rows, np.arange(CUT_HEIGHT), path) + 0.5) / columns * width
        for _, path in sorted(cuts, key=lambda cut: cut[0])
    ]


def _between(region: Region, left: Floats, right: Floats, total: float) -> Region | None:
    """The ink between two cuts as a region of its own; None where it cannot be a digit."""
    height, width = region.mask.shape
    columns = np.arange(width)
    own = (columns >= left[:, None]) & (columns < right[:, None])
    mask = np.where(own, region.mask, 0).astype(np.uint8)
    x, y, w, h = cv2.boundingRect(cv2.threshold(mask, EMPTY, 255, cv2.THRESH_BINARY)[1])
    if h < LOWEST * height or not NARROWEST * height <= w <= WIDEST * h:
        return None
    if np.count_nonzero(mask > EMPTY) < LEAST_INK * total:
        return None
    x, y, x1, y1 = max(0, x - 1), max(0, y - 1), min(width, x + w + 1), min(height, y + h + 1)
    return Region(region.x + x, region.y + y, x1 - x, y1 - y, np.ascontiguousarray(mask[y:y1, x:x1]))

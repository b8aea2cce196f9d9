"""Refuse what only looks like digits: by what lies around it, by how deep and large the page's other digits are."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.blots import is_outline, is_side
from edge.candidate import Bools, Candidate, are_beside, boxes_of, groups, reached
from edge.doubt import SURE
from edge.judge import BAR_LABEL, CORNER_LABEL, RING_LABEL, Judge
from edge.page import with_soft_edge
from edge.parts import Parts
from edge.segment import Region, corners_of, mean_within
from edge.shapes import is_polygon

Image = NDArray[np.uint8]
Matrix = NDArray[np.float64]

DEEP_PART = 0.9  # of the ink of a page's likely digits is no deeper than its deeper digits are
FAINT = 0.4  # of that depth: fainter ink than this is no digit of the page,
FAINT_SURE = 0.95  # unless it is so surely one, beside another such

SURROUNDINGS = 0.3  # of a region's longer side: so far around it the paper is looked at
ROUGHEST = 0.22  # of the ink's depth: what lies around it is deeper on average, and so no paper
CLEAR = 0.7  # confidence of a region that speaks for writing
MOSTLY_DIGITS = 0.5  # of a page's regions are surely some; where fewer are, it is clutter
ROUGHEST_IN_CLUTTER = 0.1  # of the ink's depth
SURE_IN_CLUTTER = 0.8  # confidence of a digit there, at least, or of one in a row with it
THICKEST = 0.4  # of a digit's longer side: a wider stroke is a blot
LYING = 1.2  # times as wide as high is none
MANY_BARS = 5  # each alone, and half of all that a page seems to hold
# Regions, and of the picture's height: where no more are so high, a bar at its edge may be a digit tightly cut.
FEW, TIGHT = 3, 0.4
ROOM_FOR_SIDES = 2.0  # times the strokes' width, to the edge of the picture: nearer, not all beside them is seen

LEAST_SURE = 4  # digits that a page has before their height says what is too large to be one
HIGHEST_BAR = 1.5  # of the highest of them: a bar higher than this is no digit,
HIGHEST_SLASH, SLASH_LEAN = 2.3, 0.15  # and up to this, where it leans by so much of its height, a slash
GIANT = 5.0  # of their median height: what is higher is a line of the page, or its edge
GIANT_STROKE = 0.04  # of its height: the strokes of a digit so large are wider
LEAST_INSIDE = 2  # digits in a box: no digit, but what surrounds them


def on_paper(
    found: list[Candidate], parts: Parts | None, judge: Judge, frame: tuple[int, ...], turn: Matrix | None
) -> list[Candidate]:
    """The candidates, those refused that lie on no paper, do not stand upright or are drawn shapes.

    Around a pen's stroke there is paper; in foliage, fur and fabric there is more of the same. Where most regions are
    no sure digits, as in such a picture, the surroundings have to be the plainer and the answers the surer, or in a
    row with others that are.

    frame: height and width of the picture. turn: (2, 3), from its pixels to those of the regions; None where it was not
    turned.
    """
    if parts is None:
        return found
    threshold, bar, ring = judge.threshold, judge.index(BAR_LABEL), judge.index(RING_LABEL)
    clear = sum(c.confidence >= CLEAR for c in found) >= MOSTLY_DIGITS * len(found)
    limit = ROUGHEST if clear else ROUGHEST_IN_CLUTTER
    paper = with_soft_edge(parts.ink.mask)
    cv2.bitwise_not(paper, paper)
    judged = []
    for c in found:
        if c.confidence >= threshold:
            w, h = c.region.width, c.region.height
            rough = _roughness(parts.ink.depth, paper, c.region)
            lying = c.label == bar and w > LYING * h
            # Where lines leave the picture, their ends are bars.
            tight = len(found) <= FEW and h >= TIGHT * frame[0]
            cut_off = c.label == bar and not tight and _room(c.region, frame, turn) <= 1
            thick = c.stroke > THICKEST * max(w, h)
            drawn = c.label == ring and is_polygon(c.region.mask)
            if rough > limit * c.depth or lying or cut_off or thick or drawn:
                c = replace(c, refused=True)
        judged.append(c)
    if not clear:
        judged = _of_sure_numbers(judged, threshold, bar)
    digits = [c for c in judged if c.is_digit(threshold)]
    # A bar alone among shapes that are no digits is one of them; bars all over a page are what is left of its lines.
    most = max(MANY_BARS, MOSTLY_DIGITS * len(digits))
    if clear and sum(c.label == bar for c in digits) < most:
        return judged
    bars = _alone(digits, (bar,))
    if clear and len(bars) < most:
        return judged
    refused = {id(c) for c in bars}
    return [replace(c, refused=True) if id(c) in refused else c for c in judged]


def _alone(digits: list[Candidate], labels: Sequence[int | None]) -> list[Candidate]:
    """Those of these labels that no other is beside in a line."""
    boxes = boxes_of(digits)
    return [
        c
        for c, box in zip(digits, boxes, strict=True)
        if c.label in labels and np.count_nonzero(are_beside(box, boxes)) == 1
    ]


def without_sides(found: list[Candidate], judge: Judge, grey: Image, turn: Matrix | None) -> list[Candidate]:
    """The candidates without the sides and corners of shadows, and of other things too wide for a pen: each looks like
    a digit alone. grey: uint8 (h, w), the picture. turn: as for `on_paper`."""
    digits = [c for c in found if c.is_digit(judge.threshold)]
    alone = _alone(digits, (judge.index(BAR_LABEL), judge.index(CORNER_LABEL)))
    sides = {
        id(c)
        for c in alone
        if _room(c.region, grey.shape, turn) > ROOM_FOR_SIDES * c.stroke and is_side(grey, turn, c.region, c.stroke)
    }
    return [c for c in found if id(c) not in sides]


def _of_sure_numbers(found: list[Candidate], threshold: float, bar: int | None) -> list[Candidate]:
    """The candidates, those refused that are no sure digits in clutter, nor stand in a row with one; a bar, which the
    edges of things look like, vouches for none.

    bar: index of the label of the digit that is but a bar, None where there is no such label.
    """
    digits = [c for c in found if c.is_digit(threshold)]
    sure = np.array([c.confidence >= SURE_IN_CLUTTER for c in digits], np.bool_)
    if sure.all():
        return found
    boxes = boxes_of(digits)
    vouching = sure & np.array([c.label != bar for c in digits], np.bool_)
    kept = sure | reached(vouching, np.array([are_beside(box, boxes) for box in boxes]))
    doubtful = {id(c) for c, is_kept in zip(digits, kept.tolist(), strict=True) if not is_kept}
    return [replace(c, refused=True) if id(c) in doubtful else c for c in found]


def _room(region: Region, frame: tuple[int, ...], turn: Matrix | None) -> float:
    """Pixels from a region to the nearest edge of the picture; frame, turn: as for `on_paper`."""
    left, top = region.x, region.y
    right, bottom = left + region.width, top + region.height
    if turn is not None:
        back = cv2.invertAffineTransform(turn)
        there = corners_of(region) @ back[:, :2].T + back[:, 2]
        (left, top), (right, bottom) = there.min(axis=0), there.max(axis=0) + 1
    return float(min(left, top, frame[1] - right, frame[0] - bottom))


def _roughness(depth: Image, paper: Image, region: Region) -> float:
    """How deep what lies around a region is on average, its own and any other ink and their soft edges left out.

    depth, paper: uint8 (h, w) of the page; 255 on what is left.
    """
    margin = max(3, round(SURROUNDINGS * max(region.width, region.height)))
    rows = slice(max(0, region.y - margin), region.y + region.height + margin)
    columns = slice(max(0, region.x - margin), region.x + region.width + margin)
    return mean_within(depth[rows, columns], paper[rows, columns])


def without_faint(found: list[Candidate], judge: Judge, bar: int | None) -> list[Candidate]:
    """The candidates without those far fainter than the page's digits that are not written: pieces of ruling, the
    paper's other side.

    bar: index of the label of the digit that is but a bar, None where there is no such label.
    """
    sure = [c for c in found if c.confidence >= SURE and not c.refused]
    if not sure or min(c.depth for c in found) >= FAINT * max(c.depth for c in sure):
        return found
    inks = np.asarray([np.count_nonzero(c.region.mask) for c in sure], np.float64)
    depths = np.asarray([c.depth for c in sure])
    order = np.argsort(depths)
    so_far = np.cumsum(inks[order])
    usual = depths[order][int(np.searchsorted(so_far, DEEP_PART * so_far[-1]))]
    faint = np.array([c.depth < FAINT * usual for c in found])
    if not faint.any():
        return found
    kept = ~faint | _written(found, faint, judge, bar)
    return [c for c, keep in zip(found, kept.tolist(), strict=True) if keep]


def _written(found: list[Candidate], faint: Bools, judge: Judge, bar: int | None) -> Bools:
    """bool (n,): which of the faint ones, (n,), are written, with a pencil or a pen that runs dry: in a row with two
    sure digits, one of them faint, bars not counted, and together surer than in a mirror, as what shines through is
    not."""
    boxes = boxes_of(found)
    digits = np.array([c.confidence >= FAINT_SURE and c.label != bar and not c.refused for c in found])
    beside = np.array([are_beside(box, boxes) for box in boxes])
    written = np.zeros_like(faint)
    for row in groups(faint & digits, beside):
        members = [found[k] for k in np.flatnonzero(row & faint)]
        mirrored = sum(float(judge.name(np.ascontiguousarray(c.glyph[:, ::-1])).max()) for c in members)
        if np.count_nonzero(row & digits) > 1 and sum(c.confidence for c in members) > mirrored:
            written |= row & faint
    return written


def without_lines(found: list[Candidate], bar: int | None) -> list[Candidate]:
    """The candidates without bars far higher than any digit of the page: lines that were not level, or pieces of them.
    One that leans may be a slash between two numbers: it is refused, and has its place there.

    bar: index of the label of the digit that is but a bar, None where there is no such label.
    """
    sure = [c.region.height for c in found if c.confidence >= SURE and c.label != bar]
    if len(sure) < LEAST_SURE:
        return found
    highest = max(sure)

    def leans(c: Candidate) -> bool:
        return c.region.height <= HIGHEST_SLASH * highest and c.region.width - c.stroke >= SLASH_LEAN * c.region.height

    kept = []
    for c in found:
        if c.label != bar or c.region.height <= HIGHEST_BAR * highest:
            kept.append(c)
        elif leans(c):
            kept.append(replace(c, refused=True, mark=True))
    return kept


def without_surroundings(found: list[Candidate]) -> list[Candidate]:
    """The candidates without those that digits lie in, or that dwarf them all: a sheet's outline, a margin's line."""
    sure = [c for c in found if c.confidence >= SURE]
    if len(sure) < LEAST_SURE:
        return found
    least, usual = min(c.region.height for c in sure), median(c.region.height for c in sure)
    if max(c.region.height for c in found) <= min(GIANT * usual, 2 * least):
        return found
    boxes = boxes_of(sure)
    middles, heights = boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 3]

    def holds(box: NDArray[np.float64]) -> bool:
        inside = (abs(middles - box[:2] - box[2:] / 2) <= box[2:] / 2).all(axis=1)
        return np.count_nonzero(inside & (heights < box[3] / 2)) >= LEAST_INSIDE

    return [
        c
        for c, box in zip(found, boxes_of(found), strict=True)
        if (c.region.height <= GIANT * usual or c.stroke >= GIANT_STROKE * c.region.height)
        and not (c.region.height > 2 * least and holds(box))
    ]


def apart_from_outlines(
    found: list[Candidate], grey: Image, turn: Matrix | None, threshold: float, labels: Sequence[int] | None = None
) -> tuple[list[Candidate], list[Candidate]]:
    """The candidates without those that look like digits and are the edges of blots; and these, refused.

    grey: uint8 (h, w), the page. turn: (2, 3), from there to the pixels of the candidates, None where it was not
    turned. labels: indices of those that are looked at; None for all.
    """
    kept: list[Candidate] = []
    outlines: list[Candidate] = []
    for c in found:
        asked = c.is_digit(threshold) and (labels is None or c.label in labels)
        if asked and is_outline(grey, turn, c.region, c.stroke):
            outlines.append(replace(c, refused=True))
        else:
            kept.append(c)
    return kept, outlines

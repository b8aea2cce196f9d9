"""Read a page: find its ink, name each region, look again at what is in doubt, and put the digits in lines."""

import math
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.broken import mended
from edge.candidate import Candidate, lies_in
from edge.compose import in_lines
from edge.decode import Page
from edge.doubt import settled
from edge.judge import BAR_LABEL, RING_LABEL, Judge
from edge.line_network import LineNetwork
from edge.lines import tilt_of
from edge.marks import is_clear_between
from edge.page import GLANCE_COPY, floor_of, ink_of_page, page_depth, with_soft_edge
from edge.parts import Parts, find_parts
from edge.reading import Digit
from edge.refusal import (
    apart_from_outlines,
    on_paper,
    without_faint,
    without_lines,
    without_sides,
    without_surroundings,
)
from edge.rules import angle_of_rules, levelled, without_rules
from edge.segment import as_image, median_level
from edge.wide import with_wide
from edge.words import without_words

Image = NDArray[np.uint8]
Matrix = NDArray[np.float64]

MIN_HEIGHT = 12  # pixels: a lower digit is not read
SMALLEST_PART = 1 / 150  # of the picture's longer side: nor is one lower than this

LEAST_AT_GLANCE = 18  # pixels of the reduced page: lower digits are read from the whole picture
CLEAR_AT_GLANCE = 0.5  # confidence of a digit, at least: the same,
PLAIN_AT_GLANCE = 28  # pixels: but not of one so high, of which the whole picture shows no more

NOISY = 30  # of 255: paper that reaches so deep is noise. Where no stroke can be told in it, the page is looked at
NOISE_BLUR = 1.2  # again with so much blur: pixels, standard deviation

# Of the page's longer side: digits in strokes wider than the closer look allows are at least as high.
WIDE_HEIGHT = 0.12
WIDE_STROKE = 0.007  # and the strokes so wide

LEVEL_ENOUGH = 3.0  # degrees: a page tilted by less is read as it is
LEAST_TILTED = 3  # regions tell a page's tilt


def read_at_a_glance(page: Page, judge: Judge, network: LineNetwork | None = None) -> tuple[Digit, ...] | None:
    """The digits of a page in reading order, where all that is on it are large digits, each rather sure or so high that
    the whole picture shows no more of it.

    None elsewhere, and where lines have to be taken out: it has to be read from its whole picture then.

    network: as for `read_page`.
    """
    grey = page.grey()
    depth, wide = page_depth(grey, page.preview, page.colour, GLANCE_COPY)
    if wide is not None:
        return None
    floor = floor_of(depth)
    smallest = _smallest(page, grey)
    if angle_of_rules(depth, floor, smallest) is not None:
        return None
    written = depth
    depth, turn, parts = _parts_of(depth, smallest, floor)
    if parts is None or parts.around is not None or parts.boxes[:, 3].min() < LEAST_AT_GLANCE or parts.pieces_left:
        return None
    bar, ring = judge.index(BAR_LABEL), judge.index(RING_LABEL)
    found = settled(_candidates(parts, judge), judge, network, written, turn, False)
    if not found or any(c.confidence < _least_at_glance(c, judge.threshold) for c in found):
        return None
    judged = on_paper(without_faint(found, judge, bar), parts, judge, grey.shape, turn)
    judged = without_lines(without_surroundings(judged), bar)
    rings = () if ring is None else (ring,)
    judged, _ = apart_from_outlines(judged, grey, turn, judge.threshold, rings)
    if len(judged) < len(found) or any(c.refused for c in judged):
        return None
    lines, _ = in_lines(judged, parts, judge.candidate, judge.threshold, bar, ring)
    # A point may be too small to be told from a speck there.
    if not all(is_clear_between(parts.ink.mask, *pair) for line in lines for pair in pairwise(line)):
        return None
    return judge.digits(lines, _to_original(page, grey, turn), (page.width, page.height))


def read_page(
    page: Page,
    judge: Judge,
    network: LineNetwork | None = None,
    *,
    full_resolution: bool = False,
    with_beside: bool = False,
) -> tuple[tuple[Digit, ...], tuple[Digit, ...]]:
    """The digits of a page in reading order; and, if wanted, what was refused beside them, in no line (-1).

    network: looks again at what is in doubt, where the labels are digits; without it touching digits are taken apart by
    trial. full_resolution: digits of MIN_HEIGHT are read however large the picture is.
    """
    grey = page.grey()
    smallest = MIN_HEIGHT if full_resolution else _smallest(page, grey)
    depth, wide = page_depth(grey, page.preview, page.colour)
    written = depth
    floor = floor_of(depth)
    depth, levelling, rules = without_rules(depth, smallest, floor)
    ruled = depth is not written
    level = depth
    depth, turn, parts = _parts_of(level, smallest, None if ruled else floor, levelling)
    if parts is None and median_level(floor) >= NOISY:
        quiet = as_image(cv2.GaussianBlur(level, (0, 0), NOISE_BLUR))
        depth, turn, parts = _parts_of(quiet, smallest, None, levelling)
    if levelling is None and turn is not None:
        rules = rules @ turn[:, :2].T + turn[:, 2]
    if parts is not None and parts.around is not None:
        written = _without_around(written, parts.around, turn)
    bar, ring = judge.index(BAR_LABEL), judge.index(RING_LABEL)
    found = without_lines(_candidates(parts, judge), bar)
    found = settled(found, judge, network, written, turn, ruled)
    found = on_paper(without_faint(found, judge, bar), parts, judge, grey.shape, turn)
    found = without_sides(found, judge, grey, turn)
    rings = () if ring is None else (ring,)
    found, outlines = apart_from_outlines(found, grey, turn, judge.threshold, rings if wide is None else None)
    if wide is not None:
        if turn is not None:
            wide = np.asarray(cv2.warpAffine(wide, turn, depth.shape[::-1]), np.uint8)
        found = with_wide(found, _wide_strokes(wide, judge, grey, turn), judge.threshold, bar)
    found += [c for c in outlines if not any(lies_in(c.region, k.region) for k in found)]
    found = without_lines(without_surroundings(found), bar)
    found = without_words(found, judge.labels, judge.threshold)
    lines, rest = in_lines(found, parts, judge.candidate, judge.threshold, bar, ring, rules)
    back, size = _to_original(page, grey, turn), (page.width, page.height)
    beside = tuple(judge.digit(c, -1, back, size) for c in rest) if with_beside else ()
    return judge.digits(lines, back, size), beside


def _least_at_glance(c: Candidate, threshold: float) -> float:
    """How sure a region has to be for a page to be read at a glance; threshold: of a digit."""
    return threshold if c.region.height >= PLAIN_AT_GLANCE else max(CLEAR_AT_GLANCE, threshold)


def _smallest(page: Page, grey: Image) -> float:
    """Height of the smallest digit that is read, in pixels of the page's grey picture."""
    longer = max(grey.shape)
    return max(MIN_HEIGHT * longer / max(page.width, page.height), SMALLEST_PART * longer)


def _to_original(page: Page, grey: Image, turn: Matrix | None = None) -> Matrix:
    """The way from a page's grey picture to the pixels of the original: (2, 3); turn: (2, 3), to there from it, None
    where it was not turned."""
    back = np.diag([page.width / grey.shape[1], page.height / grey.shape[0], 1.0])
    if turn is not None:
        back = back @ np.vstack([cv2.invertAffineTransform(turn), (0, 0, 1)])
    return back[:2]


def _parts_of(
    depth: Image, smallest: float, floor: Image | None, turn: Matrix | None = None
) -> tuple[Image, Matrix | None, Parts | None]:
    """The regions of a page, turned level where its lines are tilted and it was not turned before. The depth they are
    in, and the turn (2, 3) to there.

    floor: what `floor_of` gives for this depth, where it is known already.
    """
    parts = find_parts(ink_of_page(depth, floor), smallest)
    if turn is None and parts is not None and len(parts.members) >= LEAST_TILTED:
        tilt = math.degrees(tilt_of(parts.boxes.astype(np.float64)))
        if abs(tilt) > LEVEL_ENOUGH:
            depth, turn = levelled(depth, tilt)
            parts = find_parts(ink_of_page(depth), smallest)
    return depth, turn, parts


def _without_around(depth: Image, around: Image, turn: Matrix | None) -> Image:
    """The depth of a page without the lines drawn around what is written on it; turn: from its pixels to theirs."""
    around = with_soft_edge(around)
    if turn is not None:
        size = depth.shape[1::-1]
        around = as_image(cv2.warpAffine(around, turn, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP))
    return as_image(cv2.subtract(depth, around))


def _candidates(parts: Parts | None, judge: Judge) -> list[Candidate]:
    """What could be digits among a page's regions, those that fell apart joined."""
    if parts is None:
        return []
    return mended(judge.candidates([parts.region(index) for index in range(len(parts.members))]), judge.candidate)


def _wide_strokes(wide: Image, judge: Judge, grey: Image, turn: Matrix | None) -> list[Candidate]:
    """What could be digits in strokes that the closer look takes for paper. Thinner ones it had seen: they are the edge
    of a shadow. wide: uint8 (h, w), how deep these are, in the pixels of the regions."""
    longer, bar = max(wide.shape), judge.index(BAR_LABEL)
    parts = find_parts(ink_of_page(wide), WIDE_HEIGHT * longer, outlined=True)
    strokes = without_faint(_candidates(parts, judge), judge, bar)
    strokes = without_sides(on_paper(strokes, parts, judge, grey.shape, turn), judge, grey, turn)
    strokes = [c for c in strokes if c.stroke >= WIDE_STROKE * longer]
    return apart_from_outlines(strokes, grey, turn, judge.threshold)[0]

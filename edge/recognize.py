"""Read a page: find its ink, name each region, split what touches, and put the digits in lines."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.blots import is_outline
from edge.broken import mended
from edge.candidate import Bools, Boxes, Candidate, Shares, are_beside, between, boxes_of, groups, lies_in, reached
from edge.compose import in_lines
from edge.decode import Page
from edge.line_network import DIGITS, Found, LineNetwork
from edge.lines import tilt_of
from edge.marks import is_clear_between
from edge.page import GLANCE_COPY, PageInk, floor_of, ink_of_page, page_depth
from edge.parts import Parts, find_parts
from edge.preprocess import glyph_and_stroke
from edge.reading import Box, Digit
from edge.rules import angle_of_rules, levelled, without_rules
from edge.second_look import RUN_GAP, Doubt, Seen, look_again
from edge.segment import Region, as_image, joined, mean_within, median_level
from edge.split import split, split_as
from edge.words import without_words

Image = NDArray[np.uint8]
Matrix = NDArray[np.float64]

MIN_HEIGHT = 12  # pixels: a lower digit is not read
SMALLEST_PART = 1 / 150  # of the picture's longer side: nor is one lower than this

LEAST_AT_GLANCE = 18  # pixels of the reduced page: lower digits are read from the whole picture
CLEAR_AT_GLANCE = 0.5  # confidence of a digit, at least: the same

NOISY = 30  # of 255: paper that reaches so deep is noise. Where no stroke can be told in it, the page is looked at
NOISE_BLUR = 1.2  # again with so much blur: pixels, standard deviation

LEVEL_ENOUGH = 3.0  # degrees: a page tilted by less is read as it is
LEAST_TILTED = 3  # regions tell a page's tilt

SURE = 0.9  # confidence at which a region of usual proportions is a digit, and not tried to be split
DOUBT = 0.98  # confidence below which the line network is asked, where there is one; from here on it leaves none
WIDE = 1.3  # of its height: a wider region is tried to be split however sure
LONGEST = 8  # times as wide as high: nobody joins so many digits
UNLIKELY = 0.05  # confidence below which a glyph is no digit by itself
LEAST_SEEN = 0.42  # confidence of both networks together: with less, the end of a number is none of its digits
NOT_SEEN = 0.05  # times the confidence of a region in doubt in which the line network sees no digit
NOT_ASKED = 0.5  # the same where there are too many to be asked
BAR_HEIGHTS, BAR_GAP = (0.75, 1.25), 1.6  # of the height of the digit beside it, at most so far: a bar that is a 1
BAR_STROKE, BAR_DEPTH = 0.5, 0.8  # of that digit's: how wide and deep it is, at least
LEAST_OF_TWO, LEAST_OF_MORE = 0.15, 0.5  # confidence of each digit that a region is taken apart into, or it is a word
WORD_GAP = 0.3  # heights between two letters of a word, at most
SAME_HEIGHT = 0.75  # of a digit's height: a piece of it is lower than that
MOST_LOOKED_AT = 400  # regions on a page: where more are in doubt it is a texture, and would take a second
MOST_TAKEN_APART = 150  # digits of a page are cut out in the best of some ways, the others straight
MOST_JUDGED = 500  # pieces on a page: more is a texture, and would take seconds
LEAST_PIECE = 0.15  # confidence of each digit that a region beside a sure digit is split into, at least
LEAST_ALONE = 0.75  # the same for a region that stands alone

DEEP_PART = 0.9  # of the ink of a page's likely digits is no deeper than its deeper digits are
FAINT = 0.4  # of that depth: fainter ink than this is no digit of the page,
FAINT_SURE = 0.95  # unless it is so surely one, beside another such

SURROUNDINGS = 0.3  # of a region's longer side: so far around it the paper is looked at
EDGE_REACH = 2  # pixels around ink: its soft edge is no paper
ROUGHEST = 0.22  # of the ink's depth: what lies around it is deeper on average, and so no paper
CLEAR = 0.7  # confidence of a region that speaks for writing
MOSTLY_DIGITS = 0.5  # of a page's regions are surely some; where fewer are, it is clutter
ROUGHEST_IN_CLUTTER = 0.1  # of the ink's depth
SURE_IN_CLUTTER = 0.8  # confidence of a digit there, at least, or of one in a row with it
THICKEST = 0.4  # of a digit's longer side: a wider stroke is a blot
BAR_LABEL, RING_LABEL = "1", "0"  # the digits that are but a bar, and a ring
LYING = 1.2  # times as wide as high is none
MANY_BARS = 5  # each alone, and half of all that a page seems to hold
# Regions, and of the picture's height: where no more are so high, a bar at its edge may be a digit tightly cut.
FEW, TIGHT = 3, 0.4

# Of the page's longer side: digits in strokes wider than the closer look allows are at least as high.
WIDE_HEIGHT = 0.12
WIDE_STROKE = 0.007  # and the strokes so wide
WIDE_SURE = 0.9  # confidence that makes a digit of such a stroke
WRITTEN = 0.25  # of its height: lower digits within are written in a shadow, higher ones are its pieces
WIDE_SAME = 0.7  # of its box: something as large was found by the closer look already; less is a piece of it

LEAST_SURE = 4  # digits that a page has before their height says what is too large to be one
HIGHEST_BAR = 1.5  # of the highest of them: a bar higher than this is no digit,
HIGHEST_SLASH, SLASH_LEAN = 2.3, 0.15  # and up to this, where it leans by so much of its height, a slash
GIANT = 5.0  # of their median height: what is higher is a line of the page, or its edge
GIANT_STROKE = 0.04  # of its height: the strokes of a digit so large are wider
LEAST_INSIDE = 2  # digits in a box: no digit, but what surrounds them


@dataclass(frozen=True, slots=True)
class Judge:
    """Names glyphs.

    `name`: how likely each label is for a glyph, uint8 (28, 28): float32 (classes,), 0 for the label of what is no
    digit. `labels`: one a class. `threshold`: confidence below which a region is no digit. `least`: confidence below
    which a digit has its place in a line, and no label.
    """

    name: Callable[[Image], Shares]
    labels: tuple[str, ...]
    threshold: float
    least: float = 0.0

    def candidate(self, region: Region, depth: float) -> Candidate:
        """What a region is taken for; depth: how deep its ink usually is."""
        (found,) = self.candidates([(region, depth)])
        return found

    def candidates(self, regions: Sequence[tuple[Region, float]]) -> list[Candidate]:
        """What each region is taken for, arguments as for `candidate`.

        All glyphs first, then the network for all: each finds its code and numbers in the processor's cache.
        """
        glyphs = [glyph_and_stroke(region) for region, _ in regions]
        shares = [self.name(glyph) for glyph, _ in glyphs]
        return [
            Candidate(region, glyph, own, stroke, depth)
            for (region, depth), (glyph, stroke), own in zip(regions, glyphs, shares, strict=True)
        ]

    def index(self, label: str) -> int | None:
        """Of a label; None where there is no such."""
        return self.labels.index(label) if label in self.labels else None

    def digits(self, lines: list[list[Candidate]], back: Matrix, size: tuple[int, int]) -> tuple[Digit, ...]:
        """What stands in lines; back: (2, 3), from the regions' pixels to those of the original, of that width and
        height."""
        return tuple(self.digit(c, number, back, size) for number, line in enumerate(lines) for c in line)

    def digit(self, c: Candidate, line: int, back: Matrix, size: tuple[int, int]) -> Digit:
        """A candidate in a line; arguments as for `digits`."""
        label = self.labels[c.label] if c.is_digit(max(self.threshold, self.least)) else None
        return Digit(label, c.confidence, _box(c.region, back, size), line, c.glyph, c.mark)


def read_at_a_glance(page: Page, judge: Judge, network: LineNetwork | None = None) -> tuple[Digit, ...] | None:
    """The digits of a page in reading order, where all that is on it are large digits, each rather sure.

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
    found = _settled(_candidates(parts, judge), judge, network, written, turn, False)
    if min((c.confidence for c in found), default=0.0) < CLEAR_AT_GLANCE:
        return None
    judged = _judged(_without_faint(found, judge, bar), parts, judge.threshold, bar, grey.shape, turn)
    judged = _without_lines(_without_surroundings(judged), bar)
    rings = () if ring is None else (ring,)
    judged, _ = _apart_from_outlines(judged, grey, turn, judge.threshold, rings)
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
    found = _without_lines(_candidates(parts, judge), bar)
    found = _settled(found, judge, network, written, turn, ruled)
    found = _judged(_without_faint(found, judge, bar), parts, judge.threshold, bar, grey.shape, turn)
    rings = () if ring is None else (ring,)
    found, outlines = _apart_from_outlines(found, grey, turn, judge.threshold, rings if wide is None else None)
    if wide is not None:
        if turn is not None:
            wide = np.asarray(cv2.warpAffine(wide, turn, depth.shape[::-1]), np.uint8)
        thick = find_parts(ink_of_page(wide), WIDE_HEIGHT * max(depth.shape), outlined=True)
        strokes = _without_faint(_candidates(thick, judge), judge, bar)
        strokes = _judged(strokes, thick, judge.threshold, bar, grey.shape, turn)
        # Thinner ones the closer look had seen: they are the edge of a shadow.
        strokes = [c for c in strokes if c.stroke >= WIDE_STROKE * max(depth.shape)]
        strokes, _ = _apart_from_outlines(strokes, grey, turn, judge.threshold)
        found = _with_wide(found, strokes, judge.threshold, bar)
    found += [c for c in outlines if not any(lies_in(c.region, k.region) for k in found)]
    found = _without_lines(_without_surroundings(found), bar)
    found = without_words(found, judge.labels, judge.threshold)
    lines, rest = in_lines(found, parts, judge.candidate, judge.threshold, bar, ring, rules)
    back, size = _to_original(page, grey, turn), (page.width, page.height)
    beside = tuple(judge.digit(c, -1, back, size) for c in rest) if with_beside else ()
    return judge.digits(lines, back, size), beside


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
    around = as_image(cv2.dilate(around, _EDGE))
    if turn is not None:
        size = depth.shape[1::-1]
        around = as_image(cv2.warpAffine(around, turn, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP))
    return as_image(cv2.subtract(depth, around))


def _candidates(parts: Parts | None, judge: Judge) -> list[Candidate]:
    """What could be digits among a page's regions, those that fell apart joined."""
    if parts is None:
        return []
    return mended(judge.candidates([parts.region(index) for index in range(len(parts.members))]), judge.candidate)


def _settled(
    found: list[Candidate],
    judge: Judge,
    network: LineNetwork | None,
    written: Image,
    turn: Matrix | None,
    ruled: bool,
) -> list[Candidate]:
    """The candidates, those in doubt looked at again or taken apart, but what is refused already.

    written: uint8 (h, w), the page's depth as it was before it was turned and lines were taken out. ruled: whether any
    were.
    """
    refused = [c for c in found if c.refused]
    open_ones = [c for c in found if not c.refused]
    if network is None:
        return _split(open_ones, judge.candidate) + refused
    settled = _looked_at(
        open_ones,
        judge,
        lambda doubts, sure: look_again(doubts, sure, written, turn, network),
        [judge.labels.index(str(value)) for value in range(DIGITS)],
        ruled,
    )
    return settled + refused


def _looked_at(
    wholes: list[Candidate],
    judge: Judge,
    look: Callable[[list[Doubt], list[Region]], list[Seen]],
    values: list[int],
    everything: bool,
) -> list[Candidate]:
    """The candidates, those in doubt and the rest of their lines as the line network sees them: one digit, several, or
    none.

    values: index of the label of each of the ten digits. everything: whether all are looked at, because lines were
    taken out of the page and strokes with them.
    """
    bar = values[int(BAR_LABEL)]
    doubtful = [c for c in wholes if _is_doubtful(c, DOUBT)]
    if len(doubtful) > MOST_LOOKED_AT:
        in_doubt = {id(c) for c in doubtful}
        return [replace(c, shares=c.shares * NOT_ASKED) if id(c) in in_doubt else c for c in wholes]
    looked_at = (wholes if everything else _in_whole_lines(doubtful, wholes))[:MOST_LOOKED_AT]
    if not looked_at:
        return wholes
    sure = [c.region for c in wholes if c.confidence >= SURE and not _is_doubtful(c, SURE)]
    first = look([Doubt(c.region, c.depth) for c in looked_at], sure)
    seen = [_at_home(digit, looked_at) for digit in first]
    around = {digit.home for digit, own in zip(first, seen, strict=True) if digit is not own}
    held: dict[int | None, list[Seen]] = {}
    for digit in seen:
        held.setdefault(digit.home, []).append(digit)
    parts = {k for digit in seen for k in digit.parts}
    chosen = {id(c) for c in looked_at}
    others = [c for c in wholes if id(c) not in chosen]
    found: list[Candidate] = []
    unseen: list[Candidate] = []
    bars: list[Candidate] = []
    taken_apart = 0
    for k, whole in enumerate(looked_at):
        digits = held.get(k, [])
        if not digits:
            if k in parts:
                continue  # a piece of a digit
            if everything and whole.label == bar:
                bars.append(whole)
            elif k in around:
                found.append(replace(whole, refused=True))
            else:
                unseen.append(whole)
            continue
        shares = [_as_labels(digit.digit, values, len(whole.shares)) for digit in digits]
        if len(digits) > 1:
            pieces = _pieces(whole, digits, shares, judge, straight=taken_apart > MOST_TAKEN_APART)
            taken_apart += len(digits)
            least = LEAST_OF_TWO if len(pieces) == 2 else LEAST_OF_MORE
            is_word = len(pieces) > 1 and min(piece.confidence for piece in pieces) < least
            found += [replace(whole, refused=True)] if is_word else pieces
            continue
        fallen = [looked_at[part].region for part in digits[0].parts]
        if fallen:
            whole = judge.candidate(joined([whole.region, *fallen]), whole.depth)
        found.append(_seen_as(whole, shares[0]))
    found = _without_signs(found, others) + others
    return found + _not_seen(unseen, bars, found, bar)


def _not_seen(unseen: list[Candidate], bars: list[Candidate], seen: list[Candidate], bar: int) -> list[Candidate]:
    """What the line network does not see: letters are hardly a digit. Of the bars on a page of lines those that are no
    1 are left out, being what is left of these, unless they are the l of a word. bar: index of their label."""
    are_letters = _are_letters(unseen, boxes_of([c for c in seen if c.confidence >= LEAST_SEEN and not c.refused]))
    letters = boxes_of([c for c, is_letter in zip(unseen, are_letters, strict=True) if is_letter])
    ones = _of_one_hand(bars, [c for c in seen if c.label != bar])
    written = {id(c) for c in ones}
    thin = [replace(c, refused=True) for c in bars if id(c) not in written and _is_beside(c, letters)]
    hardly = [replace(c, shares=c.shares * NOT_SEEN) if no else c for c, no in zip(unseen, are_letters, strict=True)]
    return hardly + ones + thin


def _is_beside(c: Candidate, letters: Boxes) -> bool:
    return bool(are_beside(boxes_of([c])[0], letters, WORD_GAP).any())


def _are_letters(unseen: list[Candidate], digits: Boxes) -> list[bool]:
    """Which candidates, of which the line network sees none as a digit, are hardly one: those in doubt, and those right
    beside others, as in a word, but in a row without a doubt from a digit, (n, 4), on."""
    if not unseen:
        return []
    boxes = boxes_of(unseen)
    doubtful = np.array([_is_doubtful(c, DOUBT) for c in unseen], np.bool_)
    beside = np.array([are_beside(box, boxes, WORD_GAP) for box in boxes])
    ends = np.array([are_beside(box, digits, WORD_GAP).any() for box in boxes], np.bool_)
    of_number = reached(ends & ~doubtful, beside & ~doubtful)
    return [bool(is_one) for is_one in doubtful | ((beside.sum(axis=1) > 1) & ~of_number)]


def _of_one_hand(bars: list[Candidate], digits: list[Candidate]) -> list[Candidate]:
    """Bars of which the line network sees none on a page of lines, without what is left of these: a 1 stands beside a
    digit, or another such bar, is as high, and written with the same pen."""
    sure = [c for c in digits if c.confidence >= SURE and not c.refused]
    if not bars or not sure:
        return []
    everything = [*bars, *sure]
    boxes = boxes_of(everything)
    pens, depths = np.array([c.stroke for c in everything]), np.array([c.depth for c in everything])

    def such_beside(c: Candidate, box: Boxes) -> Bools:
        ratio = box[3] / boxes[:, 3]
        same = (ratio >= BAR_HEIGHTS[0]) & (ratio <= BAR_HEIGHTS[1])
        same &= (c.stroke >= BAR_STROKE * pens) & (c.depth >= BAR_DEPTH * depths)
        return np.asarray(same & are_beside(box, boxes, BAR_GAP), np.bool_)

    beside = np.array([such_beside(c, box) for c, box in zip(everything, boxes, strict=True)])
    written = reached(np.arange(len(everything)) >= len(bars), beside.T)
    return [c for c, kept in zip(bars, written[: len(bars)].tolist(), strict=True) if kept]


def _at_home(digit: Seen, looked_at: list[Candidate]) -> Seen:
    """A digit in the region that is surely one, and as high, among those it was thought to be made of: what lies around
    it, a curve or a corner, is none of it."""
    height = digit.digit.bottom - digit.digit.top
    sure = [
        k
        for k in digit.parts
        if not _is_doubtful(looked_at[k], DOUBT) and looked_at[k].region.height >= SAME_HEIGHT * height
    ]
    if len(sure) != 1 or (digit.home is not None and not _is_doubtful(looked_at[digit.home], DOUBT)):
        return digit
    return replace(digit, home=sure[0], parts=tuple(k for k in digit.parts if k != sure[0]))


def _in_whole_lines(doubtful: list[Candidate], wholes: list[Candidate]) -> list[Candidate]:
    """The candidates in doubt with what stands so near in their lines that one image shows both: the line network is
    surer of a digit between whole ones."""
    if not doubtful:
        return []
    chosen = {id(c) for c in doubtful}
    taken = np.array([id(c) in chosen for c in wholes])
    boxes = boxes_of(wholes)
    fresh = np.flatnonzero(taken)
    while fresh.size:
        near = np.any([are_beside(boxes[k], boxes, RUN_GAP) for k in fresh], axis=0)
        fresh = np.flatnonzero(near & ~taken)
        taken |= near
    return [c for c, wanted in zip(wholes, taken.tolist(), strict=True) if wanted]


def _seen_as(glyph: Candidate, shares: Shares) -> Candidate:
    """A candidate as both networks take it. shares: how likely each label is for the line network.

    What is no digit by itself is one only where its line leaves no doubt.
    """
    if glyph.confidence < UNLIKELY and float(shares.max()) < DOUBT:
        return glyph
    return replace(glyph, shares=(glyph.shares + shares) / 2)


def _without_signs(seen: list[Candidate], others: list[Candidate]) -> list[Candidate]:
    """What the line network looked at, refused where both networks together leave a doubt, unless it stands between two
    digits: a number begins or ends with a sign or a unit, as `$`, and seldom holds one. others: the rest of the page.
    """
    weak = [k for k, c in enumerate(seen) if c.confidence < LEAST_SEEN]
    if not weak:
        return seen
    digits = boxes_of([c for c in (*seen, *others) if c.confidence >= LEAST_SEEN and not c.refused])
    found = list(seen)
    for k, within in zip(weak, between(boxes_of([seen[k] for k in weak]), digits).tolist(), strict=True):
        if not within:
            found[k] = replace(found[k], refused=True)
    return found


def _is_doubtful(whole: Candidate, enough: float) -> bool:
    """Whether a region may hold something else than the digit it looks like. enough: confidence that settles it."""
    region = whole.region
    wide = region.width > WIDE * region.height
    return (whole.confidence < enough or wide) and region.width < LONGEST * region.height


def _pieces(
    whole: Candidate, digits: list[Seen], shares: list[Shares], judge: Judge, *, straight: bool
) -> list[Candidate]:
    """A region taken apart into the digits that were seen in it; shares: how likely each label is for each of them.
    straight: as for `split_as`."""

    def candidates(pieces: list[Region]) -> list[Candidate]:
        return judge.candidates([(piece, whole.depth) for piece in pieces])

    def name(piece: Candidate, number: int) -> tuple[Candidate, float]:
        seen = _seen_as(piece, shares[number])
        return seen, seen.shares.item(shares[number].argmax())

    spans = [(digit.digit.left - whole.region.x, digit.digit.right - whole.region.x) for digit in digits]
    return split_as(whole.region, spans, candidates, name, straight=straight)


def _as_labels(digit: Found, values: list[int], classes: int) -> Shares:
    """How likely each label is for a digit seen in its line: float32 (classes,)."""
    shares = np.zeros(classes, np.float32)
    shares[values] = digit.shares
    return shares


def _split(wholes: list[Candidate], candidate: Callable[[Region, float], Candidate]) -> list[Candidate]:
    """The candidates, those in doubt taken apart where that makes digits of them."""
    sure = boxes_of([c for c in wholes if c.confidence >= SURE])
    found: list[Candidate] = []
    judged = 0
    for whole in wholes:
        region = whole.region

        def judge(piece: Region, deep: float = whole.depth) -> tuple[Candidate, float]:
            nonlocal judged
            judged += 1
            cut = candidate(piece, deep)
            return cut, cut.confidence

        if _is_doubtful(whole, SURE) and judged < MOST_JUDGED:
            pieces = split(region, judge, whole.confidence)
            # Cut often enough, a word falls into digits: what stands alone has to fall into clear ones.
            least = LEAST_PIECE if are_beside(boxes_of([whole])[0], sure).any() else LEAST_ALONE
            if pieces and min(piece.likelihood for piece in pieces) >= least:
                found += [piece.answer for piece in pieces]
                continue
        found.append(whole)
    return found


def _judged(
    found: list[Candidate],
    parts: Parts | None,
    threshold: float,
    bar: int | None,
    frame: tuple[int, ...],
    turn: Matrix | None,
) -> list[Candidate]:
    """The candidates, those refused that lie on no paper or do not stand upright.

    Around a pen's stroke there is paper; in foliage, fur and fabric there is more of the same. Where most regions are
    no sure digits, as in such a picture, the surroundings have to be the plainer and the answers the surer, or in a
    row with others that are.

    bar: index of the label of the digit that is but a bar, None where there is no such label. frame: height and width
    of the picture. turn: (2, 3), from its pixels to those of the regions; None where it was not turned.
    """
    if parts is None:
        return found
    clear = sum(c.confidence >= CLEAR for c in found) >= MOSTLY_DIGITS * len(found)
    limit = ROUGHEST if clear else ROUGHEST_IN_CLUTTER
    judged = []
    for c in found:
        if c.confidence >= threshold:
            w, h = c.region.width, c.region.height
            rough = _roughness(parts.ink, c.region)
            lying = c.label == bar and w > LYING * h
            # Where lines leave the picture, their ends are bars.
            tight = len(found) <= FEW and h >= TIGHT * frame[0]
            cut_off = c.label == bar and not tight and _leaves(c.region, frame, turn)
            thick = c.stroke > THICKEST * max(w, h)
            if rough > limit * c.depth or lying or cut_off or thick:
                c = replace(c, refused=True)
        judged.append(c)
    if not clear:
        judged = _of_sure_numbers(judged, threshold, bar)
    digits = [c for c in judged if c.is_digit(threshold)]
    boxes = boxes_of(digits)
    bars = {
        id(c)
        for c, box in zip(digits, boxes, strict=True)
        if c.label == bar and np.count_nonzero(are_beside(box, boxes)) == 1
    }
    # A bar alone among shapes that are no digits is one of them; bars all over a page are what is left of its lines.
    if clear and (len(bars) < MANY_BARS or len(bars) < MOSTLY_DIGITS * len(digits)):
        return judged
    return [replace(c, refused=True) if id(c) in bars else c for c in judged]


def _of_sure_numbers(found: list[Candidate], threshold: float, bar: int | None) -> list[Candidate]:
    """The candidates, those refused that are no sure digits in clutter, nor stand in a row with one; a bar, which the
    edges of things look like, vouches for none. Arguments as for `_judged`."""
    digits = [c for c in found if c.is_digit(threshold)]
    sure = np.array([c.confidence >= SURE_IN_CLUTTER for c in digits], np.bool_)
    if sure.all():
        return found
    boxes = boxes_of(digits)
    vouching = sure & np.array([c.label != bar for c in digits], np.bool_)
    kept = sure | reached(vouching, np.array([are_beside(box, boxes) for box in boxes]))
    doubtful = {id(c) for c, is_kept in zip(digits, kept.tolist(), strict=True) if not is_kept}
    return [replace(c, refused=True) if id(c) in doubtful else c for c in found]


def _leaves(region: Region, frame: tuple[int, ...], turn: Matrix | None) -> bool:
    """Whether a region lies at the edge of the picture; frame, turn: as for `_judged`."""
    left, top = region.x, region.y
    right, bottom = left + region.width, top + region.height
    if turn is not None:
        back = cv2.invertAffineTransform(turn)
        there = _corners(region) @ back[:, :2].T + back[:, 2]
        (left, top), (right, bottom) = there.min(axis=0), there.max(axis=0) + 1
    return bool(min(left, top) <= 1 or right >= frame[1] - 1 or bottom >= frame[0] - 1)


def _roughness(ink: PageInk, region: Region) -> float:
    """How deep what lies around a region is on average, its own and any other ink and their soft edges left out."""
    margin = max(3, round(SURROUNDINGS * max(region.width, region.height)))
    left, top = max(0, region.x - margin), max(0, region.y - margin)
    right, bottom = region.x + region.width + margin, region.y + region.height + margin
    # Ink beyond the margin has an edge within it.
    x, y = max(0, left - EDGE_REACH), max(0, top - EDGE_REACH)
    grown = cv2.dilate(ink.mask[y : bottom + EDGE_REACH, x : right + EDGE_REACH], _EDGE)
    depth = ink.depth[top:bottom, left:right]
    paper = cv2.bitwise_not(grown[top - y :, left - x :][: depth.shape[0], : depth.shape[1]])
    return mean_within(depth, as_image(paper))


_EDGE = np.ones((2 * EDGE_REACH + 1, 2 * EDGE_REACH + 1), np.uint8)


def _without_faint(found: list[Candidate], judge: Judge, bar: int | None) -> list[Candidate]:
    """The candidates without those far fainter than the page's digits that are not written: pieces of ruling, the
    paper's other side.

    bar: index of the label of the digit that is but a bar, None where there is no such label.
    """
    sure = [c for c in found if c.confidence >= SURE and not c.refused]
    if not sure:
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


def _without_lines(found: list[Candidate], bar: int | None) -> list[Candidate]:
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


def _without_surroundings(found: list[Candidate]) -> list[Candidate]:
    """The candidates without those that digits lie in, or that dwarf them all: a sheet's outline, a margin's line."""
    sure = [c for c in found if c.confidence >= SURE]
    if len(sure) < LEAST_SURE:
        return found
    boxes = boxes_of(sure)
    middles, heights = boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 3]
    usual = median(heights.tolist())

    def holds(box: NDArray[np.float64]) -> bool:
        inside = (abs(middles - box[:2] - box[2:] / 2) <= box[2:] / 2).all(axis=1)
        return np.count_nonzero(inside & (heights < box[3] / 2)) >= LEAST_INSIDE

    least = float(heights.min())
    return [
        c
        for c, box in zip(found, boxes_of(found), strict=True)
        if (c.region.height <= GIANT * usual or c.stroke >= GIANT_STROKE * c.region.height)
        and not (c.region.height > 2 * least and holds(box))
    ]


def _apart_from_outlines(
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


def _with_wide(found: list[Candidate], wide: list[Candidate], threshold: float, bar: int | None) -> list[Candidate]:
    """The candidates with those drawn in strokes so wide that they were first taken for paper.

    A shadow is as dark and wide. What sets it apart: it is no digit, or there is writing in it, bars not counted, which
    the edges of such a stroke are, nor a single digit, which its corner may look like.

    bar: index of the label of the digit that is but a bar, None where there is no such label.
    """
    for other in wide:
        if other.refused or other.confidence < max(threshold, WIDE_SURE):
            continue
        inside = [k for k in found if lies_in(k.region, other.region)]
        written = [k for k in inside if k.is_digit(WIDE_SURE) and k.region.height < WRITTEN * other.region.height]
        if sum(k.label != bar for k in written) > 1:
            continue
        same = [k for k in inside if _share(k.region, other.region) > WIDE_SAME]
        if other.label != bar:  # a bar the closer look tells as well
            same = [k for k in same if k.is_digit(threshold)]
        if same:
            # The closer look may have broken a piece off.
            inside = [k for k in inside if not any(k is s for s in same) and _lies_on(k.region, other.region)]
            if inside and all(s.label == other.label or s.confidence < other.confidence for s in same):
                found = [k for k in found if not any(k is i for i in (*inside, *same))] + [other]
            continue
        found = [k for k in found if not any(k is i for i in inside)] + [other]
    return found


def _lies_on(region: Region, other: Region) -> bool:
    """Whether most of a region's ink lies on another's."""
    left, top = max(region.x, other.x), max(region.y, other.y)
    right = min(region.x + region.width, other.x + other.width)
    bottom = min(region.y + region.height, other.y + other.height)
    if right <= left or bottom <= top:
        return False
    own, theirs = (_ink(r.mask)[top - r.y : bottom - r.y, left - r.x : right - r.x] for r in (region, other))
    return 2 * cv2.countNonZero(cv2.bitwise_and(own, theirs)) > cv2.countNonZero(_ink(region.mask))


def _share(region: Region, other: Region) -> float:
    return region.width * region.height / (other.width * other.height)


def _box(region: Region, back: Matrix, size: tuple[int, int]) -> Box:
    """The box of a region's ink in pixels of the original of that width and height.

    back: (2, 3), from the region's pixels to those.
    """
    (across, tilted, right_by), (_, down, down_by) = back.tolist()
    if tilted == 0:
        xs = [side * across + right_by for side in _sides(region.x, region.width, across, size[0])]
        ys = [side * down + down_by for side in _sides(region.y, region.height, down, size[1])]
    else:
        # The turned box would be larger than what it holds.
        xs, ys = (back[:, :2] @ (_corners(region) + 0.5).T + back[:, 2:]).tolist()
    left, top = (min(max(math.floor(min(v)), 0), most - 1) for v, most in zip((xs, ys), size, strict=True))
    right, bottom = (min(max(math.ceil(max(v)), 1), most) for v, most in zip((xs, ys), size, strict=True))
    return left, top, max(1, right - left), max(1, bottom - top)


def _sides(start: int, length: int, scale: float, most: int) -> tuple[float, float]:
    """Where the ink of a region begins and ends, and a pixel of the original before and after it.

    The region is wider by one of its own pixels, but not beyond the frame. scale: pixels of the original for one of it.
    most: of the original.
    """
    inset = max(0.0, 1 - 1 / scale)
    end = start + length
    return start + inset * (start > 0), end - inset * (end * scale <= most - scale / 2)


def _corners(region: Region) -> NDArray[np.int64]:
    """Those of the hull of a region's ink, (n, 2), in the pixels that the region is in."""
    hull = cv2.convexHull(cv2.findNonZero(_ink(region.mask)))
    return np.asarray(hull.reshape(-1, 2) + np.array([region.x, region.y]), np.int64)


def _ink(mask: Image) -> Image:
    return np.asarray(cv2.threshold(mask, 127, 255, cv2.THRESH_BINARY)[1], np.uint8)

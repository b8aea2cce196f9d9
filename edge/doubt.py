"""Settle what is in doubt: read it again in its line, and take apart what holds more than one digit."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge.candidate import Bools, Boxes, Candidate, Shares, are_beside, between, boxes_of, reached
from edge.judge import BAR_LABEL, Judge
from edge.line_network import DIGITS, Found, LineNetwork
from edge.second_look import RUN_GAP, Doubt, Seen, look_again
from edge.segment import Region, joined
from edge.split import split, split_as

Image = NDArray[np.uint8]
Matrix = NDArray[np.float64]

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
MOST_TAKEN_APART = 100  # digits of a page are cut out in the best of some ways, the others straight
MOST_JUDGED = 500  # pieces on a page: more is a texture, and would take seconds

LEAST_PIECE = 0.15  # confidence of each digit that a region beside a sure digit is split into, at least
LEAST_ALONE = 0.75  # the same for a region that stands alone


def settled(
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
    looked_at = _looked_at(
        open_ones,
        judge,
        lambda doubts, sure: look_again(doubts, sure, written, turn, network),
        [judge.labels.index(str(value)) for value in range(DIGITS)],
        ruled,
    )
    return looked_at + refused


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

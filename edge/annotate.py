"""Draw what was read into the picture: a box around each digit, its label and confidence beside it."""

import itertools
import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.reading import SURE, Digit, Field, Reading

Image = NDArray[np.uint8]
Boxes = NDArray[np.float64]
Colour = tuple[int, int, int]

# BGR, light enough to show on dark ground; every line has a dark rim, which shows on light ground.
SURE_COLOUR: Colour = (90, 230, 60)
UNSURE_COLOUR: Colour = (30, 190, 255)
REFUSED_COLOUR: Colour = (140, 110, 255)
FIELD_COLOUR: Colour = (255, 200, 90)
RIM_COLOUR: Colour = (0, 0, 0)
MARGIN_COLOUR: Colour = (96, 96, 96)

READABLE_DIGIT = 60.0  # pixels: with digits lower than this the picture is enlarged, so that letters fit between them
ENLARGED_PIXELS = 24_000_000  # but to no more than these, 72 MB; a picture that has more stays as it is
LEAST_ENLARGED = 1.25  # times; less blurs the picture for nothing
CROWDED_DIGIT = 32.0  # pixels: where digits are lower all the same, labels stand without their confidence
LETTER_PART, LEAST_LETTER = 0.45, 8.0  # of the digits' height, and pixels: how high those are, the larger of both
LABEL_PART = 0.34  # of the digits' height: that of their labels
LABEL_HEIGHTS = (13.0, 1 / 20)  # pixels, and part of the picture's longer side: the lowest and the highest
TIERS = (6, 10)  # of the places for a label: first those above and below, then those beside, then those aslant
SHRINKING = (1.0, 0.8, 0.62)  # of that height, tried where there is no room
CONFIDENCE_PART = 0.66  # of the label's height: that of the confidence behind it
MARGIN = 2.5  # label heights, added around a picture in which a label finds room on digits only

MARGIN_HELPS = 0.5  # of the area of digits that labels would cover without: no more is left to cover

FONT = cv2.FONT_HERSHEY_SIMPLEX
FONT_HEIGHT = 22.0  # pixels: of its capitals at scale 1
STROKE = 1 / 9  # of a letter's height: the width of its lines
RIM = 1 / 10  # of a letter's height on either side, at least a pixel
BOX_LINE = 1 / 12  # of a label's height: the width of a box's line
BOX_AWAY = 3.0, 1 / 16  # pixels, and part of the digits' height, the smaller of both: between a box and the ink
NEARBY = 14.0  # label heights: words reach no farther from their box
GAP = 0.3  # of a label's height, between it and its box
DIGIT_COST = 8.0  # of a pixel of a digit covered, where one of another label costs 1


def annotated(frame: Image, reading: Reading) -> Image:
    """A BGR copy, uint8 (height, width, 3), of a reading's frame with what was read drawn into it.

    The frame, uint8 grey or BGR, may be reduced against `reading.width`. A picture with small digits is enlarged, and
    one without room beside its digits gets a margin: letters can be read and cover no digit. Where that would make it
    too large, labels stand without their confidence: the colour says whether it is sure.
    """
    if not reading.digits and not reading.fields:
        return _in_colour(frame)
    enlarged = _enlargement(frame, reading)
    size = (round(frame.shape[1] * enlarged), round(frame.shape[0] * enlarged))
    layout = _Layout(size, reading, margin=0)
    if layout.covered > 0:
        roomier = _Layout(size, reading, round(MARGIN * layout.label_height))
        if roomier.covered < MARGIN_HELPS * layout.covered:
            layout = roomier
    canvas = frame if enlarged == 1 else np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    canvas = _in_colour(canvas)
    if layout.margin:
        around = (layout.margin,) * 4
        canvas = np.asarray(cv2.copyMakeBorder(canvas, *around, cv2.BORDER_CONSTANT, value=MARGIN_COLOUR), np.uint8)
    layout.draw(canvas)
    return canvas


def _in_colour(frame: Image) -> Image:
    """A BGR copy."""
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR), np.uint8) if frame.ndim == 2 else frame.copy()


def _enlargement(frame: Image, reading: Reading) -> float:
    """How many times larger the picture is drawn."""
    if not reading.digits:
        return 1.0
    height = float(np.median([digit.box[3] for digit in reading.digits])) * frame.shape[1] / reading.width
    most = math.sqrt(ENLARGED_PIXELS / (frame.shape[0] * frame.shape[1]))
    enlarged = min(READABLE_DIGIT / max(height, 1.0), most)
    return enlarged if enlarged >= LEAST_ENLARGED else 1.0


@dataclass(frozen=True, slots=True)
class _Word:
    """Letters of one height, the left end of their foot at x, y."""

    text: str
    x: float
    y: float
    height: float


class _Layout:
    """Where everything goes on a picture of a size (width, height) with a margin around it, in pixels."""

    def __init__(self, size: tuple[int, int], reading: Reading, margin: int) -> None:
        self.margin = margin
        self._size = (size[0] + 2 * margin, size[1] + 2 * margin)
        self._reading = reading
        scale = size[0] / reading.width
        self._digits = _scaled([digit.box for digit in reading.digits], scale, margin)
        self._fields = _scaled([field.box for field in reading.fields], scale, margin)
        longer = max(self._size)
        usual = float(np.median(self._digits[:, 3])) if len(self._digits) else longer / 30
        crowded = len(self._digits) > 0 and usual < CROWDED_DIGIT
        least = max(LEAST_LETTER, LETTER_PART * usual) if crowded else LABEL_HEIGHTS[0]
        most = max(least, LABEL_HEIGHTS[1] * longer)
        self.label_height = float(np.clip(LABEL_PART * usual, least, most))
        self._line = max(1, round(BOX_LINE * self.label_height))
        self._away = min(BOX_AWAY[0], BOX_AWAY[1] * usual)
        self._taken = np.zeros((len(reading.digits) + len(reading.fields), 4))
        self._placed = 0
        self.covered = 0.0  # area of digits, in pixels, that labels cover
        self._labels = [
            self._place([(digit.text, 1.0), *([] if crowded else [(_percent(digit), CONFIDENCE_PART)])], box)
            for digit, box in zip(reading.digits, self._digits, strict=True)
        ]
        caption_part = CONFIDENCE_PART * max(1.0, LABEL_HEIGHTS[0] / self.label_height)
        self._captions = [
            self._place([(_caption(field), caption_part)], box)
            for field, box in zip(reading.fields, self._fields, strict=True)
        ]

    def draw(self, canvas: Image) -> None:
        """All of it: boxes first, so that no line crosses a letter."""
        boxes = [(box, FIELD_COLOUR if f.valid else REFUSED_COLOUR) for box, f in self._pairs(self._fields)]
        boxes += [(box, _colour(digit)) for box, digit in zip(self._digits, self._reading.digits, strict=True)]
        for rim in (1, 0):
            for box, colour in boxes:
                self._draw_box(canvas, box, RIM_COLOUR if rim else colour, rim)
        for words, field in zip(self._captions, self._reading.fields, strict=True):
            _draw_words(canvas, words, FIELD_COLOUR if field.valid else REFUSED_COLOUR)
        for words, digit in zip(self._labels, self._reading.digits, strict=True):
            _draw_words(canvas, words, _colour(digit))

    def _pairs(self, boxes: Boxes) -> Iterator[tuple[Boxes, Field]]:
        return zip(boxes, self._reading.fields, strict=True)

    def _place(self, words: Sequence[tuple[str, float]], box: Boxes) -> list[_Word]:
        """Where words, each with its part of the label's height, stand beside a box: where they cover least."""
        digits, labels = self._near(box, self._digits), self._near(box, self._taken[: self._placed])
        sizes: list[tuple[float, list[Boxes]]] = []
        best: tuple[float, float, Boxes] | None = None
        # Rather smaller beside its digit than full size nearer to another.
        for tier, size in itertools.product(range(len(TIERS) + 1), range(len(SHRINKING))):
            if size == len(sizes):
                height = max(self.label_height * SHRINKING[size], min(LABEL_HEIGHTS[0], self.label_height))
                width = sum(_width(text, part * height) for text, part in words)
                sizes.append((height, self._spots(box, width, height)))
            height, spots = sizes[size]
            costs = _costs(spots[tier], digits, labels)
            least = int(costs.argmin())
            if best is None or costs[least] < best[0]:
                best = float(costs[least]), height, spots[tier][least]
            if best[0] == 0:
                break
        assert best is not None
        _, height, spot = best
        self.covered += float(_overlaps(spot[None], digits).sum())
        self._taken[self._placed] = spot
        self._placed += 1
        placed = []
        x, foot = float(spot[0]), float(spot[1] + spot[3])
        for text, part in words:
            # Behind a larger label the confidence hangs from its top, like an exponent.
            placed.append(_Word(text, x, foot - height * (words[0][1] - part), part * height))
            x += _width(text, part * height)
        return placed

    def _spots(self, box: Boxes, width: float, height: float) -> list[Boxes]:
        """Places (n, 4) for letters of this size around a box, in tiers, the best first, all of them on the canvas."""
        x, y, w, h = box.tolist()
        gap = GAP * height + self._line
        middle, level = x + (w - width) / 2, y + (h - height) / 2
        above, below = y - gap - height, y + h + gap
        right, left = x + w + gap, x - gap - width
        corners = np.array([
            (middle, above), (middle, below), (x, above), (x + w - width, above), (x, below), (x + w - width, below),
            (right, level), (left, level), (right, y), (left, y),
            (right, above), (left, above), (right, below), (left, below),
        ])  # fmt: skip
        room = np.array(self._size) - (width + self._line, height + self._line)
        corners = np.maximum(np.minimum(corners, room), self._line)
        return np.split(np.hstack([corners, np.broadcast_to((width, height), corners.shape)]), TIERS)

    def _near(self, box: Boxes, others: Boxes) -> Boxes:
        """Those of the other boxes that words beside this one could cover."""
        reach = NEARBY * self.label_height
        far = (others[:, :2] > box[:2] + box[2:] + reach) | (others[:, :2] + others[:, 2:] < box[:2] - reach)
        return np.asarray(others[~far.any(axis=1)], np.float64)

    def _draw_box(self, canvas: Image, box: Boxes, colour: Colour, farther: int) -> None:
        """Around the ink, not on it. farther: pixels by which it is larger."""
        away = self._line / 2 + self._away
        left, top = round(float(box[0] - away)) - farther, round(float(box[1] - away)) - farther
        right, bottom = (round(float(end + away)) + farther for end in box[:2] + box[2:])
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, self._line)


def _draw_words(canvas: Image, words: list[_Word], colour: Colour) -> None:
    for word in words:
        stroke = max(1, round(word.height * STROKE))
        rim = 2 * max(1, round(word.height * RIM))
        text, at, scale = _drawable(word.text), (round(word.x), round(word.y)), word.height / FONT_HEIGHT
        for ink, width in ((RIM_COLOUR, stroke + rim), (colour, stroke)):
            cv2.putText(canvas, text, at, FONT, scale, ink, width, cv2.LINE_AA)


def _colour(digit: Digit) -> Colour:
    if digit.label is None:
        return REFUSED_COLOUR
    return SURE_COLOUR if digit.confidence >= SURE else UNSURE_COLOUR


def _percent(digit: Digit) -> str:
    return str(int(100 * digit.confidence))


def _caption(field: Field) -> str:
    return f"{field.name}: {', '.join(field.text.splitlines()) or '-'}"


def _drawable(text: str) -> str:
    """The text in the letters that OpenCV's font has: without accents, ss for ß, and * for what has no such letter."""
    plain = (c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    ascii_letters = (c if " " <= c <= "~" else c.casefold() for c in plain)
    return "".join(c if c.isascii() and c.isprintable() else "*" for c in ascii_letters)


def _width(text: str, height: float) -> float:
    stroke = max(1, round(height * STROKE))
    (width, _), _ = cv2.getTextSize(_drawable(text), FONT, height / FONT_HEIGHT, stroke)
    return float(width)


def _scaled(boxes: Sequence[tuple[int, int, int, int]], scale: float, margin: int) -> Boxes:
    return np.array(boxes, np.float64).reshape(-1, 4) * scale + (margin, margin, 0, 0)


def _costs(spots: Boxes, digits: Boxes, labels: Boxes) -> Boxes:
    """What letters at each of these places (n, 4) would cover."""
    rim = 1 + RIM * spots[0, 3]
    wide = spots + np.array([-rim, -rim, 2 * rim, 2 * rim])
    return np.asarray(
        DIGIT_COST * _overlaps(wide, digits).sum(axis=1) + _overlaps(wide, labels).sum(axis=1), np.float64
    )


def _overlaps(boxes: Boxes, others: Boxes) -> Boxes:
    """Areas (n, m) that boxes (n, 4) share with others (m, 4)."""
    first = np.maximum(boxes[:, None, :2], others[None, :, :2])
    last = np.minimum((boxes[:, :2] + boxes[:, 2:])[:, None], (others[:, :2] + others[:, 2:])[None])
    shared = np.clip(last - first, 0, None)
    return np.asarray(shared[..., 0] * shared[..., 1], np.float64)

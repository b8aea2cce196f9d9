"""Lines of writing as the line network sees them: drawn anew for each round, with the truth of every column.

Digits of MNIST's training half, in other hands and pens, and some in print, in a row: apart, near, touching, one under
another's bar. With them what stands on real pages beside them: ruling, squares, cells, frames, words, symbols, the
lines above and below, dirt. None of it shares code or data with the pages of `train/scenes.py`, which only measure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.line_network import COLUMN, DIGIT_HEIGHT, LINE_HEIGHT
from train.augment import jittered, redrawn, sharpened
from train.signs import COMMON, FORMS, MARKS, SIGN_SIZE, drawn_sign
from train.strokes import smooth
from train.words import Word, printed_digits, symbols, words

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

SCALE = 2  # canvas pixels a pixel of the line image
TRAIN_WIDTH = 224  # pixels: six to nine digits
BLANK = 10  # the class of a column in which no digit has its middle

MOST_DIGITS = 9
FEW_PART = 0.5  # of the lines hold some number of digits, the others as many as fit
SIZES = (0.72, 1.32)  # of DIGIT_HEIGHT: the digits of a line, whose height the device only estimates
JITTER = (0.08, 0.3)  # a digit's size strays so far from its line's: in most lines, in the others
LIGHT_PART = 0.5  # of the digits keep their own form, but for a little slant; the others are written anew
SMOOTH = 3  # times MNIST's resolution, in which their edges are drawn
EDGE_LEVELS, EDGE_SLOPES = (85.0, 165.0), (1.5, 5.0)  # grey levels; times as steep
UNEVEN_PART = 0.15  # of the lines
BASELINE = 0.05  # of the height, standard deviation around the line
SHIFT = 3.0  # pixels: the line's middle lies so far off the image's
SLOPE = 0.035  # pixels a pixel: what is left of the page's tilt

TOUCHING_PART, NEAR_PART, WIDE_PART = 0.3, 0.15, 0.07  # of the gaps
TOUCHING_LINES = 0.75  # of the lines have such gaps at all
OVERLAP = (0.0, 0.09)  # of DIGIT_HEIGHT: how deep touching inks run into each other
NEAR, APART, WIDE = (0.0, 0.12), (0.1, 0.8), (0.8, 2.0)  # of DIGIT_HEIGHT: gaps of paper
LEAST_PITCH = 0.24  # of DIGIT_HEIGHT: the middles of two digits are no nearer

PRINTED_PART = 0.08  # of the lines have their digits in print
WORD_PART = 0.32  # of the lines hold words before or behind the digits
ONLY_WORDS_PART = 0.1  # and so many nothing else
WORD_SIZES = (0.6, 1.15)  # of the digits' size: capitals of most words;
LARGE_PART, LARGE_SIZES = 0.3, (0.85, 1.15)  # the others are larger, their small letters so high,
LARGE_ALONE_PART = 0.75  # and more where there are only words: the device takes small letters for the line's digits
WORD_OFF = 0.06  # of the digits' size, standard deviation of its foot around the line
BEFORE_GAP = (0.15, 2.0)  # of the digits' size: between a word and the digits behind it
WORDS_GAP = (0.3, 1.3)  # the same between two words
MOST_WORDS = 4  # where there are only words
SYMBOL_PART = 0.08
SIGNS_PART = 0.3  # of the lines hold drawn signs:
SIGN_AT_END, SIGN_BETWEEN = 0.5, 0.2  # of those before the digits, as many behind them; and in so many of the gaps
SIGNS = (*FORMS, *COMMON, *MARKS)
SIGN_GAP = (0.08, 0.6)  # of the digits' size: between a sign and the digit beside it
SIGN_HEIGHTS = (0.8, 1.15)  # of its height beside the line's digits
SIGN_OFF = 0.05  # of the digits' size, standard deviation of its height above the line
UNIT_PART = 0.5  # of the words behind digits are near, as a unit is
UNIT_GAP = (0.12, 0.6)  # of the digits' size
NEIGHBOUR_PART = 0.3  # of the lines have another right above or below
RULED_PART, SQUARED_PART = 0.25, 0.15
CELLS_PART, FRAME_PART = 0.14, 0.08
RING_PART = 0.07  # of the lines: a ring is drawn by hand around some digits,
RING_ROOM = (0.02, 0.35)  # of their size: so far from them
MOST_RINGED = 3  # digits
SLASHED_PART = 0.06  # of the zeros have a stroke through them
BAR_PART = 0.25  # of the ones are a bar as straight as a ruled line,
BAR_LEAN = 4.0  # degrees, standard deviation from upright
BAR_PEN = (0.8, 1.25)  # times as wide as the strokes of the 1 whose place it takes
SCRIBBLE_PART = 0.08
TORN_PART = 0.08

TARGET = 1.0  # columns: so near to a digit's middle a column names it,
IGNORED = 1.7  # and up to here it may


@dataclass(frozen=True, slots=True)
class Lines:
    """Line images with their truth.

    `images`: uint8 (n, LINE_HEIGHT, width). `classes`: int64 (n, columns), BLANK or the digit whose middle is there.
    `weights`: float32 (n, columns), 0 where either is right. `boxes`: float32 (n, columns, 4), how far the digit's
    sides are from the column's middle (left, right) and from the top (top, bottom), in pixels of DIGIT_HEIGHT;
    meaningful where there is a digit.
    """

    images: Image
    classes: NDArray[np.int64]
    weights: Floats
    boxes: Floats


def draw_lines(digits: Image, labels: NDArray[np.integer], count: int, seed: int | list[int], split: str) -> Lines:
    """Lines from `digits` uint8 (n, 28, 28) with their values; the same for the same seed.

    split: of the fonts that words are drawn from. Raises train.data.DataError where they cannot be had.
    """
    rng = np.random.default_rng(seed)
    stock = _Stock(digits, labels, words(split), symbols(), printed_digits(split))
    columns = TRAIN_WIDTH // COLUMN
    images = np.empty((count, LINE_HEIGHT, TRAIN_WIDTH), np.uint8)
    classes = np.full((count, columns), BLANK, np.int64)
    weights = np.ones((count, columns), np.float32)
    boxes = np.zeros((count, columns, 4), np.float32)
    for k in range(count):
        images[k], placed = _Line(rng, stock).drawn()
        _mark(placed, classes[k], weights[k], boxes[k])
    return Lines(images, classes, weights, boxes)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A digit in the line, its box in pixels of the image."""

    value: int
    left: float
    top: float
    right: float
    bottom: float


def _mark(placed: Sequence[_Placed], classes: NDArray[np.int64], weights: Floats, boxes: Floats) -> None:
    """Writes the truth of each column: its class, whether it counts, and the box."""
    middles = (np.arange(len(classes)) + 0.5) * COLUMN
    for digit in placed:
        off = np.abs(middles - (digit.left + digit.right) / 2) / COLUMN
        weights[(off < IGNORED) & (classes == BLANK)] = 0
        here = off < TARGET
        classes[here], weights[here] = digit.value, 1
        boxes[here] = np.stack(
            [
                middles[here] - digit.left,
                digit.right - middles[here],
                np.full(here.sum(), digit.top),
                np.full(here.sum(), digit.bottom),
            ],
            axis=1,
        ) / np.float32(DIGIT_HEIGHT)
        if digit.left < 0 or digit.right > len(classes) * COLUMN:  # cut off by the image's end
            weights[off * COLUMN <= (digit.right - digit.left) / 2] = 0


@dataclass(frozen=True, slots=True)
class _Stock:
    """What lines are made of: `digits` uint8 (n, 28, 28) with their `labels`, and `printed`, uint8 (fonts, 10, 28,
    28)."""

    digits: Image
    labels: NDArray[np.integer]
    words: Sequence[Word]
    symbols: Sequence[Word]
    printed: Image


class _Line:
    """One line in the making, on canvases SCALE times as large as the image."""

    def __init__(self, rng: np.random.Generator, stock: _Stock) -> None:
        self.rng, self.stock = rng, stock
        self.digits, self.labels = stock.digits, stock.labels
        if rng.random() < PRINTED_PART:
            self.digits, self.labels = stock.printed[int(rng.integers(len(stock.printed)))], np.arange(10)
        self.height, self.width = LINE_HEIGHT * SCALE, TRAIN_WIDTH * SCALE
        self.ink: Image = np.zeros((self.height, self.width), np.uint8)
        self.printed: Image = np.zeros_like(self.ink)
        self.size = DIGIT_HEIGHT * SCALE * rng.uniform(*SIZES)
        self.jitter = JITTER[1] if rng.random() < UNEVEN_PART else JITTER[0]
        self.middle = self.height / 2 + SCALE * rng.uniform(-SHIFT, SHIFT)
        self.slope = rng.uniform(-SLOPE, SLOPE)
        self.placed: list[_Placed] = []

    def drawn(self) -> tuple[Image, list[_Placed]]:
        """The image, uint8 (LINE_HEIGHT, TRAIN_WIDTH), and its digits."""
        rng = self.rng
        only_words = rng.random() < ONLY_WORDS_PART
        signs = rng.random() < SIGNS_PART
        x = rng.uniform(-0.5, 2.5) * self.size
        if only_words:
            self._words(x)
        else:
            if rng.random() < WORD_PART / 2:
                x = self._word(x, large=rng.random() < LARGE_PART) + rng.uniform(*BEFORE_GAP) * self.size
            x = self._digits(x, signs=signs)
            if rng.random() < WORD_PART / 2:
                x += rng.uniform(*(UNIT_GAP if rng.random() < UNIT_PART else (0.5, 1.5))) * self.size
                self._word(x, large=rng.random() < LARGE_PART)
        if self.placed and rng.random() < RING_PART:
            self._ring()
        if rng.random() < NEIGHBOUR_PART:
            self._neighbours()
        if rng.random() < SCRIBBLE_PART:
            self._scribble()
        self._rules()
        return self._photographed(), self.placed

    def _digits(self, x: float, *, signs: bool) -> float:
        """Writes digits from x on, with or without signs; says where they end."""
        rng = self.rng
        meant = int(rng.integers(1, MOST_DIGITS, endpoint=True)) if rng.random() < FEW_PART else MOST_DIGITS
        sociable = rng.random() < TOUCHING_LINES
        cells = rng.random() < CELLS_PART
        framed = not cells and rng.random() < FRAME_PART
        pitch = self.size * rng.uniform(1.0, 1.6)
        if signs and rng.random() < SIGN_AT_END:
            x = self._sign(x)
        first, before, at = x, None, x
        top = bottom = self.middle
        count = 0
        for k in range(meant):
            index = int(rng.integers(len(self.digits)))
            mask = self._digit(self.digits[index])
            if self.labels[index] == 0 and rng.random() < SLASHED_PART:
                self._slash(mask)
            if self.labels[index] == 1 and rng.random() < BAR_PART:
                mask = self._bar(mask)
            height, width = mask.shape
            y = self.middle + self.slope * (at - self.width / 2) + self.size / 2 - height
            y = round(y + rng.normal() * BASELINE * self.size)
            if cells:
                at = first + k * pitch + (pitch - width) * rng.uniform(0.2, 0.8)
            elif before is not None and signs and rng.random() < SIGN_BETWEEN:
                at = self._sign(before[1] + before[0].shape[1] + rng.uniform(*SIGN_GAP) * self.size)
            elif before is not None:
                at = self._next(before, mask, y, sociable)
            left = round(at)
            if left > self.width - 4:
                break
            self._lay(mask, left, y)
            box = _Placed(int(self.labels[index]), *(v / SCALE for v in (left, y, left + width, y + height)))
            self.placed.append(box)
            top, bottom = min(top, y), max(bottom, y + height)
            before = (mask, left, y)
            count += 1
        end = first + count * pitch if cells else (before[1] + before[0].shape[1] if before else x)
        if cells:
            self._cells(first, pitch, count, top, bottom)
        elif framed:
            room = self.size * rng.uniform(0.1, 0.5)
            self._cells(first - room, end - first + 2 * room, 1, top, bottom)
        if signs and rng.random() < SIGN_AT_END:
            end = self._sign(end + rng.uniform(*SIGN_GAP) * self.size)
        if rng.random() < SYMBOL_PART:
            end = self._symbol(end + rng.uniform(0.1, 0.6) * self.size)
        return end

    def _digit(self, glyph: Image) -> Image:
        """A digit's ink, cut tight, in the line's size."""
        rng = self.rng
        if rng.random() < LIGHT_PART:
            ink = cv2.resize(jittered(glyph, rng), None, fx=SMOOTH, fy=SMOOTH, interpolation=cv2.INTER_CUBIC)
            ink = sharpened(ink, rng.uniform(*EDGE_LEVELS), rng.uniform(*EDGE_SLOPES))
        else:
            ink = redrawn(glyph, rng)
        x, y, w, h = cv2.boundingRect(cv2.threshold(ink, 127, 255, cv2.THRESH_BINARY)[1])
        if min(w, h) == 0:
            ink, (x, y, w, h) = glyph, cv2.boundingRect(glyph)
        height = self.size * (1 + rng.uniform(-self.jitter, self.jitter))
        scale = min(height / h, 1.3 * height / w)
        size = (max(3, round(w * scale)), max(4, round(h * scale)))
        cut = ink[y : y + h, x : x + w]
        return np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR))

    def _next(self, before: tuple[Image, int, int], mask: Image, y: int, sociable: bool) -> float:
        """Where the next digit begins."""
        rng = self.rng
        left, x, top = before
        unit = DIGIT_HEIGHT * SCALE
        choice = rng.random()
        if sociable and choice < TOUCHING_PART + NEAR_PART:
            meet = _contact(left, mask, y - top)
            if meet is not None:
                gap = -rng.uniform(*OVERLAP) if choice < TOUCHING_PART else rng.uniform(*NEAR)
                nearest = x + left.shape[1] / 2 + LEAST_PITCH * unit - mask.shape[1] / 2
                return max(x + meet + gap * unit, nearest)
        gap = rng.uniform(*(WIDE if choice > 1 - WIDE_PART else APART))
        return float(x + left.shape[1] + gap * unit)

    def _lay(self, mask: Image, left: int, top: int, on: Image | None = None) -> None:
        """Stamps ink, as much of it as lies on the canvas."""
        canvas = self.ink if on is None else on
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + mask.shape[1], self.width), min(top + mask.shape[0], self.height)
        if x0 < x1 and y0 < y1:
            view = canvas[y0:y1, x0:x1]
            np.maximum(view, mask[y0 - top : y1 - top, x0 - left : x1 - left], out=view)

    def _words(self, x: float) -> None:
        """Writes words and nothing else, all of them large or none."""
        rng = self.rng
        large = rng.random() < LARGE_ALONE_PART
        for _ in range(int(rng.integers(1, MOST_WORDS, endpoint=True))):
            if x > self.width:
                break
            x = self._word(x, large=large) + rng.uniform(*WORDS_GAP) * self.size

    def _word(self, x: float, *, large: bool) -> float:
        """Writes a word from x on; says where it ends. large: its small letters are as high as the digits."""
        rng = self.rng
        word = self.stock.words[int(rng.integers(len(self.stock.words)))]
        if large:
            scale = self.size * rng.uniform(*LARGE_SIZES) / word.body
        else:
            scale = self.size * rng.uniform(*WORD_SIZES) / word.capital
        foot = self.middle + self.size * (0.5 + WORD_OFF * rng.normal()) + self.slope * (x - self.width / 2)
        return self._stamp(word, scale, x, foot)

    def _symbol(self, x: float) -> float:
        """Writes a sign of print; says where it ends."""
        rng = self.rng
        symbol = self.stock.symbols[int(rng.integers(len(self.stock.symbols)))]
        foot = self.middle + self.size * (0.5 - rng.uniform(0, 0.3)) + self.slope * (x - self.width / 2)
        return self._stamp(symbol, self.size * rng.uniform(*WORD_SIZES) / symbol.capital, x, foot)

    def _stamp(self, word: Word, scale: float, x: float, foot: float) -> float:
        height, width = (max(2, round(side * scale)) for side in word.ink.shape)
        mask = np.asarray(cv2.resize(word.ink, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        self._lay(mask, round(x), round(foot - word.foot * scale))
        return x + width

    def _sign(self, x: float) -> float:
        """Draws a sign, or a mark such as stands between digits; says where a digit may follow."""
        rng = self.rng
        sign = drawn_sign(rng, SIGNS)
        scale = self.size * rng.uniform(*SIGN_HEIGHTS) / SIGN_SIZE
        size = tuple(max(1, round(side * scale)) for side in sign.ink.shape[::-1])
        mask = np.asarray(cv2.resize(sign.ink, size, interpolation=cv2.INTER_AREA), np.uint8)
        foot = self.middle + self.size * (0.5 - sign.foot + SIGN_OFF * rng.normal()) + self.slope * (x - self.width / 2)
        self._lay(mask, round(x), round(foot) - mask.shape[0])
        return x + mask.shape[1] + rng.uniform(*SIGN_GAP) * self.size

    def _slash(self, zero: Image) -> None:
        """Draws a stroke through a 0, from the lower left to the upper right."""
        rng = self.rng
        height, width = zero.shape
        left, top, right, bottom = rng.uniform(-0.05, 0.25, 4) * (width, height, width, height)  # from each side
        ends = np.array([(left, height - 1 - bottom), (width - 1 - right, top)])
        pen = max(1, round(self.size * rng.uniform(0.05, 0.13)))
        cv2.polylines(zero, [np.rint(ends * 16).astype(np.int32)], False, 255, pen, cv2.LINE_AA, 4)

    def _bar(self, one: Image) -> Image:
        """A 1 of the same height that is but a straight bar: of all digits it is the likest to a line between cells."""
        rng = self.rng
        height = one.shape[0]
        pen = max(2, round(cv2.countNonZero(cv2.threshold(one, 127, 255, cv2.THRESH_BINARY)[1]) / height))
        pen = max(2, round(pen * rng.uniform(*BAR_PEN)))
        across = np.tan(np.radians(BAR_LEAN * rng.normal())) * (height - pen)
        bar = np.zeros((height, round(abs(across)) + pen + 2), np.uint8)
        middle, half = bar.shape[1] / 2, across / 2
        ends = np.array([(middle - half, height - 1 - pen / 2), (middle + half, pen / 2)])
        cv2.polylines(bar, [np.rint(ends * 16).astype(np.int32)], False, 255, pen, cv2.LINE_AA, 4)
        return bar

    def _ring(self) -> None:
        """A ring around some of the digits, as the hand draws it: not round, not closed, not always clear of them."""
        rng = self.rng
        first = int(rng.integers(len(self.placed)))
        ringed = self.placed[first : first + int(rng.integers(1, MOST_RINGED, endpoint=True))]
        left, top = (min(getattr(p, side) for p in ringed) * SCALE for side in ("left", "top"))
        right, bottom = (max(getattr(p, side) for p in ringed) * SCALE for side in ("right", "bottom"))
        room = self.size * rng.uniform(*RING_ROOM)
        across, down = (right - left) * 0.58 + room, (bottom - top) * 0.58 + room
        angles = rng.uniform(0, 2 * np.pi) + np.linspace(0, 2 * np.pi * rng.uniform(0.9, 1.1), 60)
        wave = 1 + 0.05 * np.sin(2 * angles + rng.uniform(0, 6)) + np.linspace(0, rng.normal(0, 0.06), 60)
        ring = np.column_stack([across * np.cos(angles), down * np.sin(angles)]) * wave[:, None]
        middle = np.array([(left + right) / 2, (top + bottom) / 2])
        points = np.rint((ring + middle) * 16).astype(np.int32)
        pen = max(1, round(self.size * rng.uniform(0.04, 0.14)))
        cv2.polylines(self.ink, [points], False, 255, pen, cv2.LINE_AA, 4)

    def _neighbours(self) -> None:
        """The feet of the line above, or the heads of the one below."""
        rng = self.rng
        above = rng.random() < 0.5
        pitch = self.size * rng.uniform(1.0, 1.6) * (-1 if above else 1)
        x = rng.uniform(-1, 3) * self.size
        for _ in range(int(rng.integers(1, 7))):
            mask = self._digit(self.digits[int(rng.integers(len(self.digits)))])
            y = self.middle + self.slope * (x - self.width / 2) + pitch + self.size / 2 - mask.shape[0]
            # What is in the image's middle would be a digit of the line.
            limit = self.middle - 0.55 * self.size - mask.shape[0]
            y = min(y, limit) if above else max(y, self.middle + 0.55 * self.size)
            self._lay(mask, round(x), round(y))
            x += mask.shape[1] + rng.uniform(0.05, 0.8) * self.size

    def _scribble(self) -> None:
        """A stroke that means nothing, or dirt."""
        rng = self.rng
        for _ in range(int(rng.integers(1, 4))):
            span = rng.uniform(0.1, 1.5, 2) * self.size
            points = smooth(rng.random((int(rng.integers(2, 6)), 2))) * span
            points += (rng.uniform(0, self.width), rng.uniform(0, self.height))
            # Ink over a digit could make another of it: dirt lies where there is paper.
            clear = [
                points[:, 0].max() < p.left * SCALE - 4
                or points[:, 0].min() > p.right * SCALE + 4
                or points[:, 1].max() < p.top * SCALE - 4
                or points[:, 1].min() > p.bottom * SCALE + 4
                for p in self.placed
            ]
            if all(clear):
                width = max(1, round(self.size * rng.uniform(0.03, 0.14)))
                cv2.polylines(self.ink, [np.rint(points * 16).astype(np.int32)], False, 255, width, cv2.LINE_AA, 4)

    def _rules(self) -> None:
        """Ruling or squares, seldom level to the pixel."""
        rng = self.rng
        choice = rng.random()
        if choice >= RULED_PART + SQUARED_PART:
            return
        squared = choice < SQUARED_PART
        step = self.size * (rng.uniform(0.45, 1.3) if squared else rng.uniform(1.1, 2.5))
        lean = self.slope + rng.normal() * 0.008
        width = max(1, round(SCALE * rng.uniform(0.7, 2.2)))
        strength = rng.uniform(60, 255)
        at = rng.uniform(-1, 0) * step + (0 if squared else self.middle + self.size / 2 - 2 * step)
        while at < self.height + self.width * abs(lean):
            self._stroke(
                (-2, at - lean * self.width / 2), (self.width + 2, at + lean * self.width / 2), strength, width
            )
            at += step
        if squared:
            at = rng.uniform(-1, 0) * step
            while at < self.width + 10:
                self._stroke((at + lean * self.height, -2), (at, self.height + 2), strength, width)
                at += step

    def _cells(self, left: float, pitch: float, count: int, top: float, bottom: float) -> None:
        """Cells around digits, or one frame; not always all of them are there."""
        rng = self.rng
        top, bottom = top - self.size * rng.uniform(0.05, 0.35), bottom + self.size * rng.uniform(0.05, 0.35)
        width = max(1, round(SCALE * rng.uniform(0.7, 2.6)))
        strength = rng.uniform(110, 255)
        lean = self.slope + rng.normal() * 0.01
        right = left + count * pitch

        def at(x: float, y: float) -> tuple[float, float]:
            return x - lean * (y - self.middle), y + lean * (x - self.width / 2)

        apart = rng.random() < 0.2  # each cell a box of its own
        upright = not apart and rng.random() < 0.15  # only the separators are left
        for k in range(count + 1):
            x = left + k * pitch
            if rng.random() < 0.95:
                self._stroke(at(x, top), at(x, bottom), strength, width)
            if apart and 0 < k < count:
                self._stroke(at(x + 0.1 * pitch, top), at(x + 0.1 * pitch, bottom), strength, width)
        if not upright:
            for y in (top, bottom):
                if rng.random() < 0.93:
                    self._stroke(at(left, y), at(right, y), strength, width)

    def _stroke(self, start: tuple[float, float], end: tuple[float, float], strength: float, width: int) -> None:
        points = np.rint(np.array([start, end]) * 16).astype(np.int32)
        cv2.polylines(self.printed, [points], False, int(strength), width, cv2.LINE_AA, 4)

    def _photographed(self) -> Image:
        """Ink and print as the depth of a photograph shows them, uint8 (LINE_HEIGHT, TRAIN_WIDTH)."""
        rng = self.rng
        ink = self.ink.astype(np.float32) / 255
        if rng.random() < 0.25:  # a dry pen, pencil, chalk
            cell = rng.uniform(1.5, 6)
            ink *= np.clip(0.9 + rng.uniform(0.1, 0.35) * _noise(rng, ink.shape, cell), 0.35, 1)
        if rng.random() < 0.12:  # light falls off, or a line was taken out
            ink *= cv2.resize(rng.uniform(0.45, 1, (2, 5)).astype(np.float32), (self.width, self.height))
        picture = ink * rng.uniform(0.65, 1.0) * 255
        if self.printed.any():
            printed = self.printed.astype(np.float32)
            picture = np.maximum(picture, printed * (1 - ink))
            if rng.random() < 0.3:  # what a removal of lines leaves
                gone = cv2.resize(rng.random((4, 14)).astype(np.float32), (self.width, self.height)) > 0.5
                picture[gone & (self.printed > 40)] = 0
        if rng.random() < TORN_PART:  # and of strokes that ran along one
            row, thick = int(rng.integers(self.height)), int(rng.integers(1, 3 * SCALE))
            picture[row : row + thick, : int(rng.integers(self.width))] *= rng.uniform(0, 0.5)
        size = (TRAIN_WIDTH, LINE_HEIGHT)
        if rng.random() < 0.35:
            part = rng.uniform(0.45, 0.95)
            small = (round(size[0] * part), round(size[1] * part))
            picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
        else:
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        if rng.random() < 0.6:
            picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.2))
        picture = picture * rng.uniform(0.9, 1.3) + rng.uniform(0, 14) * _noise(rng, picture.shape, rng.uniform(1, 2))
        if rng.random() < 0.4:
            picture += rng.uniform(0, 14) * _noise(rng, picture.shape, rng.uniform(4, 20))
        return np.clip(picture - rng.uniform(0, 14), 0, 255).astype(np.uint8)


def _contact(left: Image, right: Image, down: int) -> int | None:
    """How far right of `left`'s left side `right` begins where their inks first meet; None where they never do.

    down: how much lower the top of `right` lies.
    """
    first, last = max(0, down), min(len(left), len(right) + down)
    if first >= last:
        return None
    one, other = left[first:last] > 127, right[first - down : last - down] > 127
    rows = one.any(axis=1) & other.any(axis=1)
    if not rows.any():
        return None
    ends = one.shape[1] - one[rows, ::-1].argmax(axis=1)
    return int((ends - other[rows].argmax(axis=1)).max())


def _noise(rng: np.random.Generator, shape: tuple[int, ...], cell: float) -> Floats:
    """Noise of about unit deviation in grains `cell` pixels wide."""
    small = (max(2, int(shape[0] / cell) + 1), max(2, int(shape[1] / cell) + 1))
    field = rng.standard_normal(small, dtype=np.float32)
    return np.asarray(cv2.resize(field, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), np.float32)

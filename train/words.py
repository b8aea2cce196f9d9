"""Words, and numbers in print, as they stand on a page beside handwriting: drawn once, laid into lines many times.

Most pages with numbers are forms, and a label's small letters look like digits one by one: an `s` is a 5, an `o` a 0, a
split `n` a 1 and a 7. Only what stands beside them tells. So words are drawn in handwriting, in print and in a
plotter's letters; and printed numbers, or all print would be taken for words.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from train.fonts import font_files, lacks
from train.letters import LETTERS, LOOK_ALIKES, SYMBOLS, drawn_text, opened, printed_fonts

Image = NDArray[np.uint8]

KEPT = 4500  # words
KEPT_SYMBOLS = 150
HANDS_PART = 0.35  # of the words are in handwriting fonts
PLOTTED_PART = 0.2  # of the others in a plotter's letters
SINGLE_PART = 0.15  # a letter alone, which must be no look-alike of a digit; within a word it is a letter
RANDOM_PART = 0.3  # of the words in any letters, the others in letters as frequent as in a language
CAPITALS_PART, CAPITALIZED_PART = 0.25, 0.4
STOP_PART, STOPS = 0.2, ":.,"  # behind a word
BOLD_PART, BOLD = 0.2, (3, 6)  # of the words, their strokes wider by so many pixels
TRACKED_PART, TRACKING = 0.2, (0.03, 0.3)  # of the words, their letters farther apart: of the font size
LONGEST = 10  # letters
LEAST_CLEAR = 0.34  # of a word's letters look like no digit

FONT_SIZE = 88  # points: capitals are about 64 pixels high
PLOTTED_SIZE = 64  # pixels
PLOTTED = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_TRIPLEX)
PENS = (2, 15)  # pixels

# Of a thousand letters of English, German, French and Spanish text, about.
FREQUENT = {
    "e": 144, "n": 81, "a": 85, "i": 74, "r": 68, "s": 71, "t": 68, "o": 58, "l": 44, "d": 43, "u": 45, "c": 34,
    "m": 27, "h": 35, "p": 22, "g": 20, "b": 14, "f": 14, "v": 12, "w": 12, "k": 8, "z": 7, "y": 9, "q": 5, "x": 4,
    "j": 4,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Word:
    """A drawn word.

    `ink`: uint8 (h, w), cut tight. `foot`: pixels from its top to the line it stands on. `capital`: height of a
    capital in its font, `body`: of most of its letters; in pixels.
    """

    ink: Image
    foot: float
    capital: float
    body: float


class _Font(NamedTuple):
    """A font to draw with.

    `draw`: a text and how many pixels its letters are farther apart, to its ink, uint8 (h, w), and how far below its
    top the line is that it stands on; None where a letter is missing. `size`: pixels.
    """

    draw: Callable[[str, float], tuple[Image, int] | None]
    size: float


@cache
def words(split: str) -> list[Word]:
    """Words of a split of the fonts, "train" or "validation". Raises train.data.DataError where they cannot be had."""
    rng = np.random.default_rng(len(split))
    hands = [_written(font.font_variant(size=FONT_SIZE)) for font in opened(font_files(split).values())]
    print_fonts = [_written(font.font_variant(size=FONT_SIZE)) for font in _printed(split)]
    plotted = [_Font(partial(_plotted, face=face, pen=pen), PLOTTED_SIZE) for face in PLOTTED for pen in range(*PENS)]

    def font() -> _Font:
        others = plotted if rng.random() < PLOTTED_PART else print_fonts
        fonts = hands if rng.random() < HANDS_PART else others
        return fonts[int(rng.integers(len(fonts)))]

    return _collected(lambda: _word(_text(rng), font(), rng), KEPT)


@cache
def symbols() -> list[Word]:
    """Signs of print that stand beside numbers."""
    fonts = [_written(font.font_variant(size=FONT_SIZE)) for font in printed_fonts()]
    rng = np.random.default_rng(len(fonts))
    characters = SYMBOLS.replace("|", "") + ".,€%"

    def drawn() -> Word | None:
        return _word(characters[int(rng.integers(len(characters)))], fonts[int(rng.integers(len(fonts)))], None)

    return _collected(drawn, KEPT_SYMBOLS)


@cache
def printed_digits(split: str) -> Image:
    """The ten digits in each printed font of a split, as glyphs: uint8 (fonts, 10, 28, 28)."""
    sets = [[drawn_text(str(value), font) for value in range(10)] for font in _printed(split)]
    return np.stack([np.stack([g for g in ten if g is not None]) for ten in sets if all(g is not None for g in ten)])


def _printed(split: str) -> list[ImageFont.FreeTypeFont]:
    if split == "train":
        return [*printed_fonts(), *opened(font_files("printed").values())]
    return opened(font_files("printed-validation").values())


def _text(rng: np.random.Generator) -> str:
    if rng.random() < SINGLE_PART:
        return LETTERS[int(rng.integers(len(LETTERS)))]
    letters, shares = [*FREQUENT], np.array([*FREQUENT.values()]) / sum(FREQUENT.values())
    if rng.random() < RANDOM_PART:
        letters, shares = [*LETTERS, *LOOK_ALIKES.lower()], None
    case = rng.random()
    while True:
        word = "".join(rng.choice(letters, int(rng.integers(2, LONGEST, endpoint=True)), p=shares))
        if case < CAPITALS_PART:
            word = word.upper()
        elif case < CAPITALS_PART + CAPITALIZED_PART:
            word = word.capitalize()
        if sum(letter in LETTERS for letter in word) >= LEAST_CLEAR * len(word):
            break
    return word + (STOPS[int(rng.integers(len(STOPS)))] if rng.random() < STOP_PART else "")


def _word(text: str, font: _Font, rng: np.random.Generator | None) -> Word | None:
    """A text drawn, its letters in their places or, with `rng`, sometimes farther apart; None where it cannot be."""
    tracking = rng.uniform(*TRACKING) * font.size if rng is not None and rng.random() < TRACKED_PART else 0.0
    drawn, capital, low = font.draw(text, tracking), _height(font, "H"), _height(font, "x")
    if drawn is None or capital is None or low is None:
        return None
    # Most letters of a word in small ones are as high as an x.
    tall = sum(letter.isupper() or letter in "bdfhklt" for letter in text) * 2 > len(text)
    ink, foot = drawn
    if rng is not None and rng.random() < BOLD_PART:
        wider = int(rng.integers(*BOLD, endpoint=True))
        bold = cv2.dilate(cv2.copyMakeBorder(ink, *4 * (wider,), cv2.BORDER_CONSTANT), _pen(wider))
        ink, foot = _cut(np.asarray(bold, np.uint8), foot + wider) or drawn
    return Word(ink, foot, capital, capital if tall else low)


@cache
def _height(font: _Font, letter: str) -> int | None:
    """Of a letter above its line, in pixels; None where it is missing."""
    drawn = font.draw(letter, 0)
    return None if drawn is None else drawn[1]


def _pen(width: int) -> Image:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width)), np.uint8)


def _written(font: ImageFont.FreeTypeFont) -> _Font:
    return _Font(partial(_drawn, font=font), FONT_SIZE)


_lacks = cache(lacks)


def _drawn(text: str, tracking: float, font: ImageFont.FreeTypeFont) -> tuple[Image, int] | None:
    if any(_lacks(font, letter) for letter in text):
        return None
    parts = [*text] if tracking else [text]
    steps = np.cumsum([0.0, *(font.getlength(part) + tracking for part in parts)])
    canvas = PillowImage.new("L", (round(steps[-1]) + 2 * FONT_SIZE, 3 * FONT_SIZE))
    pen = ImageDraw.Draw(canvas)
    for part, step in zip(parts, steps[:-1], strict=True):
        pen.text((FONT_SIZE + step, 2 * FONT_SIZE), part, fill=255, font=font, anchor="ls")
    return _cut(np.asarray(canvas), 2 * FONT_SIZE)


def _plotted(text: str, tracking: float, face: int, pen: int) -> tuple[Image, int] | None:
    scale = cv2.getFontScaleFromHeight(face, PLOTTED_SIZE, pen)
    parts = [*text] if tracking else [text]
    steps = np.cumsum([0.0, *(cv2.getTextSize(part, face, scale, pen)[0][0] + tracking for part in parts)])
    canvas = np.zeros((3 * PLOTTED_SIZE, round(steps[-1]) + 2 * PLOTTED_SIZE), np.uint8)
    for part, step in zip(parts, steps[:-1], strict=True):
        at = (round(PLOTTED_SIZE + step), 2 * PLOTTED_SIZE)
        cv2.putText(canvas, part, at, face, scale, 255, pen, cv2.LINE_AA)
    return _cut(canvas, 2 * PLOTTED_SIZE)


def _cut(canvas: Image, foot: int) -> tuple[Image, int] | None:
    x, y, width, height = cv2.boundingRect(canvas)
    if min(width, height) == 0:
        return None
    return np.ascontiguousarray(canvas[y : y + height, x : x + width]), foot - y


def _collected(draw: Callable[[], Word | None], count: int) -> list[Word]:
    kept: list[Word] = []
    while len(kept) < count:
        word = draw()
        if word is not None:
            kept.append(word)
    return kept

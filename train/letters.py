"""Letters and symbols, no digits: drawn from fonts to train refusal, and the benchmark of fonts never trained on.

Characters that some hands write as they write a digit are in neither: nobody can refuse an `O` and read a `0`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from edge.classifier import Classifier
from edge.preprocess import to_glyph
from edge.segment import Region
from train.fonts import font_files, lacks

Glyph = NDArray[np.uint8]
Glyphs = NDArray[np.uint8]

# Without O o D Q (0), I i J j L's cousins l (1), Z z (2), S s (5), G b (6), B (8), g q (9), Y y (4 and 9).
LETTERS = "ACEFHKLMNPRTUVWXacdefhkmnprtuvwx"
LOOK_ALIKES = "BDGIJOQSYZbgijloqsyz"
SYMBOLS = '÷÷++==??×*#%@<>~^€£±«»"—_-:;'  # those a page of sums holds, twice
FONT_SIZE = 96  # pixels
ROOM = 3  # font sizes: sides of the canvas a text is drawn on
REFUSED_DIGITS = 0.01  # of the digits: where the second figure of the benchmark is taken


def drawn_text(text: str, font: ImageFont.FreeTypeFont) -> Glyph | None:
    """The glyph, uint8 (28, 28), of a text in a font; None where the font lacks a character of it."""
    if any(lacks(font, character) for character in text):
        return None
    side = ROOM * FONT_SIZE
    canvas = Image.new("L", (side, side))
    ImageDraw.Draw(canvas).text((FONT_SIZE // 2, FONT_SIZE // 2), text, fill=255, font=font)
    ink = np.asarray(canvas)
    x, y, width, height = cv2.boundingRect(ink)
    if min(width, height) == 0 or x + width >= side or y + height >= side:
        return None
    return to_glyph(Region(x, y, width, height, np.ascontiguousarray(ink[y : y + height, x : x + width])))


def opened(files: Iterable[Path]) -> list[ImageFont.FreeTypeFont]:
    """The fonts in the files."""
    return [ImageFont.truetype(str(path), FONT_SIZE) for path in files]


def printed_fonts() -> list[ImageFont.FreeTypeFont]:
    """The printed fonts that Matplotlib brings: DejaVu and STIX, upright and slanted, plain and bold."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    names = [
        *(f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "Mono", "Mono-Bold")),
        *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic")),
        *(f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta")),
    ]
    return opened(folder / f"{name}.ttf" for name in names)


# The benchmark ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LettersBenchmark:
    """Letters of handwriting fonts, none of which was trained on, answered as digits. Rates are parts of 1."""

    fonts: int
    letters: int
    """How many were shown: every character of LETTERS in every test font that has it."""
    threshold: float
    """The rejection threshold of the model, on the confidence of the best digit."""
    answered: float
    """Letters answered as digits at it."""
    digits_refused: float
    """Digits of MNIST's test split refused at it."""
    answered_at_one_percent: float
    """Letters answered as digits where REFUSED_DIGITS of MNIST's test split are refused."""
    threshold_at_one_percent: float
    by_character: dict[str, float]
    """Part of each character's letters answered at the model's threshold."""
    curve: tuple[tuple[float, float, float], ...]
    """(threshold, digits refused, letters answered), from lenient to strict."""


CURVE_THRESHOLDS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)


def test_letters() -> tuple[Glyphs, tuple[str, ...]]:
    """Glyphs uint8 (n, 28, 28) of every character of LETTERS in every test font, and which character each is.

    Raises train.data.DataError where the fonts cannot be had.
    """
    glyphs, characters = [], []
    for glyph, character in _drawn(opened(font_files("test").values()), LETTERS):
        glyphs.append(glyph)
        characters.append(character)
    return np.stack(glyphs), tuple(characters)


def _drawn(fonts: Sequence[ImageFont.FreeTypeFont], characters: str) -> Iterator[tuple[Glyph, str]]:
    for font in fonts:
        for character in characters:
            glyph = drawn_text(character, font)
            if glyph is not None:
                yield glyph, character


def letters_benchmark(classifier: Classifier, digits: Glyphs | None = None) -> LettersBenchmark:
    """Shows a model the test letters, and digits to know what a threshold costs.

    digits: glyphs uint8 (n, 28, 28); None for MNIST's test split. Raises train.data.DataError.
    """
    if digits is None:
        from train.data import load

        digits = load().test_images
    glyphs, characters = test_letters()
    letters, kept = digit_confidence(classifier, glyphs), digit_confidence(classifier, digits)
    threshold = classifier.info.rejection_threshold
    strict = float(np.sort(kept)[int(REFUSED_DIGITS * len(kept))])
    names = np.asarray(characters)
    return LettersBenchmark(
        fonts=len(font_files("test")),
        letters=len(glyphs),
        threshold=threshold,
        answered=float(np.mean(letters >= threshold)),
        digits_refused=float(np.mean(kept < threshold)),
        answered_at_one_percent=float(np.mean(letters >= strict)),
        threshold_at_one_percent=strict,
        by_character={c: float(np.mean(letters[names == c] >= threshold)) for c in LETTERS if (names == c).any()},
        curve=tuple(
            (t, float(np.mean(kept < t)), float(np.mean(letters >= t))) for t in sorted({*CURVE_THRESHOLDS, threshold})
        ),
    )


def digit_confidence(classifier: Classifier, glyphs: Glyphs) -> NDArray[np.float32]:
    """Of each glyph the probability, float32 (n,), of its likeliest digit: what is held against the threshold."""
    probabilities = classifier.classify(glyphs)
    if classifier.none_index is not None:
        probabilities = np.delete(probabilities, classifier.none_index, axis=1)
    return np.asarray(probabilities.max(axis=1), np.float32)

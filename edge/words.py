"""Tell the letters of words from digits that they look like, by what stands beside them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge.candidate import Bools, Boxes, Candidate, are_beside, boxes_of, groups

Integers = NDArray[np.int64]

WORD_LETTERS, LETTER_GAP = 2.0, 0.25  # more letters than so many a digit make a word; heights between two, at most
LONG_WORD = 5  # letters, and no fewer than digits, make one as well
NUMBER, NUMBER_BEFORE_UNIT = 3, 2  # so many digits by themselves, or before a unit, are a number however low
UNIT_LETTERS = 4  # are more than a unit has right behind its number: a single digit before them is a letter, too
LIKE_LETTERS = ("0", "1", "5")  # the digits that o, i and s look like,
LIKE_LETTERS_OF_A_WORD = (*LIKE_LETTERS, "7")  # and halves of n and m

# The small letters of a line of print, however far its words are apart:
WORDS_GAP = 1.6  # heights between two words, at most
X_LETTERS = 5  # letters at least, and no fewer than digits, tell how high they are,
X_EVEN, X_SHARE = 0.12, 0.4  # where they differ by no more, and are so many: of their height, and of the letters;
X_HIGHER, X_HIGHER_SHARE = 1.2, 0.15  # and so many are higher, as d and p: times as high, and of the letters
X_HEIGHT = 1.12  # times as high is a small letter that looks like a digit, at most

# The small letters of a single word:
CLEAR_LETTER, LEAST_CLEAR = 0.1, 2  # confidence of a digit that a clear letter is below; a word has so many, at least
LONG_RUN = 4  # digits in a row are a number though letters stand on both sides
LEVEL, LEVEL_PIXELS = 0.05, 1.0  # of their height, and pixels: they are no less level with one another,
LEAN = 0.03  # and for each pixel between them, as the page may be tilted by so little that it was not turned
TALLER = 0.2  # of their height: so much higher reaches a large letter, or a b

# Small print beside what is written, as a form has it:
LEAST_HIGH, PRINT_HEIGHT = 4, 0.5  # digits, and of the median of their heights: print is lower, where there are so many
LEAST_PRINT = 2  # letters in a line of it
SURE_IN_PRINT = 0.99  # confidence of a small number that was written there


def without_words(found: list[Candidate], labels: Sequence[str], threshold: float) -> list[Candidate]:
    """The candidates, those refused that are letters of a word.

    They stand among far more letters, as near as these to one another, and behind one of them, for a number stands
    before its unit; a single one before many letters is the first of them. Or they look like small letters and are as
    low as those of their line or word, and too few for a number. Or they are small print beside what is written.

    labels: of the classes. threshold: confidence below which a candidate is no digit.
    """
    taken = np.array([c.is_digit(threshold) for c in found], np.bool_)
    if taken.all() or not taken.any():
        return found
    boxes, digits = boxes_of(found), taken.copy()
    alike = np.array([labels[c.label] in LIKE_LETTERS for c in found])
    alike_in_word = np.array([labels[c.label] in LIKE_LETTERS_OF_A_WORD for c in found])
    clear = np.array([c.confidence < CLEAR_LETTER for c in found]) & ~digits
    low = _as_low_as_letters(boxes, digits)
    beside = np.array([are_beside(box, boxes, LETTER_GAP) for box in boxes])
    for word in groups(taken, beside):
        if not _is_number(boxes, word, digits):
            if alike[word & digits].all():
                digits &= ~(word & low)
            if np.count_nonzero(word & clear) >= LEAST_CLEAR:
                members = np.flatnonzero(word)
                small = _small_ones(boxes, members)
                if np.count_nonzero(digits[small]) > np.count_nonzero(word & clear):
                    for run in _runs(boxes, members, digits, LONG_RUN):
                        small = np.setdiff1d(small, run)
                digits[small[alike_in_word[small]]] = False
        letters, figures = np.count_nonzero(word & ~digits), np.count_nonzero(word & digits)
        if letters > WORD_LETTERS * figures or letters >= max(LONG_WORD, figures):
            before = word & digits & (boxes[:, 0] < boxes[word & ~digits, 0].min())
            is_first_letter = letters >= UNIT_LETTERS and np.count_nonzero(before) == 1
            digits &= ~word | (before & (not is_first_letter))
    doubtful = digits & np.array([c.confidence < SURE_IN_PRINT for c in found])
    digits &= ~_of_small_print(boxes, digits, alike, doubtful)
    letter = taken & ~digits
    return [replace(c, refused=True) if is_letter else c for c, is_letter in zip(found, letter.tolist(), strict=True)]


def _is_number(boxes: Boxes, word: Bools, digits: Bools) -> bool:
    """Whether a word, bool (n,), is enough digits to be a number, by themselves or before their unit."""
    letters = word & ~digits
    if not letters.any():
        return bool(np.count_nonzero(word) >= NUMBER)
    figures = word & digits
    if np.count_nonzero(figures) < NUMBER_BEFORE_UNIT or np.count_nonzero(letters) >= UNIT_LETTERS:
        return False
    return bool(boxes[figures, 0].max() < boxes[letters, 0].min())


def _runs(boxes: Boxes, word: Integers, digits: Bools, least: int) -> list[Integers]:
    """The digits of a word, (m,), that stand so many in a row without a letter between."""
    order = word[np.argsort(boxes[word, 0], kind="stable")]
    runs = np.split(order, np.flatnonzero(np.diff(digits[order])) + 1)
    return [run for run in runs if digits[run[0]] and len(run) >= least]


def _small_ones(boxes: Boxes, word: Integers) -> Integers:
    """Which of a word, (m,), are small letters: level with one another at both ends, as print has it, and lower than
    another of the word that stands on the same line.

    boxes: (n, 4), x, y, width, height.
    """
    left, top, width, height = boxes[word].T
    bottom = top + height
    off = abs(left + width / 2 - (left + width / 2)[:, None])
    room = LEVEL * np.maximum(height, height[:, None]) + LEVEL_PIXELS + LEAN * off
    on_one_line = abs(bottom - bottom[:, None]) <= room
    level = on_one_line & (abs(top - top[:, None]) <= room)
    np.fill_diagonal(level, False)
    taller = on_one_line & (top[:, None] - top >= TALLER * height[:, None] + LEAN * off)
    return np.asarray(word[level.any(axis=1) & taller.any(axis=1)], np.int64)


def _of_small_print(boxes: Boxes, digits: Bools, alike: Bools, doubtful: Bools) -> Bools:
    """bool (n,): which doubtful digits, (n,), belong to print far lower than the page's digits are, as a form has it
    beside its fields: in a line with as many letters as digits, and not in a row of three that no letters look like.

    boxes: (n, 4), x, y, width, height. digits: bool (n,). alike: bool (n,), what looks like a digit that a letter looks
    like.
    """
    printed = np.zeros_like(digits)
    if np.count_nonzero(digits) < LEAST_HIGH:
        return printed
    places = np.flatnonzero(boxes[:, 3] < PRINT_HEIGHT * np.median(boxes[digits, 3]))
    if not doubtful[places].any():
        return printed
    boxes, digits, alike = boxes[places], digits[places], alike[places]
    beside = np.array([are_beside(box, boxes, WORDS_GAP) for box in boxes])
    of_print = np.zeros_like(digits)
    for line in groups(digits, beside):
        letters, figures = np.count_nonzero(line & ~digits), np.count_nonzero(line & digits)
        if letters < max(LEAST_PRINT, figures) or _is_number(boxes, line, digits):
            continue
        of_print |= line & digits
        for run in _runs(boxes, np.flatnonzero(line), digits, NUMBER):
            of_print[run] = alike[run].all()
    printed[places] = of_print & doubtful[places]
    return printed


def _as_low_as_letters(boxes: Boxes, digits: Bools) -> Bools:
    """bool (n,): which digits, (n,), in a line of text are hardly higher than its small letters, which are the lowest
    that many letters are as high as; in print a digit is as high as a large one.

    boxes: (n, 4), x, y, width, height.
    """
    low = np.zeros(len(boxes), np.bool_)
    if np.count_nonzero(~digits) < X_LETTERS:
        return low
    beside = np.array([are_beside(box, boxes, WORDS_GAP) for box in boxes])
    for line in groups(digits, beside):
        letters = np.sort(boxes[line & ~digits, 3])
        if len(letters) < max(X_LETTERS, np.count_nonzero(line & digits)):
            continue
        # The lowest height that many letters share; in print they are as high but for a pixel.
        sharing = letters.searchsorted(letters + np.maximum(2, X_EVEN * letters), "right") - np.arange(len(letters))
        first = int((sharing >= X_SHARE * len(letters)).argmax())
        small = letters[first : first + sharing[first]].mean()
        if sharing[first] >= X_SHARE * len(letters) and (letters >= X_HIGHER * small).mean() >= X_HIGHER_SHARE:
            low |= line & digits & (boxes[:, 3] <= X_HEIGHT * small)
    return low

"""Tell the letters of words from digits that they look like, by what stands beside them."""

from dataclasses import replace

import numpy as np

from edge.candidate import Bools, Boxes, Candidate, are_beside, boxes_of, reached

WORD_LETTERS, LETTER_GAP = 2.0, 0.25  # more letters than so many a digit make a word; heights between two, at most
LONG_WORD = 5  # letters, and no fewer than digits, make one as well
WORDS_GAP = 1.6  # heights between two words of a line, at most
X_LETTERS = 5  # and no fewer than digits, in a line tell how high its small letters are:
X_EVEN, X_SHARE = 0.12, 0.4  # of that height, and of the letters: so many are so nearly as high in print
X_HIGHER, X_HIGHER_SHARE = 1.2, 0.15  # times as high; and so many are higher, as d and p
X_HEIGHT = 1.12  # times as high is a small letter that looks like a digit, at most
NUMBER, UNIT_BEHIND = 3, 2  # digits by themselves, and right before a unit, are a number however low
UNIT_LETTERS = 4  # are more than a unit has right behind its number: a single digit before them is a letter, too


def without_words(found: list[Candidate], threshold: float) -> list[Candidate]:
    """The candidates, those refused that are letters of a word.

    They stand among far more letters, as near as these to one another, and behind one of them, for a number stands
    before its unit; a single one before many letters is the first of them. Or they are as low as the small letters of
    their line, and too few for a number.
    """
    digits = np.array([c.is_digit(threshold) for c in found], np.bool_)
    if np.count_nonzero(~digits) <= WORD_LETTERS or not digits.any():
        return found
    boxes = boxes_of(found)
    low = _as_low_as_letters(boxes, digits)
    beside = np.array([are_beside(box, boxes, LETTER_GAP) for box in boxes])
    refused = np.zeros(len(found), np.bool_)
    left = digits.copy()
    while left.any():
        word = reached(np.arange(len(found)) == left.argmax(), beside)
        left &= ~word
        letters, figures = np.count_nonzero(word & ~digits), np.count_nonzero(word & digits)
        before = word & digits & (boxes[:, 0] < boxes[word & ~digits, 0].min(initial=np.inf))
        if letters > WORD_LETTERS * figures or letters >= max(LONG_WORD, figures):
            is_first_letter = letters >= UNIT_LETTERS and np.count_nonzero(before) == 1
            refused |= word & digits & (~before | is_first_letter)
        is_number = np.count_nonzero(before) == figures and figures >= (UNIT_BEHIND if letters else NUMBER)
        if not is_number or letters >= UNIT_LETTERS:
            refused |= word & low
    return [replace(c, refused=True) if is_letter else c for c, is_letter in zip(found, refused.tolist(), strict=True)]


def _as_low_as_letters(boxes: Boxes, digits: Bools) -> Bools:
    """bool (n,): which digits, (n,), in a line of text are no higher than most of its letters: those are small ones,
    and a digit is as high as a large one.

    boxes: (n, 4), x, y, width, height.
    """
    low = np.zeros(len(boxes), np.bool_)
    if np.count_nonzero(~digits) < X_LETTERS:
        return low
    beside = np.array([are_beside(box, boxes, WORDS_GAP) for box in boxes])
    left = digits.copy()
    while left.any():
        line = reached(np.arange(len(boxes)) == left.argmax(), beside)
        left &= ~line
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

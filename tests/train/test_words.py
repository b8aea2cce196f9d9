"""Words that are drawn beside numbers: they stand on their line, and nobody could take them for a number."""

import numpy as np
import pytest

from train import words
from train.data import DataError
from train.fonts import font_files
from train.letters import LETTERS

COUNT = 400


@pytest.fixture(scope="module")
def drawn() -> list[words.Word]:
    try:
        font_files("train")
    except DataError as error:
        pytest.skip(f"the fonts cannot be had: {error}")
    return words.words("train")


def test_a_word_is_cut_tight_and_stands_on_its_line(drawn) -> None:
    assert len(drawn) == words.KEPT
    for word in drawn[:COUNT]:
        assert word.ink.dtype == np.uint8
        assert word.ink.any(axis=1)[[0, -1]].all() and word.ink.any(axis=0)[[0, -1]].all()
        assert 0 < word.body <= 1.1 * word.capital  # in some hands an x is as high as a capital
        assert word.foot > 0.4 * word.body


def test_most_letters_of_a_word_end_at_its_line(drawn) -> None:
    below = [word.ink[round(word.foot) + 4 :].astype(bool).sum() / word.ink.astype(bool).sum() for word in drawn]
    assert np.median(below) < 0.02 and np.mean(below) < 0.15


def test_words_have_letters_that_are_no_digits() -> None:
    rng = np.random.default_rng(1)
    texts = [words._text(rng) for _ in range(COUNT)]
    assert len({*texts}) > COUNT / 2
    for text in texts:
        letters = text.rstrip(words.STOPS)
        if len(letters) == 1:
            assert letters in LETTERS
        else:
            clear = sum(letter in LETTERS for letter in letters)
            assert clear >= words.LEAST_CLEAR * len(letters)


def test_letters_drawn_farther_apart_are_the_same_letters() -> None:
    font = words._Font(lambda text, apart: words._plotted(text, apart, words.PLOTTED[0], 3), words.PLOTTED_SIZE)
    near, far = font.draw("Halle", 0.0), font.draw("Halle", 20.0)
    assert near is not None and far is not None
    assert far[0].shape[1] > near[0].shape[1] + 60
    assert abs(int((far[0] > 0).sum()) - int((near[0] > 0).sum())) < 0.1 * (near[0] > 0).sum()


def test_printed_digits_are_ten_glyphs_a_font(drawn) -> None:
    for split in ("train", "validation"):
        digits = words.printed_digits(split)
        assert digits.shape[1:] == (10, 28, 28) and len(digits) >= 2
        assert (digits.reshape(-1, 784).max(axis=1) > 200).all()
    assert not any(
        np.array_equal(one, other)
        for one in words.printed_digits("validation")
        for other in words.printed_digits("train")
    )

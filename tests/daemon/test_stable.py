"""The last frames vote digit by digit, and say why where they do not agree."""

import numpy as np
import pytest

from edge.daemon.stable import Votes, text_of
from edge.reading import Digit

GLYPH = np.zeros((28, 28), np.uint8)


def digits(text: str, confidence: float = 0.95) -> list[Digit]:
    return [
        Digit(None if c == "?" else c, confidence, (20 * k, 30 * line, 15, 25), line, GLYPH)
        for line, row in enumerate(text.split("\n"))
        for k, c in enumerate(row)
    ]


def said(votes: Votes, *texts: str) -> list[str | None]:
    return [votes.add(digits(text)).text for text in texts]


def test_a_text_is_stable_once_enough_frames_show_it() -> None:
    assert said(Votes(5, 3, 0.5), "42", "42", "42", "42") == [None, None, "42", "42"]


def test_a_wrong_value_that_jumps_in_between_changes_nothing() -> None:
    assert said(Votes(5, 3, 0.5), *["42"] * 3, "47", "42", "4", "42")[2:] == ["42"] * 5


def test_a_new_text_wins_when_most_of_the_last_frames_show_it() -> None:
    assert said(Votes(5, 3, 0.5), *["41"] * 5, "42", "42", "42")[4:] == ["41", "41", "41", "42"]


def test_each_digit_is_settled_by_itself() -> None:
    votes = Votes(3, 2, 0.5)
    assert said(votes, "1?3", "12?", "?23")[-1] == "123"


def test_two_lines_stay_two_lines() -> None:
    assert said(Votes(3, 2, 0.5), "12\n3", "12\n3")[-1] == "12\n3"
    assert said(Votes(3, 2, 0.5), "12\n3", "1\n23")[-1] is None


def test_no_digit_is_stable_like_any_other_text() -> None:
    assert said(Votes(3, 2, 0.5), "", "") == [None, ""]


def test_a_refused_character_stays_one() -> None:
    assert said(Votes(3, 2, 0.5), "4?", "4?")[-1] == "4?"


def test_digits_that_agree_without_confidence_are_not_stable() -> None:
    votes = Votes(3, 2, 0.8)
    votes.add(digits("7", 0.7))
    verdict = votes.add(digits("7", 0.75))
    assert verdict.digits is None
    assert verdict.reason == "digit 1 is 7 with a confidence of 0.72 only"
    assert votes.add(digits("7", 0.99)).text == "7"


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (("42",), "1 of 3 frames seen: 42"),
        (("42", "4", "", "42", "422"), "the frames differ: 42, 4, nothing, 422"),
        (("42", "43", "42", "43"), "digit 2 is 2 or 3"),
    ],
)
def test_it_says_why_nothing_is_stable(texts, reason) -> None:
    votes = Votes(5, 3, 0.5)
    for text in texts:
        verdict = votes.add(digits(text))
    assert verdict.digits is None
    assert verdict.reason == reason


def test_the_confidence_is_the_mean_of_those_that_agree_and_the_box_the_newest() -> None:
    votes = Votes(3, 2, 0.5)
    for confidence in (0.6, 0.8):
        verdict = votes.add(digits("5", confidence))
    assert verdict.digits is not None
    assert verdict.digits[0].confidence == pytest.approx(0.7)


def test_forgotten_frames_do_not_vote() -> None:
    votes = Votes(3, 2, 0.5)
    votes.add(digits("1"))
    votes.clear()
    assert votes.add(digits("1")).text is None


def test_a_text_has_its_lines_below_each_other() -> None:
    assert text_of(digits("12\n3?")) == "12\n3?"

"""Small print beside what is written is no digit, and small numbers are."""

from dataclasses import replace

import numpy as np
import pytest

from edge.candidate import Candidate
from edge.segment import Region
from edge.words import without_words

LABELS = (*"0123456789", "none")
THRESHOLD = 0.3
HIGH, LOW = 45, 17  # pixels


def line(text: str, y: int, height: int, sure: float = 0.97) -> list[Candidate]:
    """What a line of digits, so sure, and letters (K) is taken for; a blank leaves room."""
    found = []
    for place, character in enumerate(text):
        if character == " ":
            continue
        width = round(0.6 * height)
        shares = np.zeros(len(LABELS), np.float32)
        shares[LABELS.index(character) if character.isdigit() else 8] = sure if character.isdigit() else 0.02
        region = Region(round(40 + place * 0.85 * height), y, width, height, np.full((height, width), 255, np.uint8))
        found.append(Candidate(region, np.zeros((28, 28), np.uint8), shares, 3.0))
    return found


def left(found: list[Candidate], height: int = LOW) -> str:
    """The digits of that height that are left."""
    kept = without_words(found, LABELS, THRESHOLD)
    assert [replace(c, refused=False) for c in kept] == found, "nothing is lost, and nothing put elsewhere"
    return "".join(LABELS[c.label] for c in kept if c.is_digit(THRESHOLD) and c.region.height == height)


@pytest.mark.parametrize("print_", ["KK 9", "9 KK", "K 4 K", "KK 27 KK", "KK 5 1 K 0"])
def test_small_print_beside_numbers_is_none(print_: str) -> None:
    found = [*line(print_, 40, LOW), *line("20475", 80, HIGH)]
    assert left(found) == ""
    assert left(found, HIGH) == "20475"


@pytest.mark.parametrize(
    ("print_", "digits"),
    [("KKKK 247", "247"), ("12 KK", "12"), ("9", "9"), ("K 9", "9"), ("KK      9", "9"), ("KK 4 27 4 K", "4274")],
    ids=["a number", "a number with its unit", "alone", "one letter", "far from letters", "more digits than letters"],
)
def test_small_numbers_stay(print_: str, digits: str) -> None:
    assert left([*line(print_, 40, LOW), *line("20475", 80, HIGH)]) == digits


@pytest.mark.parametrize("print_", ["KKK 45", "7 KKK", "KK 5 K"])
def test_small_digits_that_are_quite_sure_stay(print_: str) -> None:
    digits = "".join(character for character in print_ if character.isdigit())
    assert left([*line(print_, 40, LOW, sure=0.999), *line("20475", 80, HIGH)]) == digits


def test_a_row_that_letters_may_look_like_is_no_number() -> None:
    assert left([*line("KKKK 5510", 40, LOW), *line("20475", 80, HIGH)]) == ""
    assert left([*line("KKKK 5514", 40, LOW), *line("20475", 80, HIGH)]) == "5514"


def test_only_where_more_is_written_far_higher_is_print_small() -> None:
    assert left([*line("KK 9", 40, LOW), *line("20", 80, HIGH)]) == "9"
    assert left([*line("KK 9", 40, LOW), *line("20475", 80, LOW + 10)]) == "9"

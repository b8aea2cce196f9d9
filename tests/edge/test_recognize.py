"""What becomes of candidates by what stands beside them."""

import numpy as np
import pytest

from edge.candidate import Candidate
from edge.recognize import NOT_SEEN, SURE_IN_CLUTTER, _sure_or_beside_sure, _unseen
from edge.segment import Region

THRESHOLD = 0.4


def at(x: int, confidence: float, width: int = 20, height: int = 30) -> Candidate:
    """A candidate whose region's left side is there; all are on one line."""
    shares = np.zeros(11, np.float32)
    shares[5], shares[10] = confidence, 1 - confidence
    region = Region(x, 100, width, height, np.full((height, width), 255, np.uint8))
    return Candidate(region, np.zeros((28, 28), np.uint8), shares, 4.0, 100.0)


def confidences(found: list[Candidate]) -> list[float]:
    return [pytest.approx(c.shares.item(5), abs=1e-6) for c in found]


def test_what_no_network_sees_beside_more_of_the_same_is_a_word() -> None:
    word = [at(100, 0.99), at(125, 0.99), at(150, 0.99)]
    assert confidences(_unseen(word, [])) == [0.99 * NOT_SEEN] * 3


def test_what_the_line_network_does_not_see_stays_where_a_digit_is_beside_it_or_nothing() -> None:
    assert confidences(_unseen([at(100, 0.99)], [])) == [0.99]
    assert confidences(_unseen([at(100, 0.99), at(150, 0.99)], [at(125, 0.9)])) == [0.99, 0.99]
    assert confidences(_unseen([at(100, 0.99), at(140, 0.99)], [])) == [0.99, 0.99], "too far apart for letters"
    assert confidences(_unseen([at(100, 0.99), at(125, 0.99)], [at(150, 0.9)])) == [0.99 * NOT_SEEN, 0.99]


def test_a_doubtful_one_that_is_not_seen_is_hardly_a_digit_anywhere() -> None:
    assert confidences(_unseen([at(100, 0.7)], [at(125, 0.9)])) == [0.7 * NOT_SEEN]


def test_in_clutter_a_digit_is_sure_or_beside_one_that_is() -> None:
    sure, unsure = SURE_IN_CLUTTER + 0.1, SURE_IN_CLUTTER - 0.1
    found = [at(100, sure), at(125, unsure), at(300, unsure), at(500, 0.1), at(700, sure)]
    judged = _sure_or_beside_sure(found, THRESHOLD)
    assert [c.refused for c in judged] == [False, False, True, False, False]
    assert [c.region.x for c in judged] == [100, 125, 300, 500, 700]

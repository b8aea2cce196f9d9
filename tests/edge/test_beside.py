"""What becomes of candidates by what stands beside them."""

import numpy as np

from edge.candidate import Candidate, boxes_of
from edge.doubt import _are_letters
from edge.refusal import SURE_IN_CLUTTER, _of_sure_numbers
from edge.segment import Region

THRESHOLD = 0.4
BAR = 1  # index of its label


def at(x: int, confidence: float, label: int = 5, width: int = 20, *, refused: bool = False) -> Candidate:
    """A candidate whose region's left side is there; all are on one line."""
    shares = np.zeros(11, np.float32)
    shares[label] = confidence
    region = Region(x, 100, width, 30, np.full((30, width), 255, np.uint8))
    return Candidate(region, np.zeros((28, 28), np.uint8), shares, 4.0, 100.0, refused)


def are_letters(unseen: list[Candidate], *digits: Candidate) -> list[bool]:
    return _are_letters(unseen, boxes_of([*digits]))


def test_what_the_line_network_does_not_see_beside_more_of_the_same_is_a_word() -> None:
    assert are_letters([at(100, 0.99), at(125, 0.99), at(150, 0.99)]) == [True] * 3
    assert are_letters([at(100, 0.99), at(140, 0.99)]) == [False] * 2, "too far apart for letters"


def test_what_the_line_network_does_not_see_stays_alone_or_in_a_row_that_ends_at_a_digit() -> None:
    assert are_letters([at(100, 0.99)]) == [False]
    assert are_letters([at(100, 0.99), at(150, 0.99)], at(125, 0.9)) == [False] * 2
    assert are_letters([at(100, 0.99), at(125, 0.99)], at(150, 0.9)) == [False] * 2


def test_a_doubtful_one_that_is_not_seen_is_hardly_a_digit_anywhere() -> None:
    assert are_letters([at(100, 0.7)], at(125, 0.9)) == [True]
    assert are_letters([at(125, 0.7), at(150, 0.99)], at(100, 0.9)) == [True, True], "a unit, such as kg"


SURE, UNSURE = SURE_IN_CLUTTER + 0.1, SURE_IN_CLUTTER - 0.1


def refused(*found: Candidate) -> list[bool]:
    judged = _of_sure_numbers([*found], THRESHOLD, BAR)
    assert [c.region.x for c in judged] == [c.region.x for c in found]
    return [c.refused for c in judged]


def test_in_clutter_a_digit_is_sure_or_in_a_row_with_one_that_is() -> None:
    assert refused(at(100, SURE), at(125, UNSURE), at(150, UNSURE), at(300, UNSURE)) == [False, False, False, True]


def test_a_bar_a_refused_one_and_what_is_no_digit_vouch_for_none_in_clutter() -> None:
    assert refused(at(100, SURE, BAR), at(125, UNSURE)) == [False, True]
    assert refused(at(100, SURE, refused=True), at(125, UNSURE)) == [True, True]
    assert refused(at(100, SURE), at(125, 0.1), at(150, UNSURE)) == [False, False, False]
    assert refused(at(100, SURE), at(125, 0.1), at(180, UNSURE)) == [False, False, True]

"""What stands next to what in a line."""

import numpy as np
import pytest

from edge.candidate import are_beside, between

DIGIT = (100, 100, 30, 40)  # x, y, width, height


@pytest.mark.parametrize(
    ("box", "beside"),
    [
        ((135, 104, 30, 40), True),
        ((30, 96, 30, 40), True),
        ((168, 100, 30, 40), True),
        ((172, 100, 30, 40), False),  # too far
        ((135, 125, 30, 40), False),  # in the next line
        ((135, 118, 10, 22), False),  # a comma
        ((135, 80, 40, 72), False),  # too high
        ((108, 110, 30, 40), True),  # over one another
    ],
)
def test_digits_of_a_line_are_beside_each_other(box: tuple[int, ...], beside: bool) -> None:
    assert are_beside(np.array(DIGIT, float), np.array([DIGIT, box], float)).tolist() == [True, beside]
    assert are_beside(np.array(box, float), np.array([DIGIT, box], float)).tolist() == [beside, True]


def test_what_begins_or_ends_a_number_is_not_between_its_digits() -> None:
    line = np.array([(60 + 40 * k, 100, 30, 40) for k in range(5)], float)
    digits = line[[1, 3]]
    assert between(line, digits).tolist() == [False, False, True, False, False]
    below = line + np.array((0, 60, 0, 0))
    assert not between(below, digits).any()
    assert not between(line, digits[:0]).any()
    assert between(line[:0], digits).tolist() == []

"""Boxes are put in lines, and lines in the order in which they are read."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.lines import arrange

WIDTH, HEIGHT, STEP = 22.0, 36.0, 34.0  # pixels: a digit, and from one to the next
PITCH = 70.0  # pixels from line to line


def row(x: float, y: float, count: int, step: float = STEP) -> list[tuple[float, float, float, float]]:
    return [(x + k * step, y, WIDTH, HEIGHT) for k in range(count)]


def turned(boxes: np.ndarray, degrees: float) -> np.ndarray:
    """Boxes of the same size around middles turned clockwise."""
    angle = math.radians(degrees)
    middles = boxes[:, :2] + boxes[:, 2:] / 2
    cos, sin = math.cos(angle), math.sin(angle)
    around = (middles - middles.mean(axis=0)) @ np.array([[cos, sin], [-sin, cos]]) + middles.mean(axis=0)
    return np.column_stack([around - boxes[:, 2:] / 2, boxes[:, 2:]])


def order(boxes: np.ndarray, seed: int = 1) -> list[list[int]]:
    """The lines of boxes handed over in any order, in terms of the boxes as given here."""
    shuffled = np.random.default_rng(seed).permutation(len(boxes))
    lines, _ = arrange(boxes[shuffled])
    return [[int(shuffled[k]) for k in line] for line in lines]


def in_turn(*counts: int) -> list[list[int]]:
    """Lines of so many boxes, numbered as they are read."""
    ends = np.cumsum([0, *counts])
    return [list(range(start, end)) for start, end in pairwise(ends)]


def test_no_box_is_no_line() -> None:
    assert arrange(np.empty((0, 4))) == ([], 0.0)


def test_one_box_is_a_line() -> None:
    assert arrange(np.array(row(10, 10, 1))) == ([[0]], 0.0)


@pytest.mark.parametrize("tilt", [-15.0, -9.0, -3.0, 0.0, 4.0, 10.0, 15.0])
def test_lines_are_read_from_the_top_and_digits_from_the_left(tilt: float) -> None:
    boxes = np.array(row(10, 0, 7) + row(10, PITCH, 5) + row(10, 2 * PITCH, 8))
    boxes = turned(boxes, tilt)
    assert order(boxes) == in_turn(7, 5, 8)
    assert math.degrees(arrange(boxes)[1]) == pytest.approx(tilt, abs=1.5)


def test_a_baseline_may_wobble_and_digits_may_differ_in_height() -> None:
    rng = np.random.default_rng(8)
    boxes = np.array(row(10, 0, 9) + row(10, PITCH, 9))
    boxes[:, 3] *= rng.uniform(0.8, 1.2, len(boxes))
    boxes[:, 1] += rng.uniform(-5, 5, len(boxes))
    assert order(boxes) == in_turn(9, 9)


def test_a_line_may_bend() -> None:
    boxes = np.array(row(10, 0, 14) + row(10, PITCH, 14))
    boxes[:, 1] += 30 * np.sin(boxes[:, 0] / 480 * math.pi)
    assert order(boxes) == in_turn(14, 14)


@pytest.mark.parametrize("seed", range(6))
def test_numbers_side_by_side_come_from_the_left_though_the_hand_kept_no_level(seed: int) -> None:
    boxes = np.array(row(0, 0, 2) + row(250, 0, 2) + row(500, 0, 2))
    boxes[:, 1] += np.repeat(np.random.default_rng(seed).uniform(-6, 6, 3), 2)
    assert order(boxes) == in_turn(2, 2, 2)


@pytest.mark.parametrize("tilt", [-5.0, 0.0, 5.0])
def test_columns_do_not_interleave(tilt: float) -> None:
    left = row(0, 0, 4) + row(0, PITCH, 3) + row(0, 2 * PITCH, 4)
    right = row(300, 5, 3) + row(300, PITCH + 5, 4)
    assert order(turned(np.array(left + right), tilt)) == in_turn(4, 3, 4, 3, 4)


def test_a_heading_over_columns_is_read_first() -> None:
    heading = row(60, -PITCH, 9)
    left = row(0, 0, 3) + row(0, PITCH, 3)
    right = row(300, 0, 3) + row(300, PITCH, 3)
    assert order(np.array(heading + left + right)) == in_turn(9, 3, 3, 3, 3)


@pytest.mark.parametrize("gap", [2.0, 4.0, 12.0])
def test_a_single_row_with_a_wide_gap_stays_in_order(gap: float) -> None:
    boxes = np.array(row(0, 0, 3) + row(3 * STEP + gap * HEIGHT, 2, 4))
    assert [k for line in order(boxes) for k in line] == list(range(7))


def test_lines_of_different_size_stay_apart() -> None:
    large = [(90.0 * k, 0.0, 60.0, 100.0) for k in range(3)]
    small = [(10 + 20.0 * k, 118.0, 12.0, 20.0) for k in range(8)]
    assert order(np.array(large + small)) == in_turn(3, 8)


def test_ones_do_not_break_a_line() -> None:
    boxes = np.array(row(0, 0, 6))
    boxes[1::2, 2] = 4
    assert order(boxes) == in_turn(6)


@settings(max_examples=100, deadline=None)
@given(
    places=st.lists(
        st.tuples(st.floats(0, 800), st.floats(0, 600), st.floats(1, 120), st.floats(1, 120)), min_size=1, max_size=25
    ),
    shift=st.tuples(st.integers(-500, 500), st.integers(-500, 500)),
)
def test_every_box_is_in_one_line_wherever_the_page_lies(
    places: list[tuple[float, float, float, float]], shift: tuple[int, int]
) -> None:
    boxes = np.array(places).round()
    lines, tilt = arrange(boxes)
    assert sorted(k for line in lines for k in line) == list(range(len(boxes)))
    assert all(lines)
    assert abs(math.degrees(tilt)) <= 25.01
    along = (boxes[:, 0] + boxes[:, 2] / 2) * math.cos(tilt) + (boxes[:, 1] + boxes[:, 3] / 2) * math.sin(tilt)
    assert all((np.diff(along[line]) >= -1e-9).all() for line in lines)
    assert arrange(boxes + np.array([*shift, 0, 0]))[0] == lines

"""Boxes are put in lines, and lines in the order in which they are read."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.candidate import Candidate
from edge.compose import in_lines
from edge.lines import arrange, borders_of
from edge.rules import NO_RULES
from edge.segment import Region

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


def standing(top: float, bottom: float, *places: float) -> np.ndarray:
    """Lines that stand at these places."""
    return np.array([[(x, top), (x, bottom)] for x in places], np.float64)


def order(boxes: np.ndarray, rules: np.ndarray = NO_RULES, seed: int = 1) -> list[list[int]]:
    """The lines of boxes handed over in any order, in terms of the boxes as given here."""
    shuffled = np.random.default_rng(seed).permutation(len(boxes))
    lines, _ = arrange(boxes[shuffled], borders_of(boxes[shuffled], rules))
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


TABLE = [row(column * 170, PITCH * line, 4) for column in range(2) for line in range(3)]  # a height apart


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("tilt", [-12.0, -5.0, 0.0, 5.0, 12.0])
@pytest.mark.parametrize("gap", [0.7, 1.0, 2.0])
def test_a_line_between_columns_keeps_them_apart_however_near_they_are(gap: float, tilt: float) -> None:
    start = 3 * STEP + WIDTH + gap * HEIGHT
    boxes = [box for column in range(2) for line in range(4) for box in row(column * start, PITCH * line, 4)]
    rules = standing(-20, 4 * PITCH, -20, start - gap * HEIGHT / 2, 2 * start)
    together = turned(np.array(boxes + [(x, y, 0.0, 0.0) for x, y in rules.reshape(-1, 2).tolist()]), tilt)
    rules = together[len(boxes) :, :2].reshape(-1, 2, 2)
    assert order(together[: len(boxes)], rules) == in_turn(*[4] * 8)


def test_columns_of_any_width_are_kept_apart_where_one_number_fills_its_cell() -> None:
    left = row(0, 0, 2) + row(0, PITCH, 6) + row(0, 2 * PITCH, 2)
    right = row(230, 0, 3) + row(208, PITCH, 3) + row(230, 2 * PITCH, 3)
    assert order(np.array(left + right), standing(-20, 3 * PITCH, 200)) == in_turn(2, 6, 2, 3, 3, 3)


def test_columns_with_a_line_between_them_are_read_one_after_the_other_though_a_heading_stands_above() -> None:
    heading, numbers = row(60, -PITCH, 5), [box for line in TABLE for box in line]
    boxes = np.array(heading + numbers)
    boxes[-12:, 0] -= 0.2 * HEIGHT  # nearer than a gutter
    assert order(boxes, standing(-20, 3 * PITCH, 138)) == in_turn(5, *[4] * 6)


def test_a_line_that_a_column_overhangs_here_and_there_is_its_border_all_the_same() -> None:
    boxes = np.array([box for line in TABLE for box in line])
    assert order(boxes, standing(-20, 3 * PITCH, 127)) == in_turn(*[4] * 6)
    boxes[4:8, 0] += 12  # the last one stands on the border
    assert order(boxes, standing(-20, 3 * PITCH, 127 + 18)) == in_turn(*[4] * 6)


def test_a_column_may_hold_one_digit_where_the_other_holds_several() -> None:
    one, three = [[box for line in range(3) for box in row(x, PITCH * line, count)] for x, count in ((0, 1), (70, 3))]
    boxes = np.array(one + three)
    rules = standing(-20, 3 * PITCH, -12, 46, 190)
    assert order(boxes, rules) == in_turn(1, 1, 1, 3, 3, 3)
    boxes[:, 0] = -boxes[:, 0] - WIDTH
    rules[:, :, 0] *= -1
    assert order(boxes, rules) == [[5, 4, 3], [8, 7, 6], [11, 10, 9], [0], [1], [2]]


def test_cells_below_a_table_do_not_tell_how_wide_its_own_are() -> None:
    numbers = [box for line in TABLE for box in line]
    rules = np.concatenate([standing(-20, 3 * PITCH, 147), standing(4 * PITCH, 6 * PITCH, *range(-13, 300, 40))])
    assert order(np.array(numbers), rules) == in_turn(*[4] * 6)


@pytest.mark.parametrize("cell", [1.1, 1.5, 2.0])  # heights
@pytest.mark.parametrize("squares", [1, 2])  # for each digit
def test_a_number_with_a_digit_to_a_cell_is_one_line(cell: float, squares: int) -> None:
    step = cell * HEIGHT
    cells = [box for line in range(3) for box in row(0, PITCH * line, 6, step)]
    free = row(0, 4 * PITCH, 8)
    places = (WIDTH - step) / 2 + np.arange(6 * squares + 1) * step / squares
    assert order(np.array(cells + free), standing(-20, 3 * PITCH, *places)) == in_turn(6, 6, 6, 8)


@pytest.mark.filterwarnings("error")
def test_where_no_two_digits_share_a_cell_no_line_is_a_border() -> None:
    boxes = np.array([box for line in range(3) for box in row(0, PITCH * line, 6, 70.0)])
    assert order(boxes, standing(-20, 3 * PITCH, *(np.arange(5) * 70.0 + 46))) == in_turn(6, 6, 6)
    assert len(borders_of(boxes[:0], standing(0, 100, 46))) == 0


def test_a_wide_gap_on_squared_paper_parts_no_number() -> None:
    boxes = np.array(row(0, 0, 8) + row(0, PITCH, 3) + row(3 * STEP + 40, PITCH, 3) + row(0, 2 * PITCH, 2))
    assert order(boxes, standing(-20, 3 * PITCH, *np.arange(-58.0, 400, 45))) == in_turn(8, 6, 2)


def test_lines_that_were_found_between_some_digits_alone_do_not_part_a_number() -> None:
    boxes = np.array([box for line in range(3) for box in row(0, PITCH * line, 8, 50.0)])
    assert order(boxes, standing(-20, 3 * PITCH, 86, 186)) == in_turn(8, 8, 8)


def test_a_line_through_digits_is_no_border() -> None:
    boxes = np.array(row(0, 0, 3) + row(140, 0, 3) + row(0, PITCH, 8) + row(0, 2 * PITCH, 8))
    x = 3 * STEP + WIDTH / 2
    assert order(boxes, standing(-20, 3 * PITCH, x)) == in_turn(6, 8, 8)


def test_a_line_beside_one_number_parts_none() -> None:
    boxes = np.array(row(0, 0, 3) + row(150, 0, 3))
    assert order(boxes, standing(-25, 60, 120)) == in_turn(6)
    assert order(boxes, standing(-40, 60, 120)) == in_turn(3, 3)


def test_a_number_below_a_line_stays_whole() -> None:
    boxes = [box for line in TABLE for box in line]
    below = row(0, 3 * PITCH, 3) + row(160, 3 * PITCH, 3)
    lines = order(np.array(boxes + below), standing(-20, 3 * PITCH - 10, 147))
    assert sorted(map(len, lines)) == [4] * 6 + [6]


@pytest.mark.parametrize(("x", "border", "line"), [(134, 160, 1), (141, 135, 4)])
def test_what_was_refused_is_put_beside_the_number_in_its_own_column(x: float, border: float, line: int) -> None:
    def candidate(box: tuple[float, float, float, float], refused: bool = False) -> Candidate:
        x, y, w, h = map(round, box)
        region = Region(x, y, w, h, np.full((h, w), 255, np.uint8))
        return Candidate(region, np.zeros((28, 28), np.uint8), np.array([0.0, 1.0], np.float32), 3.0, 200.0, refused)

    found = [candidate(box) for line in TABLE for box in line]
    mark = candidate((x, PITCH, WIDTH, HEIGHT), refused=True)
    lines, rest = in_lines([*found, mark], None, lambda *_: mark, 0.5, None, None, standing(-20, 3 * PITCH, border))
    assert [len(members) for members in lines] == [5 if k == line else 4 for k in range(6)]
    assert any(c is mark for c in lines[line]) and not rest


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


def test_a_page_may_have_a_thousand_lines() -> None:
    boxes = np.array([(40.0, 30.0 * k, 14.0, 20.0) for k in range(1000)])
    lines, _ = arrange(boxes)
    assert lines == [[k] for k in range(1000)]

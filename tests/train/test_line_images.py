"""Lines to train on say the truth about themselves: each digit in its column, its box around its ink."""

import numpy as np
import pytest

from edge.line_network import COLUMN, DIGIT_HEIGHT, LINE_HEIGHT
from train import line_images
from train.data import DataError
from train.fonts import font_files
from train.line_images import BLANK, TRAIN_WIDTH, Lines, draw_lines

COUNT = 60
INK = 60  # grey levels


@pytest.fixture(scope="module")
def digits(mnist) -> tuple[np.ndarray, np.ndarray]:
    from train.data import load

    data = load()
    try:
        font_files("train")
    except DataError as error:
        pytest.skip(f"the fonts cannot be had: {error}")
    return data.train_images[:2000], data.train_labels[:2000]


@pytest.fixture(scope="module")
def lines(digits) -> Lines:
    return draw_lines(*digits, COUNT, 5, "train")


def test_one_seed_draws_the_same_lines(digits, lines) -> None:
    again = draw_lines(*digits, COUNT, 5, "train")
    for field in Lines.__slots__:
        assert np.array_equal(getattr(lines, field), getattr(again, field)), field
    assert not np.array_equal(draw_lines(*digits, COUNT, 6, "train").images, lines.images)


def test_lines_have_their_size_and_hold_digits_of_every_class(lines) -> None:
    assert lines.images.shape == (COUNT, LINE_HEIGHT, TRAIN_WIDTH)
    assert lines.images.dtype == np.uint8
    assert set(np.unique(lines.classes)) == {*range(10), BLANK}
    assert set(np.unique(lines.weights)) == {0.0, 1.0}


def test_a_digits_column_is_the_middle_of_its_box_and_its_ink_is_in_it(lines) -> None:
    columns = np.argwhere((lines.classes != BLANK) & (lines.weights > 0))
    assert len(columns) > COUNT
    inked = 0
    for line, column in columns:
        left, right, top, bottom = lines.boxes[line, column] * DIGIT_HEIGHT
        middle = (column + 0.5) * COLUMN
        assert abs(left - right) <= 4 * COLUMN  # both sides are about as far
        assert bottom > top
        rows = slice(max(0, round(top)), max(0, round(bottom)))
        box = lines.images[line][rows, max(0, round(middle - left)) : round(middle + right)]
        inked += bool((box > INK).any())
    assert inked >= 0.98 * len(columns)  # some are written very faintly


@pytest.mark.parametrize(
    ("middle", "own", "either"), [(41.0, [20], [19, 21]), (42.0, [20, 21], [19, 22]), (41.4, [20, 21], [19])]
)
def test_the_columns_beside_a_digits_own_count_neither_way(middle, own, either) -> None:
    classes, weights, boxes = np.full(40, BLANK), np.ones(40, np.float32), np.zeros((40, 4), np.float32)
    line_images._mark([line_images._Placed(7, middle - 6, 8, middle + 6, 32)], classes, weights, boxes)
    assert np.flatnonzero(classes == 7).tolist() == own
    assert np.flatnonzero(weights == 0).tolist() == either
    assert (boxes[own, :2].sum(axis=1) * DIGIT_HEIGHT).tolist() == pytest.approx([12] * len(own))


def test_some_lines_hold_words_alone(digits, monkeypatch) -> None:
    monkeypatch.setattr(line_images, "ONLY_WORDS_PART", 1.0)
    drawn = draw_lines(*digits, 10, 1, "train")
    assert (drawn.classes == BLANK).all()
    assert (drawn.images > INK).any(axis=(1, 2)).all()


def test_touching_digits_run_into_each_other() -> None:
    left, right = np.zeros((20, 10), np.uint8), np.zeros((20, 8), np.uint8)
    left[5, :7] = 255  # reaches to its seventh column
    right[5, 2:] = 255  # begins in its third
    assert line_images._contact(left, right, 0) == 5
    assert line_images._contact(left, right, 3) is None  # no row in common

"""The line network finds the digits of a line image, each in its place, and nothing where there is none."""

import numpy as np
import pytest

from edge.line_network import COLUMN, DIGIT_HEIGHT, DIGITS, LINE_HEIGHT, WIDTHS, LineNetwork, decoded
from tests.edge.sheets import Sheet

RUNTIMES = ["litert", "tflite"]


def line_image(text: str, gap: float) -> np.ndarray:
    """A line of digits as the network takes it; gap: of paper between two, in digit heights."""
    sheet = Sheet(width=WIDTHS[-1], height=LINE_HEIGHT)
    sheet.write(text, 12, (LINE_HEIGHT - DIGIT_HEIGHT) / 2, DIGIT_HEIGHT, gap=gap)
    return np.ascontiguousarray((sheet.marks * 220).astype(np.uint8))


def logits(columns: int, places: dict[int, int]) -> np.ndarray:
    """Scores in which each of these columns holds this digit, and all others none."""
    scores = np.zeros((columns, DIGITS + 1), np.float32)
    scores[:, DIGITS] = 9
    for column, value in places.items():
        scores[column, DIGITS], scores[column, value] = 0, 9
    return scores


def boxes(columns: int, width: float) -> np.ndarray:
    """Every column's digit is so many pixels wide and as high as digits are."""
    half = width / 2 / DIGIT_HEIGHT
    return np.tile(np.array([half, half, 0.3, 1.3], np.float32), (columns, 1))


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("gap", [0.4, 0.05, -0.04])
def test_digits_are_read_from_the_left_touching_or_not(runtime: str, gap: float) -> None:
    found = LineNetwork(runtime=runtime).read(line_image("2836059", gap))
    assert "".join(str(digit.value) for digit in found) == "2836059"
    assert [digit.middle for digit in found] == sorted(digit.middle for digit in found)


def test_a_box_holds_its_digit() -> None:
    image = line_image("3", 0)
    (digit,) = LineNetwork().read(image)
    rows, columns = (np.flatnonzero((image > 60).any(axis=axis)) for axis in (1, 0))
    truth = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    assert np.allclose((digit.left, digit.top, digit.right, digit.bottom), truth, atol=3)


def test_blank_paper_holds_nothing() -> None:
    assert LineNetwork().read(np.zeros((LINE_HEIGHT, 100), np.uint8)) == []


def test_the_sides_of_a_cell_are_no_ones() -> None:
    image = line_image("", 0)
    image[:, 60:62] = image[:, 100:102] = 200
    image[2:4, 60:102] = image[36:38, 60:102] = 200
    assert LineNetwork().read(image) == []


@pytest.mark.parametrize("width", [1, 47, 48, 49, WIDTHS[-1]])
def test_a_line_of_any_width_is_read(width: int) -> None:
    assert LineNetwork().read(np.zeros((LINE_HEIGHT, width), np.uint8)) == []


@pytest.mark.parametrize("shape", [(LINE_HEIGHT, WIDTHS[-1] + 1), (LINE_HEIGHT, 0), (LINE_HEIGHT - 1, 64)])
def test_other_sizes_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="line image"):
        LineNetwork().read(np.zeros(shape, np.uint8))


def test_both_runtimes_say_the_same() -> None:
    image = line_image("40917", 0.02)
    one, other = (LineNetwork(runtime=runtime).read(image) for runtime in RUNTIMES)
    assert [digit.value for digit in one] == [digit.value for digit in other]
    assert np.allclose([d.shares for d in one], [d.shares for d in other], atol=0.05)


def test_columns_side_by_side_are_one_digit() -> None:
    (digit,) = decoded(logits(40, {10: 4, 11: 4}), boxes(40, 16))
    assert digit.value == 4
    assert digit.middle == pytest.approx((10 + 0.5) * COLUMN)


def test_digits_that_share_little_are_two() -> None:
    found = decoded(logits(40, {10: 1, 13: 1}), boxes(40, 5))
    assert [digit.value for digit in found] == [1, 1]


def test_of_two_in_the_same_place_the_surer_is_kept() -> None:
    scores = logits(40, {10: 8, 13: 3})
    scores[13, 3] = 1
    assert [digit.value for digit in decoded(scores, boxes(40, 16))] == [8]


def test_shares_add_up_to_how_likely_there_is_a_digit() -> None:
    scores = np.zeros((20, DIGITS + 1), np.float32)
    scores[:, DIGITS] = 9
    scores[7] = np.log([0.1, 0.5, *[0.0125] * 8, 0.3])
    (digit,) = decoded(scores, boxes(20, 8))
    assert float(digit.shares.sum()) == pytest.approx(0.7, abs=0.01)
    assert digit.value == 1

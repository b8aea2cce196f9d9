"""What stands between digits and is none: never silently left out, never a digit."""

from collections.abc import Callable

import numpy as np
import pytest

from edge import DigitReader
from edge.components import components_of
from edge.marks import hanging, is_barcode, passing
from edge.underlines import underlines
from tests.edge.sheets import Sheet

HEIGHT = 44.0
FOOT = 120 + HEIGHT
Draw = Callable[[Sheet, float], None]


def dash(sheet: Sheet, x: float) -> None:
    sheet.line(x, FOOT - 0.5 * HEIGHT, x + 20, FOOT - 0.52 * HEIGHT, 4)


def point(sheet: Sheet, x: float) -> None:
    sheet.line(x + 9, FOOT - 4, x + 11, FOOT - 3, 5)


def comma(sheet: Sheet, x: float) -> None:
    sheet.draw([np.array([(x + 11, FOOT - 5), (x + 12, FOOT), (x + 7, FOOT + 9)])], 4)


def slash(sheet: Sheet, x: float) -> None:
    sheet.line(x, FOOT + 8, x + 20, FOOT - HEIGHT - 8, 4)


def colon(sheet: Sheet, x: float) -> None:
    for part in (0.2, 0.7):
        sheet.line(x + 9, FOOT - part * HEIGHT, x + 11, FOOT - part * HEIGHT + 1, 5)


def equals(sheet: Sheet, x: float) -> None:
    for part in (0.4, 0.65):
        sheet.line(x, FOOT - part * HEIGHT, x + 20, FOOT - part * HEIGHT, 4)


def division(sheet: Sheet, x: float) -> None:
    dash(sheet, x)
    for part in (0.25, 0.78):
        sheet.line(x + 9, FOOT - part * HEIGHT, x + 11, FOOT - part * HEIGHT, 5)


def sheet_with(mark: Draw, left: str, right: str) -> Sheet:
    sheet = Sheet()
    x = sheet.write(left, 70, 120, HEIGHT)
    mark(sheet, x - 2)
    sheet.write(right, x + 32, 120, HEIGHT)
    return sheet


@pytest.mark.parametrize("mark", [dash, point, comma, slash, colon, equals, division], ids=lambda mark: mark.__name__)
@pytest.mark.parametrize(("left", "right"), [("12", "50"), ("5", "7"), ("43", "86"), ("9", "25")])
def test_a_mark_between_two_digits_is_a_question_mark(left: str, right: str, mark: Draw, reader: DigitReader) -> None:
    found = reader.read(sheet_with(mark, left, right).grey())
    assert found.text == f"{left}?{right}"
    refused = found.digits[len(left)]
    assert refused.label is None
    x, _, width, _ = refused.box
    assert found.digits[len(left) - 1].box[0] < x
    assert x + width <= found.digits[len(left) + 1].box[0] + 3


def test_digits_without_marks_get_none(reader: DigitReader) -> None:
    sheet = Sheet()
    sheet.write("5043 75", 40, 60, HEIGHT)
    sheet.write("1117", 40, 170, HEIGHT)
    assert reader.read(sheet.grey()).text == "504375\n1117"


def test_a_minus_before_a_number_is_a_question_mark(reader: DigitReader) -> None:
    sheet = Sheet()
    sheet.line(60, FOOT - 0.5 * HEIGHT, 82, FOOT - 0.5 * HEIGHT, 4)
    sheet.write("36", 96, 120, HEIGHT)
    assert reader.read(sheet.grey()).text == "?36"


@pytest.mark.parametrize("below", [0.1, 0.14, 0.22])
@pytest.mark.parametrize("text", ["7", "31", "482", "1"])
def test_a_number_that_is_underlined_reads_as_if_it_were_not(text: str, below: float, reader: DigitReader) -> None:
    sheet = Sheet(360, 560)
    end = sheet.write(text, 150, 120, HEIGHT)
    sheet.line(140, FOOT + below * HEIGHT + 2, end - 4, FOOT + below * HEIGHT + 1, 3)
    sheet.write("9065", 150, 250, HEIGHT)
    found = reader.read(sheet.grey())
    assert found.text == f"{text}\n9065"
    assert all(digit.box[3] <= HEIGHT + 4 for digit in found.digits), "the line is in no digit's box"


@pytest.mark.parametrize("tilt", [0.0, 2.0])
@pytest.mark.parametrize("text", ["31", "4827", "906"])
def test_a_line_that_digits_stand_on_is_taken_from_under_them(text: str, tilt: float, reader: DigitReader) -> None:
    sheet = Sheet(360, 560, tilt)
    end = sheet.write(text, 150, 120, HEIGHT)
    sheet.line(138, FOOT, end - 2, FOOT + 1, 4)
    components = components_of(np.asarray((sheet.marks > 0.3) * 255, np.uint8), 5)
    assert components is not None
    assert len(components.boxes) < len(text) + 1, "they touch"
    assert reader.read(sheet.grey()).text == text


@pytest.mark.parametrize("text", ["22", "72", "00", "88", "44", "2"])
def test_touching_digits_stand_on_no_line(text: str) -> None:
    sheet = Sheet()
    sheet.write(text, 150, 120, HEIGHT, gap=-0.03)
    components = components_of(np.asarray((sheet.marks > 0.3) * 255, np.uint8), 5)
    assert components is not None
    assert underlines(components, 12, sheet.marks.shape) is None


def test_brackets_are_no_ones(reader: DigitReader) -> None:
    sheet = Sheet()
    end = sheet.write("264", 110, 120, HEIGHT)
    t = np.linspace(-1, 1, 20)
    for x, side in ((92, 1), (end + 3, -1)):
        sheet.draw([np.column_stack([x + side * 8 * t**2, 120 + HEIGHT / 2 + 0.66 * HEIGHT * t])], 4)
    assert reader.read(sheet.grey()).text == "?264?"


def test_a_degree_sign_is_no_0(reader: DigitReader) -> None:
    sheet = Sheet()
    end = sheet.write("25", 110, 120, HEIGHT)
    t = np.linspace(0, 2 * np.pi, 30)
    sheet.draw([np.column_stack([end - 2 + 7 * np.cos(t), 126 + 7 * np.sin(t)])], 3)
    assert reader.read(sheet.grey()).text == "25"


def test_a_box_to_tick_is_no_0_and_a_0_is_no_box(reader: DigitReader) -> None:
    sheet = Sheet()
    sheet.box(60, 124, 32, 38, pen=3)
    sheet.write("3074", 150, 120, HEIGHT)
    assert reader.read(sheet.grey()).text == "3074"


def test_a_barcode_holds_no_digit(reader: DigitReader) -> None:
    sheet = Sheet()
    rng = np.random.default_rng(3)
    x = 60.0
    while x < 380:
        width = float(rng.integers(2, 6))
        sheet.line(x, 60, x, 130, width)
        x += width + float(rng.integers(5, 11))
    sheet.write("40382", 90, 180, HEIGHT)
    assert reader.read(sheet.grey()).text == "40382"


def test_ones_by_hand_are_no_barcode() -> None:
    rng = np.random.default_rng(4)
    boxes = np.array([(20 * k, rng.normal(0, 2), 6, rng.normal(50, 3)) for k in range(14)])
    assert not is_barcode(boxes, np.ones(14, bool))
    boxes[:, 1], boxes[:, 3] = 0, 50
    assert is_barcode(boxes, np.ones(14, bool))
    assert not is_barcode(boxes[:8], np.ones(8, bool))


def test_specks_between_digits_are_paper(reader: DigitReader) -> None:
    sheet = Sheet()
    end = sheet.write("27", 70, 120, HEIGHT)
    sheet.line(end - 8, 130, end - 7, 130, 2)  # high, and small
    sheet.line(end - 8, FOOT - 2, end - 7, FOOT - 2, 5, 0.25)  # faint
    sheet.write("94", end + 10, 120, HEIGHT)
    assert reader.read(sheet.grey()).text == "2794"


def test_what_hangs_at_a_foot_is_told_from_a_low_digit_on_the_line() -> None:
    boxes = np.array([(0, 0, 30, 50), (34, 42, 8, 20), (60, 0, 30, 50), (95, 0, 10, 22), (110, 28, 12, 22)], float)
    assert hanging(boxes).tolist() == [False, True, False, False, True]
    assert not hanging(boxes[:0]).any()
    assert not hanging(boxes[[0, 2]]).any()


def test_a_bar_passes_its_line_where_it_is_longer_at_both_ends() -> None:
    def passes(y: float, height: float) -> bool:
        boxes = np.array([(0, 0, 30, 50), (40, y, 10, height), (60, 2, 30, 48)], float)
        return bool(passing(boxes, np.array([False, True, False]))[1])

    assert passes(-6, 64)
    assert not passes(-20, 70), "a tall 1 stands on the line"
    assert not passes(0, 62), "one that is written low begins with the others"
    assert not passes(-2, 54), "hardly longer"


def test_a_bracket_beside_a_bracket_is_judged_by_the_digits() -> None:
    boxes = np.array([(0, 0, 30, 50), (40, -8, 10, 66), (60, -8, 10, 66), (80, 0, 30, 50)], float)
    assert passing(boxes, np.array([False, True, True, False])).tolist() == [False, True, True, False]


def arc(x: float, y: float, across: float, down: float, start: float = 0, end: float = 2.1) -> np.ndarray:
    """A part of a ring around x, y, from one angle to another in half turns, clockwise."""
    angles = np.pi * np.linspace(start, end, 24)
    return np.stack([x + across * np.cos(angles), y + down * np.sin(angles)], axis=1)


def signs(x: float) -> dict[str, list[np.ndarray]]:
    """Strokes of signs as hands draw them, as high as the digits, from x on; none that was learnt from."""
    h, top = HEIGHT, FOOT - HEIGHT
    wave = np.linspace(0, 1, 30)
    box = np.array([(x, top + 8), (x + 33, top + 7), (x + 34, FOOT - 3), (x + 1, FOOT - 2), (x, top + 7)])
    return {
        "per cent": [
            arc(x + 6, top + 0.22 * h, 6, 7),
            np.array([(x + 28, top), (x + 5, FOOT)]),
            arc(x + 27, FOOT - 0.2 * h, 6, 7),
        ],
        "dollar": [
            np.stack([x + 12 + 11 * np.sin(2 * np.pi * (1.1 * wave + 0.13)), top + (0.1 + 0.8 * wave) * h], axis=1),
            np.array([(x + 13, top - 4), (x + 11, FOOT + 4)]),
        ],
        "euro": [
            arc(x + 20, FOOT - h / 2, 17, h / 2, 0.25, 1.75),
            np.array([(x - 2, top + 0.42 * h), (x + 24, top + 0.4 * h)]),
            np.array([(x - 2, top + 0.6 * h), (x + 22, top + 0.58 * h)]),
        ],
        "pound": [
            arc(x + 18, top + 10, 10, 10, 0.95, 1.95),
            np.array([(x + 8, top + 10), (x + 11, FOOT - 12), (x + 3, FOOT)]),
            np.array([(x + 3, FOOT), (x + 28, FOOT - 1)]),
            np.array([(x + 2, top + 0.55 * h), (x + 22, top + 0.53 * h)]),
        ],
        "plus": [
            np.array([(x + 14, top + 10), (x + 13, FOOT - 8)]),
            np.array([(x, top + 0.52 * h), (x + 28, top + 0.5 * h)]),
        ],
        "tick": [np.array([(x, FOOT - 16), (x + 9, FOOT - 1), (x + 28, top - 2)])],
        "root": [np.array([(x, FOOT - 18), (x + 4, FOOT - 20), (x + 9, FOOT), (x + 15, top - 4), (x + 40, top - 5)])],
        "hash": [
            np.array([(x + 9, top + 6), (x + 6, FOOT - 2)]),
            np.array([(x + 20, top + 6), (x + 17, FOOT - 2)]),
            np.array([(x, top + 18), (x + 27, top + 16)]),
            np.array([(x, top + 31), (x + 26, top + 30)]),
        ],
        "box": [box],
        "crossed box": [
            box,
            np.array([(x + 4, top + 12), (x + 30, FOOT - 6)]),
            np.array([(x + 30, top + 12), (x + 5, FOOT - 6)]),
        ],
    }


@pytest.mark.parametrize("name", signs(0))
@pytest.mark.parametrize("behind", [True, False], ids=["behind", "before"])
def test_a_sign_beside_a_number_is_no_digit(name: str, behind: bool, reader: DigitReader) -> None:
    for text in ("25", "480", "6392"):
        sheet = Sheet()
        end = sheet.write(text, 130, 120, HEIGHT)
        sheet.draw(signs(end + 4 if behind else 70)[name], 4)
        found = reader.read(sheet.grey()).text
        assert found.replace("?", "") == text, found

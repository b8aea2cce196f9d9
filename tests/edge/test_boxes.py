"""Boxes that nothing touches go whole, at whatever angles their sides are; what could be a digit stays."""

import cv2
import numpy as np
import pytest

from edge import DigitReader
from edge.boxes import without_lone_boxes
from edge.page import floor_of
from tests.edge.sheets import Sheet

SMALLEST = 12.0  # pixels
DEPTH = 190  # of 255: of ink
NUMBERS = ("20475", "69", "38142")
NEAR, FAR = 0.12, 0.05  # of the sheet: how far its upper corners come in, seen from aslant, left and right


def without(marks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    depth = (marks * DEPTH).astype(np.uint8)
    return depth, without_lone_boxes(depth, floor_of(depth), SMALLEST)


def aslant(marks: np.ndarray) -> np.ndarray:
    height, width = marks.shape
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    seen = np.array([(NEAR * width, 0), ((1 - FAR) * width, FAR * height), (width, height), (0, height)], np.float32)
    return cv2.warpPerspective(marks, cv2.getPerspectiveTransform(corners, seen), (width, height))


def form() -> tuple[Sheet, np.ndarray]:
    """A sheet with numbers in boxes, and its marks without them."""
    sheet = Sheet(420, 560)
    for row, text in enumerate(NUMBERS):
        sheet.write(text, 60, 44 + 126 * row, 44)
    plain = sheet.marks.copy()
    for row, text in enumerate(NUMBERS):
        sheet.box(40, 26 + 126 * row, 50 + 44 * len(text), 80)
    return sheet, plain


def test_boxes_seen_from_aslant_go_and_the_digits_in_them_stay() -> None:
    sheet, plain = form()
    _, left = without(aslant(sheet.marks))
    marks = aslant(plain)
    assert (left[marks > 0.5] > 0.45 * DEPTH).all()
    assert (left[cv2.dilate((marks > 0.05).astype(np.uint8), np.ones((3, 3), np.uint8)) == 0] < 0.2 * DEPTH).all()


def test_numbers_in_boxes_seen_from_aslant_are_read(reader: DigitReader) -> None:
    sheet, _ = form()
    sheet.marks = aslant(sheet.marks)
    assert reader.read(sheet.grey()).lines == NUMBERS


@pytest.mark.parametrize("seen", ["upright", "aslant"])
@pytest.mark.parametrize("text", ["36 9  ", "  36 9"])
def test_empty_boxes_beside_such_as_hold_digits_are_none(text: str, seen: str, reader: DigitReader) -> None:
    sheet = Sheet(300, 560)
    for k, letter in enumerate(text):
        sheet.box(50 + 62 * k, 110, 52, 62)
        if letter != " ":
            sheet.write(letter, 62 + 62 * k, 122, 38)
    if seen == "aslant":
        sheet.marks = aslant(sheet.marks)
    assert "".join(reader.read(sheet.grey()).lines) == text.replace(" ", "")


def test_an_open_square_zero_beside_digits_is_not_lost() -> None:
    sheet = Sheet()
    sheet.write("47", 60, 100, 44)
    sheet.box(160, 100, 52, 44, pen=3)
    depth, left = without(sheet.marks)
    assert left is depth


def test_a_form_of_many_boxes_loses_them_all() -> None:
    sheet = Sheet(1100, 900)
    for row in range(12):
        for column in range(3):
            sheet.write("2047", 70 + 280 * column, 40 + 86 * row, 34)
            sheet.box(55 + 280 * column, 26 + 86 * row, 200, 62)
    _, left = without(aslant(sheet.marks))
    _, _, statistics, _ = cv2.connectedComponentsWithStats((left > 0.4 * DEPTH).astype(np.uint8))
    assert (statistics[1:, 2] < 60).all()


def test_what_holds_no_such_box_is_the_very_array() -> None:
    sheet = Sheet()
    sheet.write("20475", 60, 60, 60)
    depth, left = without(sheet.marks)
    assert left is depth


@pytest.mark.parametrize("width", [40, 60])
def test_a_square_zero_stays(width: int) -> None:
    sheet = Sheet()
    sheet.box(100, 100, width, 60, pen=5)
    depth, left = without(sheet.marks)
    assert left is depth


def test_a_box_that_a_digit_touches_is_left_to_those_who_know_strokes() -> None:
    sheet = Sheet()
    sheet.write("47", 100, 100, 60)
    bottom = max(digit.box[1] + digit.box[3] for digit in sheet.written)
    sheet.box(80, 80, 180, bottom - 81)
    depth, left = without(sheet.marks)
    assert left is depth


def test_a_digit_close_to_a_box_loses_nothing() -> None:
    sheet = Sheet()
    sheet.write("38", 100, 100, 60)
    plain = sheet.marks.copy()
    sheet.box(95, 90, 160, 90)
    _, left = without(sheet.marks)
    assert (left[plain > 0.5] > 0.45 * DEPTH).all()
    assert left[88:93, 90:260].max() == 0


def test_a_slash_is_no_box() -> None:
    sheet = Sheet()
    cv2.fillPoly(sheet.marks, [np.array([(100, 180), (108, 190), (230, 110), (222, 100)])], (1.0,))
    depth, left = without(sheet.marks)
    assert left is depth

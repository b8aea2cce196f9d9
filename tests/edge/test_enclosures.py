"""What is drawn around digits, and what is not."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from edge import DigitReader
from edge.components import components_of
from edge.enclosures import enclosures
from tests.edge.sheets import Sheet


def ellipse(x: float, y: float, a: float, b: float, closed: float = 1.0, shaky: float = 0.03) -> np.ndarray:
    """Points of an ellipse around x, y as a hand draws it."""
    t = np.linspace(0, 2 * np.pi * closed, 80) - 1.0
    radius = 1 + shaky * np.sin(2 * t + 0.5)
    return np.column_stack([x + a * radius * np.cos(t), y + b * radius * np.sin(t)])


def cloud(x: float, y: float, a: float, b: float) -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 200)
    radius = 1 + 0.07 * abs(np.sin(5 * t))
    return np.column_stack([x + a * radius * np.cos(t), y + b * radius * np.sin(t)])


def triangle(x: float, y: float, a: float, b: float) -> np.ndarray:
    return np.array([(x, y - 1.9 * b), (x + 2 * a, y + b), (x - 2 * a, y + b), (x, y - 1.9 * b)])


AROUND: dict[str, Callable[[float, float, float, float], np.ndarray]] = {
    "ring": ellipse,
    "open": lambda *sides: ellipse(*sides, closed=0.95),
    "cloud": cloud,
    "triangle": triangle,
}
# The side of a larger triangle is as long as a ruled line.
DRAWN = [(kind, text) for kind in AROUND for text in ("7", "42", "305", "1") if (kind, text) != ("triangle", "305")]


@pytest.mark.parametrize(("kind", "text"), DRAWN)
def test_what_is_drawn_around_a_number_is_none_of_its_digits(kind: str, text: str, reader: DigitReader) -> None:
    sheet = Sheet()
    end = sheet.write(text, 180, 130, 44)
    wide = end - 0.34 * 44 - 180
    sheet.draw([AROUND[kind](180 + wide / 2, 152, wide / 2 * 1.25 + 14, 42)], 3)
    assert reader.read(sheet.grey()).text == text


def test_a_number_in_a_ring_stands_in_its_line(reader: DigitReader) -> None:
    sheet = Sheet(320, 520)
    end = sheet.write("58", 60, 60, 40)
    sheet.draw([ellipse((60 + end - 14) / 2, 80, 50, 38)], 3)
    sheet.written.clear()
    sheet.write("58 361", 60, 60, 40)
    sheet.write("2094", 60, 190, 40)
    assert reader.read(sheet.grey()).text == sheet.text


@pytest.mark.parametrize("side", [-1, 1])
def test_a_digit_that_touches_its_ring_is_read(side: int, reader: DigitReader) -> None:
    sheet = Sheet()
    sheet.write("274", 150, 130, 44)
    left, right = sheet.written[0].box, sheet.written[-1].box
    middle, half = (left[0] + right[0] + right[2]) / 2, (right[0] + right[2] - left[0]) / 2
    # At that side the ring runs through the ink's edge.
    sheet.draw([ellipse(middle - side * 8, 152, half + 9, 45, shaky=0.0)], 3)
    mask = (sheet.marks > 0.3).astype(np.uint8)
    assert cv2.connectedComponents(mask)[0] == 4, "one of the three digits touches"
    assert reader.read(sheet.grey()).text == "274"


@pytest.mark.parametrize("text", [*"0123456789", "00", "08", "66", "99"])
def test_no_digit_is_drawn_around_another(text: str) -> None:
    sheet = Sheet()
    sheet.write(text, 180, 120, 60, gap=-0.02)
    components = components_of(np.asarray((sheet.marks > 0.3) * 255, np.uint8), 5)
    assert components is not None
    assert enclosures(components, 12, sheet.marks.shape) is None


def test_a_zero_with_a_dot_or_a_bar_in_it_stays(reader: DigitReader) -> None:
    sheet = Sheet()
    sheet.write("50307", 60, 120, 60)
    for number, reach in ((1, 2), (3, 13)):
        x, y, w, h = sheet.written[number].box
        sheet.line(x + w / 2 + reach / 3, y + h / 2 - reach, x + w / 2 - reach / 3, y + h / 2 + reach, 3)
    found = reader.read(sheet.grey())
    assert len(found.lines[0]) == 5
    assert found.digits[1].label == "0"


@pytest.mark.parametrize("text", ["61", "90", "28"])
def test_digits_under_a_root_sign_stay(text: str, reader: DigitReader) -> None:
    sheet = Sheet()
    end = sheet.write(text, 150, 130, 44)
    root = [(128, 152), (136, 150), (144, 178), (152, 112), (end, 110)]
    sheet.draw([np.array(root, float)], 4)
    sheet.write("5208", 150, 220, 44)
    assert reader.read(sheet.grey()).text == f"{text}\n5208"


def test_what_is_written_over_is_not_around() -> None:
    # The stroke through the digits crosses what a ring would leave free.
    sheet = Sheet()
    sheet.write("35", 180, 130, 44)
    sheet.draw([ellipse(225, 152, 70, 12)], 3)
    components = components_of(np.asarray((sheet.marks > 0.3) * 255, np.uint8), 5)
    assert components is not None
    assert enclosures(components, 12, sheet.marks.shape) is None

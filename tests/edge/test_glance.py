"""Large, clear digits are read on a reduced copy of their page; everything else from the whole picture."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import DigitReader
from edge import decode as decoding
from edge.decode import GLANCE_SIDE, LEAST_GLANCE, Page, page_of
from edge.reading import Reading
from tests.edge.sheets import Sheet, check_boxes

PAPER, INK = (200, 220, 230), (120, 40, 30)


def large_digits(tilt: float = 0.0) -> Sheet:
    sheet = Sheet(560, 768, tilt)
    sheet.write("20473", 120, 120, 80)
    sheet.write("69850", 130, 320, 70)
    return sheet


def read_noting(reader: DigitReader, page: Page) -> tuple[Reading, bool]:
    """What is read, and whether the whole picture was asked for."""
    asked = []

    def grey() -> np.ndarray:
        asked.append(True)
        return page.grey()

    return reader.read(replace(page, grey=grey)), bool(asked)


@pytest.mark.parametrize("coloured", [False, True])
@pytest.mark.parametrize("tilt", [0.0, 8.0])
def test_large_clear_digits_need_no_more_than_a_glance(coloured: bool, tilt: float, reader: DigitReader) -> None:
    sheet = large_digits(tilt)
    page = page_of(sheet.colour(PAPER, INK) if coloured else sheet.grey())
    reading, whole = read_noting(reader, page)
    assert not whole
    assert reading.text == sheet.text
    assert (reading.width, reading.height) == (sheet.width, sheet.height)
    check_boxes(reading, sheet, least=0.8)
    assert reading.text == reader.read(replace(page, glance=None)).text


def test_of_a_jpeg_with_such_digits_only_half_is_decoded(
    reader: DigitReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = large_digits()
    path = tmp_path / "page.jpg"
    cv2.imwrite(str(path), sheet.colour(PAPER, INK), [cv2.IMWRITE_JPEG_QUALITY, 90])
    decoded = []
    decode = decoding.cv2.imdecode

    def noted(data: np.ndarray, flag: int) -> np.ndarray:
        decoded.append(decode(data, flag))
        return decoded[-1]

    monkeypatch.setattr(decoding.cv2, "imdecode", noted)
    reading = reader.read(path)
    assert reading.text == sheet.text
    check_boxes(reading, sheet, least=0.8)
    assert [frame.shape for frame in decoded] == [(280, 384, 3)]


def with_small(sheet: Sheet) -> None:
    sheet.write("4051", 480, 40, 20)


def with_point(sheet: Sheet) -> None:
    sheet.draw([np.array([(700.0, 60.0), (700.5, 60.0)])], 8)


def with_ruling(sheet: Sheet) -> None:
    sheet.rule(60, level=0.3)


def with_ring(sheet: Sheet) -> None:
    around = np.linspace(0, 2 * np.pi, 60)
    sheet.draw([np.column_stack([300 + 250 * np.cos(around), 160 + 75 * np.sin(around)])], 4)


def with_word(sheet: Sheet) -> None:
    drawn = np.zeros_like(sheet.marks, np.uint8)
    cv2.putText(drawn, "Km", (600, 480), cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, 2.5, 255, 6, cv2.LINE_AA)
    sheet.marks = np.maximum(sheet.marks, drawn / np.float32(255))


@pytest.mark.parametrize("add", [with_small, with_point, with_ruling, with_ring, with_word])
def test_what_leaves_a_doubt_is_read_from_the_whole_picture(add, reader: DigitReader) -> None:
    sheet = large_digits()
    add(sheet)
    page = page_of(sheet.grey())
    reading, whole = read_noting(reader, page)
    assert whole
    assert reading == reader.read(replace(page, glance=None))


def test_small_digits_beside_large_ones_are_found(reader: DigitReader) -> None:
    sheet = large_digits()
    sheet.write("4051", 480, 40, 20)
    assert "4051" in reader.read(sheet.colour(PAPER, INK)).lines


def test_an_empty_page_is_looked_at_closely(reader: DigitReader) -> None:
    reading, whole = read_noting(reader, page_of(Sheet(560, 768).grey()))
    assert whole
    assert reading.text == ""


def test_a_digit_less_sure_than_is_asked_for_is_no_label_at_a_glance_either() -> None:
    page = page_of(large_digits().grey())
    reading, whole = read_noting(DigitReader(min_confidence=1), page)
    assert not whole
    assert {digit.text for digit in reading.digits if digit.confidence < 1} == {"?"}


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize(
    ("longer", "scale"),
    [
        (2 * LEAST_GLANCE - 1, None),
        (2 * LEAST_GLANCE, 2),
        (2 * GLANCE_SIDE, 2),
        (2 * GLANCE_SIDE + 1, 4),
        (8 * GLANCE_SIDE, 8),
        (8 * GLANCE_SIDE + 1, None),
    ],
)
def test_a_glance_is_for_pages_that_are_not_small(longer: int, scale: int | None, channels: tuple[int, ...]) -> None:
    page = page_of(np.full((30, longer, *channels), 200, np.uint8))
    if scale is None:
        assert page.glance is None
    else:
        assert page.glance is not None
        assert page.glance.grey().shape[1] == -(-longer // scale)
        assert (page.glance.width, page.glance.height) == (page.width, page.height) == (longer, 30)


def test_at_full_resolution_nothing_is_reduced() -> None:
    frame = np.full((560, 768), 200, np.uint8)
    page = page_of(frame, full_resolution=True)
    assert page.glance is None
    assert page.grey().shape == frame.shape

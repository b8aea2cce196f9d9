"""Large, clear digits are read on a reduced copy of their page; everything else from the whole picture."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge import DigitReader, recognize
from edge import decode as decoding
from edge.bench import SIZES, TEXT, _draw
from edge.decode import GLANCE_SIDE, LEAST_GLANCE, Page, decode_page, page_of
from edge.fields import Form, FormField
from edge.judge import Judge
from edge.reading import Reading
from edge.recognize import CLEAR_AT_GLANCE, PLAIN_AT_GLANCE, read_at_a_glance
from tests.edge.sheets import Sheet, check_boxes

PAPER, INK = (200, 220, 230), (120, 40, 30)


def large_digits(tilt: float = 0.0) -> Sheet:
    sheet = Sheet(560, 768, tilt)
    sheet.write("20473", 120, 120, 80)
    sheet.write("69850", 130, 320, 70)
    return sheet


def read_noting(reader: DigitReader, page: Page, **options: Any) -> tuple[Reading, bool]:
    """What is read, and whether the whole picture was asked for."""
    asked = []

    def grey() -> np.ndarray:
        asked.append(True)
        return page.grey()

    return reader.read(replace(page, grey=grey), **options), bool(asked)


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


@pytest.mark.parametrize("size", SIZES)
def test_what_bench_draws_needs_no_more(size: tuple[int, int], reader: DigitReader, tmp_path: Path) -> None:
    # A round digit fills the tightest box around it, and was taken for one at some sizes.
    reading, whole = read_noting(reader, decode_page(_draw(size, tmp_path)))
    assert reading.text == TEXT
    assert not whole


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


def with_speck(sheet: Sheet) -> None:
    sheet.draw([np.array([(700.0, 60.0), (700.5, 60.0)])], 8)


def with_lines(sheet: Sheet) -> None:
    for y in (80, 270, 440):
        sheet.line(0, y, sheet.width, y, 3)


def with_ring(sheet: Sheet) -> None:
    sheet.write("4", 640, 330, 70)
    around = np.linspace(0, 2 * np.pi, 60)
    sheet.draw([np.column_stack([662 + 70 * np.cos(around), 365 + 70 * np.sin(around)])], 4)


def with_high_bar(sheet: Sheet) -> None:
    sheet.line(700, 150, 701, 400, 8)


def with_wide_stroke(sheet: Sheet) -> None:
    sheet.line(660, 250, 660, 480, 75)


def with_word(sheet: Sheet) -> None:
    drawn = np.zeros_like(sheet.marks, np.uint8)
    cv2.putText(drawn, "Km", (600, 480), cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, 2.5, 255, 6, cv2.LINE_AA)
    sheet.marks = np.maximum(sheet.marks, drawn / np.float32(255))


@pytest.mark.parametrize(
    "add",
    [with_small, with_speck, with_lines, with_ring, with_word, with_high_bar, with_wide_stroke],
    ids=lambda f: f.__name__,
)
def test_what_leaves_a_doubt_is_read_from_the_whole_picture(add, reader: DigitReader) -> None:
    sheet = large_digits()
    add(sheet)
    page = page_of(sheet.grey())
    reading, whole = read_noting(reader, page)
    assert whole
    assert reading == reader.read(replace(page, glance=None))


def test_what_may_be_a_shadow_is_looked_at_closely(reader: DigitReader) -> None:
    light = np.ones((560, 768))
    light[:60] = 0.6
    sheet = large_digits()
    reading, whole = read_noting(reader, page_of(sheet.grey(light=light)))
    assert whole
    assert reading.text == sheet.text


def test_a_line_that_shows_among_digits_taken_apart_is_none_of_them(reader: DigitReader) -> None:
    sheet = Sheet(576, 768)
    for text, x in (("56", 76), ("48", 276)):
        sheet.write(text, x, 115, 70, gap=-0.04)
    sheet.line(560, 250, 562, 390, 7)
    reading, whole = read_noting(reader, page_of(sheet.grey()))
    assert whole
    assert reading.text == "5648"


def test_a_page_with_lines_is_read_from_the_whole_picture(reader: DigitReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognize, "angle_of_rules", lambda *_: 0.0)
    assert read_noting(reader, page_of(large_digits().grey()))[1]


@pytest.mark.parametrize(
    ("width", "height", "point"), [(768, 44, 3.0), (1200, 48, 2.5), (2001, 96, 5.0), (3900, 110, 6.0)]
)
def test_a_fine_point_between_digits_is_not_lost(
    width: int, height: int, point: float, reader: DigitReader, tmp_path: Path
) -> None:
    sheet = Sheet(width * 3 // 4, width)
    top, pen = width * 0.15, 0.06
    x = sheet.write("44", width * 0.1, top, height, pen) + 0.05 * height
    sheet.draw([np.array([(x, top + height - point / 2), (x + 0.5, top + height - point / 2)])], point)
    sheet.write("15", x + 0.34 * height, top, height, pen)
    path = tmp_path / "page.jpg"
    cv2.imwrite(str(path), sheet.colour((200, 220, 230), (60, 40, 30)), [cv2.IMWRITE_JPEG_QUALITY, 92])
    assert reader.read(path).text == "44?15"


def naming(label: str, *confidences: float) -> Judge:
    """One for which everything is that digit, one after the other so sure, and from then on as the last."""
    left = list(confidences)

    def name(_: np.ndarray) -> np.ndarray:
        confidence = left.pop(0) if len(left) > 1 else left[0]
        shares = np.full(10, (1 - confidence) / 9, np.float32)
        shares[int(label)] = confidence
        return shares

    return Judge(name, tuple("0123456789"), 0.3)


@pytest.fixture
def not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognize, "settled", lambda found, *_: found)


@pytest.mark.usefixtures("not_looked_at_again")
@pytest.mark.parametrize(("height", "least"), [(-16, CLEAR_AT_GLANCE), (6, 0.3)])
def test_a_glance_says_nothing_where_the_whole_picture_may_show_more(height: int, least: float) -> None:
    """That is where a digit is not even half sure; one that is high enough shows all there is to see of it."""
    sheet = Sheet(560, 768)
    sheet.write("20473", 120, 120, 2 * PLAIN_AT_GLANCE + height)
    glance = page_of(sheet.grey()).glance
    assert glance is not None
    for confidence, settled in ((least - 0.05, False), (least + 0.05, True)):
        assert (read_at_a_glance(glance, naming("7", confidence, 0.99)) is not None) is settled


@pytest.mark.usefixtures("not_looked_at_again")
def test_a_glance_says_nothing_where_something_is_refused() -> None:
    sheet = large_digits()
    sheet.line(560, 460, 690, 440, 30)
    glance = page_of(sheet.grey()).glance
    assert glance is not None
    assert read_at_a_glance(glance, naming("7", 0.99)) is not None
    assert read_at_a_glance(glance, naming("1", 0.99)) is None  # which does not lie: that one is refused


def test_a_form_is_read_from_the_whole_picture(reader: DigitReader) -> None:
    form = Form((FormField("all", (0, 0, 1, 1)),))
    _, whole = read_noting(reader, page_of(large_digits().grey()), fields=form)
    assert whole


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


def test_of_a_large_jpeg_half_is_decoded_and_a_glance_is_smaller_still(reader: DigitReader, tmp_path: Path) -> None:
    sheet = Sheet(2100, 2800)
    sheet.write("20473", 400, 500, 300)
    path = tmp_path / "page.jpg"
    cv2.imwrite(str(path), cv2.resize(sheet.colour(PAPER, INK), (3800, 2850)))
    page = decode_page(path)
    assert page.glance is not None and page.glance.grey().shape[1] == 950
    reading, whole = read_noting(reader, page)
    assert not whole
    assert reading.text == "20473"
    check_boxes(reading, sheet, 3800 / 2800, least=0.8)


def test_ink_at_the_edge_of_the_picture_keeps_its_box(reader: DigitReader) -> None:
    sheet = Sheet(1000, 2001)
    sheet.write("20473", 0, 300, 200)
    reading, whole = read_noting(reader, page_of(sheet.grey()))
    assert not whole
    assert reading.digits[0].box[0] == 0


def test_asked_for_full_resolution_a_page_is_not_read_at_a_glance(reader: DigitReader) -> None:
    reading, whole = read_noting(reader, page_of(large_digits().grey()), full_resolution=True)
    assert whole
    assert reading.text == large_digits().text


def test_at_full_resolution_nothing_is_reduced() -> None:
    frame = np.full((560, 768), 200, np.uint8)
    page = page_of(frame, full_resolution=True)
    assert page.glance is None
    assert page.grey().shape == frame.shape

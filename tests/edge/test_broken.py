import cv2
import numpy as np
import pytest

from edge import DigitReader
from edge.broken import mended
from edge.candidate import Candidate
from edge.segment import Region
from tests.edge.sheets import Sheet

NUMBERS = ("20475", "83694", "69037", "54826")
HEIGHT = 64


def cut(text: str, part: float, gap: float, height: float = HEIGHT) -> Sheet:
    """A sheet with a number through all of whose digits a level strip is missing.

    part: of the height above it. gap: pixels.
    """
    sheet = Sheet()
    sheet.write(text, 40, 90, height)
    top = round(90 + part * height)
    sheet.marks[top : top + round(gap)] = 0
    return sheet


@pytest.mark.parametrize(("part", "gap"), [(0.35, 2), (0.35, 3), (0.5, 2), (0.62, 2), (0.62, 3)])
def test_digits_all_cut_through_are_digits_again(part: float, gap: float, reader: DigitReader) -> None:
    read = [reader.read(cut(text, part, gap).grey()).text for text in NUMBERS]
    assert sum(text == truth for text, truth in zip(read, NUMBERS, strict=True)) >= 3, read


@pytest.mark.parametrize("text", "2356789")
def test_a_digit_that_fell_apart_is_one_digit_alone_as_well(text: str, reader: DigitReader) -> None:
    assert reader.read(cut(text, 0.45, 3, height=90).grey()).text == text


@pytest.mark.parametrize("text", ["4", "0"])
def test_halves_beside_one_another_are_one_digit_in_a_line(text: str, reader: DigitReader) -> None:
    sheet = Sheet()
    sheet.write("27" + text + "53", 40, 90, HEIGHT)
    x, _, width, _ = sheet.written[2].box
    across = round(x + (0.5 if text == "0" else 0.42) * width)
    sheet.marks[:, across : across + 3] = 0
    sheet.marks[round(90 + 0.9 * HEIGHT) :, across:][:, : round(0.6 * width)] = 0  # one half is the lower one
    assert reader.read(sheet.grey()).text == sheet.text


@pytest.mark.parametrize("gap", [0.05, 0.12, 0.3])
def test_digits_close_below_one_another_stay_two(gap: float, reader: DigitReader) -> None:
    column = Sheet(height=420)
    for row, text in enumerate("2375"):
        column.write(text, 100, 40 + row * (1 + gap) * HEIGHT, HEIGHT)
    assert reader.read(column.grey()).text == column.text


@pytest.mark.parametrize("gap", [0.05, 0.15, 0.25])
def test_rows_beside_something_tall_stay_rows(gap: float, reader: DigitReader) -> None:
    sheet = Sheet(height=400)
    for row, text in enumerate(("140", "273", "905", "618")):
        sheet.write(text, 140, 40 + row * (1 + gap) * 60, 60)
    sheet.draw([np.array([(100, 40), (80, 80), (85, 140), (60, 170), (85, 200), (80, 260), (100, 300)])], 5)
    assert reader.read(sheet.grey()).text == sheet.text


@pytest.mark.parametrize("text", ["1171", "1012", "6117"])
def test_digits_close_beside_one_another_stay_several(text: str, reader: DigitReader) -> None:
    sheet = Sheet()
    sheet.write(text, 40, 90, HEIGHT, gap=0.12)
    assert reader.read(sheet.grey()).text == text


def candidate(x: int, y: int, width: int, height: int, *shares: float) -> Candidate:
    region = Region(x, y, width, height, np.full((height, width), 255, np.uint8))
    return Candidate(region, np.zeros((28, 28), np.uint8), np.array(shares, np.float32), 4.0, 100.0)


def surely(region: Region, depth: float) -> Candidate:
    glyph = np.asarray(cv2.resize(region.mask, (28, 28)), np.uint8)
    return Candidate(region, glyph, np.array([0.0, 0.99], np.float32), 4.0, depth)


def boxes(found: list[Candidate]) -> list[tuple[int, int, int, int]]:
    return [(c.region.x, c.region.y, c.region.width, c.region.height) for c in found]


def test_what_both_make_takes_the_place_of_the_first() -> None:
    others = [candidate(0, 0, 30, 60, 0.0, 1.0), candidate(90, 0, 30, 60, 0.0, 1.0)]
    pieces = [candidate(40, 0, 30, 30, 0.3, 0.2), candidate(42, 33, 30, 27, 0.3, 0.2)]
    assert boxes(mended([others[0], *pieces, others[1]], surely)) == [(0, 0, 30, 60), (40, 0, 32, 60), (90, 0, 30, 60)]


@pytest.mark.parametrize(
    "pieces",
    [
        [(40, 0, 30, 30, 0.1), (42, 40, 30, 20, 0.1)],  # too far apart
        [(40, 0, 30, 60, 0.1), (42, 63, 30, 60, 0.1)],  # twice as high as what is beside them
        [(40, 0, 20, 60, 0.1), (63, 0, 20, 60, 0.1)],  # each as high as both
        [(40, 0, 40, 60, 0.1), (83, 0, 40, 40, 0.1)],  # too wide
        [(40, 0, 20, 60, 0.95), (63, 0, 20, 40, 0.95)],  # each a digit already
    ],
)
def test_what_is_no_pair_of_pieces_stays_as_it_is(pieces: list[tuple[int, int, int, int, float]]) -> None:
    found = [candidate(0, 0, 30, 60, 0.0, 1.0), *(candidate(x, y, w, h, 0.0, sure) for x, y, w, h, sure in pieces)]
    assert mended(found, surely) == found


def test_on_a_page_full_of_pairs_none_is_tried() -> None:
    nested = [candidate(k, k, 400 - 2 * k, 400 - 2 * k, 0.3, 0.2) for k in range(100)]
    assert mended(nested, surely) == nested


def test_a_third_piece_is_judged_beside_what_the_first_two_make() -> None:
    found = [
        candidate(30, 0, 40, 62, 0.3, 0.2),
        candidate(28, 60, 40, 62, 0.3, 0.2),
        candidate(32, 55, 40, 20, 0.3, 0.2),
    ]
    high = candidate(100, 0, 60, 100, 0.0, 1.0)
    assert max(c.region.height for c in mended([*found, high], surely)) <= 100


def test_what_is_no_surer_together_stays_as_it_is() -> None:
    found = [candidate(40, 0, 30, 30, 0.99), candidate(42, 31, 30, 29, 0.99)]
    both = candidate(40, 0, 32, 60, 0.985)
    assert mended(found, lambda region, depth: both) == found

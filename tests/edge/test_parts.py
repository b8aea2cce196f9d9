"""Ink becomes regions, one for each digit: broken strokes are joined, neighbours and specks are not."""

from dataclasses import replace

import numpy as np
import pytest

from edge.page import ink_of_page
from edge.parts import MAX_REGIONS, Parts, find_parts
from tests.edge.sheets import Sheet, overlap

SMALLEST = 12.0  # pixels
DEPTH = 180  # of 255: how deep ink is


def parts_of(sheet: Sheet, smallest: float = SMALLEST, depth: int = DEPTH) -> Parts | None:
    ink = ink_of_page((sheet.marks * depth).astype(np.uint8))
    return find_parts(ink, smallest)


def boxes_of(sheet: Sheet, smallest: float = SMALLEST) -> list[tuple[int, ...]]:
    """The boxes of a sheet's regions from left to right."""
    parts = parts_of(sheet, smallest)
    return [] if parts is None else sorted(tuple(int(value) for value in box) for box in parts.boxes)


def check_one_each(sheet: Sheet) -> None:
    """Every digit written is a region, and there is no other."""
    found = boxes_of(sheet)
    assert len(found) == len(sheet.written)
    for digit in sheet.written:
        assert max(overlap(box, digit.box) for box in found) > 0.7, digit


def test_a_blank_page_has_no_region() -> None:
    assert parts_of(Sheet()) is None


@pytest.mark.parametrize("depth", [30, 90, 250])
def test_each_digit_is_a_region_with_its_ink(depth: int) -> None:
    sheet = Sheet()
    sheet.write("0123456789", 20, 80, 40)
    parts = parts_of(sheet, depth=depth)
    assert parts is not None
    assert len(parts.members) == 10
    for k in range(10):
        region, deep = parts.region(k)
        assert deep == pytest.approx(depth, rel=0.35)
        assert region.mask.shape == (region.height, region.width)
        drawn = sheet.marks[region.y : region.y + region.height, region.x : region.x + region.width] > 0.5
        ink = region.mask > 127
        assert np.count_nonzero(drawn & ink) > 0.85 * np.count_nonzero(drawn | ink)


def test_a_region_holds_no_ink_of_a_neighbour_that_reaches_into_its_box() -> None:
    sheet = Sheet()
    sheet.line(100, 100, 140, 160, 5)
    sheet.line(124, 100, 164, 160, 5)
    parts = parts_of(sheet)
    assert parts is not None and len(parts.members) == 2
    total = sum(np.count_nonzero(parts.region(k)[0].mask > 127) for k in range(2))
    assert total == pytest.approx(np.count_nonzero(sheet.marks > 0.5), rel=0.15)


def test_the_bar_of_a_five_that_fell_off_belongs_to_it() -> None:
    sheet = Sheet()
    sheet.write("2", 60, 80, 50)
    sheet.write("3", 210, 80, 50)
    sheet.line(148, 82, 170, 80, 5)
    sheet.draw([np.array([(141, 88), (139, 102), (160, 104), (168, 116), (158, 127), (138, 125)])], 5)
    found = boxes_of(sheet)
    assert len(found) == 3
    assert overlap(found[1], (136, 78, 37, 52)) > 0.8


def test_a_broken_eight_is_one_region() -> None:
    sheet = Sheet()
    sheet.write("2", 60, 80, 50)
    sheet.write("3", 210, 80, 50)
    angles = np.linspace(0, 2 * np.pi, 30)
    for y, half in ((92, 10.0), (116, 10.0)):
        sheet.draw([np.column_stack([150 + 11 * np.cos(angles), y + half * np.sin(angles)])], 3)
    found = boxes_of(sheet)
    assert len(found) == 3
    assert overlap(found[1], (137, 80, 26, 48)) > 0.8


def test_neighbours_are_not_joined() -> None:
    sheet = Sheet()
    for row in range(4):
        sheet.write("20475118", 40, 40 + 52 * row, 40, gap=0.12)
    check_one_each(sheet)


def test_a_thin_one_is_a_region() -> None:
    sheet = Sheet()
    sheet.write("2", 60, 80, 50)
    sheet.line(140, 80, 138, 130, 2)
    assert len(boxes_of(sheet)) == 2


def test_specks_and_dots_are_no_regions() -> None:
    sheet = Sheet()
    sheet.write("204", 60, 80, 50)
    for x, y in ((20, 20), (300, 200), (400, 90), (52, 128), (330, 250)):
        sheet.line(x, y, x + 2, y + 1, 3)
    check_one_each(sheet)


@pytest.mark.parametrize(("smallest", "count"), [(12.0, 3), (20.0, 2), (50.0, 1)])
def test_what_is_lower_than_the_smallest_is_left_out(smallest: float, count: int) -> None:
    sheet = Sheet()
    for k, height in enumerate((15, 30, 70)):
        sheet.write("4", 60 + 120 * k, 80, height)
    assert len(boxes_of(sheet, smallest)) == count


def test_a_frame_around_the_page_is_no_region() -> None:
    sheet = Sheet()
    sheet.write("204", 160, 120, 50)
    sheet.box(2, 2, sheet.width - 5, sheet.height - 5)
    check_one_each(sheet)


def test_the_regions_of_a_texture_are_bounded_in_number() -> None:
    rng = np.random.default_rng(5)
    mask = (rng.random((900, 1200)) > 0.93).astype(np.uint8) * 255
    parts = find_parts(replace(ink_of_page(mask), mask=mask), 2.0)
    assert parts is None or len(parts.members) <= 1000


def test_of_too_many_regions_the_largest_stay_and_neighbours_stay_neighbours() -> None:
    sheet = Sheet(1200, 1600)
    high = np.random.default_rng(3).choice([10, 14], (40, 30))
    for row, heights in enumerate(high):
        for column, height in enumerate(heights):
            sheet.line(20 + 52 * column, 20 + 29 * row, 20 + 52 * column, 20 + 29 * row + height, 3)
    parts = parts_of(sheet)
    assert parts is not None and len(parts.members) == MAX_REGIONS < high.size
    assert np.count_nonzero(parts.boxes[:, 3] > 16) == np.count_nonzero(high == 14)
    rows = (parts.boxes[:, 1] - 10) // 29
    assert (np.diff(rows) >= 0).all(), "one line of the page after the other"

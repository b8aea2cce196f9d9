"""Ruling and boxes go, strokes stay, and a ruled page is levelled."""

import math

import cv2
import numpy as np
import pytest

from edge.page import ink_of_page
from edge.rules import _cell_sides, _Frame, without_rules
from tests.edge.sheets import Sheet

SMALLEST = 12.0  # pixels
DEPTH = 190  # of 255: of ink


def depth_of(sheet: Sheet) -> np.ndarray:
    return (sheet.marks * DEPTH).astype(np.uint8)


def written(tilt: float = 0.0) -> Sheet:
    sheet = Sheet(tilt=tilt)
    for row, text in enumerate(("20475", "16938", "50142")):
        sheet.write(text, 110, 60 + 76 * row, 40)
    return sheet


def moved(marks: np.ndarray, turn: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    return marks if turn is None else cv2.warpAffine(marks, turn, shape[1::-1])


def check_only_lines_went(plain: np.ndarray, depth: np.ndarray, turn: np.ndarray | None, least: float = 0.85) -> None:
    """Of the digits' ink most is left, and nothing else but crumbs. plain: the marks of the digits alone."""
    marks = moved(plain, turn, depth.shape)
    mask = ink_of_page(depth).mask
    assert (mask[marks > 0.5] > 0).mean() > least, "strokes were eaten"
    near = cv2.dilate((marks > 0.05).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    _, _, statistics, _ = cv2.connectedComponentsWithStats(np.where(near, 0, mask).astype(np.uint8))
    assert (statistics[1:, 2:4].max(axis=1, initial=0) < SMALLEST).all(), "lines are left"


def test_a_page_without_lines_is_left_as_it_is() -> None:
    for tilt in (0.0, 8.0):
        depth = depth_of(written(tilt))
        found, turn, _ = without_rules(depth.copy(), SMALLEST)
        assert turn is None
        assert np.array_equal(found, depth)


@pytest.mark.parametrize("tilt", [0.0, 4.0, -9.0])
def test_digits_that_touch_are_as_long_as_a_line_and_none(tilt: float) -> None:
    sheet = Sheet(tilt=tilt)
    for row, text in enumerate(("2047", "693", "50142")):
        sheet.write(text, 90, 50 + 80 * row, 44, gap=-0.06)
    depth = depth_of(sheet)
    found, turn, _ = without_rules(depth.copy(), SMALLEST)
    assert turn is None
    assert np.array_equal(found, depth)


def test_the_edge_of_a_shadow_does_not_tell_at_what_angle_boxes_stand() -> None:
    sheet = Sheet(tilt=3.0)
    sheet.write("5714", 150, 130, 36)
    plain = sheet.marks.copy()
    sheet.box(140, 118, 150, 60)
    depth = depth_of(sheet)
    cv2.fillPoly(depth, [np.array([(0, 0), (0, 80), (480, 8), (480, 0)])], (DEPTH,))
    found, turn, _ = without_rules(depth, SMALLEST)
    assert turn is not None and math.degrees(math.atan2(turn[0, 1], turn[0, 0])) == pytest.approx(3.0, abs=0.5)
    marks = moved(plain, turn, found.shape)
    assert (ink_of_page(found).mask[marks > 0.5] > 0).mean() > 0.85


@pytest.mark.parametrize("text", "0147")
@pytest.mark.parametrize("height", [60, 250])
def test_a_digit_alone_is_no_net_of_lines(text: str, height: float) -> None:
    sheet = Sheet()
    sheet.write(text, 120, 25, height)
    found, _, _ = without_rules(depth_of(sheet), SMALLEST)
    assert np.array_equal(found, depth_of(sheet))


def test_a_row_of_ones_is_no_row_of_separators() -> None:
    sheet = Sheet()
    for k in range(8):
        sheet.line(60 + 40 * k, 100, 58 + 40 * k, 145, 4)
    found, _, _ = without_rules(depth_of(sheet), SMALLEST)
    assert np.array_equal(found, depth_of(sheet))


LEFT = "a line along the edge of the frame, or cut short by its corner, stays"


@pytest.mark.parametrize(
    "squared",
    [False, pytest.param(True, marks=pytest.mark.xfail(reason=LEFT, raises=AssertionError, strict=False))],
    ids=["ruled", "squared"],
)
@pytest.mark.parametrize("tilt", [0.0, 7.0, -7.0, 12.0, -12.0])
def test_ruling_goes_and_digits_stay(tilt: float, squared: bool) -> None:
    sheet = written(tilt)
    plain = sheet.marks.copy()
    sheet.rule(38 if squared else 76, squared, start=28)
    depth, turn, _ = without_rules(depth_of(sheet), SMALLEST)
    assert (turn is None) == (tilt == 0)
    check_only_lines_went(plain, depth, turn)


@pytest.mark.parametrize("tilt", [7.0, -12.0])
def test_a_ruled_page_is_levelled_and_nothing_falls_off_it(tilt: float) -> None:
    sheet = written(tilt)
    sheet.rule(76, start=28)
    depth, turn, _ = without_rules(depth_of(sheet), SMALLEST)
    assert turn is not None and turn.shape == (2, 3)
    assert turn[:, :2] @ turn[:, :2].T == pytest.approx(np.eye(2), abs=1e-6), "a rotation keeps sizes"
    assert math.degrees(math.atan2(turn[0, 1], turn[0, 0])) == pytest.approx(tilt, abs=0.5)
    corners = np.array([(0, 0), (sheet.width, 0), (0, sheet.height), (sheet.width, sheet.height)])
    placed = corners @ turn[:, :2].T + turn[:, 2]
    assert (placed >= -1).all()
    assert (placed <= np.array(depth.shape[1::-1]) + 1).all()


@pytest.mark.parametrize("place", [0.3, 0.5, 0.7])
def test_a_stroke_that_crosses_a_line_stays_whole(place: float) -> None:
    sheet = Sheet()
    sheet.line(140, 80, 136, 140, 6)
    sheet.line(240, 80, 226, 140, 6)
    plain = sheet.marks.copy()
    for y in (60, 80 + 60 * place, 170, 240):
        sheet.line(0, y, sheet.width, y, 2, 0.5)
    depth, turn, _ = without_rules(depth_of(sheet), SMALLEST)
    check_only_lines_went(plain, depth, turn)
    _, _, statistics, _ = cv2.connectedComponentsWithStats(ink_of_page(depth).mask)
    assert np.count_nonzero(statistics[1:, 3] > 50) == 2


@pytest.mark.parametrize("tilt", [0.0, 4.0])
def test_boxes_around_digits_go(tilt: float) -> None:
    plain, boxed = Sheet(tilt=tilt), Sheet(tilt=tilt)
    for k, text in enumerate("7503"):
        for sheet in (plain, boxed):
            sheet.write(text, 60 + 95 * k + 17, 116, 44)
        boxed.box(60 + 95 * k, 100, 66, 76)
    depth, turn, _ = without_rules(depth_of(boxed), SMALLEST)
    check_only_lines_went(plain.marks, depth, turn)


@pytest.mark.parametrize("pen", [2, 3])
def test_a_row_of_cells_goes_with_its_separators(pen: float) -> None:
    sheet = Sheet()
    sheet.write("405382", 70, 130, 40, gap=0.43)
    plain = sheet.marks.copy()
    sheet.box(62, 120, 6 * 42, 60, cells=6, pen=pen)
    check_only_lines_went(plain, *without_rules(depth_of(sheet), SMALLEST)[:2])


def test_a_digit_that_touches_its_cell_stays() -> None:
    sheet = Sheet()
    sheet.write("405382", 70, 132, 42, gap=0.38)
    plain = sheet.marks.copy()
    sheet.box(62, 120, 6 * 42, 51, cells=6)
    check_only_lines_went(plain, *without_rules(depth_of(sheet), SMALLEST)[:2], least=0.8)


def test_between_lines_whose_heights_overlap_stands_nothing() -> None:
    flat = np.zeros((120, 240), np.uint8)
    for y, x in ((20, 120), (37, 70)):  # each goes on lower from there
        flat[y : y + 3, 20:x] = flat[y : y + 23, x - 2 : x + 2] = flat[y + 20 : y + 23, x:220] = 255
    assert not _cell_sides(flat, flat, 20.0, _Frame(flat.shape, None)).any()


def table(tilt: float, width: int) -> tuple[Sheet, np.ndarray]:
    """Three columns of numbers, and where the four lines that stand beside them were drawn: (4, 2, 2)."""
    sheet, left = Sheet(width=width, tilt=tilt), width / 2 - 180
    for row in range(3):
        for column, text in enumerate(("204", "75", "318")):
            sheet.write(text, left + 10 + 120 * column, 62 + 62 * row, 32)
    lines = [[(left + 120 * k, 50), (left + 120 * k, 236)] for k in range(4)]
    for (x, top), (_, bottom) in lines:
        sheet.line(x, top, x, bottom)
    return sheet, np.array([sheet.placed(np.array(line)) for line in lines])


@pytest.mark.parametrize("tilt", [0.0, 5.0, -11.0])
@pytest.mark.parametrize(
    ("lying", "width"), [(True, 480), (True, 1700), (False, 480)], ids=["table", "small table", "standing lines alone"]
)
def test_it_is_told_where_lines_stand(lying: bool, width: int, tilt: float) -> None:
    sheet, lines = table(tilt, width)
    for y in range(50, 237, 62) if lying else ():
        sheet.line(width / 2 - 180, y, width / 2 + 180, y)
    _, turn, found = without_rules(depth_of(sheet), SMALLEST)
    assert (turn is None) == (tilt == 0)
    if turn is not None:
        lines = lines @ turn[:, :2].T + turn[:, 2]
    assert found[np.argsort(found[:, 0, 0])] == pytest.approx(lines, abs=5)


def test_the_sides_of_a_box_around_one_row_are_no_lines_that_stand() -> None:
    sheet = Sheet()
    sheet.write("405382", 70, 130, 40, gap=0.43)
    sheet.box(62, 120, 6 * 42, 60, cells=6)
    assert len(without_rules(depth_of(sheet), SMALLEST)[2]) == 0


def test_on_a_page_without_lines_none_stands() -> None:
    assert without_rules(depth_of(written()), SMALLEST)[2].shape == (0, 2, 2)


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (7, 3), (40, 2000)])
@pytest.mark.parametrize("kind", ["ink", "noise"])
def test_any_depth_is_answered(shape: tuple[int, int], kind: str) -> None:
    depth = np.full(shape, 200, np.uint8)
    if kind == "noise":
        depth = np.random.default_rng(3).integers(0, 256, shape, np.uint8)
    found, turn, _ = without_rules(depth, SMALLEST)
    assert found.dtype == np.uint8 and found.ndim == 2
    assert turn is not None or found.shape == shape

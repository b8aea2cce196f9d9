"""The ink of a page is told from its paper, under any light, in any colour."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.page import ink_of_page, page_depth
from tests.edge.sheets import Sheet


def no_colour() -> np.ndarray:
    raise AssertionError("grey was enough")


def written() -> Sheet:
    sheet = Sheet()
    for row, text in enumerate(("20475", "16938", "50142")):
        sheet.write(text, 110, 60 + 76 * row, 40)
    return sheet


def mask_of(grey: np.ndarray) -> np.ndarray:
    return ink_of_page(page_depth(grey, None, no_colour)[0]).mask


def preview_of(frame: np.ndarray) -> np.ndarray:
    return cv2.resize(frame, None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA)


def check_ink(mask: np.ndarray, sheet: Sheet) -> None:
    """The mask is the ink, within a pixel at its edges."""
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) <= {0, 255}
    kernel = np.ones((3, 3), np.uint8)
    core = cv2.erode((sheet.marks > 0.5).astype(np.uint8), kernel) > 0
    far = cv2.dilate((sheet.marks > 0.02).astype(np.uint8), kernel) == 0
    assert (mask[core] > 0).mean() > 0.97, "ink is missing"
    assert (mask[far] > 0).mean() < 0.001, "paper is taken for ink"


@pytest.mark.parametrize(("paper", "ink"), [(225, 45), (250, 205), (110, 60), (35, 215), (20, 60), (90, 140), (255, 0)])
def test_ink_is_found_whether_darker_or_lighter_than_its_paper(paper: float, ink: float) -> None:
    sheet = written()
    check_ink(mask_of(sheet.grey(paper, ink)), sheet)


@pytest.mark.parametrize("degree", [0.35, 0.6])
def test_light_that_falls_off_is_not_ink(degree: float) -> None:
    sheet = written()
    check_ink(mask_of(sheet.grey(light=np.linspace(1, degree, sheet.width))), sheet)


@pytest.mark.parametrize("blur", [1.5, 4.0, 12.0])
def test_the_edge_of_a_shadow_is_not_ink(blur: float) -> None:
    sheet = written()
    light = np.where(np.arange(sheet.width) > 250, 1.0, 0.6) * np.ones((sheet.height, 1))
    mask = mask_of(sheet.grey(light=cv2.GaussianBlur(light, (0, 0), blur)))
    kernel = np.ones((5, 5), np.uint8)
    far = cv2.dilate((sheet.marks > 0.02).astype(np.uint8), kernel) == 0
    assert (mask[far] > 0).mean() < 0.02
    assert (mask[sheet.marks > 0.9] > 0).mean() > 0.95


@pytest.mark.parametrize(("paper", "ink"), [(150, 95), (95, 150)])
def test_light_between_a_shadow_and_the_frame_is_not_taken_for_chalk(paper: float, ink: float) -> None:
    sheet = Sheet(560, 420)
    for row, text in enumerate(("87102157", "52654909")):
        sheet.write(text, 30, 260 + 60 * row, 30)
    light = np.ones((sheet.height, sheet.width), np.uint8)
    cv2.fillPoly(light, [np.array([(405, 0), (414, 0), (414, 520), (350, 440), (170, 415)])], (0,))
    shade = cv2.GaussianBlur(np.where(light, 1.0, 0.62), (0, 0), 0.8)
    mask = mask_of(sheet.grey(paper, ink, light=shade))
    assert (mask[sheet.marks > 0.9] > 0).mean() > 0.9


@pytest.mark.parametrize("level", [0, 60, 128, 250])
def test_a_page_of_one_colour_has_no_ink(level: int) -> None:
    assert not mask_of(np.full((200, 300), level, np.uint8)).any()


@pytest.mark.parametrize("paper", [40, 128, 220])
def test_an_empty_page_with_the_cameras_noise_has_next_to_no_ink(paper: float) -> None:
    assert (mask_of(Sheet().grey(paper)) > 0).mean() < 0.01


@pytest.mark.parametrize(
    ("paper", "ink"),
    [((90, 150, 90), (90, 78, 231)), ((90, 150, 90), (130, 160, 30)), ((200, 190, 190), (120, 190, 230))],
)
def test_ink_that_grey_does_not_show_is_found_by_its_colour(paper: tuple[int, ...], ink: tuple[int, ...]) -> None:
    sheet = Sheet()
    sheet.write("2047", 60, 80, 80)
    frame = sheet.colour(paper, ink)
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    asked = []

    def colour() -> np.ndarray:
        asked.append(True)
        return frame

    mask = ink_of_page(page_depth(grey, preview_of(frame), colour)[0]).mask
    assert len(asked) == 1
    core = cv2.erode((sheet.marks > 0.5).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert (mask[core] > 0).mean() > 0.95
    assert (mask[sheet.marks < 0.01] > 0).mean() < 0.05


def test_noise_is_no_colour() -> None:
    """It strays in three channels, and in the shade by more parts of the paper's level."""
    sheet = Sheet()
    sheet.write("2047", 60, 80, 80)
    light = np.where(np.arange(sheet.width) < 300, 0.35, 1.0)[:, None]
    lit = sheet.colour((90, 150, 90), (90, 78, 231)) * light
    frame = np.clip(lit + np.random.default_rng(5).normal(0, 3, lit.shape), 0, 255).astype(np.uint8)
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    depth, _ = page_depth(grey, preview_of(frame), lambda: frame)
    paper = cv2.dilate((sheet.marks > 0.01).astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    paper[:, 280:] = False
    assert depth[sheet.marks > 0.9].mean() > 150
    assert depth[paper].mean() < 16  # 18.5 with the noise of the colours, 13.9 of it the grey's own


@pytest.mark.parametrize(
    ("paper", "ink"),
    [((225, 225, 225), (45, 45, 45)), ((200, 220, 230), (40, 40, 40)), ((35, 35, 35), (220, 220, 220))],
)
def test_colours_are_not_asked_for_where_grey_shows_the_ink(paper: tuple[int, ...], ink: tuple[int, ...]) -> None:
    sheet = written()
    frame = sheet.colour(paper, ink)
    depth, _ = page_depth(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), preview_of(frame), no_colour)
    check_ink(ink_of_page(depth).mask, sheet)


def test_strokes_too_wide_for_the_closer_look_show_in_the_other() -> None:
    sheet = Sheet(300, 260)
    sheet.write("5", 45, 20, 260, pen=0.2)
    _, wide = page_depth(sheet.grey(), None, no_colour)
    assert wide is not None
    mask = ink_of_page(wide).mask
    assert (mask[sheet.marks > 0.9] > 0).mean() > 0.95
    assert (mask[sheet.marks < 0.01] > 0).mean() < 0.1


def test_writing_needs_no_second_look() -> None:
    assert page_depth(written().grey(), None, no_colour)[1] is None


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 90), width=st.integers(1, 90), top=st.integers(1, 256), seed=st.integers(0, 2**32 - 1))
def test_any_frame_has_depths_of_its_own_shape(height: int, width: int, top: int, seed: int) -> None:
    frame = np.random.default_rng(seed).integers(0, top, (height, width, 3), np.uint8)
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    preview = cv2.resize(frame, (max(1, width // 8), max(1, height // 8)))
    before = grey.copy()
    depth, wide = page_depth(grey, preview, lambda: frame)
    ink = ink_of_page(depth)
    for image in (depth, ink.depth, ink.threshold, ink.mask, *([] if wide is None else [wide])):
        assert image.shape == (height, width) and image.dtype == np.uint8
    assert np.array_equal(grey, before)

"""A photographed page is straightened by its outline or its marks, or it is said that it cannot be."""

import time
from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from edge.deskew import _quad_around, find_marks, find_page, mapped_box, straighten
from edge.errors import PictureError

PAGE = (848, 600)  # pixels: height and width of the page that is photographed
MARKS = np.array([(30, 30), (570, 30), (570, 818), (30, 818)], np.float64)
PAGE_CORNERS = np.array([(0, 0), (600, 0), (600, 848), (0, 848)], np.float64)
TOLERANCE = 3.0  # pixels, in photographs of 900 x 1200


@dataclass(frozen=True)
class Photograph:
    frame: np.ndarray
    corners: np.ndarray  # of the page
    marks: np.ndarray  # their centres


def printed(marks: str | None = None, paper: int = 230, ink: int = 40) -> np.ndarray:
    """uint8 (848, 600, 3): a form with a printed box, ruling, writing, and corner marks if asked for."""
    page = np.full((*PAGE, 3), paper, np.uint8)
    cv2.rectangle(page, (60, 60), (540, 120), (ink,) * 3, 3)
    for y in range(180, 780, 60):
        cv2.line(page, (60, y), (540, y), (ink + 100,) * 3, 2)
        cv2.putText(page, "5550100 12", (70, y - 8), cv2.FONT_HERSHEY_SIMPLEX, 1.3, (ink,) * 3, 4, cv2.LINE_AA)
    for x, y in MARKS.astype(int).tolist():
        if marks == "squares":
            cv2.rectangle(page, (x - 12, y - 12), (x + 12, y + 12), (ink,) * 3, cv2.FILLED)
        elif marks == "discs":
            cv2.circle(page, (x, y), 13, (ink,) * 3, cv2.FILLED, cv2.LINE_AA)
    return page


def photograph(
    page: np.ndarray,
    seed: int,
    *,
    turn: float = 0.0,
    perspective: float = 0.0,
    fill: float = 0.8,
    desk: tuple[int, int, int] = (70, 95, 120),
    light: float = 0.3,
    shift: tuple[float, float] = (0, 0),
) -> Photograph:
    """The page on a desk with wood grain, seen askew, lit from one side, with a sensor's noise: 900 x 1200 pixels."""
    rng = np.random.default_rng(seed)
    height, width = 1200, 900
    scale = fill * min(height / PAGE[0], width / PAGE[1])
    quad = (PAGE_CORNERS - (300, 424)) * scale * (1 + rng.uniform(-perspective, perspective, (4, 1)))
    angle = np.deg2rad(turn)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    quad = quad @ turned.T + (width / 2 + shift[0] * width, height / 2 + shift[1] * height)
    view = cv2.getPerspectiveTransform((PAGE_CORNERS - 0.5).astype(np.float32), quad.astype(np.float32))
    grain = cv2.GaussianBlur(rng.standard_normal((height, width)), (0, 0), sigmaX=60, sigmaY=1.5)
    frame = np.array(desk) * (1 + 0.25 * grain / np.abs(grain).max())[..., None]
    cover = cv2.warpPerspective(np.ones(PAGE), view, (width, height))[..., None]
    frame = frame * (1 - cover) + cv2.warpPerspective(page.astype(float), view, (width, height)) * cover
    y, x = np.mgrid[0:height, 0:width]
    towards = rng.uniform(0, 2 * np.pi)
    frame *= 1 + light * ((x / width - 0.5) * np.cos(towards) + (y / height - 0.5) * np.sin(towards))[..., None]
    frame += rng.normal(0, 4, (height, width, 1))
    marks = cv2.perspectiveTransform(MARKS.reshape(-1, 1, 2), view).reshape(-1, 2)
    return Photograph(np.clip(cv2.GaussianBlur(frame, (0, 0), 0.8), 0, 255).astype(np.uint8), quad, marks)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("turn", [-30, -8, 0, 15, 30])
def test_a_page_on_a_desk_is_found_however_it_lies(turn: float, seed: int) -> None:
    photo = photograph(printed(), seed, turn=turn, perspective=0.12, fill=0.7, light=0.1 * seed)
    assert np.abs(find_page(photo.frame) - photo.corners).max() < TOLERANCE


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("marks", ["squares", "discs"])
def test_marks_are_found_to_a_pixel(marks: str, seed: int) -> None:
    photo = photograph(printed(marks), seed, turn=-28 + 8 * seed, perspective=0.1, fill=0.64, light=0.1 * seed)
    assert np.abs(find_marks(photo.frame) - photo.marks).max() < 1.0


def test_a_grey_frame_will_do() -> None:
    photo = photograph(printed("squares"), 1, turn=5)
    grey = cv2.cvtColor(photo.frame, cv2.COLOR_BGR2GRAY)
    assert np.abs(find_page(grey) - photo.corners).max() < TOLERANCE
    assert np.abs(find_marks(grey) - photo.marks).max() < 1.0


def test_a_dark_page_on_a_bright_desk_is_found() -> None:
    photo = photograph(printed(paper=60, ink=20), 2, turn=10, perspective=0.08, desk=(215, 225, 230))
    assert np.abs(find_page(photo.frame) - photo.corners).max() < TOLERANCE


def test_a_page_that_differs_from_its_desk_in_colour_alone_is_found() -> None:
    photo = photograph(printed(paper=180), 3, turn=-7, perspective=0.08, desk=(110, 190, 205), light=0.1)
    grey = cv2.cvtColor(photo.frame, cv2.COLOR_BGR2GRAY)
    page, desk = np.median(grey[500:700, 400:500]), np.median(grey[:, :15])
    assert abs(page - desk) < 12, "grey must not tell them apart"
    assert np.abs(find_page(photo.frame) - photo.corners).max() < TOLERANCE


def test_a_page_whose_corner_lies_outside_the_frame_is_found_by_its_sides() -> None:
    photo = photograph(printed(), 4, turn=27, fill=0.82)
    outside = (photo.corners < 0).any(axis=1) | (photo.corners > (899, 1199)).any(axis=1)
    assert outside.any()
    assert np.abs(find_page(photo.frame) - photo.corners).max() < TOLERANCE


def test_a_page_half_in_shadow_is_found() -> None:
    photo = photograph(printed(), 5, turn=6, perspective=0.05, desk=(70, 80, 90), light=0)
    shade = np.ones((1200, 900))
    cv2.fillPoly(shade, [np.array([(0, 500), (900, 750), (900, 1200), (0, 1200)])], 0.45)
    frame = (photo.frame * cv2.GaussianBlur(shade, (0, 0), 12)[..., None]).astype(np.uint8)
    assert np.abs(find_page(frame) - photo.corners).max() < TOLERANCE


@pytest.mark.parametrize("frame", [
    np.full((600, 400), 200, np.uint8),
    np.random.default_rng(1).integers(0, 256, (600, 400, 3), np.uint8),
    printed(),  # a scan: nothing of a desk is seen, only a printed box
    np.full((1, 1), 9, np.uint8),
    np.full((1, 2000), 9, np.uint8),
], ids=["blank", "noise", "scan", "1x1", "1x2000"])  # fmt: skip
def test_where_there_is_no_outline_and_no_mark_it_says_so(frame: np.ndarray) -> None:
    with pytest.raises(PictureError, match="no page found"):
        find_page(frame)
    with pytest.raises(PictureError, match="four corner marks were not found"):
        find_marks(frame)


def test_an_outline_two_of_whose_long_sides_never_meet_is_no_page() -> None:
    tip = np.array([(150, 60), (550, 60), (550, 180), (150, 180), (20, 120)], np.int32)
    assert _quad_around(tip.reshape(-1, 1, 2), (300, 600)) is None


def test_a_page_with_a_side_outside_the_frame_is_not_guessed_at() -> None:
    photo = photograph(printed(), 6, fill=0.9, shift=(0.2, 0))
    with pytest.raises(PictureError):
        find_page(photo.frame)


@pytest.mark.parametrize("missing", range(4))
@pytest.mark.parametrize("marks", ["squares", "discs"])
def test_three_marks_are_not_enough(marks: str, missing: int) -> None:
    page = printed(marks)
    x, y = MARKS[missing].astype(int)
    page[y - 20 : y + 20, x - 20 : x + 20] = 230
    with pytest.raises(PictureError, match="four corner marks"):
        find_marks(photograph(page, 7, turn=4, perspective=0.05).frame)


def test_a_blot_is_not_taken_for_the_missing_mark() -> None:
    page = printed("squares")
    page[800:840, 550:590] = 230
    cv2.circle(page, (480, 700), 20, (40, 40, 40), cv2.FILLED)
    with pytest.raises(PictureError, match="four corner marks"):
        find_marks(photograph(page, 8, turn=3, perspective=0.05).frame)


def test_blots_and_filled_boxes_inside_the_page_do_not_mislead() -> None:
    page = printed("squares")
    for x, y in ((120, 300), (300, 420), (480, 560), (200, 700)):
        cv2.rectangle(page, (x - 12, y - 12), (x + 12, y + 12), (40, 40, 40), cv2.FILLED)
    photo = photograph(page, 9, turn=-9, perspective=0.08)
    assert np.abs(find_marks(photo.frame) - photo.marks).max() < 1.0


@pytest.mark.parametrize("aspect", [None, 600 / 848])
def test_a_straightened_page_is_the_page(aspect: float | None) -> None:
    page = printed()
    photo = photograph(page, 10, turn=12, perspective=0.06, light=0)
    flat = straighten(photo.frame, find_page(photo.frame), aspect)
    same = cv2.resize(flat.frame, (600, 848), interpolation=cv2.INTER_AREA)
    away = np.abs(cv2.GaussianBlur(same, (0, 0), 2).astype(float) - cv2.GaussianBlur(page, (0, 0), 2))
    assert away[20:-20, 20:-20].mean() < 6
    if aspect is not None:
        assert flat.frame.shape[1] / flat.frame.shape[0] == pytest.approx(aspect, rel=0.005)


def test_a_page_of_quite_another_shape_is_refused() -> None:
    photo = photograph(printed(), 14)
    with pytest.raises(PictureError, match="not of the form's shape"):
        straighten(photo.frame, find_page(photo.frame), 848 / 600)


def test_boxes_are_mapped_to_the_box_around_them_inside_the_picture() -> None:
    assert mapped_box(np.eye(3), (10, 20, 30, 40), 100, 100) == (10, 20, 30, 40)
    doubled = np.array([(2, 0, 0.5), (0, 2, 0.5), (0, 0, 1.0)])
    assert mapped_box(doubled, (10, 20, 30, 40), 200, 200) == (20, 40, 60, 80)
    assert mapped_box(doubled, (10, 20, 300, 400), 100, 100) == (20, 40, 80, 60)
    quarter = np.array([(0, -1, 99), (1, 0, 0), (0, 0, 1.0)])  # turned right within 100 x 100
    assert mapped_box(quarter, (10, 20, 30, 40), 100, 100) == (40, 10, 40, 30)


def test_a_box_of_the_photograph_lies_where_the_page_has_it() -> None:
    photo = photograph(printed(), 11, turn=-14, perspective=0.1)
    flat = straighten(photo.frame, find_page(photo.frame), 600 / 848)
    scale = flat.frame.shape[1] / 600
    x, y, w, h = mapped_box(flat.to_picture, tuple(v * scale for v in (60, 60, 480, 60)), 900, 1200)
    view = cv2.getPerspectiveTransform(PAGE_CORNERS.astype(np.float32), photo.corners.astype(np.float32))
    corners = np.array([(60, 60), (540, 60), (540, 120), (60, 120)], np.float64).reshape(-1, 1, 2)
    true = cv2.perspectiveTransform(corners, view).reshape(-1, 2)
    assert np.abs(np.array([(x, y), (x + w, y + h)]) - [true.min(axis=0), true.max(axis=0)]).max() < 4


def test_a_large_photograph_is_searched_in_bounded_time() -> None:
    large = cv2.resize(photograph(printed("squares"), 12, turn=5).frame, (4500, 6000))
    start = time.perf_counter()
    find_page(large)
    find_marks(large)
    find_noise = np.random.default_rng(13).integers(0, 256, (3000, 4000), np.uint8)
    for search in (find_page, find_marks):
        with pytest.raises(PictureError):
            search(find_noise)
    assert time.perf_counter() - start < 6

import cv2
import numpy as np
import pytest

from edge.segment import Region, find_digit, levels_at, median_level, stroke_width, without_noise


def seven(side: int, paper: int, ink: int, thickness: int, shift: tuple[int, int] = (0, 0)) -> np.ndarray:
    """A grey picture of a 7 in the middle of a square, moved by `shift`."""
    picture = np.full((side, side), paper, np.uint8)
    points = np.array([[0.35, 0.25], [0.65, 0.25], [0.45, 0.75]]) * side + shift
    cv2.polylines(picture, [points.astype(int)], False, ink, thickness, cv2.LINE_AA)
    return picture


def is_on_seven(region: Region | None, side: int, thickness: int) -> bool:
    """Whether the region's edges lie on those of the 7, within two pixels or 2 % of the picture."""
    if region is None:
        return False
    half = thickness / 2
    wanted = np.array([0.35 * side - half, 0.25 * side - half, 0.65 * side + half, 0.75 * side + half])
    found = np.array([region.x, region.y, region.x + region.width, region.y + region.height])
    return bool(np.abs(found - wanted).max() <= max(2.5, 0.02 * side))


@pytest.mark.parametrize("side", [40, 150, 600, 2400])
@pytest.mark.parametrize(("paper", "ink"), [(255, 0), (20, 240), (200, 160), (60, 100)])
def test_box_lies_on_the_digit_at_any_size_and_polarity(side: int, paper: int, ink: int) -> None:
    thickness = max(2, side // 30)
    assert is_on_seven(find_digit(seven(side, paper, ink, thickness)), side, thickness)


def test_shadow_across_the_page_is_not_ink() -> None:
    side = 480
    light = np.tile(np.linspace(1.0, 0.35, side), (side, 1))
    picture = (seven(side, 230, 70, 16) * light).astype(np.uint8)
    assert is_on_seven(find_digit(picture), side, 16)


def test_ink_that_differs_in_colour_alone_is_found() -> None:
    side = 200
    grey = seven(side, 255, 0, 10)
    picture = np.empty((side, side, 3), np.uint8)
    # Two colours of nearly one luminance: 0.114 B + 0.587 G + 0.299 R.
    picture[:] = (90, 150, 90)
    picture[grey < 128] = (90, 78, 231)
    assert is_on_seven(find_digit(picture), side, 10)


def test_specks_and_a_mark_at_the_edge_are_left_out() -> None:
    side = 300
    picture = seven(side, 255, 0, 12)
    for x, y in [(30, 40), (270, 250), (250, 30)]:
        cv2.circle(picture, (x, y), 2, 0, -1)
    cv2.line(picture, (0, 290), (40, 299), 0, 4)
    assert is_on_seven(find_digit(picture), side, 12)


def test_ruled_line_through_the_crop_is_removed_and_the_strokes_crossing_it_stay() -> None:
    side = 120
    ruled = seven(side, 255, 0, 9)
    cv2.line(ruled, (0, 60), (side, 60), 40, 2)
    region, plain = find_digit(ruled), find_digit(seven(side, 255, 0, 9))
    assert region is not None and plain is not None
    assert is_on_seven(region, side, 9)
    assert np.count_nonzero(region.mask > 127) == pytest.approx(np.count_nonzero(plain.mask > 127), rel=0.06)
    count, _ = cv2.connectedComponents((region.mask > 127).astype(np.uint8))
    assert count == 2


def test_a_bar_that_came_off_its_digit_is_one_digit_with_it() -> None:
    picture = np.full((200, 200), 250, np.uint8)
    cv2.line(picture, (80, 40), (130, 36), 20, 8)
    cv2.ellipse(picture, (95, 110), (35, 40), 0, -110, 150, 20, 8)
    region = find_digit(picture)
    assert region is not None
    assert region.y <= 36 and region.y + region.height >= 145


@pytest.mark.parametrize("level", [0, 90, 255])
def test_an_empty_page_holds_no_digit(level: int) -> None:
    assert find_digit(np.full((300, 200, 3), level, np.uint8)) is None


@pytest.mark.parametrize("height", [36, 60, 120])
def test_a_small_digit_on_a_large_page_is_found(height: int) -> None:
    rng = np.random.default_rng(9)
    page = np.clip(rng.normal(235, 2, (640, 640)), 0, 255).astype(np.uint8)
    page[300 : 300 + height, 200 : 200 + height] = seven(height, 235, 30, max(2, height // 10))
    region = find_digit(page)
    assert region is not None
    assert region.x >= 195 and region.x + region.width <= 205 + height
    assert region.y >= 295 and region.y + region.height <= 305 + height


@pytest.mark.parametrize("margins", [(5, 5, 5, 5), (20, 0, 20, 0), (1, 30, 8, 2)])
@pytest.mark.parametrize("level", [0, 60])
def test_a_scanners_dark_edges_do_not_turn_paper_into_ink(margins: tuple[int, int, int, int], level: int) -> None:
    side = 300
    picture = seven(side, 230, 40, 12)
    top, bottom, left, right = margins
    picture[:top], picture[side - bottom :], picture[:, :left], picture[:, side - right :] = (level,) * 4
    assert is_on_seven(find_digit(picture), side, 12)


@pytest.mark.parametrize("thickness", [1, 3, 6])
def test_a_box_drawn_around_the_digit_is_no_part_of_it(thickness: int) -> None:
    side = 300
    picture = seven(side, 240, 40, 10)
    cv2.rectangle(picture, (40, 36), (262, 270), 40, thickness)
    assert is_on_seven(find_digit(picture), side, 10)


def test_a_round_or_square_zero_is_no_box() -> None:
    for corner in (0, 20, 60):
        picture = np.full((200, 200), 250, np.uint8)
        cv2.rectangle(picture, (50 + corner, 30), (150 - corner, 170), 20, 8)
        cv2.ellipse(picture, (100, 100), (50, 70), 0, 0, 360, 20, 8)
        region = find_digit(picture)
        assert region is not None and region.height > 130


def test_the_table_beside_the_page_is_not_ink() -> None:
    side = 400
    picture = seven(side, 230, 40, 14)
    picture[360:] = 50
    region = find_digit(picture)
    assert region is not None and region.y + region.height < 340
    blank = np.full((side, side), 230, np.uint8)
    blank[340:] = 50
    assert find_digit(blank) is None


def test_soft_shadows_alone_hold_no_digit() -> None:
    rng = np.random.default_rng(7)
    for side in (160, 240, 700):
        x, y = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
        shadow = 0.35 * np.exp(-((x - 0.7) ** 2 + (y + 0.2) ** 2) / 0.18) + 0.25 / (1 + np.exp(-6 * (y - 0.3)))
        paper = np.clip(215 * (1 - shadow) + rng.normal(0, 2, (side, side)), 0, 255).astype(np.uint8)
        assert find_digit(paper) is None


@pytest.mark.parametrize("shape", [(300, 300), (64, 64), (1, 1), (1, 500), (500, 2)])
def test_noise_alone_holds_no_digit(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    paper = np.clip(rng.normal(200, 3, shape), 0, 255).astype(np.uint8)
    assert find_digit(paper) is None


def test_stroke_width_of_a_bar_is_its_width() -> None:
    for width in (3, 6, 11, 20):
        mask = np.zeros((60, 300), np.uint8)
        mask[20 : 20 + width, 20:280] = 255
        assert stroke_width(mask) == pytest.approx(width, rel=0.2)
    assert stroke_width(np.zeros((5, 5), np.uint8)) == 0


@pytest.mark.parametrize("width", [1, 2, 31, 33, 34, 35, 66, 97, 192])
def test_noise_is_taken_out_of_rows_of_any_length_as_by_the_median_of_three_pixels(width: int) -> None:
    image = np.random.default_rng(width).integers(0, 256, (9, width), np.uint8)
    quiet = without_noise(image)
    padded = np.pad(image, 1, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).reshape(9, width, 9)
    assert (quiet == np.median(windows, axis=2)).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 5), (8, 8), (70, 96)])
def test_levels_are_told_as_by_sorting(size: tuple[int, int]) -> None:
    levels = np.random.default_rng(1).integers(0, 256, size, np.uint8) // 7
    places = sorted({0, levels.size // 3, levels.size - 1})
    assert levels_at(levels, places) == np.sort(levels, axis=None)[places].tolist()
    assert median_level(levels) == np.median(levels)

"""The sides of shadows are no digits, and digits beside them are."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from edge import DigitReader
from edge.blots import is_side
from edge.segment import Region
from tests.edge.sheets import Sheet

HEIGHT, WIDTH = 600, 900


def shaded(grey: np.ndarray, corners: list[tuple[int, int]], light: float, blur: float = 1.0) -> np.ndarray:
    """A page, uint8 (h, w), with a shadow that leaves so much of the light."""
    shadow = np.zeros(grey.shape, np.float32)
    cv2.fillPoly(shadow, [np.array(corners)], 1.0)
    left = 1 - (1 - light) * cv2.GaussianBlur(shadow, (0, 0), blur)
    return np.clip(grey * left, 0, 255).astype(np.uint8)


def polygons(count: int) -> list[list[tuple[int, int]]]:
    """Shadows with a side that is nearly upright, as high as a large digit."""
    rng = np.random.default_rng(8)
    drawn = []
    for _ in range(count):
        x, y, height = (int(v) for v in rng.integers((250, 60, 130), (650, 200, 330)))
        lean, far = rng.integers(-30, 30), rng.integers(200, 500)
        side = [(x, y), (x + int(lean), y + height)]
        sign = 1 if rng.random() < 0.5 else -1
        rises, falls = rng.integers(-80, 80, 2)
        drawn.append([*side, (x + sign * int(far), y + height + int(falls)), (x + sign * int(far), y + int(rises))])
    return drawn


@pytest.mark.parametrize("blur", [1.0, 5.0])
@pytest.mark.parametrize("light", [0.5, 0.7])
def test_the_sides_of_shadows_are_no_digits(light: float, blur: float, reader: DigitReader) -> None:
    paper = Sheet(HEIGHT, WIDTH).grey()
    read = [reader.read(shaded(paper, corners, light, blur)).text for corners in polygons(24)]
    assert sum(text != "" for text in read) <= 3, read


@pytest.mark.parametrize("ink", [45, 90, 120])
@pytest.mark.parametrize("away", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("text", ["1", "7"])
def test_a_digit_beside_a_shadow_is_one(text: str, away: float, ink: int, reader: DigitReader) -> None:
    sheet = Sheet(HEIGHT, WIDTH)
    sheet.write(text, 400, 200, 80)
    x, _, width, _ = sheet.written[0].box
    edge = round(x + width + 8 * away) + 1
    page = shaded(sheet.grey(ink=ink), [(edge, 0), (WIDTH, 0), (WIDTH, HEIGHT), (edge, HEIGHT)], 0.6)
    read = reader.read(page).text  # a piece of the shadow's side may stand beside it
    assert text in read and read.strip("1") in ("", text)


@pytest.mark.parametrize("at", [395, 405, 415, 450, 500])
@pytest.mark.parametrize("height", [60, 200])
def test_a_1_in_a_shadow_or_at_its_side_is_one(height: int, at: int, reader: DigitReader) -> None:
    sheet = Sheet(HEIGHT, WIDTH)
    sheet.write("1", 400, 150, height)
    assert reader.read(shaded(sheet.grey(), [(at, 0), (WIDTH, 0), (WIDTH, HEIGHT), (at, HEIGHT)], 0.6)).text == "1"


@pytest.mark.parametrize("gap", [4, 8, 12, 24])
@pytest.mark.parametrize("text", ["1", "7"])
def test_a_digit_beside_something_dark_and_wide_is_one(text: str, gap: int, reader: DigitReader) -> None:
    sheet = Sheet(HEIGHT, WIDTH)
    sheet.write(text, 400, 200, 80)
    x, _, width, _ = sheet.written[0].box
    picture = sheet.grey()
    picture[176:304, round(x + width) + gap :][:, :200] = 45
    assert reader.read(picture).text == text


@pytest.mark.parametrize(("height", "blur", "ink"), [(30, 3.5, 150), (40, 4.5, 150)])
def test_blurred_digits_beside_others_have_paper_around(
    height: int, blur: float, ink: float, reader: DigitReader
) -> None:
    sheet = Sheet()
    sheet.write("71171", 60, 100, height)
    assert reader.read(cv2.GaussianBlur(sheet.grey(ink=ink), (0, 0), blur)).text == "71171"


def test_ink_of_a_colour_as_dark_as_paper_has_no_sides(reader: DigitReader) -> None:
    sheet = Sheet(HEIGHT, WIDTH)
    sheet.write("1", 400, 250, 80)
    noise = np.random.default_rng(2).normal(0, 3, (HEIGHT, WIDTH, 1))
    blue, orange = np.array([172.0, 158.0, 128.0]), np.array([96.0, 146.0, 212.0])  # BGR, both 150 in grey
    picture = blue + sheet.marks[..., None] * (orange - blue) + noise
    assert reader.read(np.clip(picture, 0, 255).astype(np.uint8)).text == "1"


def bar(left: float, ink: float, right: float) -> tuple[np.ndarray, Region]:
    """A page, uint8 (200, 300), with a bar between these levels, and the bar."""
    page = np.full((200, 300), left, np.uint8)
    page[:, 150:] = right
    page[50:150, 145:155] = ink
    return page, Region(145, 50, 10, 100, np.full((100, 10), 255, np.uint8))


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ((220, 40, 220), False),
        ((220, 110, 110), True),
        ((110, 112, 220), True),
        ((220, 40, 110), False),
        ((30, 200, 205), True),
        ((150, 148, 152), False),
        ((150, 140, 141), False),
    ],
    ids=["ink", "shadow right", "shadow left", "ink at a shadow", "light on a blackboard", "noise", "hardly a step"],
)
def test_what_lies_beside_a_bar_tells_a_side(levels: tuple[int, int, int], expected: bool) -> None:
    page, region = bar(*levels)
    assert is_side(page, None, region, 10.0) is expected
    moved = replace(region, x=region.x - 30, y=region.y + 12)
    assert is_side(page, np.array([[1.0, 0.0, -30.0], [0.0, 1.0, 12.0]]), moved, 10.0) is expected


@pytest.mark.parametrize("pen", [0.06, 0.1])
@pytest.mark.parametrize("room", [(60, 1, 20, 20), (120, 1, 20, 20), (60, 60, 0, 60), (60, 60, 60, 1)])
def test_a_1_that_a_picture_was_cut_to_at_one_side_is_one(
    room: tuple[int, int, int, int], pen: float, reader: DigitReader
) -> None:
    sheet = Sheet(HEIGHT, WIDTH)
    sheet.write("1", 400, 150, 250, pen)
    x, y, width, height = (int(v) for v in sheet.written[0].box)
    left, right, above, below = room
    assert reader.read(sheet.grey()[y - above : y + height + below, x - left : x + width + right]).text == "1"


@pytest.mark.parametrize(("text", "pen"), [("0", 0.16), ("3", 0.12)])
def test_a_digit_in_a_wide_stroke_that_fills_the_picture_is_one(text: str, pen: float, reader: DigitReader) -> None:
    sheet = Sheet(HEIGHT, WIDTH)
    sheet.write(text, 300, 5, 590, pen)
    x, _, width, _ = (int(v) for v in sheet.written[0].box)
    assert reader.read(sheet.grey()[:, x - 60 : x + width + 60]).text == text

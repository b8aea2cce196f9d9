"""What is filled is no digit, and seen by its edge it must not look like one."""

import cv2
import numpy as np
import pytest

from edge import DigitReader
from edge.blots import is_outline
from edge.segment import Region
from tests.edge.sheets import Sheet

PAPER, INK = 235, 5


def page(*blots: tuple[int, int, int], chalk: bool = False) -> np.ndarray:
    """uint8 (600, 900), with filled circles: x, y and radius of each."""
    picture = np.full((600, 900), PAPER, np.uint8)
    for x, y, radius in blots:
        cv2.circle(picture, (x, y), radius, INK, cv2.FILLED, cv2.LINE_AA)
    return 255 - picture if chalk else picture


def irregular(rng: np.random.Generator, size: float) -> np.ndarray:
    """Corners (60, 2) of a blot around 0, so many pixels from its middle to its edge, about."""
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    waves = sum(rng.normal(0, 0.1 / k) * np.cos(k * angle + rng.uniform(0, 6)) for k in range(1, 9))
    return np.stack([np.cos(angle), 0.8 * np.sin(angle)], axis=1) * (size * (1 + waves))[:, None]


@pytest.mark.parametrize("chalk", [False, True])
@pytest.mark.parametrize("radius", [12, 25, 40, 60, 90, 130, 200])
def test_a_blot_is_no_digit_however_large(radius: int, chalk: bool, reader: DigitReader) -> None:
    assert reader.read(page((450, 300, radius), chalk=chalk)).text == ""


def test_irregular_blots_are_none(reader: DigitReader) -> None:
    rng = np.random.default_rng(3)
    read = []
    for _ in range(12):
        picture = page()
        for middle in ((240, 300), (660, 300)):
            cv2.fillPoly(picture, [np.rint(irregular(rng, rng.uniform(30, 140)) + middle).astype(np.int32)], (INK,))
        read.append(reader.read(cv2.GaussianBlur(picture, (0, 0), 1.2)).text)
    assert sum(text != "" for text in read) <= 1, read


def test_digits_beside_a_blot_are_read(reader: DigitReader) -> None:
    sheet = Sheet(height=600, width=900)
    sheet.write("20475", 60, 80, 60)
    sheet.write("83694", 60, 460, 60)
    picture = sheet.grey()
    cv2.circle(picture, (640, 290), 110, INK, cv2.FILLED, cv2.LINE_AA)
    assert reader.read(picture).text == sheet.text


def test_a_blot_in_a_number_has_its_place_there(reader: DigitReader) -> None:
    sheet = Sheet(height=600, width=900)
    end = sheet.write("20", 150, 250, 90)
    sheet.write("75", end + 150, 250, 90)
    picture = sheet.grey()
    cv2.circle(picture, (round(end) + 60, 295), 45, INK, cv2.FILLED, cv2.LINE_AA)
    assert reader.read(picture).text == "20?75"


@pytest.mark.parametrize("margin", [0.1, 0.3])
@pytest.mark.parametrize("text", ["0", "8"])
def test_a_digit_on_a_small_patch_of_paper_is_no_blot(text: str, margin: float, reader: DigitReader) -> None:
    sheet = Sheet(height=600, width=900)
    sheet.write(text, 350, 150, 250)
    x, y, w, h = sheet.written[0].box
    patch = np.zeros((600, 900), np.uint8)
    corners = [round(v) for v in (x - margin * h, y - margin * h, x + w + margin * h, y + h + margin * h)]
    cv2.rectangle(patch, tuple(corners[:2]), tuple(corners[2:]), 255, cv2.FILLED)
    assert reader.read(np.where(patch > 0, sheet.grey(), 60).astype(np.uint8)).text == text


@pytest.mark.parametrize("tilt", [0.0, 9.0])
@pytest.mark.parametrize("pen", [0.1, 0.2])
def test_a_large_0_in_a_shadow_is_one(pen: float, tilt: float, reader: DigitReader) -> None:
    sheet = Sheet(height=600, width=900, tilt=tilt)
    sheet.write("20", 240, 150, 300, pen)
    picture = sheet.grey().astype(np.float32)
    picture[:, 480:] *= 0.45
    assert reader.read(picture.astype(np.uint8)).text == "20"


def ring(radius: int = 100, width: int = 20) -> Region:
    """A ring in the middle of a page."""
    mask = np.zeros((2 * radius + 1, 2 * radius + 1), np.uint8)
    cv2.circle(mask, (radius, radius), radius - width // 2, 255, width)
    return Region(450 - radius, 300 - radius, *mask.shape, mask)


@pytest.mark.parametrize(
    ("within", "expected"),
    [(PAPER, False), (180, False), (INK, True), (60, True)],
    ids=["paper", "a tint", "its ink", "a little lighter"],
)
def test_what_is_within_tells_an_outline(within: int, expected: bool) -> None:
    picture = page((450, 300, 100))
    cv2.circle(picture, (450, 300), 80, within, cv2.FILLED)
    assert is_outline(picture, None, ring(), 20.0) is expected
    shifted = np.array([[1.0, 0.0, -30.0], [0.0, 1.0, 12.0]])
    moved = ring()
    moved = Region(moved.x - 30, moved.y + 12, moved.width, moved.height, moved.mask)
    assert is_outline(picture, shifted, moved, 20.0) is expected


def test_a_small_ring_and_a_page_of_one_level_tell_nothing() -> None:
    assert not is_outline(page((450, 300, 20)), None, ring(20, 6), 6.0)
    assert not is_outline(page(), None, ring(), 20.0)
    assert not is_outline(np.zeros((600, 900), np.uint8), None, ring(), 20.0)


def test_what_is_a_little_darker_within_and_on_one_side_is_a_shadow() -> None:
    picture = page((450, 300, 100))
    picture[:, 500:] = 60
    cv2.circle(picture, (450, 300), 80, 60, cv2.FILLED)
    assert not is_outline(picture, None, ring(), 20.0)

"""A sheet that lies on a desk: what is around it is no writing, and a shadow is no desk."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import DigitReader
from edge.page import _copies, reduced
from edge.sheet import find_sheet, without_desk
from tests.edge.sheets import Sheet

SAMPLES = Path(__file__).resolve().parents[2] / "samples/pages"
LINES = "5550172\n90436\n28\n641907\n35"
PRESENT = (420, 600)  # height and width of the sheet
DESK = (700, 900)


def written() -> Sheet:
    sheet = Sheet(*PRESENT)
    sheet.write("305128", 60, 60, 50)
    sheet.write("4472", 90, 180, 50)
    return sheet


def on_desk(sheet: np.ndarray, degrees: float, grain: float, level: float = 90.0) -> tuple[np.ndarray, np.ndarray]:
    """The sheet turned on a desk with grain along it, uint8 (h, w), and where the sheet is, bool (h, w)."""
    random = np.random.default_rng(3)
    rows = cv2.GaussianBlur(random.normal(0, 1, (DESK[0], 1)), (1, 5), 0)
    desk = level + grain * rows / rows.std() + random.normal(0, 2, DESK)
    turn = cv2.getRotationMatrix2D((sheet.shape[1] / 2, sheet.shape[0] / 2), degrees, 1.0)
    turn[:, 2] += ((DESK[1] - sheet.shape[1]) / 2, (DESK[0] - sheet.shape[0]) / 2)
    size = DESK[::-1]
    whole = cv2.warpAffine(np.full(sheet.shape, 255, np.uint8), turn, size) > 127
    page = cv2.warpAffine(sheet, turn, size, borderMode=cv2.BORDER_REPLICATE)
    return np.where(whole, page, np.clip(desk, 0, 255)).astype(np.uint8), whole


def sheet_of(grey: np.ndarray, preview: np.ndarray | None = None) -> np.ndarray | None:
    return find_sheet(grey, _copies(grey)[1], preview)


def lit(sheet: Sheet, lights: tuple[float, float, float], degrees: float = 3.0) -> np.ndarray:
    """uint8 (h, w, 3): the sheet on a desk that has these parts of its light, blue to red."""
    grey, whole = on_desk(sheet.grey(), degrees, 12.0, level=200.0)
    colours = np.where(whole[..., None], 1.0, np.array(lights))
    return np.clip(grey[..., None] * colours, 0, 255).astype(np.uint8)


LIGHT_WOOD, SHADE, BLUE_SHADE = (0.78, 0.87, 0.94), (0.87, 0.87, 0.87), (0.95, 0.88, 0.82)


@pytest.mark.parametrize("degrees", [-8.0, 0.0, 3.0])
@pytest.mark.parametrize("grain", [0.0, 25.0])
def test_a_sheet_is_told_from_its_desk(degrees: float, grain: float) -> None:
    grey, whole = on_desk(written().grey(), degrees, grain)
    found = sheet_of(grey)
    assert found is not None
    assert not (found[~whole] > 0).any(), "nothing of the desk"
    assert (found[whole] > 0).mean() > 0.93, "all of the sheet but its rim"


@pytest.mark.parametrize("degrees", [-8.0, 0.0, 3.0])
def test_what_is_on_it_is_read_and_nothing_around_it(degrees: float, reader: DigitReader) -> None:
    sheet = written()
    grey, _ = on_desk(sheet.grey(), degrees, 25.0)
    assert reader.read(grey).text == sheet.text
    wood = np.clip(grey[..., None] * np.array([0.6, 0.85, 1.0]), 0, 255).astype(np.uint8)
    assert reader.read(wood).text == sheet.text, "in the colours of wood under a yellow lamp"


@pytest.mark.parametrize("lights, desk", [(LIGHT_WOOD, True), (SHADE, False), (BLUE_SHADE, False)])
def test_light_wood_is_told_from_shade_by_its_colour(
    lights: tuple[float, float, float], desk: bool, reader: DigitReader
) -> None:
    sheet = written()
    frame = lit(sheet, lights)
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    assert 0.7 < grey[:100].mean() / grey[350, 200:700].mean() < 0.9
    assert (sheet_of(grey, reduced(frame, 8)) is not None) == desk
    assert sheet_of(grey) is None, "without colours nothing tells them apart"
    assert reader.read(frame).text == sheet.text


def test_a_shadow_over_half_a_page_is_no_desk() -> None:
    sheet = written()
    light = np.ones(PRESENT)
    light[:, 300:] = 0.4
    assert sheet_of(sheet.grey(light=light)) is None


def test_a_window_of_light_on_a_page_leaves_what_is_in_its_shadow(reader: DigitReader) -> None:
    sheet = Sheet(*PRESENT)
    sheet.write("305128", 60, 60, 50)
    light = np.full(PRESENT, 0.75)
    light[150:400, 100:500] = 1.0
    assert reader.read(sheet.grey(light=light)).text == sheet.text


def test_a_page_without_a_desk_has_none() -> None:
    assert sheet_of(written().grey()) is None


def test_where_the_desk_was_the_sheet_goes_on_in_its_light() -> None:
    light = np.linspace(120, 220, DESK[1])
    grey = np.full(DESK, 60.0)
    sheet = np.zeros(DESK, np.uint8)
    sheet[150:550, 200:700] = 255
    grey[sheet > 0] = np.broadcast_to(light, DESK)[sheet > 0]
    for image in (grey.astype(np.uint8), np.dstack([grey.astype(np.uint8)] * 3)):
        filled = without_desk(image, sheet)
        assert (filled[sheet > 0] == image[sheet > 0]).all()
        assert abs(filled[350, 195].astype(int) - image[350, 205]).max() < 20, "beside its dark side"
        assert abs(filled[350, 705].astype(int) - image[350, 695]).max() < 20, "beside its bright side"
        assert filled.min() > 120


@pytest.mark.parametrize("rounding", [cv2.INTER_LINEAR, cv2.INTER_LINEAR_EXACT])
def test_a_sample_on_wood_does_not_hang_on_how_pictures_are_rounded(
    rounding: int, reader: DigitReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenCV enlarges otherwise on ARM: by the one method or the other, the answer is the same."""
    resize = cv2.resize

    def other(image: np.ndarray, size: tuple[int, int], interpolation: int = cv2.INTER_LINEAR) -> np.ndarray:
        return resize(image, size, interpolation=rounding if interpolation == cv2.INTER_LINEAR else interpolation)

    monkeypatch.setattr(cv2, "resize", other)
    assert reader.read(str(SAMPLES / "numbers.jpg")).text == LINES

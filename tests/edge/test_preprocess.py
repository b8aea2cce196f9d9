import cv2
import numpy as np
import pytest

from edge.preprocess import BOX_SIZE, CENTRE, FRAME_OFF_CENTRE, is_glyph, single_glyph
from edge.segment import stroke_width


def zero(side: int, thickness: int, paper: int = 255, ink: int = 0) -> np.ndarray:
    picture = np.full((side, side), paper, np.uint8)
    cv2.ellipse(picture, (side // 2, side // 2), (side // 5, side // 3), 10, 0, 360, ink, thickness, cv2.LINE_AA)
    return picture


def centre_of_mass(glyph: np.ndarray) -> tuple[float, float]:
    moments = cv2.moments(glyph)
    return moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]


@pytest.mark.parametrize("side", [20, 28, 90, 500, 1600])
@pytest.mark.parametrize("polarity", [(255, 0), (0, 255), (180, 130)])
def test_a_digit_of_any_size_becomes_a_glyph_in_mnists_frame(side: int, polarity: tuple[int, int]) -> None:
    glyph = single_glyph(zero(side, max(1, side // 15), *polarity))
    assert glyph is not None
    assert glyph.shape == (28, 28) and glyph.dtype == np.uint8
    assert is_glyph(glyph)
    assert BOX_SIZE - 1 <= max(cv2.boundingRect(glyph)[2:]) <= BOX_SIZE
    assert np.allclose(centre_of_mass(glyph), CENTRE, atol=FRAME_OFF_CENTRE)


def test_a_glyph_passes_through_untouched() -> None:
    glyph = single_glyph(zero(200, 20))
    assert glyph is not None
    assert np.array_equal(single_glyph(glyph), glyph)
    assert np.array_equal(single_glyph(cv2.cvtColor(glyph, cv2.COLOR_GRAY2BGR)), glyph)


@pytest.mark.parametrize("spoil", ["off-centre", "faint", "dark on light", "grid line"])
def test_somebody_elses_28_by_28_crop_is_brought_to_the_frame(spoil: str) -> None:
    glyph = single_glyph(zero(200, 20))
    assert glyph is not None
    crop = {
        "off-centre": np.roll(glyph, (3, -4), axis=(0, 1)),
        "faint": glyph // 3,
        "dark on light": 255 - glyph,
        "grid line": np.maximum(glyph, np.pad(np.full((1, 28), 140, np.uint8), ((26, 1), (0, 0)))),
    }[spoil]
    assert not is_glyph(crop)
    again = single_glyph(crop)
    assert again is not None
    difference = np.abs(again.astype(int) - glyph).mean() / 255
    assert difference < 0.06


@pytest.mark.parametrize("thickness", [1, 2, 4])
def test_a_fine_pen_becomes_a_stroke_the_network_can_see(thickness: int) -> None:
    glyph = single_glyph(zero(400, thickness))
    assert glyph is not None
    assert glyph.max() == 255
    assert 1.4 < stroke_width((glyph > 127).astype(np.uint8) * 255) < 3


def test_an_empty_frame_has_no_glyph() -> None:
    assert single_glyph(np.full((28, 28), 255, np.uint8)) is None
    assert single_glyph(np.zeros((28, 28), np.uint8)) is None

"""The number to focus by."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from edge.sharpness import WINDOW, _area, sharpness
from tests.edge.frames import page

BLURS = 0.01, 1, 2, 3, 5, 8, 12  # pixels


def blurred(frame: np.ndarray, blur: float, noise: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(3)
    soft = cv2.GaussianBlur(frame, (0, 0), blur)
    return np.clip(soft + rng.normal(0, noise, frame.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("noise", [0, 4, 8])
@pytest.mark.parametrize("boxes", [(), [(170, 120, 90, 110), (380, 120, 90, 110)]])
def test_it_falls_as_the_lens_goes_out_of_focus(noise: float, boxes: list) -> None:
    values = [sharpness(blurred(page("4071"), blur, noise), boxes) for blur in BLURS]
    assert all(before > after for before, after in pairwise(values)), values
    assert values[0] > 3 * values[-1]


def test_it_is_a_share() -> None:
    hard = np.zeros((200, 200), np.uint8)
    hard[:, ::2] = 255
    random = np.random.default_rng(1).integers(0, 256, (200, 200, 3), np.uint8)
    for frame in (hard, random, page(""), page("8"), np.zeros((1, 1), np.uint8), np.full((1, 900), 7, np.uint8)):
        assert 0 <= sharpness(frame) <= 1


def test_less_light_is_not_less_sharp() -> None:
    frame = page("4071")
    dim = np.uint8(frame * 0.5)
    assert sharpness(dim) == pytest.approx(sharpness(frame), rel=0.15)


def test_an_empty_frame_is_not_sharp() -> None:
    assert sharpness(blurred(page(""), 1, noise=4)) < 0.35
    assert sharpness(page("")) == 0


def test_it_is_judged_by_the_digits_not_by_what_lies_around() -> None:
    frame = blurred(page("55"), 6)
    frame[:100] = np.where(np.arange(frame.shape[1])[:, None] // 4 % 2, 255, 0)  # sharp stripes at the top
    assert sharpness(frame, [(220, 125, 190, 110)]) < 0.5 * sharpness(frame[:100])


@pytest.mark.parametrize(
    ("size", "boxes"),
    [((4000, 3000), [(0, 0, 40, 60), (2000, 1400, 40, 60), (3950, 2930, 40, 60)]), ((100, 80), [(90, 70, 40, 40)])],
)
def test_the_area_is_bounded_and_lies_in_the_frame(size: tuple[int, int], boxes: list) -> None:
    x, y, width, height = _area(*size, boxes)
    assert 0 <= x < x + width <= size[0] and width <= WINDOW[0]
    assert 0 <= y < y + height <= size[1] and height <= WINDOW[1]
    if size == (4000, 3000):
        assert any(x <= bx and bx + bw <= x + width and y <= by and by + bh <= y + height for bx, by, bw, bh in boxes)

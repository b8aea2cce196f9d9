"""Drawn shapes are no 0s, and a 0 is one however it is written."""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import DigitReader
from edge.shapes import is_polygon
from tests.edge.sheets import Sheet
from train.data import load
from train.strokes import drawn_digits

HEIGHT, WIDTH = 600, 900


def corners(number: int, rng: np.random.Generator) -> np.ndarray:
    """(n + 1, 2) around 0, about 1 away: of a shape drawn by hand, the first again at its end."""
    angles = 2 * np.pi * (np.arange(number) + rng.uniform(-0.2, 0.2, number)) / number + rng.uniform(0, 6)
    points = np.stack([np.cos(angles), 0.9 * np.sin(angles)], axis=1) * rng.uniform(0.8, 1.1, (number, 1))
    return np.concatenate([points, points[:1]])


def drawn(points: np.ndarray, rng: np.random.Generator, wobble: float = 0.02) -> np.ndarray:
    """(m, 2): the way along these corners in a hand that is not quite steady."""
    parts = [a + np.linspace(0, 1, 12, endpoint=False)[:, None] * (b - a) for a, b in pairwise(points)]
    way = np.concatenate([*parts, points[:1]])
    return way + cv2.GaussianBlur(rng.normal(0, 3 * wobble, way.shape), (1, 7), 0)


@pytest.mark.parametrize(("number", "most"), [(4, 2), (5, 6)])
def test_few_drawn_shapes_are_zeros(number: int, most: int, reader: DigitReader) -> None:
    rng = np.random.default_rng(number)
    read = []
    for _ in range(12):
        sheet = Sheet(HEIGHT, WIDTH)
        for middle in ((250, 300), (650, 300)):
            size = rng.uniform(25, 120)
            sheet.draw([middle + size * drawn(corners(number, rng), rng)], rng.uniform(0.06, 0.14) * size)
        read.append(reader.read(sheet.grey()).text)
    assert sum(text.count("0") for text in read) <= most, read


def test_a_0_is_round_however_it_is_written(mnist: Path) -> None:
    data = load(mnist)
    written = data.validation_images[data.validation_labels == 0]
    glyphs, values = drawn_digits(2000, 5)
    for glyphs_of_0 in (written, glyphs[values == 0]):
        zeros = [cv2.resize(glyph, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC) for glyph in glyphs_of_0]
        assert len(zeros) > 100 and sum(is_polygon(zero) for zero in zeros) <= 1


@pytest.mark.parametrize("level", [0, 100, 255])
def test_a_mask_without_ink_or_of_one_pixel_is_no_shape(level: int) -> None:
    assert not is_polygon(np.full((1, 1), level, np.uint8))
    assert not is_polygon(np.full((30, 20), min(level, 100), np.uint8))

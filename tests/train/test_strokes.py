import numpy as np

from edge.preprocess import is_glyph
from train.strokes import drawn_digits

SEED = 8


def test_every_digit_is_drawn_as_often_and_differently() -> None:
    glyphs, labels = drawn_digits(200, SEED)
    assert np.bincount(labels).tolist() == [20] * 10
    assert len(np.unique(glyphs.reshape(200, -1), axis=0)) == 200


def test_drawings_are_in_mnists_frame_and_the_same_for_the_same_seed() -> None:
    glyphs, _ = drawn_digits(100, SEED)
    assert np.mean([is_glyph(g) for g in glyphs]) > 0.95
    assert np.array_equal(glyphs, drawn_digits(100, SEED)[0])

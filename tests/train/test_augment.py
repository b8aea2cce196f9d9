import cv2
import numpy as np

from edge.preprocess import BOX_SIZE, is_glyph
from train.augment import photographed, render

SEED = 3


def drawn_digits(count: int) -> np.ndarray:
    """Glyph-like sevens and zeros drawn by lines and ellipses."""
    rng = np.random.default_rng(SEED)
    digits = np.zeros((count, 28, 28), np.uint8)
    for image in digits[::2]:
        x, y = (int(v) for v in rng.integers(4, 8, 2))
        cv2.polylines(image, [np.array([[x, y], [20, y], [12, 23]])], False, 255, 2, cv2.LINE_AA)
    for image in digits[1::2]:
        cv2.ellipse(image, (14, 14), (int(rng.integers(4, 8)), 9), 0, 0, 360, 255, 2, cv2.LINE_AA)
    return digits


def test_same_seed_same_samples_and_another_seed_others() -> None:
    digits = drawn_digits(40)
    assert np.array_equal(render(digits, 5), render(digits, 5))
    assert not np.array_equal(render(digits, 5), render(digits, 6))


def test_rewritten_digits_come_back_as_glyphs_of_the_device() -> None:
    samples = render(drawn_digits(200), SEED, light_part=0.0)
    assert samples.dtype == np.uint8 and samples.shape == (200, 28, 28)
    sides = np.array([max(cv2.boundingRect(s)[2:]) for s in samples])
    assert np.mean((sides >= BOX_SIZE - 4) & (sides <= BOX_SIZE)) > 0.95
    assert np.mean([is_glyph(s) for s in samples]) > 0.85


def test_photographed_digits_vary_in_size_light_and_polarity() -> None:
    rng = np.random.default_rng(SEED)
    pictures = [photographed(d, rng) for d in drawn_digits(120)]
    assert len({p.shape for p in pictures}) > 30
    corners = np.array([int(p[0, 0]) for p in pictures])
    assert (corners < 60).any() and (corners > 180).any()


def test_light_samples_keep_the_frame_and_most_of_the_ink() -> None:
    digits = drawn_digits(100)
    samples = render(digits, SEED, light_part=1.0)
    assert (samples.max(axis=(1, 2)) > 150).all()
    ratio = samples.sum(axis=(1, 2), dtype=float) / digits.sum(axis=(1, 2), dtype=float)
    assert ratio.min() > 0.7 and ratio.max() < 1.4

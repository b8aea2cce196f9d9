"""What is no digit looks like MNIST's glyphs, and nothing in it could be one."""

import cv2
import numpy as np
import pytest

from edge.preprocess import to_glyph
from edge.segment import Region
from train import fonts
from train.data import DataError
from train.letters import LETTERS, LOOK_ALIKES, SYMBOLS, drawn_text, printed_fonts
from train.negatives import Negatives, is_digit_like, make_negatives
from train.strokes import drawn_digits

COUNT = 300


@pytest.fixture(scope="module")
def negatives() -> Negatives:
    digits, labels = drawn_digits(400, 1)
    return make_negatives(digits, labels, COUNT, 100, 3, fetched=False)


def test_they_are_glyphs_as_mnist_frames_them(negatives: Negatives) -> None:
    assert negatives.train.dtype == np.uint8 and negatives.train.shape[1:] == (28, 28)
    assert abs(len(negatives.train) - COUNT) < 10
    for glyph in negatives.train:
        width, height = cv2.boundingRect(glyph)[2:]
        assert 16 <= max(width, height) <= 20 and glyph.max() > 60


def test_every_kind_is_there_and_told(negatives: Negatives) -> None:
    assert sum(negatives.kinds.values()) == len(negatives.train)
    assert {"printed letters", "symbols", "merged digits", "cut digits", "figures", "scribbles", "blots"} <= set(
        negatives.kinds
    )
    assert set(negatives.validation_kinds) == set(negatives.kinds)
    assert negatives.sources == ()


def test_the_same_seed_gives_the_same_ones(negatives: Negatives) -> None:
    digits, labels = drawn_digits(400, 1)
    again = make_negatives(digits, labels, COUNT, 100, 3, fetched=False)
    assert (again.train == negatives.train).all() and (again.validation == negatives.validation).all()
    assert (make_negatives(digits, labels, COUNT, 100, 4, fetched=False).train != negatives.train).any()


def test_own_ones_are_shown_often(negatives: Negatives) -> None:
    digits, labels = drawn_digits(400, 1)
    own = np.full((2, 28, 28), 77, np.uint8)
    added = make_negatives(digits, labels, COUNT, 100, 3, fetched=False, own=own)
    assert int((added.train == 77).all(axis=(1, 2)).sum()) > 2 and added.kinds["own"] == 2


def shape(draw: str) -> np.ndarray:
    canvas = np.zeros((120, 120), np.uint8)
    if draw == "bar":
        cv2.line(canvas, (60, 10), (56, 110), 255, 12)
    elif draw == "slanted bar":
        cv2.line(canvas, (85, 15), (35, 105), 255, 14)
    elif draw == "ring":
        cv2.ellipse(canvas, (60, 60), (30, 45), 10, 0, 360, 255, 9)
    elif draw == "minus":
        cv2.line(canvas, (10, 60), (110, 60), 255, 14)
    elif draw == "cross":
        cv2.line(canvas, (20, 20), (100, 100), 255, 10)
        cv2.line(canvas, (100, 20), (20, 100), 255, 10)
    elif draw == "disc":
        cv2.circle(canvas, (60, 60), 40, 255, -1)
    x, y, width, height = cv2.boundingRect(canvas)
    return to_glyph(Region(x, y, width, height, np.ascontiguousarray(canvas[y : y + height, x : x + width])))


@pytest.mark.parametrize(
    ("draw", "like"),
    [("bar", True), ("slanted bar", True), ("ring", True), ("minus", False), ("cross", False), ("disc", False)],
)
def test_bars_and_rings_pass_for_digits(draw: str, like: bool) -> None:
    assert is_digit_like(shape(draw)) is like


def test_look_alikes_are_neither_trained_nor_measured() -> None:
    assert not set(LETTERS) & set(LOOK_ALIKES)
    assert set("OolISZBqg") <= set(LOOK_ALIKES)
    assert set("÷+=?") <= set(SYMBOLS)
    assert len(LETTERS) + len(LOOK_ALIKES) == 52


def test_a_character_that_a_font_lacks_is_not_drawn() -> None:
    font = printed_fonts()[0]
    assert drawn_text("K", font) is not None
    assert drawn_text("\U0010fffd", font) is None


def test_the_splits_of_the_fonts_share_no_family() -> None:
    names = [family.name for family in fonts.families()]
    assert len(names) == len(set(names))
    assert len(fonts.families("test")) >= 20 and len(fonts.families("train")) >= 30
    assert all(family.split in fonts.SPLITS and len(family.sha256) == 64 for family in fonts.families())


def test_without_npm_it_says_what_to_do(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DataError, match=r"npm, which is not installed: .* train/fonts\.txt") as raised:
        fonts.fetch_fonts(tmp_path / "fonts")  # type: ignore[operator]
    assert "\n" not in str(raised.value)


def test_a_font_with_another_checksum_is_refused(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    family = fonts.families()[0]
    with pytest.raises(DataError, match="another checksum"):
        fonts._keep(b"spoilt", tmp_path, family)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())  # type: ignore[attr-defined]

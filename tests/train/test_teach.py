"""A person's own digits, sorted into folders, are taught beside MNIST."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from train.data import HAND_HELD_PART, DataError, is_hand, load
from train.strokes import draw

TIMEOUT = 600  # seconds
# A 1 whose upstroke is as long as its downstroke, as many in Europe write it: wide open, like a Λ.
OPEN_ONE = (("-", ((0.0, 0.97), (0.5, 0.0), (0.95, 1.0))),)
PICTURES = 40


def ones(count: int, seed: int) -> np.ndarray:
    """uint8 (count, 28, 28): glyphs of that 1."""
    rng = np.random.default_rng(seed)
    return np.stack([draw(OPEN_ONE, rng) for _ in range(count)])


def sorted_into(folder: Path, **pictures: np.ndarray) -> Path:
    for name, glyphs in pictures.items():
        place = folder / name.removeprefix("digit_").replace("__", "/")
        place.mkdir(parents=True)
        for k, glyph in enumerate(glyphs):
            cv2.imwrite(str(place / f"{k:03d}.png"), glyph)
    return folder


@pytest.fixture
def small_mnist(monkeypatch: pytest.MonkeyPatch, digits_npz: Path) -> None:
    """MNIST is a small data set here: what is to be tested is what comes beside it."""
    from train import data

    whole = data.load(digits_npz)
    monkeypatch.setattr(data, "fetch_mnist", lambda folder: None)
    monkeypatch.setattr(data, "_from_idx", lambda *arguments: whole)


def test_a_folder_of_few_digits_is_a_hand(tmp_path: Path) -> None:
    assert is_hand(sorted_into(tmp_path / "one", digit_1=ones(3, 1)))
    assert is_hand(sorted_into(tmp_path / "more", digit_1=ones(3, 1), digit_7=ones(3, 1), none=ones(2, 1)))
    assert not is_hand(sorted_into(tmp_path / "letters", digit_1=ones(3, 1), a=ones(3, 1)))
    assert not is_hand(sorted_into(tmp_path / "nothing", none=ones(2, 1)))


def test_a_hand_comes_beside_mnist(small_mnist: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = sorted_into(
        tmp_path / "hand", digit_1=ones(20, 1), digit_7=ones(3, 2), none=ones(4, 3), unsure__1=ones(2, 4)
    )
    data = load(folder)
    assert data.labels == tuple("0123456789") and data.hand is not None and data.none_images is not None
    held = round(HAND_HELD_PART * 20)
    assert sorted(data.hand.labels) == [1] * (20 - held) + [7] * 3  # too few 7s to keep any back
    assert list(data.hand.held_labels) == [1] * held
    assert len(data.none_images) == 4
    assert "left out 2 pictures" in capsys.readouterr().err
    assert "hand" in data.checksums and data.name.endswith("and hand")


def test_alone_a_folder_of_digits_is_a_data_set_like_any_other(tmp_path: Path) -> None:
    folder = sorted_into(tmp_path / "hand", digit_1=ones(20, 1), digit_7=ones(20, 2), none=ones(4, 3))
    data = load(folder, alone=True)
    assert data.labels == ("1", "7") and data.hand is None
    assert data.none_images is not None and len(data.none_images) == 4


def test_a_hand_without_a_picture_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "notes.txt").write_text("not a picture")
    with pytest.raises(DataError, match="holds no picture that can be used"):
        load(tmp_path)


@pytest.mark.slow
def test_a_hand_that_was_misread_is_read_after_teaching_and_nothing_is_forgotten(tmp_path: Path) -> None:
    import keras

    from train.train import logits_of

    fresh = ones(60, 99)
    mnist = load()
    shown, labels = mnist.test_images[:3000], mnist.test_labels[:3000]
    before = keras.models.load_model("models/digits.keras", compile=False)
    assert np.mean(logits_of(before, fresh).argmax(axis=1) == 1) < 0.5
    forgotten_from = float(np.mean(logits_of(before, shown).argmax(axis=1) == labels))

    folder = sorted_into(tmp_path / "hand", digit_1=ones(PICTURES, 1), unsure__1=ones(3, 2))
    out = tmp_path / "taught"
    run = subprocess.run(
        [sys.executable, "-m", "train", "--quick", "--data", str(folder), "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert run.returncode == 0, run.stderr
    assert f"{PICTURES} digits of hand are taught to models/digits.keras beside MNIST" in run.stdout
    assert "read right" in run.stdout and "before" in run.stdout
    after = keras.models.load_model(out / "digits.keras", compile=False)
    assert np.mean(logits_of(after, fresh).argmax(axis=1) == 1) > 0.9
    assert float(np.mean(logits_of(after, shown).argmax(axis=1) == labels)) > forgotten_from - 0.005
    record = json.loads((out / "metrics.json").read_text())["training"]
    assert record["hand"]["accuracy"] > record["hand"]["accuracy_before"]
    assert record["none"] == "none" and record["labels"][-1] == "none"
    assert "It was taught 40 digits of one hand" in (out / "MODEL_CARD.md").read_text()

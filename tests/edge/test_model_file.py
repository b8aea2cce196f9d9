"""A model file explains itself, and a bad one is refused in one line."""

import json
import os
import warnings
import zipfile
from pathlib import Path

import pytest

from edge import ModelError, model_file
from edge.model_file import TrainingData
from tests.edge.helpers import MODEL, pack


def bare(path: Path) -> Path:
    """The default model without what is packed behind it."""
    data = MODEL.read_bytes()
    archive = data.find(b"PK\x03\x04")
    path.write_bytes(data if archive < 0 else data[:archive])
    return path


def test_what_is_packed_is_read(tmp_path: Path) -> None:
    model = pack(
        bare(tmp_path / "bare.tflite"),
        tmp_path / "m.tflite",
        labels=[str(n) for n in range(10)],
        temperature=1.25,
        rejection_threshold=0.4,
        input_range=[-1, 1],
        training_data={"name": "emnist", "sha256": "ab" * 32},
    )
    info = model_file.read(model)
    assert info.labels == tuple("0123456789")
    assert (info.temperature, info.rejection_threshold, info.input_range) == (1.25, 0.4, (-1.0, 1.0))
    assert (info.output, info.preprocessing, info.none) == ("logits", 1, None)
    assert info.training_data == TrainingData("emnist", "ab" * 32)
    assert info.has_metadata
    assert info.size == model.stat().st_size


def test_a_model_that_says_nothing_gets_defaults_and_one_warning(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="says nothing about itself") as caught:
        info = model_file.read(bare(tmp_path / "bare.tflite"))
    assert len(caught) == 1
    assert (info.labels, info.temperature, info.rejection_threshold) == (None, 1.0, 0.0)
    assert (info.input_range, info.output, info.has_metadata) == ((0.0, 1.0), None, False)


def test_the_checksum_is_that_of_the_file(tmp_path: Path) -> None:
    import hashlib

    model = pack(bare(tmp_path / "bare.tflite"), tmp_path / "m.tflite")
    assert model_file.read(model).sha256 == hashlib.sha256(model.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0},
        {"temperature": "warm"},
        {"temperature": float("nan")},
        {"rejection_threshold": 2},
        {"input_range": [0, 0]},
        {"input_range": [0]},
        {"output": "guesses"},
        {"preprocessing": None},
        {"training_data": {"name": "x"}},
        {"none": "nothing"},
        {"none": 3},
    ],
)
def test_damaged_settings_are_refused(tmp_path: Path, settings: dict[str, object]) -> None:
    model = pack(bare(tmp_path / "bare.tflite"), tmp_path / "m.tflite", **settings)
    with pytest.raises(ModelError, match=r"edge-digits\.json is damaged") as raised:
        model_file.read(model)
    assert "\n" not in str(raised.value)


def test_the_label_of_what_is_no_digit_is_read(tmp_path: Path) -> None:
    model = pack(bare(tmp_path / "bare.tflite"), tmp_path / "m.tflite", labels=["0", "1", "none"], none="none")
    assert model_file.read(model).none == "none"


def test_a_newer_format_asks_for_an_update(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="newer edge-digits"):
        model_file.read(pack(bare(tmp_path / "bare.tflite"), tmp_path / "m.tflite", format=2))


@pytest.mark.parametrize("content", ["null", "[]", "{", "3"])
def test_settings_that_are_no_object_are_refused(tmp_path: Path, content: str) -> None:
    model = bare(tmp_path / "m.tflite")
    with zipfile.ZipFile(model, "a") as archive:
        archive.writestr("edge-digits.json", content)
    with pytest.raises(ModelError, match="damaged"):
        model_file.read(model)


def test_a_packed_bomb_is_not_unpacked(tmp_path: Path) -> None:
    model = bare(tmp_path / "m.tflite")
    with zipfile.ZipFile(model, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", b"0\n" * 50_000_000)
        archive.writestr("edge-digits.json", json.dumps({}))
    with warnings.catch_warnings(), pytest.raises(ModelError):
        warnings.simplefilter("ignore")
        model_file.read(model)


@pytest.mark.parametrize("part", [0.0001, 0.01, 0.3, 0.7, 0.95])
def test_a_model_cut_short_is_refused_before_a_runtime_falls_over_it(tmp_path: Path, part: float) -> None:
    data = bare(tmp_path / "whole.tflite").read_bytes()
    path = tmp_path / "cut.tflite"
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ModelError, match=r"damaged or cut short|not a TensorFlow Lite model"):
        model_file.load(path)


def test_noise_behind_the_identifier_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "noise.tflite"
    for noise in (bytes(3000), b"\xff" * 3000, os.urandom(3000)):
        path.write_bytes(MODEL.read_bytes()[:8] + noise)
        with pytest.raises(ModelError):
            model_file.load(path)


def test_what_is_no_model_is_refused_in_one_line(tmp_path: Path) -> None:
    pipe, empty, text = tmp_path / "pipe", tmp_path / "empty.tflite", tmp_path / "text.tflite"
    os.mkfifo(pipe)
    empty.write_bytes(b"")
    text.write_text("not a model at all")
    cases = {
        tmp_path / "missing.tflite": "No such file",
        tmp_path: "not a file",
        pipe: "not a file",
        empty: "empty",
        text: "not a TensorFlow Lite model",
    }
    for path, reason in cases.items():
        with pytest.raises(ModelError, match=reason) as raised:
            model_file.read(path)
        assert "\n" not in str(raised.value)
        assert str(path) in str(raised.value)


def test_the_default_model_is_there_and_valid() -> None:
    assert model_file.load(model_file.default_model())

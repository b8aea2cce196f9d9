"""`make bench`: the same network in another file, what counts as right, and a page that says what was measured."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from keras import layers

from deploy.bundle import locked
from tests.packaging.pythons import LEFT_OUT
from train.bench import page as bench_page
from train.bench.onnx_file import onnx_of
from train.bench.run import GLYPH_PROCESSES, PHOTO_PROCESSES, WORKER, digits_right
from train.model import digit_network

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found() -> dict:
    return json.loads(bench_page.RESULTS.read_text())


def _logits_of_opencv(onnx: bytes, images: np.ndarray) -> np.ndarray:
    network = cv2.dnn.readNetFromONNX(np.frombuffer(onnx, np.uint8))
    said = []
    for image in images:
        network.setInput(image[None, None, :, :, 0])
        said.append(network.forward()[0].copy())
    return np.array(said)


def test_onnx_file_of_the_network_that_ships_says_the_same_as_keras():
    model = keras.models.load_model(ROOT / "models/digits.keras")
    images = np.random.default_rng(5).random((32, 28, 28, 1), np.float32)
    wanted = model.predict(images, verbose=0)
    assert np.ptp(wanted) > 5
    np.testing.assert_allclose(_logits_of_opencv(onnx_of(model), images), wanted, atol=1e-3)


def test_onnx_file_takes_normalization_with_it():
    model = digit_network(3, (4, 5, 6))
    rng = np.random.default_rng(7)
    model.set_weights([rng.uniform(0.2, 1, w.shape).astype(np.float32) for w in model.get_weights()])
    images = rng.random((4, 28, 28, 1), np.float32)
    wanted = model.predict(images, verbose=0)
    np.testing.assert_allclose(_logits_of_opencv(onnx_of(model), images), wanted, rtol=1e-4)


@pytest.mark.parametrize("layer", [layers.Conv2D(2, 3, padding="same"), layers.Conv2D(2, 3, activation="relu")])
def test_a_layer_that_onnx_would_get_wrong_is_refused(layer):
    with pytest.raises(ValueError, match="not written to ONNX"):
        onnx_of(keras.Sequential([layers.Input((28, 28, 1)), layer, layers.Flatten(), layers.Dense(2)]))


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("12345678", 8),
        ("1234\n5678\n", 8),
        ("l2345G78", 6),
        ("", 0),
        ("87654321", 1),
        ("total: 1 2 3 4, 5678", 8),
        ("912345678", 8),
    ],
)
def test_digits_right_are_those_in_the_order_they_are_written(said, right):
    assert digits_right("12345678", said) == right


def test_a_contestant_says_answers_times_and_memory(tmp_path):
    glyphs = np.zeros((3, 28, 28), np.uint8)
    glyphs[:, 4:24, 13:15] = 255
    np.save(tmp_path / "glyphs.npy", glyphs)
    files = {"root": str(ROOT), "tflite": str(ROOT / "models/digits-int8.tflite"), "glyphs": f"{tmp_path}/glyphs.npy"}
    (tmp_path / "files.json").write_text(json.dumps(files))
    tasks = [{"engine": "classifier", "glyphs": [0, 3]}, {"engine": "read_tflite", "photos": [f"{ROOT}/docs/read.jpg"]}]
    done = subprocess.run(
        [sys.executable, str(WORKER), "classifier,read_tflite", str(tmp_path / "files.json")],
        input="".join(json.dumps(task) + "\n" for task in tasks),
        capture_output=True,
        text=True,
        check=True,
    )
    ready, named, read = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    assert ready == {"ready": {}}
    assert named["answers"] == [1, 1, 1]
    assert any(letter.isdigit() for letter in read["answers"][0])
    assert min(named["cpu"], read["cpu"], read["resident"]) > 0


def test_page_is_what_the_numbers_say(found):
    assert bench_page.PAGE.read_text() == bench_page.page(found), "run `python -m train.bench --page`"
    assert set(found["glyphs"]) == {engine for _, engines in GLYPH_PROCESSES.values() for engine in engines}
    assert set(found["photos"]) == set(PHOTO_PROCESSES)
    for name in ("benchmark-photos.png", "benchmark-glyphs.png"):
        assert f"docs/{name}" in bench_page.PAGE.read_text()
        assert cv2.imread(str(ROOT / "docs" / name)) is not None


def test_page_says_no_where_a_number_falls_short(found):
    better, worse = copy.deepcopy(found), copy.deepcopy(found)
    for changed, time, right in ((better, 0.001, 8), (worse, 1e6, -1)):
        for engine in ("read_litert", "read_tflite"):
            changed["photos"][engine]["cpu_ms"] = time
        changed["photos"]["read_litert"]["right"] = right
    assert "| processor time, LiteRT, to RapidOCR | 1/100 | 1/" in bench_page.page(better)
    rows = [
        line for line in bench_page.page(worse).splitlines() if line.startswith(("| processor time, L", "| digits r"))
    ]
    assert len(rows) == 2
    assert all(row.endswith("| **no** |") for row in rows)


def test_what_is_counted_as_installed_is_what_the_locks_install(found):
    for engine, lock in (("read_tflite", "edge"), ("read_litert", "edge-litert"), ("rapidocr", "bench-rapidocr")):
        pins = locked(ROOT / f"requirements/{lock}.txt")
        counted = set(bench_page.installed(found, engine)) - {"edge-digits"}
        # Some are for other systems alone, or have another version for each Python.
        assert counted <= pins.keys(), "run `python -m train.bench --sizes`"
        for name in LEFT_OUT["ai-edge-litert"] if engine == "read_litert" else ():
            assert name not in counted

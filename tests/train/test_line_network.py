"""The line network learns, goes on where it stopped, and becomes a file that both runtimes run."""

import hashlib
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edge import model_file
from edge.line_network import LINE_HEIGHT, MODEL_NAME, LineNetwork
from train.data import DataError
from train.fonts import font_files

pytestmark = pytest.mark.slow
TIMEOUT = 600  # seconds


def run(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)], capture_output=True, text=True, timeout=TIMEOUT
    )


@pytest.fixture(scope="module")
def trained(mnist, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[subprocess.CompletedProcess[str]]]:
    try:
        font_files("train")
    except DataError as error:
        pytest.skip(f"the fonts cannot be had: {error}")
    out = tmp_path_factory.mktemp("lines")
    return out, [
        run("train.line_network", "--quick", "--epochs", 1, "--out", out),
        run("train.line_network", "--quick", "--epochs", 2, "--resume", "--out", out),
        run("convert.line_network", "--out", out),
    ]


def test_training_goes_on_after_the_last_epoch_and_learns(trained) -> None:
    out, (first, second, _) = trained
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    said = [re.findall(r"^lines (\d+/\d+) ", done.stdout, re.MULTILINE) for done in (first, second)]
    assert said == [["1/1"], ["2/2"]]
    history = json.loads((out / "lines.json").read_text())["history"]
    assert len(history) == 2
    assert history[1]["loss"] < history[0]["loss"]


def test_another_training_goes_on_from_a_network_and_the_mean_of_both_lies_between(trained, tmp_path: Path) -> None:
    import keras

    first, more, mean = trained[0] / "lines.keras", tmp_path / "more", tmp_path / "mean"
    done = run("train.line_network", "--quick", "--epochs", 1, "--start", first, "--seed", 1, "--out", more)
    assert done.returncode == 0, done.stderr
    record = json.loads((more / "lines.json").read_text())
    assert record["start"] == hashlib.sha256(first.read_bytes()).hexdigest()
    assert record["history"][0]["loss"] < json.loads((trained[0] / "lines.json").read_text())["history"][0]["loss"]
    done = run("train.line_network", "--average", first, more / "lines.keras", "--out", mean)
    assert done.returncode == 0, done.stderr
    one, other, between = (
        keras.models.load_model(path, compile=False).get_weights()
        for path in (first, more / "lines.keras", mean / "lines.keras")
    )
    assert any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    for a, b, c in zip(one, other, between, strict=True):
        assert np.allclose(c, (a + b) / 2, atol=1e-6)


def test_without_the_network_to_go_on_from_it_says_so(tmp_path: Path) -> None:
    done = run("train.line_network", "--quick", "--start", tmp_path / "none.keras", "--out", tmp_path)
    assert done.returncode == 1
    assert "no such network" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


def test_the_converted_file_says_what_it_is_and_runs_on_both_runtimes(trained) -> None:
    out, (*_, done) = trained
    assert done.returncode == 0, done.stderr
    path = out / MODEL_NAME
    assert path.stat().st_size < 256_000
    info = model_file.read(path)
    assert info.labels == (*"0123456789", "blank") and info.none == "blank" and info.temperature > 0
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["labels.txt", "edge-digits.json"]
    noise = np.random.default_rng(0).integers(0, 255, (LINE_HEIGHT, 90), np.uint8)
    one, other = (LineNetwork(path, runtime).read(noise) for runtime in ("litert", "tflite"))
    assert abs(len(one) - len(other)) <= 1
    recorded = json.loads((out / "lines.json").read_text())["conversion"]
    assert recorded["bytes"] == path.stat().st_size
    assert recorded["int8"]["recall"] >= recorded["keras"]["recall"] - 0.02


def test_without_a_network_the_conversion_says_how_to_make_one(tmp_path: Path) -> None:
    done = run("convert.line_network", "--out", tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("no such network; make it with 'python -m train.line_network'")

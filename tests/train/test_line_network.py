"""The line network learns, goes on where it stopped, and becomes a file that both runtimes run."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edge import model_file
from edge.line_network import MODEL_NAME, LineNetwork
from train.data import DataError, load
from train.fonts import font_files
from train.line_network import main, validation_lines

pytestmark = pytest.mark.slow
TIMEOUT = 600  # seconds


def run(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)], capture_output=True, text=True, timeout=TIMEOUT
    )


@pytest.fixture(scope="module")
def fonts(mnist: Path) -> None:
    """What lines are drawn with is fetched, or cannot be had."""
    try:
        font_files("train")
    except DataError as error:
        pytest.skip(f"the fonts cannot be had: {error}")


@pytest.fixture(scope="module")
def trained(
    fonts: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[subprocess.CompletedProcess[str]]]:
    """A folder with a network trained for an epoch, and then for one more."""
    out = tmp_path_factory.mktemp("lines")
    return out, [
        run("train.line_network", "--quick", "--epochs", 1, "--out", out),
        run("train.line_network", "--quick", "--epochs", 2, "--resume", "--out", out),
    ]


def test_training_goes_on_after_the_last_epoch_and_learns(trained) -> None:
    out, (first, second) = trained
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
    assert main(["--average", str(first), str(more / "lines.keras"), "--out", str(mean)]) == 0
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


def test_the_network_that_ships_becomes_a_file_that_says_what_it_is_and_reads_as_well(
    fonts: None, tmp_path: Path
) -> None:
    shutil.copy("models/lines.keras", tmp_path)
    done = run("convert.line_network", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    path = tmp_path / MODEL_NAME
    assert path.stat().st_size < 256_000
    info = model_file.read(path)
    assert info.labels == (*"0123456789", "blank") and info.none == "blank" and info.temperature > 0
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["labels.txt", "edge-digits.json"]
    recorded = json.loads((tmp_path / "lines.json").read_text())["conversion"]
    assert recorded["bytes"] == path.stat().st_size
    assert recorded["keras"]["recall"] > 0.9 and recorded["int8"]["recall"] >= recorded["keras"]["recall"] - 0.02
    images = validation_lines(load(), 20).images
    one, other = ([LineNetwork(path, runtime).read(image) for image in images] for runtime in ("litert", "tflite"))
    assert sum(map(len, one)) > 20
    assert sum(abs(len(a) - len(b)) for a, b in zip(one, other, strict=True)) <= 2


def test_without_a_network_the_conversion_says_how_to_make_one(tmp_path: Path) -> None:
    done = run("convert.line_network", "--out", tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("no such network; make it with 'python -m train.line_network'")

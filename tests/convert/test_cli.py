"""`python -m convert` as a person meets it: clear lines, exit statuses, no chatter of others."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from convert.cli import main

ROOT = Path(__file__).parents[2]
HELP_LIMIT = 2.0  # seconds on a busy machine; TensorFlow alone takes longer


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "convert", *map(str, arguments)]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
    return subprocess.run(command, cwd=ROOT, env=clean | environment, capture_output=True, text=True, timeout=300)


def test_help_comes_without_tensorflow() -> None:
    start = time.perf_counter()
    answer = run("--help")
    assert answer.returncode == 0 and "--input-range" in answer.stdout
    assert time.perf_counter() - start < HELP_LIMIT
    loaded = "import sys, convert.cli; print(sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", loaded], cwd=ROOT, text=True).strip() == "[]"


def test_a_conversion_says_its_own_lines_only(h5_file: Path, npz: Path, tmp_path: Path) -> None:
    answer = run(h5_file, "--data", npz, "--out", tmp_path, "--input-range", "0-1")
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    lines = answer.stdout.splitlines()
    assert lines[0].endswith("best_model.h5: 28×28×1 in, 10 classes out")
    assert lines[1] == "input range 0-1, as asked"
    first_words = [line.split()[0] for line in lines]
    assert first_words[2:] == [
        *("making", "measuring", "measuring", "measuring", "measuring"),
        *("model", "best_model.h5", "float32", "float16", "dynamic", "int8", "written:"),
    ]
    kept = json.loads((tmp_path / "best_model-metrics.json").read_text())
    assert kept["conversion"]["data"]["name"] == "printed"
    # Converted by another process and by the library, a model's bytes are the same.
    from convert import convert

    again = convert(h5_file, npz, out=tmp_path / "again", input_range="0-1", variants=["int8"], say=lambda line: None)
    assert again.files["int8"].read_bytes() == (tmp_path / "best_model-int8.tflite").read_bytes()


@pytest.mark.parametrize("given", [("--input-range", "-1-1"), ("--input-range=-1-1",)])
def test_a_range_with_a_dash_in_front_can_be_written(
    given: tuple[str, ...], keras_file: Path, npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (keras_file, "--data", npz, "--out", tmp_path, "--variants", "float32", "--name", "mine")
    assert main([*map(str, arguments), *given]) == 0
    assert "input range -1-1, as asked" in capsys.readouterr().out
    assert (tmp_path / "mine-float32.tflite").exists()


def test_labels_come_from_a_file(keras_file: Path, npz: Path, tmp_path: Path) -> None:
    from edge.model_file import read

    names = [f"digit {k}" for k in range(10)]
    (tmp_path / "names.txt").write_text("\n".join(names) + "\n")
    arguments = ("--data", npz, "--out", tmp_path, "--labels", tmp_path / "names.txt", "--variants", "int8")
    assert main([str(keras_file), *map(str, arguments)]) == 0
    assert read(tmp_path / "digits-int8.tflite").labels == tuple(names)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["missing.keras"], 1, "missing.keras: no such file"),
        (["{here}"], 1, "not a SavedModel"),
        (["{here}/bad.h5"], 1, "cannot be loaded as a Keras model"),
        (["{model}", "--data", "nowhere"], 1, "nowhere: no such data"),
        (["{model}", "--data", "{npz}", "--variants", "int4"], 2, "no such variant: int4"),
        (["{model}", "--data", "{npz}", "--name", "a/b"], 2, "'a/b': a name is made of"),
        (["{model}", "--data", "{npz}", "--labels", "{here}/two.txt"], 1, "gives 10 classes, the labels are 2"),
        (["{model}", "--data", "{npz}", "--labels", "{here}/none.txt"], 1, "none.txt: cannot be read"),
        (["{model}", "--data", "{npz}", "--labels", "{here}/bad.h5"], 1, "bad.h5: not a text file"),
        (["{model}", "--data", "{npz}", "--out", "{here}/two.txt", "--variants", "float32"], 1, "cannot be written to"),
        (["{model}", "--input-range", "0-7"], 2, "invalid choice: '0-7'"),
        (["{model}", "--seed", "-1"], 2, "argument --seed: -1 is not between 0 and"),
        (["{model}", "--frobnicate"], 2, "unrecognized arguments: --frobnicate; see python -m convert --help"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], status: int, message: str, keras_file: Path, npz: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + np.random.default_rng(0).bytes(500))
    (tmp_path / "two.txt").write_text("a\nb\n")
    answer = run(*(a.format(here=tmp_path, model=keras_file, npz=npz) for a in arguments))
    assert answer.returncode == status
    last = answer.stderr.strip().splitlines()[-1]
    assert message in last
    assert "Traceback" not in answer.stderr
    assert answer.stderr.strip() == last and last.startswith("convert: ")

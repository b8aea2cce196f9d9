import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import model_file

pytestmark = pytest.mark.slow

TIMEOUT = 300  # seconds
TRAINED = ("--quick", "--epochs", 8)  # the arguments of the training that most tests look at


def train(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "train", *map(str, arguments)], capture_output=True, text=True, timeout=TIMEOUT
    )


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "train", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def trained(
    digits_npz: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    out = tmp_path_factory.mktemp("trained")
    return out, train(*TRAINED, "--data", digits_npz, "--out", out)


def test_training_learns_and_says_one_line_an_epoch(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out, run = trained
    assert run.returncode == 0, run.stderr
    epochs = re.findall(r"^(\w+) (\d+/\d+) ", run.stdout, re.MULTILINE)
    # First the digits, then what is none.
    assert epochs == [*(("classes", f"{k}/8") for k in range(1, 9)), ("digits", "1/2"), ("digits", "2/2")]
    assert json.loads((out / "metrics.json").read_text())["training"]["results"]["test_accuracy"] > 0.8


def test_metrics_record_what_the_model_was_made_from(
    trained: tuple[Path, subprocess.CompletedProcess[str]], digits_npz: Path
) -> None:
    record = json.loads((trained[0] / "metrics.json").read_text())["training"]
    assert record["data"]["source"] == str(digits_npz)
    assert list(record["data"]["checksums"]) == ["drawn.npz"]
    assert record["labels"] == [*"0123456789", "none"] and record["none"] == "none"
    assert record["images"]["negatives"]["merged digits"] > 0 and record["negative_sources"] == []
    assert record["seed"] == 0 and record["epochs"] == 8 + 2 and record["profile"] == "quick"
    assert {"tensorflow", "keras", "numpy", "opencv", "python"} <= record["versions"].keys()
    assert {"batch_size", "learning_rate", "widths"} <= record["hyperparameters"].keys()
    assert len(record["history"]["classes"]) == 8


def test_report_is_pictures_and_a_card(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out = trained[0]
    for name in ("learning_curves", "confusion_matrix", "worst_mistakes", "reliability"):
        picture = cv2.imread(str(out / "report" / f"{name}.png"))
        assert picture is not None and min(picture.shape[:2]) > 100 and picture.std() > 5
    card = (out / "MODEL_CARD.md").read_text()
    assert "drawn" in card and "report/confusion_matrix.png" in card and "Where it fails" in card


def test_model_takes_scaled_glyphs_and_gives_logits(
    trained: tuple[Path, subprocess.CompletedProcess[str]], digits_npz: Path
) -> None:
    import keras

    from train.train import logits_of

    model = keras.models.load_model(trained[0] / "digits.keras", compile=False)
    with np.load(digits_npz) as arrays:
        logits = logits_of(model, arrays["x_test"])
        assert np.mean(logits.argmax(axis=1) == arrays["y_test"]) > 0.8
    assert logits.shape == (200, 11) and not np.allclose(logits.sum(axis=1), 1)


def test_interrupted_training_keeps_the_best_model_and_goes_on_with_resume(digits_npz: Path, tmp_path: Path) -> None:
    arguments = ("--quick", "--epochs", 3, "--data", digits_npz, "--out", tmp_path)
    process = start(*arguments)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("classes 1/3"):
            process.send_signal(signal.SIGINT)
            break
    said, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130, errors
    assert "--resume" in said and "Traceback" not in errors
    record = json.loads((tmp_path / "metrics.json").read_text())["training"]
    assert record["interrupted"] and 1 <= record["epochs"] < 3
    assert (tmp_path / "digits.keras").is_file()

    run = train(*arguments, "--resume")
    assert run.returncode == 0, run.stderr
    epochs = re.findall(r"^classes (\d+/\d+) ", run.stdout, re.MULTILINE)
    assert epochs[0] == f"{record['epochs'] + 1}/3" and epochs[-1] == "3/3"
    assert len(json.loads((tmp_path / "metrics.json").read_text())["training"]["history"]["classes"]) == 3


def test_killed_training_leaves_no_worker_behind(digits_npz: Path, tmp_path: Path) -> None:
    process = start("--quick", "--epochs", 50, "--data", digits_npz, "--out", tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("classes 1/50"):
            break
    process.kill()
    # The workers hold the other ends of these pipes for as long as they live.
    process.communicate(timeout=30)


def test_resume_with_other_settings_is_refused(
    trained: tuple[Path, subprocess.CompletedProcess[str]], digits_npz: Path
) -> None:
    run = train("--quick", "--epochs", 9, "--data", digits_npz, "--out", trained[0], "--resume")
    assert run.returncode == 1
    assert "other data, seed or settings" in run.stderr and len(run.stderr.splitlines()) == 1


@pytest.mark.parametrize("role", ["teacher", "start"])
def test_a_model_is_learnt_from_or_gone_on_from(
    role: str, trained: tuple[Path, subprocess.CompletedProcess[str]], digits_npz: Path, tmp_path: Path
) -> None:
    known = trained[0] / "digits.keras"
    run = train("--quick", "--epochs", 1, "--data", digits_npz, f"--{role}", known, "--out", tmp_path)
    assert run.returncode == 0, run.stderr
    assert re.findall(r"^(\w+) (\d+/\d+) ", run.stdout, re.MULTILINE) == [("digits", "1/1")]
    record = json.loads((tmp_path / "metrics.json").read_text())["training"]
    assert record[role] == hashlib.sha256(known.read_bytes()).hexdigest()
    taught = role == "teacher"
    assert (record["hyperparameters"]["teacher_widths"] == record["hyperparameters"]["widths"]) is taught
    assert ("from the answers of another network" in (tmp_path / "MODEL_CARD.md").read_text()) is taught
    if role == "start":
        assert record["results"]["test_accuracy"] > 0.8


def test_a_teacher_of_other_classes_is_refused(
    trained: tuple[Path, subprocess.CompletedProcess[str]], shapes_folder: Path, tmp_path: Path
) -> None:
    known = (trained[0] / "digits.keras", "11 classes, here are 3"), (tmp_path / "no.keras", "no such model")
    for teacher, said in known:
        run = train("--quick", "--data", shapes_folder, "--teacher", teacher, "--out", tmp_path)
        assert run.returncode == 1
        assert said in run.stderr and len(run.stderr.splitlines()) == 1


def test_own_classes_from_a_folder_of_pictures(shapes_folder: Path, tmp_path: Path) -> None:
    run = train("--quick", "--epochs", 6, "--data", shapes_folder, "--out", tmp_path)
    assert run.returncode == 0, run.stderr
    record = json.loads((tmp_path / "metrics.json").read_text())["training"]
    assert record["labels"] == ["circle", "cross", "triangle"]
    assert record["images"]["drawn"] == 0 and record["none"] is None
    assert record["results"]["validation_accuracy"] > 0.8


def test_a_folder_of_none_becomes_a_class_that_is_refused(shapes_folder: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "shapes", tmp_path / "out"
    shutil.copytree(shapes_folder, folder)
    (folder / "triangle").rename(folder / "none")
    run = train("--quick", "--epochs", 6, "--data", folder, "--out", out)
    assert run.returncode == 0, run.stderr
    record = json.loads((out / "metrics.json").read_text())["training"]
    assert record["labels"] == ["circle", "cross", "none"] and record["none"] == "none"
    assert record["results"]["validation_accuracy"] > 0.8 and record["results"]["negatives_refused"] > 0.5


def test_what_is_no_digit_is_mostly_refused(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    results = json.loads((trained[0] / "metrics.json").read_text())["training"]["results"]
    assert results["negatives_refused"] > 0.6
    assert results["validation_refused"] < 0.1
    assert set(results["negatives_refused_by_kind"]) >= {"letters", "merged digits", "blots"}


def test_same_command_gives_the_same_metrics(
    trained: tuple[Path, subprocess.CompletedProcess[str]], digits_npz: Path, tmp_path: Path
) -> None:
    run = train(*TRAINED, "--data", digits_npz, "--out", tmp_path)
    assert run.returncode == 0, run.stderr
    histories = [
        json.loads((out / "metrics.json").read_text())["training"]["history"] for out in (trained[0], tmp_path)
    ]
    for name in ("classes", "digits"):
        one, other = ([epoch["loss"] for epoch in history[name]] for history in histories)
        assert one == pytest.approx(other, rel=0.02)


def test_conversion_follows_the_training_and_completes_the_card(
    trained: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out = trained[0]
    run = subprocess.run(
        [sys.executable, "-m", "convert", str(out / "digits.keras"), "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert run.returncode == 0, run.stderr
    variants = json.loads((out / "metrics.json").read_text())["conversion"]["variants"]
    assert set(variants) == {"float32", "float16", "dynamic", "int8"}
    assert all(variant["accuracy"] > 0.8 for variant in variants.values())
    info = model_file.read(out / "digits-int8.tflite")
    assert info.none == "none" and info.labels == (*"0123456789", "none") and info.rejection_threshold > 0
    card = (out / "MODEL_CARD.md").read_text()
    assert f"`digits-int8.tflite` | {variants['int8']['bytes'] / 1000:.1f} KB" in card

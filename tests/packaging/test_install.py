"""The wheel on a device: each Python there is here, each runtime, elsewhere than the checkout, without TensorFlow."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.packaging.pythons import LEFT_OUT, Environment, interpreters, not_installed

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"
FIRST_WITHOUT_TFLITE_RUNTIME = 12


@dataclass(frozen=True)
class Device(Environment):
    """An environment with the package installed as on a device."""

    runtimes: tuple[str, ...]


def kinds() -> list[tuple[int, str, str, tuple[str, ...]]]:
    """(minor version, interpreter, extra, its runtimes) of each environment to try."""
    tried = []
    for minor, path in interpreters().items():
        if minor < FIRST_WITHOUT_TFLITE_RUNTIME:
            tried.append((minor, path, "", ("tflite",)))
            tried.append((minor, path, "litert", ("litert", "tflite")))
        else:
            tried.append((minor, path, "", ("litert",)))
    return tried


@pytest.fixture(scope="module", params=kinds(), ids=lambda kind: f"3.{kind[0]}{kind[2] and '-' + kind[2]}")
def device(request, registry, run, wheel, tmp_path_factory) -> Device:
    """A fresh environment: the wheel's own requirements resolve, the lock installs, and both agree."""
    _, python, extra, runtimes = request.param
    folder = tmp_path_factory.mktemp("device")
    made = Device(folder, runtimes)
    run(python, "-m", "venv", "--clear", folder)
    install = (made.python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--only-binary=:all:")
    run(*install, "--dry-run", f"{wheel}[{extra}]" if extra else wheel, cwd=folder)
    lock = ROOT / "requirements" / (f"edge-{extra}.txt" if extra else "edge.txt")
    run(*install, "--no-deps", "--require-hashes", "-r", lock, cwd=folder)
    run(*install, "--no-deps", wheel, cwd=folder)
    assert not_installed(run, made.python) == (LEFT_OUT["ai-edge-litert"] if "litert" in runtimes else set())
    return made


@pytest.mark.slow
def test_device_has_no_tensorflow_and_nothing_of_the_checkout(device, run, tmp_path):
    look = (
        "import importlib.util as u; print([n for n in ('tensorflow', 'keras', 'train', 'convert') if u.find_spec(n)])"
    )
    assert run(device.python, "-c", look, cwd=tmp_path).stdout.strip() == "[]"
    where = run(device.python, "-c", "import edge; print(edge.__file__)", cwd=tmp_path).stdout
    assert Path(where.strip()).is_relative_to(device.folder)


@pytest.mark.slow
def test_every_sample_is_named_on_every_runtime(device, run, tmp_path):
    with open(SAMPLES / "answers.csv", encoding="utf-8", newline="") as file:
        truths = {str(SAMPLES / row["file"]): row["label"] or None for row in csv.DictReader(file)}
    for runtime in device.runtimes:
        said = run(
            device.command, "classify", "--runtime", runtime, "--format", "jsonl", "--", *truths, cwd=tmp_path
        ).stdout
        answers = {record["path"]: record["label"] for record in map(json.loads, said.splitlines())}
        assert answers == truths, runtime


@pytest.mark.slow
def test_info_names_the_runtimes_that_can_be_chosen(device, run, tmp_path):
    for runtime in device.runtimes:
        said = run(device.command, "info", cwd=tmp_path, EDGE_DIGITS_RUNTIME=runtime).stdout
        assert {"litert": "ai-edge-litert", "tflite": "tflite-runtime"}[runtime] in said


@pytest.mark.slow
def test_absent_runtime_is_one_line_that_says_what_to_do(device, run, tmp_path):
    for runtime in {"litert", "tflite"} - set(device.runtimes):
        refused = run(
            device.command, "classify", "--runtime", runtime, SAMPLES / "7-ruled.jpg", cwd=tmp_path, works=False
        )
        assert refused.returncode not in (0, None)
        assert "Traceback" not in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1
        assert {"litert": "ai-edge-litert", "tflite": "tflite-runtime"}[runtime] in refused.stderr


@pytest.mark.slow
def test_module_and_command_are_the_same(device, run, tmp_path):
    words = ("classify", "--format", "jsonl", SAMPLES / "4-squared.png")
    by_module = run(device.python, "-m", "edge", *words, cwd=tmp_path).stdout
    assert by_module == run(device.command, *words, cwd=tmp_path).stdout
    assert json.loads(by_module)["label"] == "4"

"""The command runs where only the device's packages are installed, once a runtime."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.edge.helpers import ROOT

pytestmark = pytest.mark.slow

CACHE_VARIABLE = "EDGE_DIGITS_TEST_VENVS"  # environment variable: a folder that keeps the environments between runs
LOCKS = {"tflite": "edge.txt", "litert": "edge-litert.txt"}
OTHER_RUNTIME = {"tflite": "ai-edge-litert", "litert": "tflite-runtime"}
INSTALL_SECONDS = 900


@pytest.fixture(scope="module", params=list(LOCKS))
def device(request: pytest.FixtureRequest) -> tuple[str, Path]:
    """A runtime and the Python of an environment with that runtime, NumPy and OpenCV, as locked."""
    runtime: str = request.param
    if runtime == "tflite" and sys.version_info >= (3, 12):
        pytest.skip("tflite-runtime has no wheels for Python 3.12 and later")
    lock = ROOT / "requirements" / LOCKS[runtime]
    key = hashlib.sha256(lock.read_bytes() + sys.version.encode() + runtime.encode()).hexdigest()[:16]
    cache = Path(os.environ.get(CACHE_VARIABLE) or request.config.cache.mkdir("device-environments"))
    folder = cache.resolve() / f"{runtime}-{key}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        install = [*pip, "install", "--no-deps", "--require-hashes", "--only-binary=:all:", "-r", str(lock)]
        done = subprocess.run(install, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        if done.returncode:
            pytest.fail(f"the device's packages cannot be installed: {done.stderr.strip()[-500:]}")
        # Both runtimes are locked for Python 3.11; only one is to be there.
        subprocess.run([*pip, "uninstall", "--yes", OTHER_RUNTIME[runtime]], capture_output=True, check=True)
        (folder / "ready").touch()
    return runtime, python


def edge(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [str(python), "-m", "edge", *arguments],
        cwd=cwd, env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_there_is_no_tensorflow_there(device: tuple[str, Path]) -> None:
    for module in ("tensorflow", "keras"):
        done = subprocess.run([str(device[1]), "-c", f"import {module}"], capture_output=True, text=True, check=False)
        assert "ModuleNotFoundError" in done.stderr


def test_the_samples_are_classified_with_that_runtime(device: tuple[str, Path], tmp_path: Path) -> None:
    runtime, python = device
    info = edge(python, "info", "--format", "json", cwd=tmp_path)
    assert info.returncode == 0, info.stderr
    assert json.loads(info.stdout)["runtime"]["name"] == runtime
    there = edge(python, "classify", str(ROOT / "samples"), cwd=tmp_path)
    assert there.returncode == 0, there.stderr
    here = edge(Path(sys.executable), "classify", str(ROOT / "samples"), cwd=tmp_path)
    ours, theirs = ([json.loads(line) for line in run.stdout.splitlines()] for run in (here, there))
    assert [r["path"] for r in theirs] == [r["path"] for r in ours]
    assert len(theirs) >= 10
    sure = [(a["label"], b["label"]) for a, b in zip(ours, theirs, strict=True) if a["confidence"] > 0.6]
    assert len(sure) >= 5
    assert all(a == b for a, b in sure), "the runtimes agree where they are sure"


def test_only_the_devices_packages_are_imported(device: tuple[str, Path], tmp_path: Path) -> None:
    script = (
        "import sys, runpy\nsys.argv = ['edge', 'classify', sys.argv[1]]\n"
        "try: runpy.run_module('edge', run_name='__main__')\nexcept SystemExit: pass\n"
        "tops = {m.split('.')[0] for m in sys.modules} - set(sys.stdlib_module_names)\n"
        "files = {t for t in tops if 'site-packages' in (getattr(sys.modules.get(t), '__file__', '') or '')}\n"
        "print(sorted(files))"
    )
    sample = next((ROOT / "samples").glob("*.png"))
    done = subprocess.run(
        [str(device[1]), "-c", script, str(sample)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip
    imported = set(json.loads(done.stdout.splitlines()[-1].replace("'", '"')))
    module = {"litert": "ai_edge_litert", "tflite": "tflite_runtime"}[device[0]]
    assert {"numpy", "cv2", module} <= imported
    assert imported <= {"numpy", "cv2", module, "_distutils_hack"}

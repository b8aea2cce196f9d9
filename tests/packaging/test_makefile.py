"""The front door: `make` in a fresh copy of the repository."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from tests.packaging.conftest import clean_environment

ROOT = Path(__file__).parents[2]
# The last two are what Python's own environments begin with.
DEVICE_PACKAGES = {"ai-edge-litert", "numpy", "opencv-python-headless", "tflite-runtime", "pip", "setuptools"}


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """What the device's targets need, in a folder of its own with a space in its name."""
    folder = tmp_path_factory.mktemp("fresh") / "a copy"
    folder.mkdir()
    for name in ("edge", "samples", "requirements"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "models").mkdir()
    for name in ("Makefile", "models/digits-int8.tflite", "models/lines-int8.tflite"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def test_make_alone_lists_every_target(run):
    said = run("make").stdout
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in phony.group(1).split():
        assert re.search(rf"^  make {target} +\S", said, re.MULTILINE), target


@pytest.mark.slow
def test_demo_needs_the_devices_packages_alone_and_names_every_sample(copy, registry, run):
    said = run("make", "demo", cwd=copy).stdout
    lists = (copy / "samples/answers.csv", copy / "samples/pages/answers.csv")
    pictures = sum(len(path.read_text().splitlines()) - 1 for path in lists)
    assert f"All {pictures} right" in said
    assert said.count(" -> ") == pictures
    assert "no digit in it" in said
    listed = run(copy / ".venv-edge/bin/python", "-m", "pip", "list", "--format", "freeze", cwd=copy).stdout
    installed = {line.split("==")[0].lower().replace("_", "-").replace(".", "-") for line in listed.splitlines()}
    assert installed <= DEVICE_PACKAGES
    assert not (copy / ".venv").exists()

    made = (copy / ".venv-edge/.ready").stat().st_mtime_ns
    again = run("make", "demo", cwd=copy).stdout
    assert "Setting up" not in again
    assert (copy / ".venv-edge/.ready").stat().st_mtime_ns == made


@pytest.mark.slow
def test_daemon_shows_a_live_page_with_readings_within_a_minute(copy, registry):
    config = copy / "samples/daemon.toml"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config.write_text(f"{config.read_text()}\n[http]\nport = {port}\n")
    start = time.monotonic()
    daemon = subprocess.Popen(
        ["make", "daemon"], cwd=copy, env=clean_environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        for line in daemon.stderr:
            if f"http://127.0.0.1:{port}/" in line:
                break
        else:
            pytest.fail("it ended without saying where its page is")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page:
            assert b"<title>" in page.read()
        while True:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/latest", timeout=10) as answer:
                record = json.load(answer)["record"]
            if record is not None:
                break
            assert time.monotonic() - start < 120  # twice what it says, for a machine that does other things
            time.sleep(0.1)
        assert len(record["text"]) == 6
        # As Ctrl-C does: to make and to what it started.
        os.killpg(daemon.pid, signal.SIGINT)
        daemon.wait(10)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait(10)
    assert (copy / "build/daemon/readings.db").exists()


@pytest.mark.slow
def test_classify_takes_names_with_spaces(copy, registry, run):
    shutil.copy(copy / "samples/7-ruled.jpg", copy / "my seven.jpg")
    said = run("make", "--silent", "classify", "IMAGES='my seven.jpg' samples/4-squared.png", cwd=copy).stdout
    assert '"label": "7"' in said
    assert '"label": "4"' in said


@pytest.mark.slow
def test_read_takes_fields_and_saves(copy, registry, run):
    shutil.copy(copy / "samples/pages/form.jpg", copy / "my form.jpg")
    words = ("IMAGES='my form.jpg'", "FIELDS=samples/pages/form.toml", "SAVE=my out", "CROPS=my crops")
    said = run("make", "--silent", "read", *words, cwd=copy).stdout
    assert '"value": "29406"' in said
    assert (copy / "my out/my form.jpg").exists()
    assert any((copy / "my crops").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("target", ["classify", "read"])
def test_without_pictures_it_says_how(copy, registry, run, target):
    refused = run("make", "--silent", target, cwd=copy, works=False)
    assert refused.returncode != 0
    assert "IMAGES=" in refused.stderr.splitlines()[0]


@pytest.mark.parametrize("target", ["demo", "test"])
def test_unfit_python_is_one_line(target, run, tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    refused = run("make", target, "PYTHON=/bin/false", cwd=tmp_path, works=False)
    assert refused.returncode != 0
    line, _ = refused.stderr.strip().splitlines()  # the second is make's own
    assert "needs Python 3.11" in line
    assert "/bin/false" in line


def test_python_without_ensurepip_names_the_package_to_install(run, tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    python = tmp_path / "python-as-debian-ships-it"
    python.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1 ;; *) exit 0 ;; esac\n')
    os.chmod(python, stat.S_IRWXU)
    refused = run("make", "demo", f"PYTHON={python}", cwd=tmp_path, works=False)
    assert refused.returncode != 0
    assert "apt install python3-venv" in refused.stderr.splitlines()[0]
    assert not (tmp_path / ".venv-edge").exists()


def test_clean_leaves_data_models_and_an_environment_of_your_own(run, tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    kept = ["data/train-images-idx3-ubyte", "models/digits-int8.tflite", "models/digits.keras", ".venv/bin/python"]
    made = ["dist/a.whl", "models/digits-float32.tflite", "edge/__pycache__/a.pyc", ".venv-edge/.ready"]
    for name in kept + made:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    run("make", "clean", cwd=tmp_path)
    assert [name for name in kept + made if (tmp_path / name).exists()] == kept
    (tmp_path / ".venv/.ready").touch()
    run("make", "clean", cwd=tmp_path)
    assert not (tmp_path / ".venv").exists()

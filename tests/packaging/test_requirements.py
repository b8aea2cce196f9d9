"""The locks, and what the requirements come to on Pythons and machines that are not here."""

import re
import shutil
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = {
    "edge": (),
    "edge-litert": ("litert",),
    "edge-daemon": ("daemon", "gpio"),
    "train": ("litert", "daemon", "gpio", "train", "test", "lint"),
}
RIVALS = ("bench-onnxruntime", "bench-rapidocr")  # what `make bench` measures beside this, from its own .in
LINUX = ("x86_64-manylinux_2_36", "aarch64-manylinux_2_36")  # Debian 12's glibc, as Raspberry Pi OS Bookworm's
OTHERS = ("aarch64-apple-darwin", "x86_64-pc-windows-msvc")
DEVICE_PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PINNED = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)


@pytest.mark.parametrize("name", [*LOCKS, *RIVALS])
def test_lock_names_versions_and_hashes_and_no_place(name):
    text = (ROOT / f"requirements/{name}.txt").read_text()
    for requirement in re.split(r"\n(?=\S)", text.strip()):
        pin, *hashes = [line.strip(" \\") for line in requirement.split(" \\\n")]
        assert PINNED.match(pin), pin
        assert hashes and all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line) for line in hashes), pin
    assert not re.search(r"://|#|--(?!hash)|\.\w+/", text)


@pytest.mark.parametrize("name", LOCKS)
def test_lock_is_in_step_with_what_is_declared(name, uv, run, tmp_path):
    lock = tmp_path / f"{name}.txt"
    shutil.copy(ROOT / f"requirements/{name}.txt", lock)
    extras = [word for extra in LOCKS[name] for word in ("--extra", extra)]
    how = ("--quiet", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate")
    run(*uv, "compile", "pyproject.toml", *extras, *how, "-o", lock)
    # Hashes may grow: a project can add wheels to a version it has already published.
    fresh, kept = lock.read_text(), (ROOT / f"requirements/{name}.txt").read_text()
    drop = re.compile(r"^    --hash=.*\n?", re.MULTILINE)
    assert drop.sub("", fresh) == drop.sub("", kept), "run `make lock`"


@pytest.mark.parametrize("name", RIVALS)
def test_lock_of_a_rival_is_in_step_with_what_is_declared(name, uv, run, tmp_path):
    lock = tmp_path / f"{name}.txt"
    shutil.copy(ROOT / f"requirements/{name}.txt", lock)
    how = ("--quiet", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate")
    run(*uv, "compile", f"requirements/{name}.in", *how, "-o", lock)
    drop = re.compile(r"^    --hash=.*\n?", re.MULTILINE)
    kept = (ROOT / f"requirements/{name}.txt").read_text()
    assert drop.sub("", lock.read_text()) == drop.sub("", kept), "run `make lock`"


@pytest.mark.parametrize("platform", LINUX + OTHERS)
@pytest.mark.parametrize("python", DEVICE_PYTHONS)
@pytest.mark.parametrize("name", ["edge", "edge-litert", "edge-daemon"])
def test_device_lock_has_a_wheel_for_each_package(name, python, platform, uv, run, tmp_path):
    where = ("--target", tmp_path, "--python-version", python, "--python-platform", platform)
    strict = ("--require-hashes", "--only-binary", ":all:", "--no-deps", "--dry-run", "--quiet")
    run(*uv, "install", *strict, *where, "-r", ROOT / f"requirements/{name}.txt", cwd=tmp_path)


@pytest.mark.parametrize("platform", LINUX)
@pytest.mark.parametrize("python", ["3.11", "3.12"])
def test_workstation_lock_has_a_wheel_for_each_package(python, platform, uv, run, tmp_path):
    where = ("--target", tmp_path, "--python-version", python, "--python-platform", platform)
    strict = ("--require-hashes", "--only-binary", ":all:", "--no-deps", "--dry-run", "--quiet")
    run(*uv, "install", *strict, *where, "-r", ROOT / "requirements/train.txt", cwd=tmp_path)


@pytest.mark.parametrize(("python", "platform"), [*product(DEVICE_PYTHONS, LINUX), *product(("3.11", "3.13"), OTHERS)])
def test_requirements_resolve_to_a_runtime_and_the_numpy_it_was_built_for(python, platform, uv, run):
    where = ("--python-version", python, "--python-platform", platform, "--only-binary", ":all:")
    said = run(*uv, "compile", "pyproject.toml", *where, "--quiet", "--no-header", "--no-annotate").stdout
    chosen = dict(PINNED.findall(said))
    numpy_major = int(chosen["numpy"].split(".")[0])
    if python == "3.11" and platform in LINUX:
        assert chosen["tflite-runtime"] == "2.14.0"
        assert numpy_major == 1
        assert "ai-edge-litert" not in chosen
    else:
        assert "tflite-runtime" not in chosen
        assert chosen["ai-edge-litert"].startswith("2.")
        assert numpy_major == 2
    assert "tensorflow" not in chosen

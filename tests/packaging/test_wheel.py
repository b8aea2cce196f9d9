"""What is in the wheel and in the source distribution."""

import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


MODELS = ("digits-int8.tflite", "lines-int8.tflite")


def test_wheel_holds_the_edge_package_and_its_models_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "edge").rglob("*.py")}
    daemon = {"edge/daemon/example.toml"}
    page = {str(path.relative_to(ROOT)) for path in (ROOT / "edge/daemon/web/static").iterdir()}
    assert any(name.endswith("/index.html") for name in page)
    assert inside == sources | daemon | page | {"edge/py.typed", *(f"edge/{name}" for name in MODELS)}


@pytest.mark.parametrize("name", MODELS)
def test_models_in_the_wheel_are_those_in_models(wheel, name):
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(f"edge/{name}") == (ROOT / "models" / name).read_bytes()


def test_wheel_says_who_and_what_it_is(wheel):
    with zipfile.ZipFile(wheel) as archive:
        files = {name.split(".dist-info/")[1]: name for name in archive.namelist() if ".dist-info/" in name}
        metadata = Parser().parsestr(archive.read(files["METADATA"]).decode())
        scripts = archive.read(files["entry_points.txt"]).decode()
        licence = archive.read(files["licenses/LICENSE"]).decode()
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (metadata["Name"], metadata["Version"]) == ("edge-digits", declared["version"])
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert "edge-digits = edge.cli:main" in scripts
    assert licence == (ROOT / "LICENSE").read_text()
    assert wheel.name == f"edge_digits-{declared['version']}-py3-none-any.whl"


def test_source_distribution_builds_the_same_wheel(wheel, run, tmp_path):
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path / "sdist")
    (sdist,) = (tmp_path / "sdist").glob("*.tar.gz")
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    run(*pip, "-w", tmp_path, sdist, cwd=tmp_path)
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(tmp_path / wheel.name) as other:
        assert {info.filename: info.CRC for info in one.infolist()} == {
            info.filename: info.CRC for info in other.infolist()
        }


def test_build_backend_is_the_locked_one():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (backend,) = declared["build-system"]["requires"]
    assert f"\n{backend} \\\n" in (ROOT / "requirements/train.txt").read_text()
    assert backend in declared["project"]["optional-dependencies"]["test"]

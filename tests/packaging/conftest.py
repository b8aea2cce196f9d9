"""What the packaging tests share: a built wheel, and whether packages can be had."""

import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy import bundle
from tests.packaging.machine import Machine, machine

ROOT = Path(__file__).parents[2]
PROBE = "iniconfig"  # a package of 6 kB: can be had or cannot

Run = Callable[..., subprocess.CompletedProcess[str]]


def clean_environment() -> dict[str, str]:
    """This process's environment without what would let a child find the checkout or this environment."""
    dropped = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "EDGE_DIGITS_RUNTIME", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    return {name: value for name, value in os.environ.items() if name not in dropped}


@pytest.fixture(scope="session")
def run() -> Run:
    """Runs a command to its end, by default expecting that it works: `run(*words, cwd=..., works=True)`."""

    def _run(*words: str | Path, cwd: Path = ROOT, works: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
        environment = clean_environment() | more
        result = subprocess.run(
            [str(word) for word in words],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
            stdin=subprocess.DEVNULL,
        )
        if works:
            assert result.returncode == 0, f"{words}\n{result.stdout}\n{result.stderr}"
        return result

    return _run


@pytest.fixture(scope="session")
def registry(run: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips where pip reaches no package registry."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-cache-dir")
    probe = run(*pip, "--no-deps", "--dest", tmp_path_factory.mktemp("probe"), PROBE, works=False)
    if probe.returncode:
        pytest.skip(f"pip reaches no package registry: {probe.stderr.strip().splitlines()[-1]}")


@pytest.fixture(scope="session")
def uv(run: Run, registry: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The command `uv pip`; skips where uv, which does not read pip's configuration, reaches no registry."""
    folder = tmp_path_factory.mktemp("uv")
    (folder / "probe.in").write_text(PROBE)
    probe = run(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "probe.in", cwd=folder, works=False)
    if probe.returncode:
        pytest.skip(f"uv reaches no package registry (set UV_DEFAULT_INDEX): {probe.stderr.strip().splitlines()[-1]}")
    return (sys.executable, "-m", "uv", "pip")


@pytest.fixture(scope="session")
def wheel(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout with the locked build backend."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def target() -> bundle.Target:
    """The bundle's target that this machine is, on which its install can be tried."""
    release = platform.freedesktop_os_release()
    system = {"bookworm": "debian12", "trixie": "debian13"}.get(release.get("VERSION_CODENAME", ""))
    found = bundle.TARGETS.get(f"{system}-{platform.machine()}")
    if found is None or os.geteuid():
        pytest.skip("installing is tried on Debian 12 or 13, as root")
    return found


@pytest.fixture(scope="session")
def real_bundle(target: bundle.Target, registry: None, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive for this machine, as `make bundle` makes it."""
    folder = tmp_path_factory.mktemp("bundle")
    run(sys.executable, ROOT / "deploy/bundle.py", target.name, "--out", folder)
    (path,) = folder.glob("*.tar.gz")
    return path


@pytest.fixture
def fresh(target: bundle.Target, tmp_path: Path) -> Iterator[Machine]:
    """A machine without Edge Digits, without network, and without systemd running."""
    with machine(tmp_path) as made:
        yield made

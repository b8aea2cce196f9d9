"""What reading a page costs: processor time, memory, and what a large photograph loses by being reduced.

`python -m train.evaluate --speed`. Ratios within one run on one machine; times are a guide.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from edge.errors import MissingRuntimeError
from edge.reader import DigitReader
from train.data import DataError
from train.evaluate import match_boxes
from train.scenes import Scene, photograph

SMALL_PHOTO = (768, 560)  # pixels
SMALL_PHOTO_LINES = (4, 4)
SMALL_PHOTO_DIGIT = 64.0  # pixels
LARGE_PHOTO = (4000, 3000)  # 12 megapixels
REDUCTION = 2  # of its sides: 3 megapixels
LARGE_PHOTO_LINES = (8,) * 10
SMALLEST_DIGITS = (1 / 150, 1 / 100)  # of the longer side: their heights, from the least that is to be read
LARGE_PHOTOS = 3  # pages, the heights of their digits spread over SMALLEST_DIGITS
JPEG_QUALITY = 90
WARM_UP = 5  # readings that are not counted
SMALL_ROUNDS = 100  # readings, of which the median counts
LARGE_ROUNDS = 9
# A process that is started counts what its parent held: a small one stands between. In KiB on Linux, getrusage(2).
WEIGH = """
import resource, subprocess, sys
run = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(run.returncode)
"""
RUNTIMES = {"litert": "LiteRT", "tflite": "tflite-runtime"}


@dataclass(frozen=True, slots=True)
class Speed:
    """What reading costs. Times are medians of processor time in milliseconds, decoding included."""

    small_photo: dict[str, float]
    """A SMALL_PHOTO of eight digits, for each runtime that is installed."""
    large_photo: float
    """A LARGE_PHOTO, on the fastest runtime."""
    reduced_photo: float
    """The same at 3 megapixels."""
    large_recall: float
    """Of its digits, SMALLEST_DIGITS high, the part that is found."""
    reduced_recall: float
    large_right: float
    """The part that is found and named right."""
    reduced_right: float
    resident_megabytes: float
    """Most memory held by `edge-digits read` on the small photo."""
    resident_megabytes_large: float
    """On the large one."""

    @property
    def ratio(self) -> float:
        """Of the times of the same photo at 12 and at 3 megapixels."""
        return self.large_photo / self.reduced_photo

    def lines(self) -> Iterator[str]:
        """For people."""
        times = ", ".join(f"{ms:.2f} ms on {RUNTIMES[runtime]}" for runtime, ms in self.small_photo.items())
        yield f"{SMALL_PHOTO[0]}×{SMALL_PHOTO[1]} photo of eight digits: {times}"
        yield (
            f"12-megapixel photo: {self.large_photo:.1f} ms, at 3 megapixels {self.reduced_photo:.1f} ms: "
            f"{self.ratio:.2f} times"
        )
        yield (
            f"its digits, 1/150 to 1/100 of the longer side: found {self.large_recall:.2%} (at 3 megapixels "
            f"{self.reduced_recall:.2%}), read right {self.large_right:.2%} ({self.reduced_right:.2%})"
        )
        yield (
            f"resident memory of edge-digits read: {self.resident_megabytes:.1f} MB, "
            f"on the 12-megapixel photo {self.resident_megabytes_large:.1f} MB"
        )


def measure_speed(model: str | None = None) -> Speed:
    """Times and weighs the reading of photos drawn for it. model: a .tflite file, None for the one that ships.

    Raises DataError, ModelError, MissingRuntimeError where neither runtime is installed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        small = Path(scratch) / "small.jpg"
        _write(photograph(0, SMALL_PHOTO, SMALL_PHOTO_DIGIT, SMALL_PHOTO_LINES).frame, small)
        readers = _readers(model)
        times = {runtime: _milliseconds(lambda r=r: r.read(small), SMALL_ROUNDS) for runtime, r in readers.items()}
        reader = next(iter(readers.values()))
        large, reduced = Path(scratch) / "large.jpg", Path(scratch) / "reduced.jpg"
        shares = []
        for number, part in enumerate(np.linspace(*SMALLEST_DIGITS, LARGE_PHOTOS)):
            # The jitter of heights must not take a digit below the least that is to be read.
            page = photograph(number, LARGE_PHOTO, float(part) * LARGE_PHOTO[0] * 1.1, LARGE_PHOTO_LINES)
            _write(page.frame, large)
            size = (LARGE_PHOTO[0] // REDUCTION, LARGE_PHOTO[1] // REDUCTION)
            _write(np.asarray(cv2.resize(page.frame, size, interpolation=cv2.INTER_AREA), np.uint8), reduced)
            shares.append((*_found(reader, page, large, 1), *_found(reader, page, reduced, REDUCTION)))
        recall, right, reduced_recall, reduced_right = (sum(part) / len(part) for part in zip(*shares, strict=True))
        return Speed(
            small_photo=times,
            large_photo=_milliseconds(lambda: reader.read(large), LARGE_ROUNDS),
            reduced_photo=_milliseconds(lambda: reader.read(reduced), LARGE_ROUNDS),
            large_recall=recall,
            reduced_recall=reduced_recall,
            large_right=right,
            reduced_right=reduced_right,
            resident_megabytes=_resident(small, model),
            resident_megabytes_large=_resident(large, model),
        )


def _readers(model: str | None) -> dict[str, DigitReader]:
    """A reader for each runtime that is installed, the fastest first."""
    readers = {}
    for runtime in RUNTIMES:
        try:
            readers[runtime] = DigitReader(model, runtime=runtime)
        except MissingRuntimeError as error:
            missing = error
    if not readers:
        raise missing
    return readers


def _write(frame: np.ndarray, path: Path) -> None:
    cv2.imwrite(str(path), frame, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def _milliseconds(read: Callable[[], object], rounds: int) -> float:
    """The median processor time of a reading, over all threads."""
    times = []
    for number in range(WARM_UP + rounds):
        start = time.process_time()
        read()
        if number >= WARM_UP:
            times.append(time.process_time() - start)
    return 1000 * median(times)


def _found(reader: DigitReader, page: Scene, path: Path, reduction: int) -> tuple[float, float]:
    """The parts of a page's digits that are found, and that are named right."""
    reading = reader.read(path)
    boxes = [tuple(side * reduction for side in digit.box) for digit in reading.digits]
    matched = match_boxes([digit.box for digit in page.digits], boxes)  # type: ignore[arg-type]
    right = sum(page.digits[i].label == reading.digits[j].label for i, j in matched.items())
    return len(matched) / len(page.digits), right / len(page.digits)


def _resident(path: Path, model: str | None) -> float:
    """The most memory in megabytes that `edge-digits read` held while it read one picture. Raises DataError."""
    command = [sys.executable, "-m", "edge", "read", *(["--model", model] if model else []), "--", str(path)]
    run = subprocess.run([sys.executable, "-c", WEIGH, *command], capture_output=True, text=True)
    if run.returncode:
        raise DataError(f"edge-digits read failed: {' '.join(run.stderr.split())}")
    return int(run.stdout) * 1024 / 1e6

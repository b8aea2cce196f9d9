"""Runs the contestants, each in its own process and environment, in turns: A B C A B C."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from edge import model_file
from train.bench.onnx_file import onnx_of
from train.data import DATA_FOLDER, DataError, fetch_mnist, read_idx
from train.scenes import photograph

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / "build/bench"
WORKER = Path(__file__).with_name("worker.py")
WORKSTATION = "workstation"  # the environment of this program itself, with TensorFlow in it

# name: (environment, engines that share a process)
GLYPH_PROCESSES = {
    "keras": (WORKSTATION, ("keras",)),
    "tf_lite": (WORKSTATION, ("tf_lite",)),
    "tflite": ("tflite", ("tflite",)),
    "litert": ("litert", ("litert", "classifier")),
    "onnxruntime": ("onnxruntime", ("onnxruntime",)),
    "opencv": ("litert", ("opencv",)),
}
PHOTO_PROCESSES = {
    "read_litert": ("litert", ("read_litert",)),
    "read_tflite": ("tflite", ("read_tflite",)),
    "rapidocr": ("rapidocr", ("rapidocr",)),
    "rapidocr_one_thread": ("rapidocr", ("rapidocr_one_thread",)),
    "tesseract": (WORKSTATION, ("tesseract",)),
}
DEBIAN_TESSERACT = ("tesseract-ocr", "tesseract-ocr-eng", "tesseract-ocr-osd", "libtesseract5", "liblept5")
DOT_PRODUCTS = ("avx512_vnni", "avx_vnni", "asimddp")  # processor features: four products of int8 numbers at once
NOT_NEEDED = ("pip", "setuptools", "wheel")

TEST_FILES = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
GLYPHS = 1000  # of MNIST's test pictures, for how many are right
TURN_SECONDS = 0.05  # of naming, about
GLYPH_ROUNDS = 40
PHOTO_SIZE, PHOTO_DIGIT, PHOTO_LINES = (768, 560), 64.0, (4, 4)  # pixels; eight digits
PHOTOS = 40
PHOTO_TURN = 4  # photos that one reads before the next one's turn, at least, and as many as it reads in
PHOTO_TURN_SECONDS = 0.4  # seconds, about: the first photo after another's turn finds a cold cache
PHOTO_ROUNDS = 2  # over all photos, at least
COLD_ROUNDS = 5
SCALING_PHOTOS = 1000
SCALING_ROUNDS = 9
JPEG_QUALITY = 90


class Process:
    """A contestant that runs."""

    def __init__(self, environment: str, engines: Sequence[str], files: Path) -> None:
        self._process = subprocess.Popen(
            [str(python_of(environment)), str(WORKER), ",".join(engines), str(files)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._name = ",".join(engines)
        self._answer()

    def ask(self, engine: str, **task: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"engine": engine, **task}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):  # others say things of their own
                return dict(json.loads(line))
        raise DataError(f"{self._name} ended; see what `python train/bench/worker.py {self._name} ...` says")

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def python_of(environment: str) -> Path:
    return Path(sys.executable) if environment == WORKSTATION else ENVIRONMENTS / environment / "bin/python"


def run(say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True)) -> dict[str, Any]:
    """Everything that BENCHMARKS.md is made from. Raises DataError."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        files, labels = _files(scratch)
        photos, truths = _photos(scratch)
        found: dict[str, Any] = {"machine": _machine()}
        say("environments ...")
        found["environments"] = environments()
        say("glyphs ...")
        found["glyphs"] = _glyphs(files, labels)
        say("photos ...")
        found["photos"] = _read_photos(files, photos, truths)
        say("cold starts ...")
        _cold_starts(found, files, photos[0])
        say("two cores against one ...")
        found["scaling"] = _scaling(photos)
        return found


def _files(scratch: Path) -> tuple[Path, list[int]]:
    import keras

    onnx = scratch / "digits.onnx"
    keras_file = ROOT / "models/digits.keras"
    onnx.write_bytes(onnx_of(keras.models.load_model(keras_file)))
    fetch_mnist(DATA_FOLDER)
    images, labels = (read_idx(DATA_FOLDER / name)[:GLYPHS] for name in TEST_FILES)
    np.save(scratch / "glyphs.npy", images)
    files = {
        "root": str(ROOT),
        "tflite": str(model_file.default_model()),
        "keras": str(keras_file),
        "onnx": str(onnx),
        "glyphs": str(scratch / "glyphs.npy"),
    }
    (scratch / "files.json").write_text(json.dumps(files))
    return scratch / "files.json", labels.tolist()


def _photos(scratch: Path) -> tuple[list[str], list[str]]:
    paths, truths = [], []
    for seed in range(PHOTOS):
        scene = photograph(seed, PHOTO_SIZE, PHOTO_DIGIT, PHOTO_LINES)
        path = scratch / f"{seed}.jpg"
        cv2.imwrite(str(path), scene.frame, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        paths.append(str(path))
        truths.append("".join(str(digit.label) for digit in scene.digits))
    return paths, truths


def digits_right(truth: str, said: str) -> int:
    """How many digits of the truth were said, in its order: the longest common subsequence; all else is left out."""
    before = [0] * (len(truth) + 1)
    for letter in said:
        now = [0]
        for k, wanted in enumerate(truth):
            now.append(before[k] + 1 if letter == wanted else max(before[k + 1], now[k]))
        before = now
    return before[-1]


def _glyphs(files: Path, labels: Sequence[int]) -> dict[str, Any]:
    with ExitStack() as stack:
        running: dict[str, Process] = {}
        rows: dict[str, Any] = {}
        turns: dict[str, int] = {}
        for environment, engines in GLYPH_PROCESSES.values():
            process = Process(environment, engines, files)
            stack.callback(process.end)
            for engine in engines:
                running[engine] = process
                # The first glyphs pay for what is made when it is first used.
                process.ask(engine, glyphs=[0, 2])
                every = process.ask(engine, glyphs=[0, GLYPHS])
                turns[engine] = max(1, min(GLYPHS, int(TURN_SECONDS * GLYPHS / every["wall"])))
                right = sum(said == label for said, label in zip(every["answers"], labels, strict=True))
                rows[engine] = {"right": right, "of": GLYPHS, "resident_mb": round(every["resident"] / 1e6, 1)}
        times: dict[str, list[float]] = {engine: [] for engine in running}
        for _ in range(GLYPH_ROUNDS):
            for engine, process in running.items():
                said = process.ask(engine, glyphs=[0, turns[engine]])
                times[engine].append(1e6 * said["cpu"] / turns[engine])
    for engine, taken in times.items():
        rows[engine] |= {"cpu_us": round(median(taken), 2), "least_us": round(min(taken), 2)}
    ours, bare = times["classifier"], times["litert"]
    rows["classifier"]["against_litert"] = round(median(a / b for a, b in zip(ours, bare, strict=True)), 3)
    return rows


def _read_photos(files: Path, photos: Sequence[str], truths: Sequence[str]) -> dict[str, Any]:
    times: dict[str, list[float]] = {engine: [] for engine in PHOTO_PROCESSES}
    said: dict[str, dict[str, str]] = {engine: {} for engine in PHOTO_PROCESSES}
    resident: dict[str, float] = {}
    turns: dict[str, int] = {}
    with ExitStack() as stack:
        running = {}
        for engine, (environment, engines) in PHOTO_PROCESSES.items():
            running[engine] = Process(environment, engines, files)
            stack.callback(running[engine].end)
            running[engine].ask(engine, photos=photos[:2])
            wall = running[engine].ask(engine, photos=photos)["wall"]
            turns[engine] = max(PHOTO_TURN, round(PHOTO_TURN_SECONDS * len(photos) / wall))
        for _ in range(PHOTO_ROUNDS):
            for start in range(0, len(photos), PHOTO_TURN):
                for engine, process in running.items():
                    turn = [photos[(start + k) % len(photos)] for k in range(turns[engine])]
                    answer = process.ask(engine, photos=turn)
                    times[engine].append(1e3 * answer["cpu"] / len(turn))
                    resident[engine] = round(answer["resident"] / 1e6, 1)
                    said[engine].update(zip(turn, answer["answers"], strict=True))
    return {
        engine: {
            "cpu_ms": round(median(taken), 3),
            "least_ms": round(min(taken), 3),
            "right": sum(digits_right(truth, said[engine][path]) for path, truth in zip(photos, truths, strict=True)),
            "of": sum(map(len, truths)),
            "resident_mb": resident[engine],
        }
        for engine, taken in times.items()
    }


def _cold_starts(found: dict[str, Any], files: Path, photo: str) -> None:
    """Adds "cold_ms" to every row: the processor time of a process that answers one question, start and all."""
    rows = [(env, engine, "glyphs") for env, engines in GLYPH_PROCESSES.values() for engine in engines]
    rows += [(env, engine, "photos") for env, engines in PHOTO_PROCESSES.values() for engine in engines]
    taken: dict[tuple[str, str, str], list[float]] = {row: [] for row in rows}
    for _ in range(COLD_ROUNDS):
        for environment, engine, kind in rows:
            task = {"engine": engine, kind: [photo] if kind == "photos" else [0, 1]}
            command = [str(python_of(environment)), str(WORKER), engine, str(files)]
            before = os.times()
            subprocess.run(command, input=json.dumps(task) + "\n", text=True, capture_output=True, check=True)
            after = os.times()
            spent = after.children_user + after.children_system - before.children_user - before.children_system
            taken[environment, engine, kind].append(1e3 * spent)
    for (_, engine, kind), times in taken.items():
        found[kind][engine]["cold_ms"] = round(median(times))


def _scaling(photos: Sequence[str]) -> dict[str, Any]:
    """`edge-digits read` on many photos by one process on one core, and by two on two."""
    names = "".join(f"{photos[k % len(photos)]}\n" for k in range(SCALING_PHOTOS))
    cores = sorted(os.sched_getaffinity(0))[:2]
    walls: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(SCALING_ROUNDS):
        for jobs, own in walls.items():
            command = [str(python_of("litert")), "-m", "edge", "read", "--format", "jsonl", "--jobs", str(jobs), "-"]
            on_cores = ["taskset", "-c", ",".join(map(str, cores[:jobs])), *command]
            start = time.perf_counter()
            done = subprocess.run(on_cores, input=names, text=True, capture_output=True, check=True, cwd=ROOT)
            own.append(time.perf_counter() - start)
            assert len(done.stdout.splitlines()) == SCALING_PHOTOS
    ratios = [one / two for one, two in zip(walls[1], walls[2], strict=True)]
    return {
        "photos": SCALING_PHOTOS,
        "one_s": round(min(walls[1]), 2),
        "two_s": round(min(walls[2]), 2),
        "median_ratio": round(median(ratios), 2),
        "best_ratio": round(min(walls[1]) / min(walls[2]), 2),
    }


def environments() -> dict[str, Any]:
    """For each its Python, and of each distribution in it the version and the bytes of its files."""
    names = [WORKSTATION, *sorted({env for env, _ in (*GLYPH_PROCESSES.values(), *PHOTO_PROCESSES.values())})]
    found = {}
    for name in dict.fromkeys(names):
        said = subprocess.run([str(python_of(name)), "-c", WEIGH], capture_output=True, text=True, check=True).stdout
        found[name] = json.loads(said)
        for unneeded in NOT_NEEDED:
            found[name]["distributions"].pop(unneeded, None)
    found["debian"] = {"python": None, "distributions": {name: _debian(name) for name in DEBIAN_TESSERACT}}
    own = [path for path in (ROOT / "edge").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    own += [model_file.default_model(), model_file.default_model("lines-int8.tflite")]
    found["edge"] = {"python": None, "distributions": {"edge-digits": ["", sum(p.stat().st_size for p in own)]}}
    return found


WEIGH = """
import json, os, platform
from importlib.metadata import distributions
found = {}
for one in distributions():
    files = {os.path.realpath(one.locate_file(f)) for f in one.files or () if not str(f).endswith('.pyc')}
    size = sum(os.path.getsize(f) for f in files if os.path.isfile(f))
    found[one.metadata['Name'].lower().replace('_', '-')] = [one.version, size]
print(json.dumps({'python': platform.python_version(), 'distributions': found}))
"""


def _debian(name: str) -> list[Any]:
    if not shutil.which("dpkg-query"):
        raise DataError("Tesseract is measured as Debian packages it, and this is not Debian")
    form = "--showformat=${Version} ${Installed-Size}"
    said = subprocess.run(["dpkg-query", "--show", form, name], capture_output=True, text=True)
    if said.returncode:
        raise DataError(f"Tesseract is not there: sudo apt install {DEBIAN_TESSERACT[0]} {DEBIAN_TESSERACT[1]}")
    version, size = said.stdout.split()
    return [version, int(size) * 1024]


def _machine() -> dict[str, Any]:
    said = Path("/proc/cpuinfo").read_text().splitlines()
    fields = [[part.strip() for part in line.split(":", 1)] for line in said if ":" in line]
    names = [value for name, value in fields if name == "model name"]
    features = {feature for name, value in fields if name in ("flags", "Features") for feature in value.split()}
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "dot_products": not features.isdisjoint(DOT_PRODUCTS),
        "system": platform.platform(),
        "load": round(os.getloadavg()[0], 1),
    }

"""`edge-digits bench`: how fast this device reads, and with what runtime, model and threads it reads fastest.

The pictures are drawn by the program itself, so the same command measures the same work on every device. What is
compared is measured in turns, A B C A B C, so that a clock that rises or falls with the heat does so for all alike.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from edge.arguments import ALL_ANSWERED, SOME_FAILED, Parser
from edge.terminal import is_terminal, show_warnings, write

if TYPE_CHECKING:  # imported where they are used: --help does not wait for NumPy, OpenCV and a runtime
    from edge.reader import DigitReader

SIZES = ((640, 480), (1280, 720), (1920, 1080), (4000, 3000))  # pixels: two of a camera, a video's, a photograph's
ON_A_DESK = (1280, 720)  # pixels: once more, with wood around the sheet, whose grain and edges are looked at, too
SHEET = (0.85, 0.80)  # parts of a drawn desk's width and height that surely lie on the sheet
LARGEST_DRAWN = 1920  # pixels: larger pictures are drawn at half or a third of their size, in a Pi Zero's memory
TEXT = "31415926"  # what stands in each picture
THREADS = (1, 2, 4)  # as far as there are cores: with more, a runtime's threads wait for one another
THREADS_SIZE = 1  # of SIZES: the picture that is read with so many threads
JPEG_QUALITY = 90

DEFAULT_SECONDS = 20.0
CLASSIFY_PART, READ_PART = 0.35, 0.45  # of the time; the rest goes to the threads
LEAST_ROUNDS = 3  # of each measurement, however short the time
MOST_ROUNDS = 2000
GLYPHS = 20  # named in one turn: one takes less than a clock's grain can tell
WORTH_IT = 0.9  # a further thread has to bring the time below this part, else it only takes a core from other work

SCHEMA = 1  # of the JSON, raised when a key changes its meaning
COLD = """
import sys
from edge.cli import main
status = main(sys.argv[1:])
with open("/proc/self/status") as said:
    print(next((line.split()[1] for line in said if line.startswith("VmHWM:")), ""), file=sys.stderr)
sys.exit(status)
"""


# Named tuples, here and below: --help would wait for what dataclasses import.
class Naming(NamedTuple):
    """Naming one glyph. Times are medians, in microseconds."""

    runtime: str
    model: str
    """The file's name."""
    threads: int
    wall_us: float
    cpu_us: float
    """Over all threads."""
    rounds: int


class Reading(NamedTuple):
    """Reading one picture with a single thread. Times are medians, in milliseconds."""

    width: int
    height: int
    desk: bool
    """Whether there is a desk around the sheet."""
    decode_ms: float
    segment_ms: float
    """All between the decoded picture and the text that is not a network."""
    classify_ms: float
    """In the networks: one glyph after the other, and the lines that are looked at twice."""
    read_ms: float
    """From the JPEG file to the text."""
    cpu_ms: float
    """The same in processor time."""
    frames_per_second: float
    rounds: int
    text: str
    right: bool


class Threading(NamedTuple):
    """Reading the same picture with more threads of the runtime: medians, in milliseconds."""

    threads: int
    read_ms: float
    cpu_ms: float
    rounds: int


def add_arguments(parser: Parser) -> None:
    """What `bench` takes."""
    parser.description = (
        "Measures decoding, segmenting, naming and reading on this device, with pictures that it draws itself, and "
        "recommends a runtime, a model and a number of threads."
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=DEFAULT_SECONDS,
        metavar="N",
        help="about how long it may take (default: %(default)g); more gives steadier numbers",
    )
    parser.add_argument(
        "--model",
        action="append",
        metavar="FILE",
        help="a .tflite model to compare; more than once for several (default: the one that ships, and its "
        "digits-*.tflite beside it)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object, to share (default into a pipe or a file)")
    parser.set_defaults(run=run)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a time to measure for")
    return value


_seconds.__name__ = "number of seconds"


def run(options: argparse.Namespace, terminal: TextIO) -> int:
    """`edge-digits bench`."""
    import json

    from edge.commands import settle_libraries

    settle_libraries()
    show_warnings(terminal)
    if terminal.isatty():
        terminal.write(f"measuring for about {options.seconds:g} seconds ...\n")
    found = measure(options.seconds, options.model)
    if options.json or not is_terminal(1):
        write(json.dumps(found, indent=2 if is_terminal(1) else None).encode() + b"\n")
    else:
        write("".join(f"{line}\n" for line in lines(found)).encode("utf-8", "backslashreplace"))
    return ALL_ANSWERED if all(row["right"] for row in found["read"]) else SOME_FAILED


def measure(seconds: float = DEFAULT_SECONDS, models: Sequence[str] | None = None) -> dict[str, Any]:
    """Everything `edge-digits bench --json` says.

    models: .tflite files; None for those that ship. Raises ModelError, MissingRuntimeError or UsageError.
    """
    import tempfile

    from edge import device
    from edge.daemon.health import device_facts
    from edge.reader import DigitReader

    started = time.monotonic()
    files = _named([Path(name).absolute() for name in models] if models else _own_models())
    before = device_facts(Path())
    named, missing = _measure_naming(files, seconds * CLASSIFY_PART)
    best = _fastest(named)
    model = files[best.model]
    with tempfile.TemporaryDirectory() as scratch:
        pictures = [*(_draw(size, Path(scratch)) for size in SIZES), _draw(ON_A_DESK, Path(scratch), desk=True)]
        reader = DigitReader(model, runtime=best.runtime)
        read = _measure_reading(reader, pictures, seconds * READ_PART)
        threaded = _measure_threads(
            {n: DigitReader(model, runtime=best.runtime, threads=n) for n in _threads(device.cores())},
            pictures[THREADS_SIZE],
            seconds * (1 - CLASSIFY_PART - READ_PART),
        )
        cold = [_cold_start(path, model, best.runtime) for path in (pictures[0], pictures[len(SIZES) - 1])]
    after = device_facts(Path())
    default = DigitReader()
    said = device.describe(None, None)
    recommended = recommend(named, threaded, device.cores())
    defaults = {"runtime": default.classifier.runtime, "model": default.classifier.info.path.name, "threads": 1}
    return {
        "schema": SCHEMA,
        **{key: said[key] for key in ("edge_digits", "device", "machine", "platform", "cores")},
        **{key: said[key] for key in ("python", "numpy", "opencv", "runtime")},
        "classify": [row._asdict() for row in named],
        "missing": missing,
        "read": [row._asdict() for row in read],
        "threads": [row._asdict() for row in threaded],
        "cold_start_ms": cold[0][0],
        "memory_mb": cold[0][1],
        "memory_large_mb": cold[1][1],
        "temperature_c": {"before": before["temperature_c"], "after": after["temperature_c"]},
        "throttled": after["throttled"],
        "recommended": recommended,
        "defaults": defaults,
        "jobs": device.jobs(1),
        "seconds": round(time.monotonic() - started, 1),
    }


def recommend(named: Sequence[Naming], threaded: Sequence[Threading], cores: int) -> dict[str, Any]:
    """The fastest runtime and model for one glyph on one thread, and as many threads as are worth their cores."""
    best = _fastest(named)
    chosen = min(threaded, key=lambda row: row.threads)
    for row in sorted(threaded, key=lambda row: row.threads):
        if row.threads <= cores and row.read_ms < WORTH_IT * chosen.read_ms:
            chosen = row
    return {"runtime": best.runtime, "model": best.model, "threads": chosen.threads}


def _fastest(named: Sequence[Naming]) -> Naming:
    return min((row for row in named if row.threads == 1), key=lambda row: row.wall_us)


def _threads(cores: int) -> list[int]:
    return [threads for threads in THREADS if threads <= cores]


def _own_models() -> list[Path]:
    from edge.model_file import default_model

    default = default_model()
    return [default, *sorted(path for path in default.parent.glob("digits-*.tflite") if path != default)]


# Pictures -----------------------------------------------------------------------------------------------------------


def _draw(size: tuple[int, int], folder: Path, *, desk: bool = False) -> Path:
    """A JPEG of that width and height: a sheet with TEXT written on it, which fills it unless there is a desk."""
    import cv2
    import numpy as np

    from edge.daemon.synthetic import Sheet

    reduction = -(-max(size) // LARGEST_DRAWN)
    width, height = size[0] // reduction, size[1] // reduction
    if desk:
        frame = Sheet((width, height)).showing(TEXT)
    else:
        whole = Sheet((round(width / SHEET[0]), round(height / SHEET[1]))).showing(TEXT)
        top, left = (whole.shape[0] - height) // 2, (whole.shape[1] - width) // 2
        frame = np.ascontiguousarray(whole[top : top + height, left : left + width])
    if reduction > 1:
        frame = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    path = folder / f"{size[0]}x{size[1]}{'-desk' * desk}.jpg"
    cv2.imwrite(str(path), frame, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return path


def _cold_start(picture: Path, model: Path, runtime: str) -> tuple[float, float | None]:
    """Milliseconds and most resident megabytes of `edge-digits read` on one picture, from nothing."""
    import subprocess

    command = [sys.executable, "-c", COLD, "read", "--model", str(model), "--runtime", runtime, "--", str(picture)]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    took = 1000 * (time.perf_counter() - start)
    last = done.stderr.split()[-1:]
    return round(took, 1), round(int(last[0]) * 1024 / 1e6, 1) if last and last[0].isdecimal() else None


# Measuring ----------------------------------------------------------------------------------------------------------


Times = tuple[float, float]  # seconds: on the wall, of the processor


def _timed(act: Callable[[], object]) -> Times:
    wall, processor = time.perf_counter(), time.process_time()
    act()
    return time.perf_counter() - wall, time.process_time() - processor


def _in_turns(acts: Sequence[Callable[[], None]], seconds: float) -> int:
    """Does each in turn, again and again for about so long; returns how often. The first turn is to warm up."""
    for act in acts:
        act()
    rounds, end = 0, time.monotonic() + seconds
    while rounds < LEAST_ROUNDS or (time.monotonic() < end and rounds < MOST_ROUNDS):
        for act in acts:
            act()
        rounds += 1
    return rounds


def _middle(values: Sequence[float], scale: float) -> float:
    """The median of all but the first, which warmed up."""
    from statistics import median

    return round(scale * median(values[1:]), 3)


def _named(models: Sequence[Path]) -> dict[str, Path]:
    """By what rows call them: their names, where that tells them apart."""
    models = list(dict.fromkeys(models))
    alike = len({path.name for path in models}) < len(models)
    return {str(path) if alike else path.name: path for path in models}


def _measure_naming(models: Mapping[str, Path], seconds: float) -> tuple[list[Naming], dict[str, str]]:
    """A row for each runtime, model and number of threads; and why a runtime is not among them."""
    from edge.classifier import RUNTIMES, Classifier
    from edge.device import cores
    from edge.errors import MissingRuntimeError

    classifiers: dict[tuple[str, str, int], Classifier] = {}
    missing: dict[str, MissingRuntimeError] = {}
    for runtime in RUNTIMES:
        try:
            for name, model in models.items():
                for threads in _threads(cores()):
                    classifiers[runtime, name, threads] = Classifier(model, runtime, threads)
        except MissingRuntimeError as error:
            missing[runtime] = error
    if not classifiers:
        raise next(iter(missing.values()))
    glyph = _glyph()
    times: dict[tuple[str, str, int], list[Times]] = {key: [] for key in classifiers}

    def turn(key: tuple[str, str, int]) -> Callable[[], None]:
        classifier, own = classifiers[key], times[key]

        def name() -> None:
            for _ in range(GLYPHS):
                classifier(glyph)

        return lambda: own.append(_timed(name))

    rounds = _in_turns([turn(key) for key in classifiers], seconds)
    rows = []
    for key, own in times.items():
        wall, processor = (_middle(part, 1e6 / GLYPHS) for part in zip(*own, strict=True))
        rows.append(Naming(*key, wall, processor, rounds * GLYPHS))
    return rows, {runtime: str(error) for runtime, error in missing.items()}


def _glyph() -> Any:
    """uint8 (1, 28, 28): a digit as the network sees it."""
    import numpy as np

    from edge.daemon.synthetic import Sheet
    from edge.preprocess import single_glyph

    glyph = single_glyph(Sheet((320, 240)).showing("5"))
    return np.zeros((1, 28, 28), np.uint8) if glyph is None else glyph[None]


class _Watched:
    """Stands before a network, or what gives a page's pixels, and adds up the time spent in it."""

    def __init__(self, watched: Any) -> None:
        self._watched = watched
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._watched, name)

    def __call__(self, *given: Any) -> Any:
        return self._passed(self._watched, *given)

    def read(self, image: Any) -> Any:
        return self._passed(self._watched.read, image)

    def _passed(self, act: Callable[..., Any], *given: Any) -> Any:
        start = time.perf_counter()
        try:
            return act(*given)
        finally:
            self.seconds += time.perf_counter() - start


def _measure_reading(reader: "DigitReader", pictures: Sequence[Path], seconds: float) -> list[Reading]:
    from edge.decode import decode_page

    watched = [_Watched(reader.classifier), _Watched(reader.lines)]
    taken = reader.classifier, reader.lines
    stages: dict[Path, list[tuple[float, ...]]] = {path: [] for path in pictures}
    texts: dict[Path, str] = {}

    def turn(path: Path) -> Callable[[], None]:
        def measure_stages() -> None:
            start = time.perf_counter()
            page = decode_page(path)
            decoded = time.perf_counter() - start
            # What a glance does not tell is decoded while it is read.
            late = _Watched(page.grey), _Watched(page.colour)
            page = replace(page, grey=late[0], colour=late[1])
            for network in watched:
                network.seconds = 0.0
            reader.classifier, reader.lines = watched  # type: ignore[assignment]
            start = time.perf_counter()
            reader.read(page)
            looked = time.perf_counter() - start
            reader.classifier, reader.lines = taken
            named, decoding = (sum(part.seconds for part in parts) for parts in (watched, late))
            whole = _timed(lambda: texts.update({path: reader.read(path).text}))
            stages[path].append((decoded + decoding, looked - named - decoding, named, *whole))

        return measure_stages

    rounds = _in_turns([turn(path) for path in pictures], seconds)
    rows = []
    for path in pictures:
        width, height = map(int, path.stem.removesuffix("-desk").split("x"))
        decode, segment, classify, whole, processor = (_middle(part, 1e3) for part in zip(*stages[path], strict=True))
        fps = round(1000 / whole, 1)
        text = texts[path]
        stages_ms = (decode, segment, classify, whole, processor)
        rows.append(Reading(width, height, path.stem.endswith("-desk"), *stages_ms, fps, rounds, text, text == TEXT))
    return rows


def _measure_threads(readers: Mapping[int, "DigitReader"], picture: Path, seconds: float) -> list[Threading]:
    times: dict[int, list[Times]] = {threads: [] for threads in readers}

    def turn(threads: int) -> Callable[[], None]:
        return lambda: times[threads].append(_timed(lambda: readers[threads].read(picture)))

    rounds = _in_turns([turn(threads) for threads in readers], seconds)
    rows = []
    for threads, own in times.items():
        wall, processor = (_middle(part, 1e3) for part in zip(*own, strict=True))
        rows.append(Threading(threads, wall, processor, rounds))
    return rows


# For people ---------------------------------------------------------------------------------------------------------


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What `measure` gives, as tables."""
    yield f"{found['device'] or found['platform']}, {found['cores']} cores, Python {found['python']}"
    yield ""
    yield f"{'one glyph':<34}{'threads':>8}{'time µs':>10}{'processor µs':>14}"
    for row in found["classify"]:
        name = f"{row['runtime']} {row['model']}"
        yield f"{name:<34}{row['threads']:>8}{row['wall_us']:>10.1f}{row['cpu_us']:>14.1f}"
    for runtime, reason in found["missing"].items():
        yield f"{runtime:<34}not measured: {reason}"
    yield ""
    columns = "".join(f"{name:>9}" for name in ("decode", "segment", "classify", "in all"))
    yield f"{'eight digits, ms':<20}{columns}{'processor':>11}{'a second':>10}"
    for row in found["read"]:
        times = "".join(f"{row[key]:>9.2f}" for key in ("decode_ms", "segment_ms", "classify_ms", "read_ms"))
        wrong = "" if row["right"] else f"   read {row['text']!r}, not {TEXT!r}"
        yield f"{row['width']}×{row['height']}{' on a desk' * row['desk']}".ljust(20) + (
            f"{times}{row['cpu_ms']:>11.2f}{row['frames_per_second']:>10.1f}{wrong}"
        )
    yield ""
    size = "×".join(map(str, SIZES[THREADS_SIZE]))
    for row in found["threads"]:
        label = f"{size}, {row['threads']} thread{'s' * (row['threads'] > 1)}"
        yield f"{label:<34}{row['read_ms']:>8.2f} ms, processor {row['cpu_ms']:.2f} ms"
    yield ""
    memory = ", ".join(
        f"{megabytes:.1f} MB for {width}×{height}"
        for megabytes, (width, height) in ((found["memory_mb"], SIZES[0]), (found["memory_large_mb"], SIZES[-1]))
        if megabytes is not None
    )
    yield f"cold start          {found['cold_start_ms']:.0f} ms"
    yield f"memory              {memory or 'not known here'}"
    before, after = found["temperature_c"]["before"], found["temperature_c"]["after"]
    yield f"temperature         {'not known here' if after is None else f'{before} °C before, {after} °C after'}"
    throttled = found["throttled"]
    yield f"throttling          {'not known here' if throttled is None else ', '.join(throttled) or 'none'}"
    yield ""
    best = found["recommended"]
    yield f"recommended         --runtime {best['runtime']} --threads {best['threads']}, {best['model']}"
    same = best == found["defaults"]
    standing = found["defaults"]
    yield (
        "defaults            these"
        if same
        else f"defaults            runtime {standing['runtime']}, {standing['threads']} thread, {standing['model']}"
    ) + f"; a folder is read by {found['jobs']} processes"

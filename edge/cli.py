"""The command `edge-digits`."""

import argparse
import contextlib
import os
import select
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from edge.arguments import WRONG_COMMAND_LINE, Parser, count, share
from edge.errors import EdgeDigitsError, PictureError

if TYPE_CHECKING:  # imported where they are used: --help does not wait for NumPy, OpenCV and a runtime
    from edge.output import Answer
    from edge.reader import DigitReader
    from edge.source import Found

PROGRAM = "edge-digits"

ALL_ANSWERED, SOME_FAILED, CANNOT_START, INTERRUPTED = 0, 1, WRONG_COMMAND_LINE, 130  # exit statuses

DEBUG_VARIABLE = "EDGE_DIGITS_DEBUG"  # environment variable: anything in it brings tracebacks back
JOBS_PER_CORE = 4  # processes at most: more only wait for each other
MAX_JOBS = 128  # each takes two of the 1,024 descriptors that a process usually has, and that select() can watch
RUNTIME_NAMES = ("litert", "tflite")

CLASSIFY_STATUSES = """\
exit status: 0 every picture was answered, 1 some failed (each says why), 2 nothing could start: the command line,
the model or the runtime is wrong, 130 interrupted"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    try:
        options = _parser().parse_args(arguments)
        terminal = _take_standard_error()
    except KeyboardInterrupt:
        return INTERRUPTED
    try:
        return int(options.run(options, terminal))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader has seen enough
        _drop_standard_output()
        return ALL_ANSWERED
    except EdgeDigitsError as error:
        _complain(terminal, str(error))
        return CANNOT_START
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        if isinstance(error, OSError):
            _drop_standard_output()
            _complain(terminal, f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
        else:
            _complain(terminal, f"internal error ({type(error).__name__}: {error}); {DEBUG_VARIABLE}=1 shows where")
        return SOME_FAILED


def _parser() -> argparse.ArgumentParser:
    from edge import __version__

    parser = Parser(prog=PROGRAM, description="Reads handwritten digits in pictures, on this device, with no network.")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    model = Parser(add_help=False)
    model.add_argument("--model", metavar="FILE", help="a .tflite model instead of the one that ships")
    model.add_argument(
        "--runtime",
        choices=RUNTIME_NAMES,
        help="which runtime to use (default: EDGE_DIGITS_RUNTIME, else litert where it is installed)",
    )

    classify = commands.add_parser(
        "classify",
        parents=[model],
        help="name the one digit in each picture",
        description="Names the one digit in each picture.",
        epilog=CLASSIFY_STATUSES,
    )
    classify.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="a picture, a folder (searched with its subfolders), or - for paths on standard input, one a line",
    )
    classify.add_argument(
        "--format",
        choices=("table", "jsonl", "csv"),
        help="default: a table on a terminal, one JSON object a line into a pipe or a file",
    )
    classify.add_argument(
        "--top-k", type=count, default=2, metavar="N", help="how many candidates to list (default: %(default)s)"
    )
    classify.add_argument(
        "--min-confidence",
        type=share,
        metavar="X",
        help="refuse answers with less confidence, 0 to 1 (default: the model's own threshold)",
    )
    classify.add_argument(
        "--jobs", type=count, metavar="N", help="processes to use (default: one a core; at most four)"
    )
    classify.add_argument(
        "--threads", type=count, default=1, metavar="N", help="threads of the runtime, a process (default: 1)"
    )
    classify.set_defaults(run=_classify)

    info = commands.add_parser(
        "info",
        parents=[model],
        help="show which model, runtime and platform are in use",
        description="Shows which model, runtime and platform are in use.",
    )
    info.add_argument(
        "--format",
        choices=("table", "json", "jsonl"),
        help="default: a table on a terminal, one JSON object into a pipe or a file",
    )
    info.set_defaults(run=_info)
    return parser


# Standard error. Decoders and runtimes write their own lines there, from C; so descriptor 2 is led nowhere, and what
# this program itself has to say goes to a copy of what it was.


def _take_standard_error() -> TextIO:
    import faulthandler

    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        kept = os.dup(2)
    except OSError:  # the program was started without one
        kept = os.dup(nowhere)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    terminal = os.fdopen(
        kept, "w", buffering=1, encoding=getattr(sys.stderr, "encoding", None) or "utf-8", errors="backslashreplace"
    )
    sys.stderr = terminal
    faulthandler.enable(terminal)  # a crash in a library still says that it was one
    return terminal


def _complain(terminal: TextIO, message: str) -> None:
    with contextlib.suppress(OSError):  # standard error can be full or gone
        terminal.write(f"{PROGRAM}: {' '.join(message.split())}\n")


def _show_warnings(terminal: TextIO) -> None:
    import warnings

    def show(message: Warning | str, *_: object, **__: object) -> None:
        _complain(terminal, f"warning: {message}")

    warnings.showwarning = show


def _drop_standard_output() -> None:
    """Python flushes standard output at its end; into a broken pipe that would be one more complaint."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)


def _write(text: bytes) -> None:
    """To standard output, at once."""
    rest = memoryview(text)
    while rest:
        try:
            rest = rest[os.write(1, rest) :]
        except BlockingIOError:  # somebody set the terminal or pipe so; wait as if nobody had
            select.select([], [1], [])


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


# classify


def _classify(options: argparse.Namespace, terminal: TextIO) -> int:
    _settle_libraries()
    _show_warnings(terminal)
    import cv2

    from edge import pipeline, source
    from edge.output import make_format
    from edge.reader import DigitReader

    # One picture a core uses the cores better than one picture on all of them, and a fork would lose the threads.
    cv2.setNumThreads(1)
    reader = DigitReader(
        options.model,
        runtime=options.runtime,
        threads=options.threads,
        top_k=options.top_k,
        min_confidence=options.min_confidence,
    )
    on_terminal = _is_terminal(1)
    form = make_format(options.format or ("table" if on_terminal else "jsonl"), reader.classifier.labels, reader.top_k)

    def work(items: "Sequence[Found]") -> pipeline.Lines:
        answers = answer(reader, items)
        return pipeline.Lines(
            b"".join(map(form.line, answers)), len(answers), sum(a.error is not None for a in answers)
        )

    def crashed(item: "Found", how: str) -> pipeline.Lines:
        return pipeline.Lines(form.line(_failure(item.path, f"the decoder crashed on it ({how})")), 1, 1)

    def prepare() -> None:
        import faulthandler

        faulthandler.disable()  # the parent says in one line what happened
        reader.classifier.forget_interpreters()

    _write(form.header())
    pictures = failed = 0
    with (
        _progress(options.paths, terminal, on_terminal) as advance,
        contextlib.closing(pipeline.run(source.find(options.paths), work, crashed, prepare, _jobs(options))) as results,
    ):
        for lines in results:
            _write(lines.text)
            pictures += lines.pictures
            failed += lines.failed
            advance(lines.pictures)
    if failed:
        _complain(terminal, f"{failed} of {pictures} pictures failed")
    return SOME_FAILED if failed else ALL_ANSWERED


def answer(reader: "DigitReader", items: "Sequence[Found]") -> "list[Answer]":
    """An answer for each item, in order; one that fails costs its own only."""
    from edge.decode import decode
    from edge.output import Answer
    from edge.preprocess import single_glyph

    answers: list[Answer | None] = []
    glyphs = []
    for item in items:
        try:
            if item.error is not None:
                raise PictureError(item.error)
            glyphs.append(single_glyph(decode(item.path)))
            answers.append(None)
        except PictureError as error:
            answers.append(_failure(item.path, str(error)))
        except MemoryError:
            answers.append(_failure(item.path, "not enough memory for this picture"))
        except Exception as error:
            if os.environ.get(DEBUG_VARIABLE):
                raise
            reason = " ".join(str(error).split())
            answers.append(_failure(item.path, f"internal error ({type(error).__name__}: {reason})"))
    judged = iter(reader.judge_glyphs(glyphs))
    return [
        Answer(item.path, next(judged)) if done is None else done for item, done in zip(items, answers, strict=True)
    ]


def _failure(path: str, error: str) -> "Answer":
    from edge.output import Answer

    return Answer(path, error=error)


def _settle_libraries() -> None:
    """What the libraries read from the environment when they are loaded."""
    from edge.picture_header import MAX_PIXELS

    # Below the check of each header lies OpenCV's own.
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(MAX_PIXELS)
    os.environ["OPENCV_LOG_LEVEL"] = "SILENT"
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # nothing here multiplies large matrices


def _jobs(options: argparse.Namespace) -> int:
    if not hasattr(os, "fork"):
        return 1
    from edge.device import cores

    available = cores()
    wanted = int(options.jobs or max(1, available // int(options.threads)))
    return min(wanted, JOBS_PER_CORE * available, MAX_JOBS)


@contextlib.contextmanager
def _progress(paths: Sequence[str], terminal: TextIO, on_terminal: bool) -> "Iterator[_Advance]":
    """A bar where someone looks at standard error while the answers go elsewhere."""
    if on_terminal or not terminal.isatty():
        yield lambda _: None
        return
    from edge import source
    from edge.progress import Progress

    total = None if source.STANDARD_INPUT in paths else sum(1 for _ in source.find(paths))
    progress = Progress(terminal, total)
    try:
        yield progress.advance
    finally:
        progress.clear()


if TYPE_CHECKING:
    from collections.abc import Callable

    _Advance = Callable[[int], None]


# info


def _info(options: argparse.Namespace, terminal: TextIO) -> int:
    import json

    _settle_libraries()
    _show_warnings(terminal)
    from edge import device

    said = device.describe(options.model, options.runtime)
    form = options.format or ("table" if _is_terminal(1) else "jsonl")
    if form == "table":
        _write("".join(f"{name:<20} {value}\n" for name, value in _rows(said)).encode("utf-8", "backslashreplace"))
    else:
        _write(json.dumps(said, indent=2 if form == "json" else None).encode() + b"\n")
    problems = said["problems"]
    assert isinstance(problems, list)
    for problem in problems:
        _complain(terminal, problem)
    return SOME_FAILED if problems else ALL_ANSWERED


def _rows(said: dict[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in said.items():
        name = f"{prefix} {key}".strip().replace("_", " ")
        if key == "problems":
            continue
        if isinstance(value, dict):
            yield from _rows(value, name)
        elif isinstance(value, list):
            yield name, " ".join(map(str, value))
        elif value is not None:
            yield name, str(value)

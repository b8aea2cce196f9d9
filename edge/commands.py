"""What the commands `classify`, `read` and `info` do."""

import argparse
import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TextIO, TypeVar

from edge.arguments import ALL_ANSWERED, SOME_FAILED
from edge.errors import PictureError
from edge.terminal import DEBUG_VARIABLE, complain, is_terminal, show_warnings, write

if TYPE_CHECKING:  # imported where they are used: --help does not wait for NumPy, OpenCV and a runtime
    from edge.fields import Form
    from edge.output import Answer, Format
    from edge.reader import DigitReader
    from edge.reading import Reading
    from edge.source import Found

    Advance = Callable[[int], None]

JOBS_PER_CORE = 4  # processes at most: more only wait for each other
MAX_JOBS = 128  # each takes two of the 1,024 descriptors that a process usually has, and that select() can watch

Made = TypeVar("Made")


def classify(options: argparse.Namespace, terminal: TextIO) -> int:
    """`edge-digits classify`."""
    settle_libraries()
    show_warnings(terminal)
    from edge import source
    from edge.output import make_format

    reader = make_reader(options, top_k=options.top_k)
    form = make_format(_format_name(options), reader.classifier.labels, reader.top_k)
    return _answer_all(options, terminal, source.find(options.paths), form, reader, _classified)


def read(options: argparse.Namespace, terminal: TextIO) -> int:
    """`edge-digits read`."""
    settle_libraries()
    show_warnings(terminal)
    from edge import source
    from edge.output import Answer, make_page_format

    fields = load_fields(options)
    keeper = _Keeper(options)
    reader = make_reader(options)
    form = make_page_format(_format_name(options), fields is not None)

    def act(item: "Found") -> Answer:
        reading = reader.read(item.path, fields=fields, full_resolution=options.full_resolution)
        try:
            keeper.keep(item, reading)
        except PictureError as error:  # what was read is not lost for that
            return Answer(item.path, reading=reading, error=str(error))
        return Answer(item.path, reading=reading)

    def answers(_: "DigitReader", items: "Sequence[Found]") -> "list[Answer]":
        return [_attempt(item, act) for item in items]

    return _answer_all(options, terminal, keeper.inputs(source.find(options.paths)), form, reader, answers)


class _Keeper:
    """Writes what `read --save` and `--crops` ask for."""

    def __init__(self, options: argparse.Namespace) -> None:
        from edge import save

        self._drawn = None if options.save is None else save.Folder(options.save)
        self._crops = None if options.crops is None else save.Folder(options.crops)

    def inputs(self, found: "Iterator[Found | None]") -> "Iterator[Found | None]":
        """Without what this program itself put there; each with the name to save it under.

        Names are given here, where all of them pass, so that no two get the same.
        """
        folders = [folder for folder in (self._drawn, self._crops) if folder is not None]
        if folders:
            found = (item for item in found if item is None or not any(f.holds_own(item.path) for f in folders))
        return found if self._drawn is None else self._drawn.named(found)

    def keep(self, item: "Found", reading: "Reading") -> None:
        if self._drawn is not None:
            from edge.annotate import annotated
            from edge.decode import decode

            assert item.save_as is not None
            self._drawn.write_picture(item.save_as, annotated(decode(item.path, reduce=False), reading))
        if self._crops is not None:
            from edge.crops import write_crops

            write_crops(self._crops, item.path, reading)


def make_reader(options: argparse.Namespace, **more: int) -> "DigitReader":
    """The reader that a command line asks for, in a process that settle_libraries() prepared."""
    from edge.reader import DigitReader

    return DigitReader(
        options.model,
        runtime=options.runtime,
        threads=getattr(options, "threads", 1),
        min_confidence=options.min_confidence,
        **more,
    )


def load_fields(options: argparse.Namespace) -> "Form | None":
    """The form that --fields names. Raises UsageError for one that is mistaken."""
    if options.fields is None:
        return None
    from edge.fields import load_form

    return load_form(options.fields)


def settle_libraries() -> None:
    """What the libraries read from the environment when they are loaded."""
    from edge.picture_header import MAX_PIXELS

    # Below the check of each header lies OpenCV's own.
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(MAX_PIXELS)
    os.environ["OPENCV_LOG_LEVEL"] = "SILENT"
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # nothing here multiplies large matrices


# Pictures, one after the other or spread over the cores


def _answer_all(
    options: argparse.Namespace,
    terminal: TextIO,
    found: "Iterator[Found | None]",
    form: "Format",
    reader: "DigitReader",
    answers: "Callable[[DigitReader, Sequence[Found]], list[Answer]]",
) -> int:
    """Writes an answer for everything found, in its order; returns the exit status."""
    from edge import pipeline

    def work(items: "Sequence[Found]") -> pipeline.Lines:
        said = answers(reader, items)
        return pipeline.Lines(b"".join(map(form.line, said)), len(said), sum(a.error is not None for a in said))

    def crashed(item: "Found", how: str) -> pipeline.Lines:
        return pipeline.Lines(form.line(_failure(item.path, f"the decoder crashed on it ({how})")), 1, 1)

    def prepare() -> None:
        import faulthandler

        faulthandler.disable()  # the parent says in one line what happened
        reader.forget_interpreters()

    write(form.header())
    pictures = failed = 0
    with (
        _progress(options.paths, terminal) as advance,
        contextlib.closing(pipeline.run(found, work, crashed, prepare, _jobs(options))) as results,
    ):
        for lines in results:
            write(lines.text)
            pictures += lines.pictures
            failed += lines.failed
            advance(lines.pictures)
    if failed:
        complain(terminal, f"{failed} of {pictures} pictures failed")
    return SOME_FAILED if failed else ALL_ANSWERED


def _classified(reader: "DigitReader", items: "Sequence[Found]") -> "list[Answer]":
    """A classification for each item, in order."""
    from edge.decode import decode
    from edge.output import Answer
    from edge.preprocess import single_glyph

    made = [_attempt(item, lambda item: single_glyph(decode(item.path))) for item in items]
    judged = iter(reader.judge_glyphs([glyph for glyph in made if not isinstance(glyph, Answer)]))
    return [
        glyph if isinstance(glyph, Answer) else Answer(item.path, next(judged))
        for item, glyph in zip(items, made, strict=True)
    ]


def _attempt(item: "Found", act: "Callable[[Found], Made]") -> "Made | Answer":
    """What `act` makes of it; where that fails, the answer that says so, so that it costs its own line only."""
    try:
        if item.error is not None:
            raise PictureError(item.error)
        return act(item)
    except PictureError as error:
        return _failure(item.path, str(error))
    except MemoryError:
        return _failure(item.path, "not enough memory for this picture")
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        reason = " ".join(str(error).split())
        return _failure(item.path, f"internal error ({type(error).__name__}: {reason})")


def _failure(path: str, error: str) -> "Answer":
    from edge.output import Answer

    return Answer(path, error=error)


def _format_name(options: argparse.Namespace) -> str:
    return str(options.format or ("table" if is_terminal(1) else "jsonl"))


def _jobs(options: argparse.Namespace) -> int:
    if not hasattr(os, "fork"):
        return 1
    from edge import device

    wanted = int(options.jobs or device.jobs(int(options.threads)))
    return min(wanted, JOBS_PER_CORE * device.cores(), MAX_JOBS)


@contextlib.contextmanager
def _progress(paths: Sequence[str], terminal: TextIO) -> "Iterator[Advance]":
    """A bar where someone looks at standard error while the answers go elsewhere."""
    if is_terminal(1) or not terminal.isatty():
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


# info


def info(options: argparse.Namespace, terminal: TextIO) -> int:
    """`edge-digits info`."""
    import json

    settle_libraries()
    show_warnings(terminal)
    from edge import device

    said = device.describe(options.model, options.runtime)
    form = options.format or ("table" if is_terminal(1) else "jsonl")
    if form == "table":
        write("".join(f"{name:<20} {value}\n" for name, value in _rows(said)).encode("utf-8", "backslashreplace"))
    else:
        write(json.dumps(said, indent=2 if form == "json" else None).encode() + b"\n")
    problems = said["problems"]
    assert isinstance(problems, list)
    for problem in problems:
        complain(terminal, problem)
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

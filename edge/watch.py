"""`edge-digits watch`: readings from a camera, a video, a stream or a folder, as they change."""

import argparse
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, TextIO

from edge.arguments import ALL_ANSWERED, SOME_FAILED, Parser, add_model, add_page, add_refusal, count
from edge.commands import load_fields, make_reader, settle_libraries
from edge.errors import PictureError, SourceError
from edge.terminal import complain, is_terminal, show_warnings, write

if TYPE_CHECKING:  # imported where they are used: --help does not wait for NumPy, OpenCV and a runtime
    from edge.capture import Frame, Source
    from edge.reading import Box, Reading

INTERRUPTED = 130  # exit status

STABLE_FRAMES = 3  # in a row: at 10 frames a second, what is there for less than a third of one is not said
STATUS_SECONDS = 0.1  # between two looks of the status line
RATE_FRAMES = 60  # over which frames a second are counted
BAR_WIDTH = 20  # characters
PEAK_DECAY = 0.05  # a second: how fast the mark of the best sharpness comes back down
FALLBACK_COLUMNS = 80  # of a terminal that does not say how wide it is
CLEAR_LINE = "\r\x1b[K"
LINE_BREAK = " / "  # stands between the lines of a page on a terminal

STATUSES = """\
exit status: 0 the video came to its end, or the command was asked to end by SIGTERM, 1 the source or a picture in
the folder failed meanwhile, 2 nothing could start: the command line, the model or the source is wrong, 130
interrupted"""


def add_arguments(parser: Parser) -> None:
    """What `watch` takes."""
    parser.description = (
        "Reads what a camera, a video or a stream shows, or the pictures in a folder and those that come. Says a "
        "reading when it changes. Frames that come while one is read are dropped: the newest counts."
    )
    parser.epilog = STATUSES
    add_page(parser)
    add_refusal(parser)
    add_model(parser)
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a camera (0, /dev/video0), a video file, a stream (rtsp://..., http://...) or a folder of pictures",
    )
    parser.add_argument(
        "--stable",
        type=count,
        metavar="N",
        help=f"say a text that was seen in N frames in a row (default: {STABLE_FRAMES}; every picture of a folder)",
    )
    parser.add_argument("--all", action="store_true", help="say what each frame shows, changed or not")
    parser.add_argument(
        "--every-frame",
        action="store_true",
        help="read every frame of a video file as fast as it goes, instead of what there is time for at its own pace",
    )
    parser.add_argument(
        "--new-only", action="store_true", help="leave out the pictures that are in a folder at the start"
    )
    parser.add_argument(
        "--format",
        choices=("table", "jsonl"),
        help="default: lines for people on a terminal, one JSON object a line into a pipe or a file",
    )
    parser.set_defaults(run=run)


class _Terminated(BaseException):
    """SIGTERM came."""


def run(options: argparse.Namespace, terminal: TextIO) -> int:
    """`edge-digits watch`."""
    settle_libraries()
    show_warnings(terminal)
    from edge import capture

    source = capture.open_source(options.source, every_frame=options.every_frame, new_only=options.new_only)
    watcher = _Watcher(options, source, terminal)
    frames: capture.Source = capture.Latest(source) if source.live else source
    try:
        with _ending_on_sigterm(), capture.opened(frames), watcher.status:
            status = watcher.watch(frames)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except _Terminated:
        status = ALL_ANSWERED
    if isinstance(frames, capture.Latest) and frames.is_stuck:
        # Its thread is inside of OpenCV, and will be when Python takes down what it needs there.
        terminal.flush()
        os._exit(status)
    return status


@contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Watcher:
    """Reads frames and says what is new in them."""

    def __init__(self, options: argparse.Namespace, source: "Source", terminal: TextIO) -> None:
        import platform

        from edge.capture import Folder

        self._form = load_fields(options)
        self._reader = make_reader(options)
        self._full_resolution = bool(options.full_resolution)
        self._terminal = terminal
        self._for_people = options.format == "table" or (options.format is None and is_terminal(1))
        self._of_pictures = isinstance(source, Folder)
        say_all = options.all or (self._of_pictures and options.stable is None)
        self._changes = None if say_all else Changes(options.stable or STABLE_FRAMES)
        self.status = Status(_screen(terminal), of_pictures=self._of_pictures)
        self._origin = {
            "device": platform.node(),
            "source": source.name,
            "model": self._reader.classifier.info.sha256,
        }

    def watch(self, frames: "Source") -> int:
        """Until the source ends; returns the exit status."""
        from edge.capture import EndOfSource

        failed = 0
        while True:
            try:
                frame = frames.read()
            except EndOfSource:
                break
            except SourceError as error:
                self.status.clear()
                complain(self._terminal, str(error))
                return SOME_FAILED
            if frame is None:
                self.status.show()
                continue
            try:
                reading = self._read(frame)
            except PictureError as error:  # of a live source that is news like any other: a page that went out of view
                failed += self._of_pictures
                if self._is_new(str(error), None):
                    self._say_failure(frame, str(error))
                self._show(frame, str(error), [])
                continue
            if self._is_new(reading.text, tuple((field.name, field.text) for field in reading.fields)):
                self._say(frame, reading)
            self._show(frame, _in_one_line(reading), [digit.box for digit in reading.digits])
        return SOME_FAILED if failed else ALL_ANSWERED

    def _is_new(self, *said: Hashable) -> bool:
        return self._changes is None or self._changes.is_new(said)

    def _read(self, frame: "Frame") -> "Reading":
        picture = frame.load() if frame.path is None else frame.path
        return self._reader.read(picture, fields=self._form, full_resolution=self._full_resolution)

    def _say(self, frame: "Frame", reading: "Reading") -> None:
        from edge.output import reading_record

        if self._for_people:
            self._say_line(frame, _for_people(reading))
        else:
            self._say_record(frame, reading_record(self._path(frame), reading))

    def _say_failure(self, frame: "Frame", error: str) -> None:
        if self._for_people:
            self._say_line(frame, f"! {error}")
        else:
            self._say_record(frame, {"path": self._path(frame), "error": error})

    def _say_line(self, frame: "Frame", text: str) -> None:
        from edge.output import printable

        clock = time.strftime("%H:%M:%S", time.localtime(frame.time))
        where = f"  {frame.path}" if frame.path is not None else ""
        self.status.clear()
        write(f"{clock}  {printable(text + where)}\n".encode("utf-8", "backslashreplace"))

    def _say_record(self, frame: "Frame", record: dict[str, object]) -> None:
        self.status.clear()
        write(_json_line({**record, "time": utc(frame.time), "sequence": frame.sequence, **self._origin}))

    def _path(self, frame: "Frame") -> str:
        return self._origin["source"] if frame.path is None else frame.path

    def _show(self, frame: "Frame", text: str, boxes: "list[Box]") -> None:
        self.status.count(frame.dropped, text)
        if self.status.is_due and not self._of_pictures:
            from edge.sharpness import sharpness

            with suppress(PictureError):
                self.status.focus(sharpness(frame.load(), boxes))
        self.status.show()


class Changes:
    """What is new: a text seen in so many frames in a row, if it is not what was said last."""

    def __init__(self, stable: int) -> None:
        self._stable = stable
        self._said: Hashable = None
        self._seen: Hashable = None
        self._times = 0

    def is_new(self, text: Hashable) -> bool:
        """Whether to say it now. text: anything but None."""
        self._times = self._times + 1 if text == self._seen else 1
        self._seen = text
        if self._times < self._stable or text == self._said:
            return False
        self._said = text
        return True


class Status:
    """One line at the bottom of a terminal, written anew in its place: frames a second and dropped, sharpness, text."""

    def __init__(self, screen: TextIO | None, *, of_pictures: bool = False) -> None:
        """screen: None where nobody looks. of_pictures: they come when they come, so neither rate nor sharpness."""
        self._screen = screen
        self._of_pictures = of_pictures
        self._times: deque[float] = deque(maxlen=RATE_FRAMES)
        self._frames = self._dropped = 0
        self._text = ""
        self._sharpness = self._peak = 0.0
        self._peak_time = 0.0
        self._next = 0.0
        self._shown = False

    def __enter__(self) -> "Status":
        self.show()
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def count(self, dropped: int, text: str) -> None:
        """One more frame was read. dropped: how many were not, in all."""
        self._frames += 1
        self._dropped = dropped
        self._text = text
        self._times.append(time.monotonic())

    def focus(self, sharpness: float) -> None:
        """sharpness: 0 to 1."""
        now = time.monotonic()
        self._peak = max(sharpness, self._peak - PEAK_DECAY * (now - self._peak_time))
        self._peak_time = now
        self._sharpness = sharpness

    @property
    def is_due(self) -> bool:
        """Whether show() will write."""
        return self._screen is not None and time.monotonic() >= self._next

    def show(self) -> None:
        """Writes it, if there is somebody to see it and the last time is a moment ago."""
        if self._screen is None or not self.is_due:
            return
        self._next = time.monotonic() + STATUS_SECONDS
        self._shown = True
        # The last column stays free: there the cursor would wrap.
        self._screen.write(CLEAR_LINE + self.line()[: _columns(self._screen) - 1])
        self._screen.flush()

    def clear(self) -> None:
        """Takes it away, so that something else can be written there."""
        if self._screen is not None and self._shown:
            self._screen.write(CLEAR_LINE)
            self._screen.flush()
            self._shown = False
            self._next = 0.0

    def line(self) -> str:
        """What it says."""
        if self._of_pictures:
            return f"{self._frames} pictures, waiting for more"
        if not self._frames:
            return "waiting for the first frame"
        return (
            f"{self._rate():5.1f} fps  {self._dropped} dropped  sharpness [{self._bar()}] "
            f"{self._sharpness * 100:3.0f} %  {self._text}"
        )

    def _rate(self) -> float:
        # Counted until now: it falls when nothing comes any more.
        span = time.monotonic() - self._times[0]
        return (len(self._times) - 1) / span if span > 0 else 0.0

    def _bar(self) -> str:
        filled = round(self._sharpness * BAR_WIDTH)
        bar = list("#" * filled + " " * (BAR_WIDTH - filled))
        best = min(BAR_WIDTH - 1, round(self._peak * BAR_WIDTH))
        if best >= filled:
            bar[best] = "|"
        return "".join(bar)


def _json_line(record: dict[str, object]) -> bytes:
    import json

    try:
        return json.dumps(record, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # a file name that is not UTF-8: written as JsonLines in edge/output.py does
        return json.dumps(record).encode() + b"\n"


def utc(seconds: float) -> str:
    """ISO 8601, in UTC, with milliseconds, of seconds since 1970."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _for_people(reading: "Reading") -> str:
    if not reading.fields:
        return _in_one_line(reading)
    said = [
        f"{f.name} = {LINE_BREAK.join(f.text.splitlines())}{'' if f.valid else f' ({f.reason})'}"
        for f in reading.fields
    ]
    return ", ".join(said)


def _in_one_line(reading: "Reading") -> str:
    return LINE_BREAK.join(reading.lines) or "(no digit)"


def _screen(terminal: TextIO) -> TextIO | None:
    """Where a person would see a status line."""
    if terminal.isatty():
        return terminal
    return sys.stdout if is_terminal(1) else None


def _columns(screen: TextIO) -> int:
    try:
        return os.get_terminal_size(screen.fileno()).columns or FALLBACK_COLUMNS
    except OSError:
        return FALLBACK_COLUMNS

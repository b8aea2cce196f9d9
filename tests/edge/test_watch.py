"""The command `watch`, run for real: videos, streams, a folder that fills, a terminal, and signals."""

import contextlib
import fcntl
import hashlib
import io
import json
import os
import platform
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import pytest

from edge.watch import Changes, Status, utc
from tests.edge.frames import SIZE, page, write_pages
from tests.edge.helpers import MODEL, ROOT, Run
from tests.edge.streams import serve, silence

Runner = Callable[..., Run]

BARE_MODEL_WARNING = "says nothing about itself"
PATIENCE = 30.0  # seconds after which a test has failed
PROMPT = 5.0  # seconds within which a command ends when it is told to
SHOWN = (("472", 8), ("473", 8), ("888", 2), ("473", 6), ("", 6), ("4071", 10))  # text, frames
SAID = ["472", "473", "", "4071"]  # what lasts for three frames, once
SHOWN_LIVE = (("472", 16), ("", 12), ("4071", 16))  # long enough for a busy machine
SAID_LIVE = ["472", "", "4071"]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty frames of SHOWN."""
    return write_pages(tmp_path_factory.mktemp("videos") / "shown.avi", SHOWN)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of SHOWN_LIVE."""
    return write_pages(tmp_path_factory.mktemp("videos") / "live.avi", SHOWN_LIVE)


def complaints(text: str) -> list[str]:
    return [line for line in text.splitlines() if BARE_MODEL_WARNING not in line]


class Watching:
    """A running command."""

    def __init__(self, *arguments: str | os.PathLike[str], **more: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edge", "watch", *map(os.fspath, arguments)],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more,
        )  # fmt: skip

    def record(self) -> dict[str, Any]:
        """The next one, once it is there."""
        assert self.process.stdout
        assert select.select([self.process.stdout], [], [], PATIENCE)[0], "nothing comes"
        return dict(json.loads(self.process.stdout.readline()))

    def end(self, how: signal.Signals) -> tuple[int, list[dict[str, Any]], list[str]]:
        """Exit status, the records that were left, and complaints."""
        start = time.monotonic()
        self.process.send_signal(how)
        output, errors = self.process.communicate(timeout=PATIENCE)
        assert time.monotonic() - start < PROMPT
        return self.process.returncode, [json.loads(line) for line in output.splitlines()], complaints(errors.decode())


@contextlib.contextmanager
def watching(*arguments: str | os.PathLike[str], **more: Any) -> Iterator[Watching]:
    running = Watching(*arguments, bufsize=0, **more)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.process.wait()
        for stream in (running.process.stdout, running.process.stderr):
            assert stream
            stream.close()


# What is said


def test_a_reading_is_said_when_it_changes_and_lasts(run: Runner, video: Path) -> None:
    done = run("watch", video, "--every-frame")
    assert (done.status, complaints(done.stderr)) == (0, [])
    assert [record["text"] for record in done.records] == SAID
    assert [record["sequence"] for record in done.records] == [2, 10, 26, 32]


def test_a_record_is_that_of_read_with_its_origin(run: Runner, video: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), page("472"))
    (read,) = run("read", tmp_path / "a.png").records
    started = datetime.now(UTC)
    record = run("watch", video, "--every-frame").records[0]
    assert list(record) == [*read, "time", "sequence", "device", "source", "model"]
    assert record["path"] == record["source"] == str(video)
    assert record["device"] == platform.node()
    assert record["model"] == hashlib.sha256(MODEL.read_bytes()).hexdigest()
    assert record["lines"] == read["lines"] and (record["width"], record["height"]) == SIZE
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["time"])
    assert started - timedelta(seconds=1) < datetime.fromisoformat(record["time"]) < datetime.now(UTC)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--stable", "1"], ["472", "473", "888", "473", "", "4071"]),
        (["--all"], [text for text, times in SHOWN for _ in range(times)]),
    ],
)
def test_how_steady_a_reading_has_to_be_is_ones_choice(
    run: Runner, video: Path, options: list[str], said: list[str]
) -> None:
    texts = [record["text"] for record in run("watch", video, "--every-frame", *options).records]
    assert texts == said


def test_fields_are_told_and_watched(run: Runner, video: Path, tmp_path: Path) -> None:
    form = tmp_path / "form.toml"
    form.write_text("[[field]]\nname = 'last'\nbox = [0.5, 0, 0.5, 1]\nlength = 2\n")
    records = run("watch", video, "--every-frame", "--fields", form).records
    assert {field["name"] for record in records for field in record["fields"]} == {"last"}
    assert records[-1]["fields"][0]["value"] == "71"
    wrong = run("watch", video, "--fields", tmp_path / "none.toml")
    assert wrong.status == 2 and len(complaints(wrong.stderr)) == 1


def test_a_video_is_read_as_if_it_were_live_and_told_as_it_goes(live: Path) -> None:
    with watching(live) as running:
        texts, came = [], []
        for _ in SAID_LIVE:
            record = running.record()
            texts.append(record["text"])
            came.append(time.time() - datetime.fromisoformat(record["time"]).timestamp())
        assert texts == SAID_LIVE
        assert running.process.wait(PATIENCE) == 0
    assert max(came) < 1.0, "a record waited before it was written"


@pytest.mark.parametrize("kind", ["http", "rtsp"])
def test_a_stream_is_read_until_it_stops(kind: str) -> None:
    texts = "472", "4071"
    with (
        serve(kind, lambda now: page(texts[now > 1.5]) if now < 3 else None, 20.0) as server,
        watching(f"{kind}://ann:secret@127.0.0.1:{server.port}/live") as running,
    ):
        records = [running.record(), running.record()]
        status = running.process.wait(PATIENCE)
        assert running.process.stderr
        errors = complaints(running.process.stderr.read().decode())
    address = f"{kind}://127.0.0.1:{server.port}/live"
    assert [record["text"] for record in records] == list(texts)
    assert {record["source"] for record in records} == {address}
    assert (status, errors) == (1, [f"edge-digits: {address}: the stream stopped"])


def test_every_picture_of_a_folder_is_told_and_one_that_is_none_too(tmp_path: Path) -> None:
    for name, text, age in (("a.png", "472", 60), ("b.png", "472", 50)):
        cv2.imwrite(str(tmp_path / name), page(text))
        os.utime(tmp_path / name, (time.time() - age, time.time() - age))
    with watching(tmp_path) as running:
        first = [running.record(), running.record()]
        assert [(os.path.basename(r["path"]), r["text"]) for r in first] == [("a.png", "472"), ("b.png", "472")]
        assert {record["source"] for record in first} == {str(tmp_path)}
        assert datetime.fromisoformat(first[0]["time"]).timestamp() == pytest.approx(time.time() - 60, abs=10)
        (tmp_path / "c.png").write_bytes(b"nothing")
        os.utime(tmp_path / "c.png", (time.time() - 60, time.time() - 60))
        broken = running.record()
        assert (os.path.basename(broken["path"]), broken["sequence"]) == ("c.png", 2)
        assert broken["error"] == "not a picture that can be decoded"
        assert {"time", "device", "source", "model"} < set(broken)
        status, rest, errors = running.end(signal.SIGINT)
    assert (status, rest, errors) == (130, [], [])


# How it ends


@pytest.mark.parametrize(
    ("what", "how", "status"),
    [("video", signal.SIGINT, 130), ("video", signal.SIGTERM, 0), ("folder", signal.SIGTERM, 0)],
)
def test_it_ends_when_it_is_told_to(tmp_path: Path, what: str, how: signal.Signals, status: int) -> None:
    if what == "folder":
        cv2.imwrite(str(tmp_path / "a.png"), page("472"))
        source = tmp_path
    else:
        source = write_pages(tmp_path / "long.avi", [("472", 200)])
    with watching(source) as running:
        assert running.record()["text"] == "472"
        assert running.end(how) == (status, [], [])


@pytest.mark.parametrize("kind", ["http", "rtsp"])
def test_it_can_be_interrupted_while_a_server_says_nothing(kind: str) -> None:
    with silence() as port, watching(f"{kind}://127.0.0.1:{port}/") as running:
        time.sleep(1.5)
        assert running.process.poll() is None
        assert running.end(signal.SIGINT) == (130, [], [])


def test_a_reader_that_has_seen_enough_ends_it(video: Path) -> None:
    with watching(video, "--all") as running:
        running.record()
        assert running.process.stdout and running.process.stderr
        running.process.stdout.close()
        assert running.process.wait(PATIENCE) == 0
        assert complaints(running.process.stderr.read().decode()) == []


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("97", "/dev/video97: no such camera; "),
        ("http://127.0.0.1:1/", "http://127.0.0.1:1/: no answer: Connection refused"),
        ("README.md", "README.md: not a video that can be decoded"),
    ],
)
def test_what_cannot_be_watched_is_one_clear_line(run: Runner, source: str, says: str) -> None:
    done = run("watch", source, cwd=ROOT)
    assert (done.status, done.stdout) == (2, b"")
    (line,) = complaints(done.stderr)
    assert line.startswith(f"edge-digits: {says}")


def test_a_video_that_is_cut_short_is_told_and_read_as_far_as_it_goes(run: Runner, video: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.avi"
    cut.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    done = run("watch", cut, "--every-frame")
    assert [record["text"] for record in done.records] == SAID[:2]
    (line,) = complaints(done.stderr)
    assert done.status == 1 and "the video is damaged or cut short" in line


# On a terminal


def on_terminal(*arguments: str | os.PathLike[str], columns: int = 100, stdout_too: bool = True) -> tuple[str, bytes]:
    """What a terminal shows, and what went to standard output where that is another place."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-m", "edge", "watch", *map(os.fspath, arguments)],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=slave if stdout_too else subprocess.PIPE, stderr=slave,
    ) as process:  # fmt: skip
        os.close(slave)
        shown = b""
        while select.select([master], [], [], PATIENCE)[0]:
            try:
                shown += os.read(master, 65536)
            except OSError:  # the command has ended
                break
        output = process.stdout.read() if process.stdout else b""
    os.close(master)
    assert process.returncode == 0
    return shown.decode(), output


CLEAR = "\r\x1b[K"
STATUS = re.compile(r" *(\d+\.\d) fps  (\d+) dropped  sharpness \[([# |]{20})\] +(\d+) %  (.*)")


def test_on_a_terminal_lines_for_people_and_a_status_in_its_place(live: Path) -> None:
    shown, _ = on_terminal(live)
    assert re.findall(r"\d\d:\d\d:\d\d  (.*)\r\n", shown) == ["472", "(no digit)", "4071"]
    parts = [part for part in shown.split(CLEAR) if part and not part.endswith("\n")]
    assert parts[0] == "waiting for the first frame"
    states = [match.groups() for match in map(STATUS.fullmatch, parts[1:]) if match]
    assert len(states) == len(parts) - 1 >= 3, parts  # a busy machine shows fewer
    assert {"472", "4071", "(no digit)"} <= {text for *_, text in states}
    assert any(10 <= float(rate) <= 30 for rate, *_ in states)
    for _, _, bar, percent, text in states:
        assert bar.count("#") == pytest.approx(int(percent) / 5, abs=1)
        assert (int(percent) > 40) == (text != "(no digit)")
    assert shown.endswith(CLEAR), "the status is taken away at the end"
    for line in shown.replace(CLEAR, "\n").splitlines():
        assert line.isprintable(), repr(line)


def test_a_narrow_terminal_is_not_overrun(live: Path) -> None:
    shown, _ = on_terminal(live, columns=40)
    parts = [part.rstrip("\r\n") for part in shown.split(CLEAR)]
    assert max(map(len, parts)) == 39


def test_into_a_pipe_go_records_only_while_a_terminal_shows_the_status(live: Path) -> None:
    shown, output = on_terminal(live, stdout_too=False)
    assert [json.loads(line)["text"] for line in output.splitlines()] == SAID_LIVE
    assert " fps  " in shown and "4071" in shown and "\n" not in shown


def test_lines_for_people_or_records_are_ones_choice(run: Runner, video: Path) -> None:
    done = run("watch", video, "--every-frame", "--format", "table")
    assert re.fullmatch(rb"(\d\d:\d\d:\d\d  [\d()a-z ]+\n){4}", done.stdout)
    assert b"\x1b" not in done.stdout


# Its parts


def test_a_text_is_new_when_it_lasts_and_differs_from_the_last_one_said() -> None:
    changes = Changes(3)
    seen = "aaaabbaaabbbbaabccc"
    assert "".join(text if changes.is_new(text) else "." for text in seen) == "..a........b......c"
    once = Changes(1)
    assert "".join(text if once.is_new(text) else "." for text in "aaba") == "a.ba"


def test_times_are_utc_with_milliseconds() -> None:
    assert utc(0) == "1970-01-01T00:00:00.000Z"
    assert utc(1_795_431_123.4567) == "2026-11-23T10:52:03.456Z"


class Screen(io.StringIO):
    """A terminal of unknown width."""

    def fileno(self) -> int:
        return -1


def test_the_rate_falls_when_frames_stop_coming() -> None:
    status = Status(Screen())
    for _ in range(10):
        status.count(0, "")
        time.sleep(0.01)
    rates = []
    for _ in range(2):
        rates.append(float(status.line().split()[0]))
        time.sleep(0.2)
    assert rates[1] < rates[0] / 2


def test_the_best_sharpness_stays_marked_for_a_while() -> None:
    status = Status(Screen())
    status.count(0, "")
    for value, bar in (
        (0.5, "##########|"),
        (0.9, "##################|"),
        (0.25, "#####             |"),
        (1.0, "#" * 20),
    ):
        status.focus(value)
        assert f"[{bar:<20}]" in status.line()


def test_a_status_nobody_sees_costs_nothing() -> None:
    status = Status(None)
    assert not status.is_due
    status.count(0, "")
    status.show()
    status.clear()
    screen = Screen()
    with Status(screen) as status:
        for _ in range(100):
            status.show()
    assert screen.getvalue() == f"{CLEAR}waiting for the first frame{CLEAR}", "it is written ten times a second at most"

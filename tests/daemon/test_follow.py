"""Following a source: the newest frame, whatever happens to the source."""

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge import capture
from edge.capture import EndOfSource, Frame, Source
from edge.daemon import follow as follow_module
from edge.daemon.cameras import open_camera
from edge.daemon.follow import Follower
from edge.daemon.live import FAILED, WAITING, WORKING, Live
from edge.daemon.settings import SourceSettings
from edge.errors import SourceError
from tests.daemon.pictures import Memory
from tests.edge.frames import number_of, numbered, page, write_video
from tests.edge.streams import serve

PATIENCE = 20.0  # seconds
QUICK = {"retry_seconds": 0.05, "retry_longest": 0.2}


class Counted(Frame):
    """A frame that can be watched (slots leave no room for that)."""

    __slots__ = ("__weakref__",)


class Scripted:
    """A camera that does as a function says: a picture, None, or an error."""

    name, live = "scripted", True

    def __init__(self, act: Callable[[int], Any], pause: float = 0.005) -> None:
        """act: called with the number of the reading, from 0."""
        self.act, self.pause = act, pause
        self.opens: list[float] = []
        self.reads = 0
        self.is_open = False
        self.alive: weakref.WeakSet[Frame] = weakref.WeakSet()
        self.most_alive = 0

    def open(self) -> None:
        self.opens.append(time.monotonic())
        self.is_open = True

    def read(self) -> Frame | None:
        time.sleep(self.pause)
        number, self.reads = self.reads, self.reads + 1
        said = self.act(number)
        if isinstance(said, BaseException):
            raise said
        if said is None:
            return None
        frame = Counted(lambda: said, time.time(), number)
        self.alive.add(frame)
        self.most_alive = max(self.most_alive, len(self.alive))
        return frame

    def close(self) -> None:
        self.is_open = False


def noise(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (48, 64), np.uint8)


@pytest.fixture
def live() -> Live:
    return Live()


@pytest.fixture
def follow(live: Live) -> Iterator[Callable[..., Follower]]:
    """Starts a follower of a source or of what settings name, and stops it in the end."""
    started: list[Follower] = []

    def start(source: Source | None = None, memory: Memory | None = None, **changed: Any) -> Follower:
        settings = SourceSettings(**({"kind": "camera"} | QUICK | changed))
        follower = Follower(source or open_camera(settings, memory or Memory()), settings, live)
        started.append(follower)
        follower.start()
        return follower

    yield start
    for follower in started:
        follower.stop()


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def one(follower: Follower, suits: Callable[[Frame], bool] = lambda _: True) -> Frame:
    """The next frame that suits."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        frame = follower.newest(0.5)
        if frame is not None and suits(frame):
            return frame
    raise AssertionError("no such frame came")


# The newest


def test_whoever_is_slow_gets_the_newest_and_no_queue_grows(follow: Callable[..., Follower], live: Live) -> None:
    source = Scripted(noise, pause=0.001)
    follower = follow(source)
    for seen in range(10):
        time.sleep(0.05)
        frame = one(follower)
        assert source.reads - frame.sequence <= 40, "an old frame"
        assert follower.dropped == live.dropped == frame.sequence - seen
    assert follower.dropped > 30
    assert source.most_alive <= 4
    assert follower.received >= 40
    assert follower.rate > 20
    assert live.parts["source"].state == WORKING


def test_a_frame_is_handed_out_once_and_waited_for_no_longer_than_asked(follow: Callable[..., Follower]) -> None:
    follower = follow(Scripted(lambda number: noise(1) if number == 0 else None))
    assert one(follower).sequence == 0
    start = time.monotonic()
    assert follower.newest(0.2) is None
    assert 0.2 <= time.monotonic() - start < 2


def test_a_fresh_frame_was_not_under_way_before(follow: Callable[..., Follower]) -> None:
    begun: list[float] = []

    def act(number: int) -> np.ndarray:
        begun.append(time.monotonic())
        time.sleep(0.05)
        return noise(number)

    follower = follow(Scripted(act))
    one(follower)
    for _ in range(5):
        time.sleep(0.03)
        moment = time.monotonic()
        frame = follower.fresh(moment, PATIENCE)
        assert frame is not None
        assert begun[frame.sequence] >= moment
    assert follower.fresh(time.monotonic() + PATIENCE, 0.1) is None


# What fails is opened again


def test_a_source_that_fails_is_opened_again_and_again_with_longer_waits(
    follow: Callable[..., Follower], live: Live
) -> None:
    repaired = threading.Event()
    source = Scripted(lambda number: noise(number) if repaired.is_set() else SourceError("unplugged"), pause=0)
    follower = follow(source, retry_seconds=0.05, retry_longest=0.4)
    until(lambda: len(source.opens) >= 6, "it is opened again")
    waits = np.diff(source.opens[:6])
    for wait, least in zip(waits, (0.05, 0.1, 0.2, 0.4, 0.4), strict=True):
        assert least <= wait < least + 2
    part = live.parts["source"]
    assert (part.state, part.reason) == (FAILED, "unplugged")
    repaired.set()
    one(follower)
    assert live.parts["source"].state == WORKING


def test_whatever_a_camera_library_raises_is_a_failure_of_one_line(follow: Callable[..., Follower], live: Live) -> None:
    source = Scripted(lambda number: cv2.error("boom\nin two lines") if number < 3 else noise(number))
    follower = follow(source)
    until(lambda: live.parts["source"].state == FAILED, "it says so")
    assert live.parts["source"].reason == "scripted: error: boom in two lines"
    one(follower)


def test_a_stream_whose_server_comes_back_is_followed_again(follow: Callable[..., Follower], live: Live) -> None:
    def picture(now: float) -> np.ndarray:
        return numbered(1 + round(now * 20) % 1000)

    with serve("http", lambda now: picture(now) if now < 1 else None) as server:
        port = server.port
        follower = follow(kind="stream", location=f"http://127.0.0.1:{port}/", rate=20.0)
        assert number_of(one(follower).load()) >= 1
        until(lambda: live.parts["source"].state == FAILED, "the stream stopped")
        assert live.parts["source"].reason == f"http://127.0.0.1:{port}/: the stream stopped"
        one(follower)
    until(lambda: "no answer" in live.parts["source"].reason, "the server is gone")
    with serve_on(port, picture):
        one(follower)
        until(lambda: live.parts["source"].state == WORKING, "it works")


def serve_on(port: int, picture: Callable[[float], np.ndarray]) -> Any:
    """A server on a port that one had before."""
    from contextlib import contextmanager

    from tests.edge import streams

    @contextmanager
    def running() -> Iterator[None]:
        class Again(streams.Server):
            def server_bind(self) -> None:
                self.server_address = ("127.0.0.1", port)
                super().server_bind()

        server = Again(streams._Http, picture, 20.0)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    return running()


def test_an_rtsp_stream_is_followed(follow: Callable[..., Follower]) -> None:
    with serve("rtsp", lambda now: numbered(round(now * 20))) as server:
        follower = follow(kind="stream", location=f"rtsp://127.0.0.1:{server.port}/live", rate=20.0)
        first = number_of(one(follower).load())
        assert number_of(one(follower).load()) > first
        follower.stop()


def test_a_video_starts_again_at_its_end_and_says_so(
    follow: Callable[..., Follower], live: Live, tmp_path: Path
) -> None:
    path = write_video(tmp_path / "a.avi", map(numbered, range(1, 9)), rate=40)
    follower = follow(kind="video", location=str(path), rate=40.0, retry_seconds=0.2)
    one(follower, lambda frame: number_of(frame.load()) > 4)
    until(lambda: live.parts["source"].state == WAITING, "its end is said")
    assert live.parts["source"].reason == f"{path}: the video came to its end and starts again"
    one(follower, lambda frame: number_of(frame.load()) < 5)


def test_the_end_of_anything_else_is_a_failure(follow: Callable[..., Follower], live: Live) -> None:
    follow(Scripted(lambda _: EndOfSource()))
    until(lambda: live.parts["source"].state == FAILED, "it says so")
    assert live.parts["source"].reason == "scripted: it came to its end"


# Frozen


def test_a_frozen_picture_is_a_failure_until_it_changes(follow: Callable[..., Follower], live: Live) -> None:
    thaw = threading.Event()
    source = Scripted(lambda number: noise(number if number < 5 or thaw.is_set() else 5))
    follower = follow(source, frozen_seconds=0.3)
    one(follower)
    until(lambda: live.parts["source"].state == FAILED, "it is noticed")
    assert live.parts["source"].reason == "the picture is frozen: the same to the bit for 0.3 s"
    until(lambda: len(source.opens) >= 3, "it is opened again")
    follower.newest(0)  # the last one before
    assert follower.newest(0.3) is None, "nothing frozen is handed out, also after it was opened again"
    assert live.parts["source"].state == FAILED
    thaw.set()
    one(follower)
    assert live.parts["source"].state == WORKING


def test_a_frozen_stream_is_noticed(follow: Callable[..., Follower], live: Live) -> None:
    with serve("http", lambda _: numbered(7)) as server:
        follow(kind="stream", location=f"http://127.0.0.1:{server.port}/", frozen_seconds=0.5, rate=20.0)
        until(lambda: "frozen" in live.parts["source"].reason, "it is noticed")


def test_a_video_and_a_folder_may_show_the_same(follow: Callable[..., Follower], live: Live) -> None:
    source = Scripted(lambda _: noise(1))
    follow(source, kind="video", frozen_seconds=0.05)
    until(lambda: source.reads > 60, "it goes on")
    assert live.parts["source"].state == WORKING and len(source.opens) == 1


# Stuck


def test_a_call_that_does_not_come_back_is_seen_and_keeps_nobody_from_stopping(
    follow: Callable[..., Follower],
) -> None:
    release = threading.Event()

    def act(number: int) -> np.ndarray:
        if number == 3:
            release.wait(PATIENCE)
        return noise(number)

    source = Scripted(act)
    follower = follow(source)
    until(lambda: source.reads == 4, "it gets there")
    before = follower.busy_since
    assert before is not None
    time.sleep(0.1)
    assert follower.busy_since == before
    start = time.monotonic()
    follower.stop(0.1)
    assert time.monotonic() - start < 1
    assert follower.is_stuck
    release.set()
    until(lambda: not follower.is_stuck, "it comes back")
    assert follower.busy_since is None and not source.is_open


@pytest.mark.parametrize("at, hung", [("read", True), ("open", False)])
def test_a_camera_may_take_longer_to_open_than_to_answer(
    at: str, hung: bool, follow: Callable[..., Follower], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_module, "CALL_SECONDS", 0.05)
    release = threading.Event()
    source = Scripted(lambda number: noise(number))
    slow = getattr(source, at)
    monkeypatch.setattr(source, at, lambda: (release.wait(PATIENCE), slow())[1])
    follower = follow(source)
    until(lambda: follower.busy_since is not None, "it gets there")
    time.sleep(0.2)
    assert (follower.hung_for > 0.05) == hung
    release.set()
    until(lambda: source.reads > 1, "it goes on")


def test_waiting_to_open_again_is_not_being_stuck(follow: Callable[..., Follower], live: Live) -> None:
    follower = follow(Scripted(lambda _: SourceError("gone")), retry_seconds=PATIENCE, retry_longest=PATIENCE)
    until(lambda: live.parts["source"].state == FAILED, "it fails")
    until(lambda: follower.busy_since is None, "it is out of the source")
    start = time.monotonic()
    follower.stop()
    assert time.monotonic() - start < 1 and not follower.is_stuck


# Folders, and the cost


def test_pictures_of_a_folder_come_one_by_one_and_none_is_left_out(
    follow: Callable[..., Follower], live: Live, tmp_path: Path
) -> None:
    for age in range(5):
        cv2.imwrite(str(tmp_path / f"{age}.png"), page("4071"))
        os.utime(tmp_path / f"{age}.png", (time.time() - 100 + age,) * 2)
    memory = Memory()
    follower = follow(kind="folder", location=str(tmp_path), memory=memory)
    until(lambda: live.parts["source"].state == WORKING, "an empty folder works too")
    names = []
    for _ in range(5):
        time.sleep(0.05)
        frame = follower.fresh(time.monotonic(), PATIENCE)
        assert frame is not None and frame.path is not None
        names.append(os.path.basename(frame.path))
    assert names == [f"{age}.png" for age in range(5)]
    assert follower.newest(0.3) is None
    assert follower.dropped == 0


def test_a_folder_that_goes_and_comes_back_is_followed_again(
    follow: Callable[..., Follower], live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "SCAN_SECONDS", 0.05)
    folder = tmp_path / "in"
    follower = follow(kind="folder", location=str(folder))
    until(lambda: live.parts["source"].reason == f"{folder}: the folder is gone", "it says so")
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), page("4071"))
    assert one(follower).path == str(folder / "a.png")
    assert live.parts["source"].state == WORKING


def test_following_costs_next_to_nothing(follow: Callable[..., Follower]) -> None:
    follower = follow(kind="synthetic", size=(640, 480), rate=2.0)
    one(follower)
    before, start = time.process_time(), time.monotonic()
    for _ in range(4):
        one(follower)
    share = (time.process_time() - before) / (time.monotonic() - start)
    assert share < 0.03, f"{share:.1%} of a core, with the pictures that are looked at for being frozen"

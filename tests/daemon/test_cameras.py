"""The source that the configuration names, and what cameras, videos and streams are asked for."""

import itertools
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge import capture
from edge.capture import Camera, EndOfSource, Frame, Source, Turned, Video, opened
from edge.daemon.cameras import open_camera
from edge.daemon.inbox import Inbox
from edge.daemon.picamera import PiCamera
from edge.daemon.settings import SourceSettings
from edge.daemon.synthetic import Synthetic
from edge.errors import SourceError
from tests.daemon.pictures import NoPictures
from tests.edge.frames import number_of, numbered, write_video
from tests.edge.streams import serve

PATIENCE = 20.0  # seconds


def source_of(kind: str, location: str = "", **changed: Any) -> Source:
    return open_camera(SourceSettings(kind=kind, location=location, **changed), NoPictures())


def frames_of(source: Source, seconds: float) -> list[Frame]:
    """What comes in so many seconds, or until it ends."""
    frames: list[Frame] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            frame = source.read()
        except EndOfSource:
            break
        frames += [frame] if frame is not None else []
    return frames


def test_each_kind_has_its_source(tmp_path: Path) -> None:
    sources = {
        Synthetic: source_of("synthetic"),
        PiCamera: source_of("picamera2"),
        Camera: source_of("camera", "2"),
        Inbox: source_of("folder", str(tmp_path)),
    }
    for kind, source in sources.items():
        assert type(source) is kind
    assert [source.live for source in sources.values()] == [True, True, True, False]
    assert sources[Camera].name == "/dev/video2"
    assert source_of("camera").name == "/dev/video0"
    assert source_of("camera", "/dev/v4l/by-id/x").name == "/dev/v4l/by-id/x"
    assert source_of("picamera2", "1").name == "picamera2 1"
    for kind, location in (("stream", "rtsp://ann:secret@camera/live"), ("video", "a.mp4")):
        source = source_of(kind, location)
        assert type(source) is Video and source.live
        assert "secret" not in source.name


def test_a_location_can_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "address").write_text("rtsp://ann:secret@camera/live\nmore\n", "utf-8-sig")
    assert source_of("stream", location_file=str(tmp_path / "address")).name == "rtsp://camera/live"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (SourceSettings("folder"), "source.location is missing: which folder?"),
        (SourceSettings("video"), "source.location is missing: which video file?"),
        (SourceSettings("stream"), "source.location is missing: which stream?"),
        (SourceSettings("stream", "ann:secret@camera"), "source.location: a stream's address begins with rtsp://,"),
        (SourceSettings("picamera2", "front"), "source.location: front: not the number of a camera"),
        (SourceSettings("stream", location_file="/none"), "source.location_file: /none: No such file or directory"),
        (SourceSettings("stream", location_file="/dev/null"), "source.location_file: /dev/null: its first line is"),
    ],
)
def test_a_location_that_cannot_be_one_is_one_clear_error(settings: SourceSettings, says: str) -> None:
    with pytest.raises(SourceError) as error:
        open_camera(settings, NoPictures())
    assert str(error.value).startswith(says)
    assert "secret" not in str(error.value)


def test_a_camera_that_is_missing_is_one_clear_error() -> None:
    with pytest.raises(SourceError, match=r"^/dev/video97: no such camera; there is"):
        source_of("camera", "97").open()


class Device:
    """What OpenCV makes of a V4L2 camera."""

    def __init__(self, rate: float) -> None:
        self.set_calls: list[tuple[int, float]] = []
        self.numbers = itertools.count()
        self.pause = 1 / rate
        self.grabbed = self.decoded = 0
        self.released = False

    def set(self, what: int, value: float) -> bool:
        self.set_calls.append((what, value))
        return True

    def get(self, what: int) -> float:
        return {cv2.CAP_PROP_FRAME_WIDTH: 384.0, cv2.CAP_PROP_FRAME_HEIGHT: 64.0}[what]

    def grab(self) -> bool:
        time.sleep(self.pause)
        self.grabbed = next(self.numbers)
        return True

    def retrieve(self) -> tuple[bool, np.ndarray]:
        self.decoded += 1
        return True, numbered(self.grabbed)

    def release(self) -> None:
        self.released = True


def test_a_camera_is_asked_for_size_and_rate_and_what_it_gives_beyond_is_not_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = Device(rate=100)
    monkeypatch.setattr(Camera, "_check", lambda _: None)
    monkeypatch.setattr(capture, "_capture", lambda *_: device)
    with opened(source_of("camera", "0", size=(800, 600), rate=10.0)) as source:
        frames = frames_of(source, 1.0)
    assert device.set_calls == [
        (cv2.CAP_PROP_FRAME_WIDTH, 800), (cv2.CAP_PROP_FRAME_HEIGHT, 600), (cv2.CAP_PROP_FPS, 10.0)
    ]  # fmt: skip
    assert 3 <= len(frames) == device.decoded <= 14
    assert [number_of(frame.load()) for frame in frames] == [frame.sequence for frame in frames], "none goes uncounted"
    assert device.released


@pytest.mark.parametrize("rotate", [90, 180, 270])
def test_pictures_are_turned_clockwise(tmp_path: Path, rotate: int) -> None:
    path = write_video(tmp_path / "a.avi", [numbered(5)] * 3)
    with (
        opened(source_of("video", str(path))) as upright,
        opened(source_of("video", str(path), rotate=rotate)) as source,
    ):
        assert type(source) is Turned and source.live and source.name == str(path)
        straight, turned = frames_of(upright, 0.5)[0], frames_of(source, 0.5)[0]
    assert np.array_equal(turned.load(), np.rot90(straight.load(), -rotate // 90))


def test_frames_of_a_video_beyond_the_rate_are_passed_over(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", map(numbered, range(61)), rate=40)
    with opened(source_of("video", str(path), rate=5.0)) as source:
        frames = frames_of(source, PATIENCE)
    assert 4 <= len(frames) <= 12
    assert [number_of(frame.load()) for frame in frames] == [frame.sequence for frame in frames]


@pytest.mark.parametrize("kind", ["http", "rtsp"])
def test_a_stream_gives_frames(kind: str) -> None:
    with (
        serve(kind, lambda now: numbered(round(now * 20))) as server,
        opened(source_of("stream", f"{kind}://127.0.0.1:{server.port}/live")) as source,
    ):
        deadline = time.monotonic() + PATIENCE
        numbers: list[int] = []
        while len(numbers) < 3 and time.monotonic() < deadline:
            frame = source.read()
            numbers += [number_of(frame.load())] if frame is not None else []
    assert len(numbers) == 3 and numbers == sorted(set(numbers))

"""Sources of frames: real video files, servers, and folders that another process fills."""

import os
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import capture
from edge.capture import Camera, EndOfSource, Folder, Frame, Latest, Source, Video, open_source, opened
from edge.errors import PictureError, SourceError, UsageError
from tests.edge.frames import number_of, numbered, page, write_video
from tests.edge.helpers import digit
from tests.edge.streams import serve, silence

RATE = 40.0  # frames a second of the videos and streams here
PATIENCE = 20.0  # seconds after which a test has failed


def frames_of(source: Source, seconds: float = PATIENCE) -> Iterator[Frame]:
    """The frames until the source ends."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            frame = source.read()
        except EndOfSource:
            return
        if frame is not None:
            yield frame
        assert time.monotonic() < deadline, "the source does not end"


def taken(source: Source, count: int) -> list[Frame]:
    """Its next frames."""
    frames: list[Frame] = []
    for frame in frames_of(source):
        frames.append(frame)
        if len(frames) == count:
            break
    return frames


def video(path: Path, count: int, rate: float = RATE, codec: str = "MJPG") -> Path:
    return write_video(path, map(numbered, range(count)), rate, codec)


# What a text means


def test_the_kind_of_a_source_is_seen_from_its_text(tmp_path: Path) -> None:
    (tmp_path / "a.avi").touch()
    kinds = {
        "0": Camera, "12": Camera, "/dev/video7": Camera, str(tmp_path): Folder, str(tmp_path / "a.avi"): Video,
        "rtsp://camera/live": Video, "HTTP://camera:81/stream": Video, "https://camera/": Video,
    }  # fmt: skip
    for text, kind in kinds.items():
        assert type(open_source(text)) is kind, text
    assert open_source("3").name == "/dev/video3"


def test_what_waits_for_nobody_is_live(tmp_path: Path) -> None:
    path = video(tmp_path / "a.avi", 2)
    live = [open_source(text).live for text in ("0", "http://camera/", str(path), str(tmp_path))]
    assert live == [True, True, True, False]
    assert not open_source(str(path), every_frame=True).live


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nowhere.avi", "nowhere.avi: no such file, folder or camera"),
        ("ftp://camera/a", "ftp://camera/a: not a stream that is known"),
        ("a\0b", "a\0b: embedded null byte"),
        ("", "the source has no name; give a camera, a video file, a stream or a folder"),
    ],
)
def test_what_is_no_source_is_one_clear_error(text: str, says: str) -> None:
    with pytest.raises(SourceError) as error:
        open_source(text)
    assert str(error.value).startswith(says)


def test_what_a_source_has_not_cannot_be_asked_of_it(tmp_path: Path) -> None:
    path = str(video(tmp_path / "a.avi", 2))
    for text in ("0", "http://camera/", str(tmp_path)):
        with pytest.raises(UsageError, match="of a video file only"):
            open_source(text, every_frame=True)
    for text in ("0", "http://camera/", path):
        with pytest.raises(UsageError, match="in a folder only"):
            open_source(text, new_only=True)


def test_no_password_is_in_a_name() -> None:
    for text, name in {
        "rtsp://ann:secret@10.0.0.7:554/live": "rtsp://10.0.0.7:554/live",
        "rtsp://ann:se/cret@10.0.0.7:554/live": "rtsp://...",
        "http://camera/mjpg?user=ann&pwd=secret&channel=1": "http://camera/mjpg?user=ann&pwd=...&channel=1",
        "http://[::bad/?a=secret": "http://...",
        "ftp://ann:secret@camera/a": "ftp://camera/a",
    }.items():
        try:
            said = open_source(text).name
        except SourceError as error:
            said = str(error)
        assert said.startswith(name)
        assert "secret" not in said and "cret@" not in said


# Cameras


def test_a_camera_that_is_missing_is_one_clear_error() -> None:
    with pytest.raises(SourceError, match="/dev/video97: no such camera; there is"):
        open_source("97").open()


def test_another_device_is_not_a_camera() -> None:
    with pytest.raises(SourceError, match="/dev/null: not a camera"):
        open_source("/dev/null").open()


class Device:
    """What OpenCV 4.11 makes of a camera: the frames of one that gives BGR24 (vivid does) are one long row."""

    def __init__(self, *shape: int) -> None:
        self.image = np.arange(np.prod(shape), dtype=np.uint64).astype(np.uint8).reshape(shape)

    def grab(self) -> bool:
        return True

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return True, self.image

    def get(self, what: int) -> float:
        return {cv2.CAP_PROP_FRAME_WIDTH: 40.0, cv2.CAP_PROP_FRAME_HEIGHT: 30.0}[what]


@pytest.mark.parametrize("shape", [(30, 40, 3), (30, 40), (1, 30 * 40 * 3), (1, 30 * 40 * 3, 1)])
def test_frames_of_a_camera_have_their_rows(shape: tuple[int, ...]) -> None:
    camera = Camera("/dev/video0")
    camera._capture = Device(*shape)
    frame = camera.read()
    assert frame is not None
    assert frame.load().shape == ((30, 40) if shape == (30, 40) else (30, 40, 3))
    assert np.array_equal(frame.load().ravel(), camera._capture.image.ravel())


def test_frames_of_an_unknown_format_are_one_clear_error() -> None:
    camera = Camera("/dev/video0")
    camera._capture = Device(1, 30 * 40 * 2)
    with pytest.raises(SourceError, match="/dev/video0: its frames are in a format"):
        camera.read()


# Videos


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "MJPG"), ("a.mp4", "mp4v"), ("a.webm", "VP80")])
def test_every_frame_of_a_video_in_its_order(tmp_path: Path, name: str, codec: str) -> None:
    path = video(tmp_path / name, 60, codec=codec)
    with opened(open_source(str(path), every_frame=True)) as source:
        frames = [(number_of(frame.load()), frame.sequence, frame.dropped) for frame in frames_of(source)]
        assert frames == [(number, number, 0) for number in range(60)]
        with pytest.raises(EndOfSource):
            source.read()


def test_a_video_is_played_at_its_own_pace(tmp_path: Path) -> None:
    path = video(tmp_path / "a.avi", 41)
    with opened(open_source(str(path))) as source:
        start = time.monotonic()
        frames = list(frames_of(source))
        assert 0.9 < time.monotonic() - start < 4.0
    assert frames[-1].sequence == 40
    assert frames[-1].time - frames[0].time == pytest.approx(1.0, abs=0.5)


def test_frames_of_a_video_that_come_too_late_are_passed_over(tmp_path: Path) -> None:
    path = video(tmp_path / "a.avi", 81)
    with opened(open_source(str(path))) as source:
        frames = []
        start = time.monotonic()
        for frame in frames_of(source):
            frames.append(frame)
            time.sleep(0.1)  # four times as long as a frame lasts
        assert time.monotonic() - start < 5
    assert 5 <= len(frames) <= 30
    assert [number_of(frame.load()) for frame in frames] == [frame.sequence for frame in frames]
    assert [frame.dropped for frame in frames] == [frame.sequence - seen for seen, frame in enumerate(frames)]


def test_a_video_that_lasts_long_between_frames_says_that_there_is_nothing_yet(tmp_path: Path) -> None:
    path = video(tmp_path / "a.avi", 3, rate=2)
    with opened(open_source(str(path))) as source:
        start = time.monotonic()
        said = [source.read() for _ in range(4)]
        assert time.monotonic() - start < 1.5
    assert said[0] is not None and said[1] is None


def test_a_video_that_was_cut_short_is_a_failure_after_its_last_frame(tmp_path: Path) -> None:
    path = video(tmp_path / "a.avi", 60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    numbers = []
    with opened(open_source(str(path), every_frame=True)) as source, pytest.raises(SourceError) as error:
        for frame in frames_of(source):
            numbers += [number_of(frame.load())]
    assert 20 < len(numbers) < 40
    said = f"only {len(numbers)} of 60 frames could be decoded: the video is damaged or cut short"
    assert str(error.value) == f"{path}: {said}"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.avi", b"", "the file is empty"),
        ("a.mp4", b"this is not a video" * 100, "not a video that can be decoded"),
        ("a.png", None, "a picture, not a video"),
        ("b.png", b"12345\n", "named as a picture, and not one; if it is a video, rename it"),
        ("c.jpg", b"", "the file is empty"),
        ("a.txt", b"12345\n", "not a video that can be decoded"),
    ],
)
def test_a_file_that_is_no_video_is_one_clear_error(
    tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    path = tmp_path / name
    path.write_bytes(cv2.imencode(".png", digit())[1].tobytes() if content is None else content)
    with pytest.raises(SourceError, match=f"{name}: {says}"):
        open_source(str(path)).open()


def test_a_pipe_a_socket_or_a_disk_is_one_clear_error_at_once(tmp_path: Path) -> None:
    pipe, plug = tmp_path / "pipe", tmp_path / "socket.mp4"
    os.mkfifo(pipe)
    kinds = {str(pipe): "a named pipe", str(plug): "a socket"}
    kinds |= {disk: "a device" for disk in map(str, Path("/dev").iterdir()) if Path(disk).is_block_device()}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(plug))
        for text, kind in kinds.items():
            for every_frame in (False, True):
                source = open_source(text, every_frame=every_frame)
                start = time.monotonic()
                with pytest.raises(SourceError) as error:
                    Latest(source).open()
                assert time.monotonic() - start < 1
                assert str(error.value) == f"{text}: {kind}, not a video file"


def test_a_video_whose_name_is_not_utf8_is_one_clear_error(tmp_path: Path) -> None:
    path = os.fsencode(video(tmp_path / "a.avi", 2))
    odd = os.path.join(os.path.dirname(path), b"\xff.avi")
    os.rename(path, odd)
    with pytest.raises(SourceError, match="rename it"):
        open_source(os.fsdecode(odd)).open()


def test_a_colon_in_a_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    video(tmp_path / "a.avi", 3).rename(tmp_path / "file:b.avi")
    with opened(open_source("file:b.avi", every_frame=True)) as source:
        assert len(list(frames_of(source))) == 3


def test_damaged_videos_end_or_fail_and_nothing_else(tmp_path: Path) -> None:
    seed = int(time.time())
    print("seed", seed)
    random = np.random.default_rng(seed)
    for name, codec in (("a.avi", "MJPG"), ("a.mp4", "mp4v")):
        whole = video(tmp_path / name, 12, codec=codec).read_bytes()
        for _ in range(20):
            content = np.frombuffer(whole, np.uint8).copy()
            content[random.integers(0, len(content), 200)] = random.integers(0, 256, 200)
            (tmp_path / name).write_bytes(content.tobytes()[: random.integers(1, len(content) + 1)])
            try:
                with opened(open_source(str(tmp_path / name), every_frame=True)) as source:
                    for frame in frames_of(source):
                        assert frame.load().dtype == np.uint8
            except SourceError as error:
                assert "\n" not in str(error)


def test_a_source_can_be_opened_again(tmp_path: Path) -> None:
    source = open_source(str(video(tmp_path / "a.avi", 5)), every_frame=True)
    for _ in range(2):
        with opened(source):
            assert [number_of(frame.load()) for frame in frames_of(source)] == list(range(5))
    source.close()  # nothing is open


# Streams


@pytest.mark.parametrize("kind", ["http", "rtsp"])
def test_a_stream_gives_its_newest_frames_and_fails_where_it_stops(kind: str) -> None:
    seconds = 2.0

    def picture(now: float) -> np.ndarray | None:
        return numbered(round(now * RATE)) if now < seconds else None

    with serve(kind, picture, RATE) as server:
        lags, numbers, sequences = [], [], []
        with (
            pytest.raises(SourceError, match=rf"^{kind}://127\.0\.0\.1:{server.port}/live: the stream stopped$"),
            opened(Latest(open_source(f"{kind}://ann:secret@127.0.0.1:{server.port}/live"))) as source,
        ):
            for frame in frames_of(source):
                newest = round((time.monotonic() - server.start) * RATE)
                numbers.append(number_of(frame.load()))
                lags.append(newest - numbers[-1])
                sequences.append((frame.sequence, frame.dropped))
                time.sleep(0.1)  # four frames
    assert len(numbers) >= 5
    assert numbers == sorted(set(numbers))
    assert sequences[-1][0] - sequences[-1][1] == len(numbers) - 1
    settled = sorted(lags[len(lags) // 2 :])
    assert settled[len(settled) // 2] <= 6, f"frames behind: {lags}"


def test_a_slow_stream_is_watched_as_it_comes() -> None:
    with serve("http", lambda now: numbered(round(now * 2)), 2.0) as server:
        start = time.monotonic()
        with opened(Latest(open_source(f"http://127.0.0.1:{server.port}/"))) as source:
            taken(source, 1)
            assert time.monotonic() - start < 2, "it waits for more before it starts"
            numbers = [number_of(frame.load()) for frame in taken(source, 2)]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1:{http}/missing", "the server answers 404 Not Found"),
        ("http://127.0.0.1:{http}/private", "the server wants another user or password"),
        ("http://127.0.0.1:{http}/page", "the server answers with a web page, not a video; look there for the address"),
        ("http://127.0.0.1:{http}/text", "the server answers, but not with a video that can be decoded"),
        ("rtsp://127.0.0.1:{rtsp}/missing", "the server answers 404 Not Found"),
        ("rtsp://127.0.0.1:{http}/", "no answer: it does not speak RTSP"),
        ("http://127.0.0.1:1/", "no answer: Connection refused"),
        ("rtsp://127.0.0.1:1/", "no answer: Connection refused"),
        ("http://nobody.invalid/", "no host of this name is known"),
        ("rtsp://nobody.invalid:554", "no host of this name is known"),
        ("http:///stream", "there is no host in this address"),
    ],
)
def test_a_stream_that_cannot_be_had_is_one_clear_error_at_once(url: str, says: str) -> None:
    with serve("http", lambda _: None) as http, serve("rtsp", lambda _: None) as rtsp:
        url = url.format(http=http.port, rtsp=rtsp.port)
        start = time.monotonic()
        with pytest.raises(SourceError) as error:
            open_source(url).open()
        assert time.monotonic() - start < 3
    assert str(error.value).startswith(f"{url}: {says}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["http", "rtsp"])
def test_a_server_that_says_nothing_is_given_up(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "OPEN_SECONDS", 0.4)
    monkeypatch.setattr(capture, "PROBE_SECONDS", 0.4)
    with silence() as port:
        start = time.monotonic()
        with pytest.raises(SourceError, match="no answer"):
            open_source(f"{kind}://127.0.0.1:{port}/").open()
        assert time.monotonic() - start < 2


def test_a_server_that_promises_a_video_and_gives_none_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "OPEN_SECONDS", 0.4)
    over = threading.Event()

    def picture(_: float) -> None:
        over.wait(PATIENCE)

    with serve("http", picture) as server:
        try:
            with pytest.raises(SourceError, match=r"no video that can be decoded came within 0\.4 s$"):
                open_source(f"http://127.0.0.1:{server.port}/").open()
        finally:
            over.set()


def test_a_stream_that_freezes_has_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "FRAME_SECONDS", 0.4)
    thaw = threading.Event()

    def picture(now: float) -> np.ndarray:
        if now > 0.3:
            thaw.wait(PATIENCE)
        return numbered(1)

    with serve("http", picture) as server:
        try:
            with opened(Latest(open_source(f"http://127.0.0.1:{server.port}/"))) as source:
                start = time.monotonic()
                with pytest.raises(SourceError, match="the stream stopped"):
                    list(frames_of(source))
                assert time.monotonic() - start < 3
        finally:
            thaw.set()


# The newest frame only


class Hurried:
    """Frames without end, as fast as they are taken; each is watched for as long as somebody keeps it."""

    name, live = "hurried", True

    def __init__(self, pause: float = 0.0, last: int | None = None, end: Exception | None = None) -> None:
        self.pause, self.last, self.end = pause, last, end
        self.made = 0
        self.alive: weakref.WeakSet[Frame] = weakref.WeakSet()
        self.most_alive = 0
        self.open_calls = self.close_calls = 0

    def open(self) -> None:
        self.open_calls += 1

    def read(self) -> Frame | None:
        if self.last is not None and self.made > self.last:
            raise self.end or EndOfSource
        time.sleep(self.pause)
        image = np.zeros((480, 640), np.uint8)
        frame = Counted(lambda: image, time.time(), self.made)
        self.alive.add(frame)
        self.most_alive = max(self.most_alive, len(self.alive))
        self.made += 1
        return frame

    def close(self) -> None:
        self.close_calls += 1


class Counted(Frame):
    """A frame that can be watched (slots leave no room for that)."""

    __slots__ = ("__weakref__",)


def test_whoever_is_slow_gets_the_newest_frame_and_no_queue_grows() -> None:
    source = Hurried(pause=0.001)
    with opened(Latest(source)) as latest:
        for seen, frame in enumerate(taken_slowly(latest, 12)):
            assert source.made - frame.sequence <= 60, "an old frame"
            assert frame.dropped == frame.sequence - seen
        assert frame.dropped > 100
    assert source.most_alive <= 4


def taken_slowly(latest: Latest, count: int) -> Iterator[Frame]:
    for _ in range(count):
        time.sleep(0.03)
        frame = latest.read()
        assert frame is not None
        yield frame


def test_a_password_that_breaks_the_address_is_explained_and_not_told() -> None:
    with pytest.raises(SourceError, match=r"^rtsp://\.\.\.: the address cannot be understood; .* / as %2F") as error:
        open_source("rtsp://ann:se/cret@127.0.0.1/live").open()
    assert "cret" not in str(error.value) and "'se'" not in str(error.value)


def resident_megabytes() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_a_long_run_keeps_no_memory(tmp_path: Path) -> None:
    count = 400  # frames, 0.7 MB each
    path = write_video(tmp_path / "a.avi", (page("4071") for _ in range(count)))
    resident = []
    for _ in range(3):
        with opened(Latest(open_source(str(path), every_frame=True))) as source:
            last = None
            for frame in frames_of(source):
                last = frame
                frame.load()
            assert last is not None and last.sequence == count - 1
            resident.append(resident_megabytes())
    assert resident[2] - resident[0] < 20, resident


def test_the_last_frame_is_handed_out_before_the_end() -> None:
    for end, raised in ((None, EndOfSource), (SourceError("unplugged"), SourceError)):
        with opened(Latest(Hurried(last=20, end=end))) as latest:
            time.sleep(0.1)
            frame = latest.read()
            assert frame is not None and frame.sequence == frame.dropped == 20
            for _ in range(2):
                with pytest.raises(raised):
                    latest.read()


def test_it_waits_a_moment_for_a_frame_and_is_there_when_it_comes() -> None:
    with opened(Latest(Hurried(pause=0.25))) as latest:
        said, start = [], time.monotonic()
        while not any(said):
            said.append(latest.read())
        assert said[:-1].count(None) >= 1
        assert time.monotonic() - start < 1


def test_a_source_that_cannot_be_opened_says_so_to_whoever_opens() -> None:
    latest = Latest(open_source("97"))
    for _ in range(2):
        with pytest.raises(SourceError, match="no such camera"):
            latest.open()
        latest.close()
    assert not latest.is_stuck


def test_the_source_is_closed_with_it() -> None:
    source = Hurried()
    for times in (1, 2):
        with opened(Latest(source)) as latest:
            taken(latest, 2)
        assert (source.open_calls, source.close_calls) == (times, times)
    assert threading.active_count() < 5


def test_a_source_that_does_not_come_back_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "CLOSE_SECONDS", 0.1)
    release = threading.Event()

    class Stuck(Hurried):
        def read(self) -> Frame | None:
            release.wait(PATIENCE)
            return None

    latest = Latest(Stuck())
    latest.open()
    start = time.monotonic()
    latest.close()
    assert time.monotonic() - start < 1
    assert latest.is_stuck
    with pytest.raises(SourceError, match="does not come back"):
        latest.open()
    release.set()
    latest.close()
    assert not latest.is_stuck


# Folders


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less patience with files than people have."""
    monkeypatch.setattr(capture, "SETTLE_SECONDS", 0.15)
    monkeypatch.setattr(capture, "SCAN_SECONDS", 0.05)
    monkeypatch.setattr(capture, "PATIENCE_SECONDS", 1.5)


PNG = cv2.imencode(".png", page("4071"))[1].tobytes()


def names(frames: list[Frame]) -> list[str]:
    return [os.path.basename(str(frame.path)) for frame in frames]


def quiet(source: Source, seconds: float) -> bool:
    """Whether nothing comes for so long."""
    deadline = time.monotonic() + seconds
    return all(source.read() is None for _ in iter(lambda: time.monotonic() < deadline, False))


def put(folder: Path, name: str, age: float = 0.0, content: bytes = PNG) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


@pytest.mark.usefixtures("brisk")
def test_pictures_of_a_folder_come_once_the_oldest_first(tmp_path: Path) -> None:
    for name, age in {"b.png": 50, "a.png": 20, "sub/c.jpg": 30, "d.png": 40}.items():
        put(tmp_path, name, age)
    put(tmp_path, ".hidden.png", 60)
    put(tmp_path, "notes.txt", 60)
    put(tmp_path, "e.png.part", 60)
    with opened(open_source(str(tmp_path))) as source:
        frames = taken(source, 4)
        assert names(frames) == ["b.png", "d.png", "c.jpg", "a.png"]
        assert [frame.sequence for frame in frames] == [0, 1, 2, 3]
        assert frames[0].time == pytest.approx(time.time() - 50, abs=5)
        assert frames[0].load().shape == page("4071").shape
        assert quiet(source, 0.5)
        put(tmp_path, "f.png")
        assert names(taken(source, 1)) == ["f.png"]
        assert quiet(source, 0.5)


@pytest.mark.usefixtures("brisk")
def test_a_picture_that_is_written_anew_is_a_new_one(tmp_path: Path) -> None:
    path = put(tmp_path, "latest.png", 50)
    with opened(open_source(str(tmp_path))) as source:
        assert names(taken(source, 1)) == ["latest.png"]
        path.write_bytes(PNG)
        assert names(taken(source, 1)) == ["latest.png"]
        path.rename(tmp_path / "kept.png")
        assert names(taken(source, 1)) == ["kept.png"]
        assert quiet(source, 0.3)


SLOW_WRITER = """
import sys, time
path, pause = sys.argv[1], float(sys.argv[2])
content = sys.stdin.buffer.read()
with open(path, "wb", buffering=0) as file:
    for start in range(0, len(content), len(content) // 8):
        file.write(content[start : start + len(content) // 8])
        time.sleep(pause)
print(time.time())
"""


@pytest.mark.usefixtures("brisk")
@pytest.mark.parametrize("pause", [0.05, 0.25], ids=["steady", "slower than the folder settles"])
def test_a_half_written_picture_is_left_until_it_is_whole(tmp_path: Path, pause: float) -> None:
    path = tmp_path / "slow.png"
    with opened(open_source(str(tmp_path))) as source:
        writer = subprocess.Popen(
            [sys.executable, "-c", SLOW_WRITER, str(path), str(pause)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert writer.stdin
        writer.stdin.write(PNG)
        writer.stdin.close()
        (frame,) = taken(source, 1)
        assert path.stat().st_size == len(PNG)
        assert np.array_equal(frame.load(), page("4071"))
        assert writer.wait(PATIENCE) == 0
        assert writer.stdout
        writer.stdout.close()
        assert quiet(source, 0.4)


@pytest.mark.usefixtures("brisk")
def test_what_never_becomes_a_picture_is_handed_out_to_fail(tmp_path: Path) -> None:
    put(tmp_path, "old.png", 50, PNG[:1000])
    with opened(open_source(str(tmp_path))) as source:
        start = time.monotonic()
        (old,) = taken(source, 1)
        assert time.monotonic() - start < 1.4, "nobody writes to it any more"
        put(tmp_path, "new.png", 0, PNG[:1000])
        put(tmp_path, "good.png", 0)
        start = time.monotonic()
        assert names(taken(source, 1)) == ["good.png"], "one that is not whole stands in nobody's way"
        (new,) = taken(source, 1)
        assert time.monotonic() - start > 1.4
        for frame in (old, new):
            with pytest.raises(PictureError, match="cut short"):
                frame.load()
        assert quiet(source, 0.3)


@pytest.mark.usefixtures("brisk")
def test_only_new_pictures_if_so_wished(tmp_path: Path) -> None:
    put(tmp_path, "there.png", 50)
    source = open_source(str(tmp_path), new_only=True)
    with opened(source):
        assert quiet(source, 0.3)
        put(tmp_path, "new.png")
        assert names(taken(source, 1)) == ["new.png"]
    put(tmp_path, "while it was closed.png")
    with opened(source):
        assert names(taken(source, 1)) == ["while it was closed.png"]
        assert quiet(source, 0.3)


@pytest.mark.usefixtures("brisk")
def test_a_folder_that_goes_is_a_failure(tmp_path: Path) -> None:
    folder = tmp_path / "-"  # which find() would take for standard input
    folder.mkdir()
    with opened(Folder(str(folder))) as source:
        assert quiet(source, 0.2)
        folder.rmdir()
        with pytest.raises(SourceError, match="the folder is gone"):
            list(frames_of(source))


@pytest.mark.usefixtures("brisk")
def test_a_folder_forgets_files_that_are_gone(tmp_path: Path) -> None:
    source = Folder(str(tmp_path))
    with opened(source):
        for number in range(3):
            path = put(tmp_path, f"{number}.png", 50)
            assert names(taken(source, 1)) == [path.name]
            path.unlink()
        assert quiet(source, 0.2)
        assert not source._done and not source._candidates


def test_a_large_folder_is_looked_through_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    class Slow(Folder):
        def _list(self) -> dict[str, capture._State]:
            looks.append(time.monotonic())
            time.sleep(0.02)
            return super()._list()

    monkeypatch.setattr(capture, "SCAN_SECONDS", 0.01)
    with opened(Slow(str(tmp_path))) as source:
        looks.clear()
        assert quiet(source, 1.3)
    assert 1 <= len(looks) <= 4, "a look takes 0.02 s, so one every 0.4 s"

"""Take frames from wherever they come: a camera, a video, a stream, a folder that fills.

    source = open_source("rtsp://camera.local/stream")
    with opened(Latest(source) if source.live else source) as frames:
        while True:
            frame = frames.read()  # None: nothing new yet; EndOfSource: there will be nothing more

Every kind of source has the three verbs of `Source`, and so have those that stand before another one, as `Latest`.
"""

import base64
import http.client
import os
import re
import socket
import ssl
import stat
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.decode import NOT_FILES, decode, read_file
from edge.errors import PictureError, SourceError, UsageError
from edge.picture_header import MAX_PIXELS, read_header
from edge.source import PICTURE_SUFFIXES, find

Image = NDArray[np.uint8]

OPEN_SECONDS = 7.0  # for a stream to open; of RTSP, FFmpeg first wants 20 frames, to know how many there are a second
FRAME_SECONDS = 5.0  # for the next frame to come; a stream that is slower has stopped
PROBE_SECONDS = 2.0  # for a server to say why it gives no stream
WAIT_SECONDS = 0.1  # how long read() waits before it says that there is nothing yet
CLOSE_SECONDS = 1.0  # for a thread to come back from its source

PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}  # of the kinds of streams (IANA)
VIDEO_DEVICE_MAJOR = 81  # Linux, Documentation/admin-guide/devices.txt: character device of video4linux
CAMERAS = "/dev/video"
BGR_CHANNELS = 3
STILL_SUFFIXES = tuple(sorted({*PICTURE_SUFFIXES} - {".gif", ".apng", ".webp"}))  # those may move
WEB_PAGE = "text/html"  # media type, RFC 2854
SECRETS = re.compile(r"pass|pwd|token|secret|auth|key|credential", re.IGNORECASE)  # parameters of a URL

DEFAULT_RATE = 25.0  # frames a second of a video that does not say
MAX_RATE = 1000.0  # frames a second; a video that says more is mistaken
MAX_FRAMES = 1e9  # a year at 30 frames a second; a video that says more does not know
WHOLE = 0.9  # part of the frames announced; a video that gives less was cut short or is damaged
LATEST_CATCH_UP = 1.0  # seconds a video may be late; beyond, its clock is set anew
MAX_SKIPPED = 8  # frames in a row not converted because they are late

SETTLE_SECONDS = 0.5  # a file that did not change for so long is not being written
OLD_SECONDS = 2.0  # a file that was written so long ago needs no second look; two seconds is FAT's clock
SCAN_SECONDS = 0.25  # between two looks at a folder
PATIENCE_SECONDS = 10.0  # how long a file that is not a whole picture may stay as it is before it is given up
SCAN_SHARE = 0.05  # of the time, at most, goes into looking through the folder

EARLY = 0.8  # part of the time between two frames after which the next one is taken: cameras keep no exact pace
TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


class EndOfSource(Exception):
    """A source came to its end as it should: the last frame of a video was read."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a source.

    `load`: gives it, uint8 (height, width, 3) BGR or (height, width) grey; raises PictureError. `time`: seconds since
    1970 when it was taken, as near as is known. `sequence`: its number in the source, from 0, those not seen counted.
    `dropped`: how many were not seen until then. `path`: the file it is, if it is one; a reader decodes it no larger
    than it needs.
    """

    load: Callable[[], Image]
    time: float
    sequence: int
    dropped: int = 0
    path: str | None = None


class Source(Protocol):
    """What frames come from."""

    name: str
    """For people and records; no password in it."""

    live: bool
    """Whether frames pass by, seen or not. Then `Latest` keeps whoever is slow on the newest."""

    def open(self) -> None:
        """Raises SourceError; it may be tried again, also after close()."""
        ...

    def read(self) -> Frame | None:
        """The next frame; None where there is nothing new yet, after a moment's wait.

        Raises EndOfSource after the last one, and SourceError when the source fails.
        """
        ...

    def close(self) -> None:
        """Lets go of it. Does nothing where it is not open."""
        ...


@contextmanager
def opened(source: Source) -> Iterator[Source]:
    """Opens the source and closes it again."""
    try:
        source.open()
        yield source
    finally:
        source.close()


def open_source(text: str, *, every_frame: bool = False, new_only: bool = False) -> Source:
    """The source that a text means: not yet opened, so whether it works is not known.

    A number or a device is a camera, rtsp:// and http:// with their safe kin are streams, a folder gives its pictures
    and those that come, any other file is a video. every_frame: a video file's frames one by one, as fast as they
    are read, instead of at its own pace. new_only: of a folder, only what comes from now on.
    Raises SourceError, and UsageError where every_frame or new_only is asked of something else.
    """
    source = _source_of(text, every_frame, new_only)
    if every_frame and (not isinstance(source, Video) or source.live):
        raise UsageError(f"{source.name}: every frame can be read of a video file only, and this is none")
    if new_only and not isinstance(source, Folder):
        raise UsageError(f"{source.name}: new pictures come in a folder only, and this is none")
    return source


def _source_of(text: str, every_frame: bool, new_only: bool) -> Source:
    scheme, found, _ = text.partition("://")
    if found:
        if scheme.lower() not in PORTS:
            known = ", ".join(f"{known}://" for known in PORTS)
            raise SourceError(f"{_without_secrets(text)}: not a stream that is known here; {known} are")
        return Video(text, every_frame=every_frame)
    if not text:
        raise SourceError("the source has no name; give a camera, a video file, a stream or a folder")
    if text.isascii() and text.isdigit():
        return Camera(f"{CAMERAS}{int(text)}")
    try:
        mode = os.stat(text).st_mode
    except FileNotFoundError:
        if text.startswith(CAMERAS):
            return Camera(text)
        raise SourceError(f"{text}: no such file, folder or camera") from None
    except (OSError, ValueError) as error:
        raise SourceError(f"{text}: {getattr(error, 'strerror', None) or error}") from None
    if stat.S_ISCHR(mode):
        return Camera(text)
    if stat.S_ISDIR(mode):
        return Folder(text, new_only=new_only)
    return Video(text, every_frame=every_frame)


# Pictures the other way up


class Turned:
    """Another source with its pictures turned."""

    def __init__(self, source: Source, degrees: int) -> None:
        """degrees: clockwise; 90, 180 or 270."""
        self.name, self.live = source.name, source.live
        self._source, self._degrees = source, degrees

    def open(self) -> None:
        self._source.open()

    def read(self) -> Frame | None:
        frame = self._source.read()
        return None if frame is None else turned(frame, self._degrees)

    def close(self) -> None:
        self._source.close()


def turned(frame: Frame, degrees: int) -> Frame:
    """The frame whose picture is turned clockwise by 90, 180 or 270 degrees when it is loaded."""
    return replace(frame, load=lambda: _turned(frame.load(), degrees))


def _turned(image: Image, degrees: int) -> Image:
    return np.asarray(cv2.rotate(image, TURNS[degrees]), np.uint8)


# Cameras, videos and streams: OpenCV's VideoCapture


class _Pace:
    """No more frames a second than these: what comes in between costs no decoding."""

    def __init__(self, rate: float | None) -> None:
        """rate: None takes all of them."""
        self._pause = EARLY / rate if rate else 0.0
        self._next = 0.0

    def is_due(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._pause
        return True


class Camera:
    """A camera that Linux shows as a V4L2 device."""

    live = True

    def __init__(self, device: str, *, size: tuple[int, int] | None = None, rate: float | None = None) -> None:
        """size: width and height in pixels, of which it takes the nearest it has; None: its own.

        rate: frames a second; what it gives beyond is passed over. None: its own, all of them.
        """
        self.name = device
        self._size, self._rate = size, rate
        self._pace = _Pace(rate)
        self._capture: Any = None
        self._sequence = 0

    def open(self) -> None:
        self.close()
        self._check()
        # Read once by OpenCV, in seconds; it takes no timeout for V4L2 in any other way.
        os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(round(FRAME_SECONDS)))
        capture = _capture(self.name, cv2.CAP_V4L2)
        if capture is None:
            raise SourceError(f"{self.name}: not a camera that gives pictures, or another program has it")
        if self._size is not None:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._size[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._size[1])
        if self._rate is not None:
            capture.set(cv2.CAP_PROP_FPS, self._rate)
        self._capture = capture

    def _check(self) -> None:
        try:
            status = os.stat(self.name)
        except OSError as error:
            there = sorted(map(str, Path(CAMERAS).parent.glob(f"{Path(CAMERAS).name}*")))
            others = f"there is {' '.join(there)}" if there else "there is none on this machine"
            reason = "no such camera" if isinstance(error, FileNotFoundError) else error.strerror
            raise SourceError(f"{self.name}: {reason}; {others}") from None
        if not stat.S_ISCHR(status.st_mode) or os.major(status.st_rdev) != VIDEO_DEVICE_MAJOR:
            raise SourceError(f"{self.name}: not a camera")
        if not os.access(self.name, os.R_OK | os.W_OK):
            raise SourceError(f"{self.name}: no permission to use it; is this user in the group video?")

    def read(self) -> Frame | None:
        if not self._capture.grab():
            raise self._stopped()
        taken = time.time()
        if not self._pace.is_due():
            self._sequence += 1
            return None
        found, image = self._capture.retrieve()
        if not found:
            raise self._stopped()
        image = self._shaped(image)
        frame = Frame(lambda: image, taken, self._sequence)
        self._sequence += 1
        return frame

    def _stopped(self) -> SourceError:
        gone = "it was unplugged" if not os.path.exists(self.name) else f"no frame in {FRAME_SECONDS:g} s"
        never = "" if self._sequence else "; a Raspberry Pi's camera module needs picamera2"
        return SourceError(f"{self.name}: the camera stopped: {gone}{never}")

    def _shaped(self, image: Image) -> Image:
        """The frame with its rows: OpenCV 4.11 hands out those of BGR24 cameras as one long row."""
        width, height = (
            round(self._capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        if image.shape[:2] == (height, width):
            return image
        if image.size == height * width * BGR_CHANNELS:
            return image.reshape(height, width, BGR_CHANNELS)
        raise SourceError(f"{self.name}: its frames are in a format that OpenCV does not read")

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None


class Video:
    """A video file or a stream.

    What has an end is played at its own pace, and late frames are left out; with `every_frame`, all of them are read
    as fast as they are asked for.
    """

    def __init__(self, location: str, *, every_frame: bool = False, rate: float | None = None) -> None:
        """location: a path or a URL. rate: frames a second; what comes beyond is passed over. None: all of them."""
        self._location = location
        self._is_url = "://" in location
        self.name = _without_secrets(location) if self._is_url else location
        self.live = self._is_url or not every_frame
        # An RTSP server keeps the pace.
        self._paced = not every_frame and not (self._is_url and location.lower().startswith("rtsp"))
        self._pace = _Pace(rate)
        self._capture: Any = None
        self._announced: float | None = None  # frames, where it has an end
        self._rate = DEFAULT_RATE
        self._grabbed = 0  # frames since it was opened
        self._waiting = False  # whether one of them is grabbed and not due yet
        self._sequence = 0
        self._seen = 0
        self._start = 0.0

    def open(self) -> None:
        self.close()
        if not self._is_url:
            self._check()
        # An absolute path: FFmpeg takes what stands before a colon for a protocol.
        where = self._location if self._is_url else os.path.abspath(self._location)
        start = time.monotonic()
        capture = _capture(
            where,
            cv2.CAP_FFMPEG,
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            round(OPEN_SECONDS * 1000),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            round(FRAME_SECONDS * 1000),
        )
        if capture is None:
            in_time = time.monotonic() - start < OPEN_SECONDS
            why = _why_no_stream(self._location, in_time) if self._is_url else _why_no_video(self._location)
            raise SourceError(f"{self.name}: {why}")
        self._capture = capture
        width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        if width * height > MAX_PIXELS:
            self.close()
            raise SourceError(
                f"{self.name}: {width:.0f}x{height:.0f} pixels; "
                f"more than {MAX_PIXELS // 1_000_000} megapixels are not read"
            )
        announced = float(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self._announced = announced if 0 < announced < MAX_FRAMES else None
        rate = float(capture.get(cv2.CAP_PROP_FPS))
        self._rate = rate if 0 < rate <= MAX_RATE else DEFAULT_RATE
        self._grabbed = 0
        self._waiting = False
        self._start = time.monotonic()

    def _check(self) -> None:
        """Looks before FFmpeg opens it: that would wait for whoever fills a named pipe, and go by a picture's name."""
        try:
            kind = stat.S_IFMT(os.stat(self._location).st_mode)
        except (OSError, ValueError):  # said when it cannot be opened
            return
        if kind in NOT_FILES:
            raise SourceError(f"{self.name}: {NOT_FILES[kind]}, not a video file")
        if _is_named_as_picture(self._location):
            raise SourceError(f"{self.name}: {_why_no_video(self._location)}")

    @property
    def _ends(self) -> bool:
        return self._announced is not None or not self._is_url

    def read(self) -> Frame | None:
        if not self._waiting:
            self._grab()
        self._waiting = self._paced and self._ends and not self._is_due()
        if self._waiting or not self._pace.is_due():
            return None
        taken = time.time()
        found, image = self._capture.retrieve()
        if not found:
            raise SourceError(f"{self.name}: a frame could not be decoded")
        frame = Frame(lambda: image, taken, self._sequence - 1, self._sequence - 1 - self._seen)
        self._seen += 1
        return frame

    def _grab(self) -> None:
        start = time.monotonic()
        found = self._capture.grab()
        # After a timeout, OpenCV first hands out what the decoder still holds.
        if not found or (self._is_url and time.monotonic() - start >= FRAME_SECONDS):
            self._finish()
        self._grabbed += 1
        self._sequence += 1

    def _is_due(self) -> bool:
        """Waits a moment for it; passes over frames that are late."""
        for _ in range(MAX_SKIPPED):
            late = time.monotonic() - self._start - (self._grabbed - 1) / self._rate
            if late < 0:
                time.sleep(min(-late, WAIT_SECONDS))
                return -late <= WAIT_SECONDS
            if late > LATEST_CATCH_UP:
                self._start += late
                return True
            if late < 1 / self._rate:
                return True
            self._grab()
        return True

    def _finish(self) -> None:
        """Raises what it means that there is no next frame."""
        if not self._ends:
            raise SourceError(f"{self.name}: the stream stopped")
        if not self._grabbed:
            raise SourceError(f"{self.name}: no frame of it can be decoded")
        if self._announced is not None and self._grabbed < WHOLE * self._announced:
            why = "the stream stopped" if self._is_url else "the video is damaged or cut short"
            raise SourceError(
                f"{self.name}: only {self._grabbed} of {self._announced:.0f} frames could be decoded: {why}"
            )
        raise EndOfSource

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None


def _capture(where: str, backend: int, *settings: int) -> Any:
    """An opened cv2.VideoCapture, or None."""
    try:
        where.encode()  # OpenCV 4.11 dies of a name that is not UTF-8
        capture = cv2.VideoCapture(where, backend, settings)
    except (cv2.error, UnicodeError):
        return None
    if not capture.isOpened():
        capture.release()
        return None
    return capture


def _without_secrets(url: str) -> str:
    """The URL without the user and the password in it, nor the values of parameters that sound like one."""
    try:
        parts = urllib.parse.urlsplit(url)
        _ = parts.port
    except ValueError:  # perhaps a password with a slash in it
        return url.partition("://")[0] + "://..."
    parameters = [
        f"{name}=..." if equals and SECRETS.search(name) else name + equals + value
        for name, equals, value in (parameter.partition("=") for parameter in parts.query.split("&"))
    ]
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit(parts._replace(netloc=host, query="&".join(parameters)))


def _is_named_as_picture(path: str) -> bool:
    return path.lower().endswith(STILL_SUFFIXES)


def _is_picture(path: str) -> bool:
    """Whether a file begins as a picture does, whole or not."""
    try:
        return read_header(read_file(path)) is not None
    except PictureError:
        return False


def _why_no_video(path: str) -> str:
    try:
        with open(path, "rb") as file:
            empty = not file.read(1)
        path.encode()
    except OSError as error:
        return error.strerror or str(error)
    except UnicodeError:
        return "videos are opened by names in UTF-8 only; rename it"
    if empty:
        return "the file is empty"
    if not _is_named_as_picture(path):
        return "not a video that can be decoded"
    if _is_picture(path):
        return "a picture, not a video; edge-digits read reads it"
    return "named as a picture, and not one; if it is a video, rename it"


def _why_no_stream(url: str, in_time: bool) -> str:
    """What the server says to a plain request; OpenCV keeps to itself why it did not open the stream.

    in_time: whether it gave up before the time for that was over.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port or PORTS[parts.scheme.lower()]
    except ValueError:
        return "the address cannot be understood; in a user or a password, write / as %2F, : as %3A and @ as %40"
    if not host:
        return "there is no host in this address"
    try:
        if parts.scheme.lower() in ("http", "https"):
            status, kind = _http_answer(parts, host, port)
        else:
            status, kind = _rtsp_status(parts, host, port), ""
    except socket.gaierror:
        return "no host of this name is known"
    except TimeoutError:
        return "no answer"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"no answer: {getattr(error, 'strerror', None) or error}"
    if status == http.HTTPStatus.UNAUTHORIZED:
        return f"the server wants another user or password: {parts.scheme}://USER:PASSWORD@{host}..."
    if status >= http.HTTPStatus.BAD_REQUEST:
        reason = http.HTTPStatus(status).phrase if status in http.HTTPStatus._value2member_map_ else ""
        return f"the server answers {status} {reason}".rstrip()
    if kind == WEB_PAGE:
        return "the server answers with a web page, not a video; look there for the address of the stream"
    if in_time:
        return "the server answers, but not with a video that can be decoded"
    return f"the server answers, but no video that can be decoded came within {OPEN_SECONDS:g} s"


def _http_answer(parts: urllib.parse.SplitResult, host: str, port: int) -> tuple[int, str]:
    """The status, and the type of what would follow."""
    connection: http.client.HTTPConnection
    if parts.scheme.lower() == "https":
        # Cameras sign their certificates themselves, and FFmpeg looks at none.
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(host, port, timeout=PROBE_SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=PROBE_SECONDS)
    headers = {}
    if parts.username:
        pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    try:
        connection.request(
            "GET", urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, "")), headers=headers
        )
        response = connection.getresponse()
        return response.status, response.headers.get_content_type()
    finally:
        connection.close()


def _rtsp_status(parts: urllib.parse.SplitResult, host: str, port: int) -> int:
    """RFC 2326, section 10.2. Over TLS only whether the port answers."""
    plain = urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    with socket.create_connection((host, port), PROBE_SECONDS) as connection:
        if parts.scheme.lower() == "rtsps":
            return http.HTTPStatus.OK
        connection.sendall(f"DESCRIBE {plain} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n".encode())
        answer = connection.recv(len("RTSP/1.0 200"), socket.MSG_WAITALL).split()
    if len(answer) != 2 or not answer[0].startswith(b"RTSP/") or not answer[1].isdigit():
        raise ValueError("it does not speak RTSP")
    return int(answer[1])


# Folders


@dataclass(frozen=True, slots=True)
class _State:
    """What a file looks like from outside: the same as before while nobody writes to it."""

    modified: int  # nanoseconds since 1970
    size: int
    inode: int

    @property
    def text(self) -> str:
        """It without the inode, which some file systems number anew whenever they are mounted."""
        return f"{self.modified} {self.size}"


@dataclass(slots=True)
class _Candidate:
    """A picture that may not be whole yet."""

    state: _State
    since: float  # time.monotonic() from which on it stayed so
    tried: bool = False  # whether it was found not to be a picture, or not yet

    def is_ripe(self, now: float) -> bool:
        """Whether it is worth decoding: once when it seems to be whole, and a last time."""
        return now - self.since >= (PATIENCE_SECONDS if self.tried else SETTLE_SECONDS)


class Folder:
    """The pictures in a folder and its subfolders, and those that come: each once, the oldest first.

    A file is left alone until it stays as it is and is a whole picture; one that stays as it is without becoming one
    is handed out after all, to fail when it is loaded. A file that is written anew is a new picture.
    """

    live = False

    def __init__(
        self,
        path: str,
        *,
        new_only: bool = False,
        without: Sequence[str] = (),
        known: Callable[[str, str], bool] | None = None,
    ) -> None:
        """without: folders in it that are not searched.

        known: whether a picture was read before, asked once with its path and what `state` will say of it.
        """
        self.name = path
        self._new_only = new_only
        self._without = without
        self._known = known
        self._done: dict[str, _State] = {}  # path: as it was when it was handed out
        self._candidates: dict[str, _Candidate] = {}
        self._ripe: list[str] = []  # paths, the next one last
        self._next_scan = 0.0
        self._sequence = 0

    def open(self) -> None:
        there = self._list()
        if self._new_only:
            self._done = there
            self._new_only = False  # opened again, it goes on where it was

    def read(self) -> Frame | None:
        start = time.monotonic()
        while self._ripe:
            frame = self._take(self._ripe.pop())
            if frame is not None:
                return frame
            if time.monotonic() - start > WAIT_SECONDS:  # many that are known, or not whole
                return None
        time.sleep(min(WAIT_SECONDS, max(0.0, self._next_scan - time.monotonic())))
        if time.monotonic() >= self._next_scan:
            self._scan()
        return None

    def close(self) -> None:
        self._candidates.clear()
        self._ripe.clear()
        self._next_scan = 0.0

    def state(self, path: str) -> str:
        """What a picture that was handed out looked like from outside then; the same for as long as it is the same."""
        return self._done[path].text

    def is_as_it_was(self, path: str) -> bool:
        """Whether a picture that was handed out is still there, not written anew."""
        try:
            return _state(path) == self._done.get(path)
        except OSError:
            return False

    def again(self, path: str) -> None:
        """A picture that was handed out shall be so once more."""
        self._done.pop(path, None)

    def _scan(self) -> None:
        start = time.monotonic()
        there = self._list()
        self._done = {path: state for path, state in self._done.items() if path in there}
        before, self._candidates = self._candidates, {}
        for path, state in there.items():
            if self._done.get(path) == state:
                continue
            candidate = before.get(path)
            if candidate is None or candidate.state != state:
                age = time.time() - state.modified / 1e9
                candidate = _Candidate(state, start - (age if age >= OLD_SECONDS else 0))
            self._candidates[path] = candidate
        self._ripe = [path for path, candidate in self._candidates.items() if candidate.is_ripe(start)]
        self._ripe.sort(key=lambda path: (there[path].modified, path), reverse=True)
        now = time.monotonic()
        self._next_scan = now + max(SCAN_SECONDS, (now - start) / SCAN_SHARE)

    def _list(self) -> dict[str, _State]:
        if not os.path.isdir(self.name):
            raise SourceError(f"{self.name}: the folder is gone")
        states = {}
        for found in find([os.path.join(self.name, "")], without=self._without):
            if found is not None and found.error is None:
                with suppress(OSError):  # gone meanwhile, or a link that leads nowhere
                    states[found.path] = _state(found.path)
        return states

    def _take(self, path: str) -> Frame | None:
        """The picture, or None where it is to be left for later."""
        candidate = self._candidates[path]
        if self._known is not None and self._known(path, candidate.state.text):
            self._done[path] = candidate.state
            del self._candidates[path]
            return None
        try:
            decode(path)
        except PictureError:
            if time.monotonic() - candidate.since < PATIENCE_SECONDS:
                candidate.tried = True
                return None
        try:
            if _state(path) != candidate.state:  # somebody writes to it after all
                return None
        except OSError:
            return None
        self._done[path] = candidate.state
        del self._candidates[path]
        taken = min(candidate.state.modified / 1e9, time.time())
        frame = Frame(lambda: decode(path, reduce=False), taken, self._sequence, path=path)
        self._sequence += 1
        return frame


def _state(path: str) -> _State:
    status = os.stat(path)
    return _State(status.st_mtime_ns, status.st_size, status.st_ino)


# The newest frame only


class Latest:
    """Takes the frames of a live source as they come, in a thread of its own, and hands out the newest.

    One frame is kept, so whoever is slow sees fewer of them, never older ones, and no queue grows. The source is
    opened, read and closed in that thread alone.
    """

    live = True

    def __init__(self, source: Source) -> None:
        self.name = source.name
        self._source = source
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._opened = self._stopping = False
        self._newest: Frame | None = None
        self._end: BaseException | None = None
        self._seen = 0

    def open(self) -> None:
        self.close()
        if self.is_stuck:
            raise SourceError(f"{self.name}: it still does not come back from before")
        self._opened = self._stopping = False
        self._newest = self._end = None
        self._thread = threading.Thread(target=self._follow, name=f"frames of {self.name}", daemon=True)
        self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._opened or self._end is not None)
            if not self._opened:
                self._raise_end()

    def read(self) -> Frame | None:
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._end is not None, WAIT_SECONDS)
            frame, self._newest = self._newest, None
            if frame is None:
                if self._end is not None:
                    self._raise_end()
                return None
        frame = replace(frame, dropped=frame.sequence - self._seen)
        self._seen += 1
        return frame

    def close(self) -> None:
        """Waits for a moment at most: a source that does not come back is left to its thread."""
        with self._changed:
            self._stopping = True
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)
            if not self._thread.is_alive():
                self._thread = None

    @property
    def is_stuck(self) -> bool:
        """Whether the source did not come back when it was closed."""
        return self._thread is not None and self._stopping

    def _raise_end(self) -> NoReturn:
        end = self._end
        if isinstance(end, SourceError):
            raise SourceError(str(end))
        if isinstance(end, EndOfSource):
            raise EndOfSource
        assert end is not None
        raise end

    def _follow(self) -> None:
        try:
            with opened(self._source):
                with self._changed:
                    self._opened = True
                    self._changed.notify_all()
                while not self._stopping:
                    frame = self._source.read()
                    if frame is not None:
                        with self._changed:
                            self._newest = frame
                            self._changed.notify_all()
        except BaseException as error:
            with self._changed:
                self._end = error
                self._changed.notify_all()

"""Follow a source for as long as the daemon runs: the newest frame, and opening it again when it fails, forever.

    follower = Follower(open_camera(settings, store), settings, live)
    follower.start()
    frame = follower.newest(timeout=1.0)  # None: there is no new one

The source is opened, read and closed in a thread of its own, which alone it can block.
"""

import logging
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from edge.capture import EndOfSource, Frame, Source
from edge.daemon.live import FAILED, WAITING, WORKING, Live
from edge.daemon.settings import SourceSettings
from edge.errors import PictureError, SourceError

T = TypeVar("T")

PART = "source"  # its name in the health
CAMERAS = ("synthetic", "picamera2", "camera", "stream")  # whose frames are never the same to the bit, unless frozen
BACKOFF = 2.0  # by which the wait grows from one failure to the next
LOOKS = 10.0  # at the frames in the time that they may be frozen
LONGEST_LOOK = 1.0  # seconds between two of them, at most
SUBSAMPLE = 4  # every so many pixels, across and down, are compared: noise changes them all
RATE_FRAMES = 30  # over which frames a second are counted
CALL_SECONDS = 10.0  # a call into the source that takes longer hangs
OPEN_SECONDS = 60.0  # the same for opening it: a slow card has a camera's whole library to give first
STOP_SECONDS = 1.0  # for the source to come back; within the two in which the daemon ends

_log = logging.getLogger("edge_digits.source")


class Frozen(SourceError):
    """A camera gives the same picture again and again."""


@dataclass(frozen=True, slots=True)
class _Arrived:
    frame: Frame
    asked: float  # time.monotonic() when the source was asked for it
    taken: float  # time.monotonic() when it was taken, as near as is known


class Follower:
    """Hands out the frames of a source: of a live one the newest, of a folder one after the other."""

    def __init__(self, source: Source, settings: SourceSettings, live: Live) -> None:
        self.source = source
        self._settings = settings
        self._live = live
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._newest: _Arrived | None = None
        self._arrivals: deque[float] = deque(maxlen=RATE_FRAMES)
        self._received = self._handed = 0
        self._under_way: tuple[float, float] | None = None  # since when a call is, and how long it may be
        self._watch = _FreezeWatch(settings.frozen_seconds if settings.kind in CAMERAS else 0.0)

    def start(self) -> None:
        """Begins to follow; whether the source can be opened is reported to `live` as part "source"."""
        self._live.report(PART, WAITING, f"{self.source.name} is being opened")
        self._thread = threading.Thread(target=self._follow, name="source", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Closes the source. One that does not come back in time is left to its thread; see `is_stuck`."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)

    @property
    def is_stuck(self) -> bool:
        """Whether it was stopped and the source did not come back: then end the process by os._exit.

        The thread is inside of a camera's library, and will be when Python takes down what that needs.
        """
        return self._stopping and self._thread is not None and self._thread.is_alive()

    @property
    def busy_since(self) -> float | None:
        """time.monotonic() from which on the present call into the source has not returned; None outside of one."""
        under_way = self._under_way
        return None if under_way is None else under_way[0]

    @property
    def hung_for(self) -> float:
        """Seconds since the present call into the source began, if that is longer than it may take; 0 if not."""
        under_way = self._under_way
        if under_way is None:
            return 0.0
        since, patience = under_way
        taken = time.monotonic() - since
        return taken if taken > patience else 0.0

    @property
    def received(self) -> int:
        """Frames that the source gave since the start."""
        return self._received

    @property
    def dropped(self) -> int:
        """Frames of the source that nobody saw, since the start."""
        return self._live.dropped

    @property
    def rate(self) -> float:
        """Frames a second that the source gives, counted until now."""
        with self._changed:
            if len(self._arrivals) < 2:
                return 0.0
            span = time.monotonic() - self._arrivals[0]
            return (len(self._arrivals) - 1) / span if span > 0 else 0.0

    def newest(self, timeout: float) -> Frame | None:
        """The newest frame that was not handed out yet, as soon as there is one; None if there is none in time.

        timeout: seconds. Of a folder: the next picture.
        """
        return self._take(timeout, lambda _: True)

    def fresh(self, after: float, timeout: float) -> Frame | None:
        """As `newest`, but a frame that was taken after a moment of time.monotonic(): not what was under way then.

        How long a stream's frames are on their way is not known. Of a folder: the next picture.
        """
        return self._take(timeout, lambda arrived: not self.source.live or min(arrived.asked, arrived.taken) >= after)

    def _take(self, timeout: float, suits: Callable[[_Arrived], bool]) -> Frame | None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopping or (self._newest is not None and suits(self._newest)), timeout
            )
            arrived = self._newest
            if arrived is None or not suits(arrived):
                return None
            self._newest = None
            if self.source.live:
                self._live.dropped = arrived.frame.sequence - self._handed
            self._handed += 1
            self._changed.notify_all()
            return arrived.frame

    # The thread

    def _follow(self) -> None:
        wait = self._settings.retry_seconds
        while not self._stopping:
            start = time.monotonic()
            self._watch.begin()
            state, reason = self._follow_until_it_fails()
            if self._stopping:
                return
            lasted = (self._watch.changed or start) - start
            if state == WAITING or lasted > wait:
                wait = self._settings.retry_seconds
            self._say(state, reason)
            with self._changed:
                self._changed.wait_for(lambda: self._stopping, wait)
            wait = min(wait * BACKOFF, self._settings.retry_longest)

    def _follow_until_it_fails(self) -> tuple[str, str]:
        """What it has come to: a state and a reason."""
        name = self.source.name
        try:
            self._call(self.source.open, OPEN_SECONDS)
            if not self.source.live:
                self._say(WORKING)
            while not self._stopping:
                asked = time.monotonic()
                frame = self._call(self.source.read, CALL_SECONDS)
                if frame is not None and self._watch.is_alive(frame):
                    self._say(WORKING)
                    self._hand_over(frame, asked)
        except EndOfSource:
            if self._settings.kind == "video":
                return WAITING, f"{name}: the video came to its end and starts again"
            return FAILED, f"{name}: it came to its end"
        except SourceError as error:
            return FAILED, str(error)
        except Exception as error:  # of OpenCV or a camera's library; the next try may go better
            return FAILED, f"{name}: {type(error).__name__}: {' '.join(str(error).split())}"
        finally:
            with suppress(Exception):  # it has failed already, and is opened anew
                self._call(self.source.close, CALL_SECONDS)
        return WAITING, ""

    def _call(self, call: Callable[[], T], patience: float) -> T:
        self._under_way = time.monotonic(), patience
        try:
            return call()
        finally:
            self._under_way = None

    def _hand_over(self, frame: Frame, asked: float) -> None:
        """Puts it where `newest` finds it; a folder's picture waits there until it is taken."""
        now = time.monotonic()
        taken = now - max(0.0, time.time() - frame.time)
        with self._changed:
            self._received += 1
            self._arrivals.append(now)
            self._newest = _Arrived(frame, asked, taken)
            self._changed.notify_all()
            if not self.source.live:
                self._changed.wait_for(lambda: self._stopping or self._newest is None)

    def _say(self, state: str, reason: str = "") -> None:
        if self._live.report(PART, state, reason):
            if state == WORKING:
                _log.info("%s works", self.source.name)
            else:
                _log.log(logging.WARNING if state == FAILED else logging.INFO, "%s", reason)


class _FreezeWatch:
    """Notices when a camera's picture does not change for too long, not even by its noise.

    One that was frozen has to change before it counts as alive, also after it was opened again.
    """

    def __init__(self, seconds: float) -> None:
        """seconds: how long a picture may stay as it is; 0: forever."""
        self._seconds = seconds
        self._pause = min(seconds / LOOKS, LONGEST_LOOK)
        self._seen: int | None = None
        self._frozen = False
        self._since = self._next = 0.0
        self.changed: float | None = None
        """time.monotonic() when the picture was last seen to change, since `begin`; None: it was not."""

    def begin(self) -> None:
        """The source is opened."""
        self.changed = None
        self._since = self._next = time.monotonic()

    def is_alive(self, frame: Frame) -> bool:
        """Whether to use the frame. Raises Frozen."""
        now = time.monotonic()
        if not self._seconds:
            self.changed = now
            return True
        if now < self._next and not self._frozen:
            return True
        self._next = now + self._pause
        seen = _fingerprint(frame)
        if seen != self._seen:
            self._seen, self._frozen = seen, False
            self.changed = self._since = now
        elif now - self._since >= self._seconds:
            self._frozen = True
            raise Frozen(f"the picture is frozen: the same to the bit for {self._seconds:g} s")
        return not self._frozen


def _fingerprint(frame: Frame) -> int | None:
    try:
        return zlib.crc32(frame.load()[::SUBSAMPLE, ::SUBSAMPLE].tobytes())
    except PictureError:
        return None

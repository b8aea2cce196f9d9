"""What the daemon knows right now: the newest frame with what was read in it, and how each part is doing."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edge.reading import Reading

Image = NDArray[np.uint8]

WORKING, WAITING, FAILED = "working", "waiting", "failed"  # what a part can be
WATCHED_SECONDS = 3.0  # so long after somebody waited for a frame, frames are read for them


@dataclass(frozen=True, slots=True)
class Part:
    """How a part of the daemon is doing: the source, the store, MQTT, the webhook.

    `state`: "working", "waiting" (it starts, or connects again) or "failed"; `reason`: why, for people, empty where
    it is working; `since`: seconds of time.monotonic() at which it came to be so.
    """

    state: str
    reason: str = ""
    since: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Seen:
    """One frame that was read.

    `image`: uint8 (height, width) grey or (height, width, 3) BGR, upright; nobody may write to it. `reading`: what is
    in it, before any vote. `time`: seconds since 1970 when it was taken. `number`: counts the frames read, from 1.
    `seconds`: how long its reading took, by name of the step.
    """

    image: Image
    reading: Reading
    time: float
    number: int
    seconds: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def sharpness(self) -> float:
        """0 to 1; measured when somebody looks, it costs as much as reading does."""
        from edge.sharpness import sharpness

        return sharpness(self.image, [digit.box for digit in self.reading.digits])


class Live:
    """Shared by all threads; each look at it is consistent, nothing of it is stored."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._seen: Seen | None = None
        self._parts: dict[str, Part] = {}
        self._verdict = "no frame yet"
        self._dropped = 0
        self._watched = -WATCHED_SECONDS
        self._hearers: list[Callable[[Seen], None]] = []

    def listen(self, hear: Callable[[Seen], None]) -> Callable[[], None]:
        """hear is called with each frame that was read, by the thread that read it. Returned is what ends that."""
        self._hearers.append(hear)
        return lambda: self._hearers.remove(hear)

    def see(self, seen: Seen, verdict: str) -> None:
        """A frame was read. verdict: why there is no new stable reading, empty where there is."""
        with self._changed:
            self._seen, self._verdict = seen, verdict
            self._changed.notify_all()
        for hear in tuple(self._hearers):
            hear(seen)

    @property
    def seen(self) -> Seen | None:
        """The newest frame that was read."""
        return self._seen

    @property
    def verdict(self) -> str:
        """Why there is no stable reading right now; empty where there is one."""
        return self._verdict

    def wait(self, number: int, timeout: float) -> Seen | None:
        """The newest frame once it is another than the one of this number; None if that takes longer than timeout."""
        self._watched = time.monotonic()
        with self._changed:
            if self._changed.wait_for(lambda: self._seen is not None and self._seen.number != number, timeout):
                return self._seen
        return None

    @property
    def is_watched(self) -> bool:
        """Whether somebody waits for frames, or did a moment ago: a person who aims the camera."""
        return time.monotonic() - self._watched < WATCHED_SECONDS

    def report(self, name: str, state: str, reason: str = "") -> bool:
        """A part says how it is doing; whether that is news."""
        with self._changed:
            before = self._parts.get(name)
            if before is not None and (before.state, before.reason) == (state, reason):
                return False
            self._parts[name] = Part(state, reason)
            return True

    @property
    def parts(self) -> dict[str, Part]:
        """How each part is doing, by name: "source", "store", "mqtt", "webhook", "stdout"."""
        with self._changed:
            return dict(self._parts)

    @property
    def dropped(self) -> int:
        """Frames of the source that were not read, since the start."""
        return self._dropped

    @dropped.setter
    def dropped(self, count: int) -> None:
        self._dropped = count

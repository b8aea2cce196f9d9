"""What time it is on a device without a clock battery, and how far that can be believed."""

import ctypes
import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from edge.errors import UsageError
from edge.watch import utc as utc

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
TIMESYNC = Path("/run/systemd/timesync/synchronized")  # systemd-timesyncd makes it when it has set the clock
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC).timestamp()  # seconds since 1970: a clock before this was never set
SLACK = 2.0  # seconds that a clock may lie behind the newest reading: a small correction, no reset
LONGEST_LAG = 60.0  # seconds between a frame and its record; more is a file's age, or a clock that stepped
TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
TIMEX_BYTES = 512  # more than struct timex has on any machine; all zero, it asks and changes nothing


@dataclass(frozen=True, slots=True)
class Now:
    """One look at the clock.

    `wall`: seconds since 1970, right or not. `monotonic`: seconds since the device started. `synchronised`: whether
    wall is known to be right.
    """

    wall: float
    monotonic: float
    synchronised: bool

    def is_known(self, newest: float) -> bool:
        """Whether wall can be told to anybody. newest: seconds since 1970 of the newest reading so far; 0: none."""
        return self.wall >= EARLIEST and (self.synchronised or self.wall >= newest - SLACK)

    def of_frame(self, taken: float | None, newest: float) -> tuple[float | None, float]:
        """When a frame was taken: seconds since 1970, None where the clock is not known; and seconds since the start.

        taken: by the wall clock, at the time; None: now. newest: as is_known() takes it.
        """
        lag = 0.0 if taken is None else self.wall - taken
        monotonic = self.monotonic - (lag if 0 <= lag < LONGEST_LAG else 0.0)
        if not self.is_known(newest):
            return None, monotonic
        if taken is None or not EARLIEST <= taken <= self.wall + SLACK:  # the clock was set since
            return self.wall, monotonic
        return taken, monotonic


def synchronised() -> bool:
    """Whether the clock is kept by NTP or the like: the kernel's word, else systemd's.

    Where the kernel may not be asked (systemd's ProtectClock= forbids it) and systemd-timesyncd does not run, no.
    """
    state = _adjtimex()
    return TIMESYNC.exists() if state is None else state != TIME_ERROR


def _adjtimex() -> int | None:
    """The state of the kernel's clock; None where it does not say."""
    state = _libc().adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    return None if state < 0 else int(state)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def since_boot() -> float:
    """Seconds since the device started, those asleep counted: time.monotonic() leaves them out, the wall does not."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """What tells this start of the device from all others; of the process, where the kernel does not say."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EACCES, errno.EPERM):
            raise
        return os.urandom(16).hex()


@dataclass(frozen=True)
class Clock:
    """Where the time comes from. Tests put other clocks in."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = since_boot
    synchronised: Callable[[], bool] = synchronised
    boot: str = field(default_factory=boot_id)

    def now(self) -> Now:
        """A look at it."""
        return Now(self.wall(), self.monotonic(), self.synchronised())


def milliseconds(seconds: float) -> int:
    """As times are kept in the database."""
    return round(seconds * 1000)


def parse_time(text: str) -> int:
    """Milliseconds since 1970 of a time in ISO 8601; UTC where it names no zone. Raises UsageError."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a time such as 2026-11-25T10:00:00Z") from None
    return milliseconds((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())

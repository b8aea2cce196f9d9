"""Hand the records of the store to somebody outside, in order and at least once: the thread that every sink has.

    class Postcards(Sink):
        def work(self):
            for record in self.records():
                ...                                   # write it; raise DeliveryError where that fails
                self.delivered(record["sequence"])    # only now it will not come again

The store is the outbox: where a sink stands is its cursor there, so a restart of either side repeats at most what was
not acknowledged yet.
"""

import json
import logging
import os
import random
import select
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from edge.daemon.live import FAILED, WORKING, Live
from edge.daemon.protocol import Record
from edge.errors import EdgeDigitsError

if TYPE_CHECKING:
    from edge.daemon.store import Store

FIRST_RETRY = 1.0  # seconds after a failure until the next try; doubled each time
LONGEST_RETRY = 60.0  # seconds
JITTER = 0.2  # part of the wait by which it differs, so that many devices do not return at once
BATCH = 20  # records fetched at once
LOOK_SECONDS = 60.0  # so often the store is looked into although nothing called
LAST_SECONDS = 0.2  # of the time to stop: nothing new is begun


class DeliveryError(EdgeDigitsError):
    """A record could not be handed over now; `wait`: seconds that the other side asks for, at least."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class GoneError(DeliveryError):
    """There will never again be anybody to hand records to."""


def encoded(record: Record) -> bytes:
    """A record as JSON in UTF-8, on one line; a file name that is not UTF-8 as `edge.output.JsonLines` has it."""
    try:
        return json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(record).encode()


class Wake:
    """A flag that a thread sleeps on, also beside a socket in select.poll."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._open = True

    def fileno(self) -> int:
        return self._event

    def set(self) -> None:
        """Wakes the thread; does nothing once it is closed."""
        with self._lock:
            if self._open:
                os.eventfd_write(self._event, 1)

    def clear(self) -> None:
        with self._lock:
            if self._open:
                try:
                    os.eventfd_read(self._event)
                except BlockingIOError:
                    return

    def wait(self, seconds: float) -> None:
        """Until it is set, at most so long."""
        poll = select.poll()
        poll.register(self._event, select.POLLIN)
        poll.poll(max(0.0, seconds) * 1000)

    def close(self) -> None:
        with self._lock:
            if self._open:
                self._open = False
                os.close(self._event)


class Sink(ABC):
    """A thread that hands over records. `name`: of its cursor in the store and of its part in the health."""

    at_start = (WORKING, "")  # what the health says until it knows better

    def __init__(self, name: str, store: "Store", live: Live) -> None:
        self.name = name
        self.wake = Wake()
        self.log = logging.getLogger(f"edge_digits.{name}")
        self._store = store
        self._live = live
        self._stop = threading.Event()
        self._deadline = 0.0
        self._unsubscribe: Callable[[], None] = lambda: None
        self._registered = False
        self._succeeded = False
        self._given = self._moved = 0  # sequences: the last one acknowledged, and where the cursor is known to be
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Returns at once. What is recorded from now on will be handed over."""
        self._live.report(self.name, *self.at_start)
        self._unsubscribe = self._store.subscribe(self.wake.set)
        try:
            self._register()
        except EdgeDigitsError as error:  # the thread tries it again
            self.report(FAILED, str(error))
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Hands over what it can within so many seconds; the rest stays in the store for the next start."""
        self._deadline = time.monotonic() + timeout
        self._stop.set()
        self._unsubscribe()
        self.wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        if not self._thread.is_alive():
            self.wake.close()

    @abstractmethod
    def work(self) -> None:
        """Hands over records until `stopping`; raises DeliveryError where it cannot, and is called again later."""

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    @property
    def seconds_left(self) -> float:
        """Until everything has to be done; endless while nobody asks it to stop."""
        return self._deadline - time.monotonic() if self.stopping else float("inf")

    def report(self, state: str, reason: str = "") -> None:
        """Says how it is doing to the health, and to the log where that is news."""
        if state == WORKING:
            self._succeeded = True
        if self._live.report(self.name, state, reason):
            self.log.log(logging.WARNING if state == FAILED else logging.INFO, "%s", reason or state)

    def records(self) -> Iterator[Record]:
        """What is to be handed over, in order; waits for more, and ends when it is time to stop."""
        while True:
            self.wake.clear()
            batch = self.undelivered(BATCH)
            for record in batch:
                if self.seconds_left < LAST_SECONDS:
                    return
                yield record
            if not batch:
                if self.stopping:
                    return
                self.wake.wait(LOOK_SECONDS)

    def undelivered(self, limit: int) -> list[Record]:
        """The oldest records behind the cursor. Raises StoreError, also where the cursor cannot be moved."""
        if self._moved != self._given:
            self._move()
        records: list[Record] = self._store.undelivered(self.name, limit)
        return records

    def delivered(self, sequence: int) -> None:
        """This record and all before it were acknowledged."""
        self._succeeded = True
        self._given = sequence
        try:
            self._move()
        except EdgeDigitsError as error:  # a full disk; the record is not handed over again meanwhile
            self.log.warning("where it stands cannot be kept: %s", error)

    def _move(self) -> None:
        self._store.delivered(self.name, self._given)
        self._moved = self._given

    def _register(self) -> None:
        if not self._registered:
            self._store.register(self.name)
            self._registered = True

    def _run(self) -> None:
        retry = FIRST_RETRY
        while not self.stopping:
            asked = 0.0
            self._succeeded = False
            try:
                self._register()
                self.work()
                continue
            except GoneError as error:
                self.report(FAILED, str(error))
                return
            except DeliveryError as error:
                reason, asked = str(error), error.wait
            except (EdgeDigitsError, OSError) as error:
                reason = str(error)
            except Exception as error:  # a mistake of ours must not end deliveries for the rest of the year
                self.log.exception("unexpected")
                reason = f"unexpected {type(error).__name__}: {error}"
            if self.stopping:
                return
            if self._succeeded:
                retry = FIRST_RETRY
            self.report(FAILED, reason)
            self._stop.wait(max(asked, retry * random.uniform(1 - JITTER, 1 + JITTER)))
            retry = min(2 * retry, LONGEST_RETRY)

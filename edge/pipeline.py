"""Spread pictures over the cores, in order and in bounded memory.

Decoding and classifying a small picture is a hundred short calls, and between them Python's lock is held: on 10,000
PNG files and two cores, two threads ran at 0.9 times the speed of one, two processes at 1.6 times. So the work goes to
forked processes, once there is enough of it to pay for them. They share the parent's imports, get chunks of paths
through a pipe, and send back finished lines.
"""

import contextlib
import itertools
import os
import pickle
import select
import signal
import struct
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from edge.source import STANDARD_INPUT_DESCRIPTOR, Found

ALONE_SECONDS = 0.05  # of work: so long the first process goes on alone, a fork pays off only after that
# The talking costs more the shorter a chunk is, and at the end one process waits for the other's last one: so they grow
# with what was handed out already, and shrink with what is left.
CHUNK_PART = 0.05  # of that
CHUNK_SECONDS = (0.02, 0.1)  # of work: what a chunk should take, at least and at most
CHUNK_PICTURES = (64, 512)  # a chunk has no more at first, and later on
LAST_CHUNKS, LAST_SECONDS = 2, 0.005  # chunks a process that the rest makes, of so much work at least
WINDOW = 8  # chunks a process that may wait for an earlier one before no more are handed out

_LENGTH = struct.Struct("<Q")


class Lines(NamedTuple):
    """Finished output: its bytes, how many pictures it answers for, and how many of them failed."""

    text: bytes
    pictures: int
    failed: int


Work = Callable[[Sequence[Found]], Lines]
Crash = Callable[[Found, str], Lines]


def run(
    found: Iterator[Found | None], work: Work, crashed: Crash, prepare: Callable[[], None], jobs: int
) -> Generator[Lines, None, None]:
    """`work` done on everything found, in its order.

    work: turns some pictures into lines; called here and in up to `jobs` forked processes, each of which calls
    `prepare` first. crashed: the lines for a picture that took a process down, and how.
    """
    spent = 0.0
    count = 0
    for item in found:
        if item is None:
            select.select([STANDARD_INPUT_DESCRIPTOR], [], [])
            continue
        if jobs > 1 and count and spent >= ALONE_SECONDS:
            crew = _Crew(work, crashed, prepare, spent / count)
            try:
                if crew.hire(jobs):
                    yield from crew.run(itertools.chain([item], found))
                    return
            finally:
                crew.dismiss()
            jobs = 1  # there is no process to be had: go on alone
        start = time.perf_counter()
        lines = work([item])
        spent += time.perf_counter() - start
        count += 1
        yield lines


@dataclass(slots=True)
class _Worker:
    """A forked process: it reads chunks from one pipe and writes lines to another."""

    process: int
    to: int
    back: int
    chunk: int | None = None  # number of the chunk it is working on
    items: list[Found] = field(default_factory=list)
    started: float = 0.0


class _Crew:
    def __init__(self, work: Work, crashed: Crash, prepare: Callable[[], None], seconds: float) -> None:
        self._work = work
        self._crashed = crashed
        self._prepare = prepare
        self._seconds = seconds  # a picture takes, a running mean
        self._taken = 0  # pictures
        self._ahead: deque[Found] = deque()
        self._is_last = False  # what is ahead is all there is
        self._workers: list[_Worker] = []
        self._ready: dict[int, Lines] = {}  # finished chunks that wait for an earlier one
        self._next_out = 0

    def hire(self, jobs: int) -> int:
        """Start up to `jobs` processes; how many the system let have, which may be none."""
        with contextlib.suppress(OSError):  # too many open files or processes: those there are will do
            while len(self._workers) < jobs:
                self._workers.append(self._hire())
        return len(self._workers)

    def run(self, found: Iterator[Found | None]) -> Generator[Lines, None, None]:
        next_chunk = 0
        more, waiting = True, False
        while True:
            while more and not waiting and next_chunk - self._next_out < WINDOW * len(self._workers):
                worker = next((w for w in self._workers if w.chunk is None), None)
                if worker is None:
                    break
                items, more, waiting = self._take(found)
                if items:
                    self._give(worker, next_chunk, items)
                    next_chunk += 1
            busy = {w.back: w for w in self._workers if w.chunk is not None}
            if not busy and not waiting:
                return
            listening = [*busy, STANDARD_INPUT_DESCRIPTOR] if waiting else list(busy)
            for descriptor in select.select(listening, [], [])[0]:
                if descriptor in busy:
                    self._collect(busy[descriptor])
                else:
                    waiting = False
            while (lines := self._ready.pop(self._next_out, None)) is not None:
                self._next_out += 1
                yield lines

    def dismiss(self) -> None:
        """End the processes, at once: what they have not sent back is not wanted any more."""
        for worker in self._workers:
            os.close(worker.to)
            os.close(worker.back)
            os.kill(worker.process, signal.SIGKILL)
            os.waitpid(worker.process, 0)
        self._workers = []

    def _take(self, found: Iterator[Found | None]) -> tuple[list[Found], bool, bool]:
        """Some pictures; whether there may be more; whether standard input has to be waited for."""
        part = CHUNK_PART * self._taken
        seconds = min(max(part * self._seconds, CHUNK_SECONDS[0]), CHUNK_SECONDS[1])
        pictures = min(max(int(part), CHUNK_PICTURES[0]), CHUNK_PICTURES[1])
        size = self._pictures_in(seconds, pictures)
        shares = LAST_CHUNKS * len(self._workers)
        waiting = self._look_ahead(found, shares * size)
        if self._is_last:
            size = min(size, max(len(self._ahead) // shares, self._pictures_in(LAST_SECONDS, pictures)))
        items = [self._ahead.popleft() for _ in range(min(size, len(self._ahead)))]
        self._taken += len(items)
        return items, bool(self._ahead) or not self._is_last, waiting and not self._ahead

    def _pictures_in(self, seconds: float, most: int) -> int:
        """How many pictures can be done in so much time, at least one."""
        return max(1, min(most, int(seconds / max(self._seconds, 1e-6))))

    def _look_ahead(self, found: Iterator[Found | None], count: int) -> bool:
        """Have so many pictures at hand, if there are; says whether standard input has to be waited for."""
        while len(self._ahead) < count and not self._is_last:
            try:
                item = next(found)
            except StopIteration:
                self._is_last = True
                break
            if item is None:
                return True
            self._ahead.append(item)
        return False

    def _give(self, worker: _Worker, chunk: int, items: list[Found]) -> None:
        worker.chunk, worker.items, worker.started = chunk, items, time.perf_counter()
        # A process that died meanwhile is noticed when its answer is collected.
        with contextlib.suppress(BrokenPipeError):
            _send(worker.to, items)

    def _collect(self, worker: _Worker) -> None:
        chunk, items = worker.chunk, worker.items
        assert chunk is not None
        try:
            lines = Lines(*_receive(worker.back))
        except EOFError:
            lines = self._recover(worker, items)
        else:
            taken = (time.perf_counter() - worker.started) / len(items)
            self._seconds += (taken - self._seconds) / 4
        self._ready[chunk] = lines
        worker.chunk = None

    def _recover(self, worker: _Worker, items: list[Found]) -> Lines:
        """Answers for a chunk during which the process died: one picture at a time, so that one alone fails."""
        how = self._replace(worker)
        text, failed = [], 0
        for item in items:
            if len(items) > 1:
                try:
                    self._give(worker, 0, [item])
                    lines = Lines(*_receive(worker.back))
                except EOFError:
                    how = self._replace(worker)
                    lines = self._crashed(item, how)
            else:
                lines = self._crashed(item, how)
            text.append(lines.text)
            failed += lines.failed
        return Lines(b"".join(text), len(items), failed)

    def _replace(self, worker: _Worker) -> str:
        """Put a new process in the place of one that died; says how it ended."""
        self._workers.remove(worker)  # should there be no other, nothing of this one is left to dismiss
        os.close(worker.to)
        os.close(worker.back)
        _, status = os.waitpid(worker.process, 0)
        fresh = self._hire()
        worker.process, worker.to, worker.back = fresh.process, fresh.to, fresh.back
        self._workers.append(worker)
        if os.WIFSIGNALED(status):
            return signal.Signals(os.WTERMSIG(status)).name
        return f"exit status {os.waitstatus_to_exitcode(status)}"

    def _hire(self) -> _Worker:
        pipes = [*os.pipe()]
        try:
            pipes += os.pipe()
            process = os.fork()
        except OSError:
            for descriptor in pipes:
                os.close(descriptor)
            raise
        inbox, to, back, outbox = pipes
        if process:
            os.close(inbox)
            os.close(outbox)
            return _Worker(process, to, back)
        try:
            # Ctrl-C reaches the whole group; the parent is the one that ends things.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            # Another's pipe held open here would never tell its reader that the writer is gone.
            for other in self._workers:
                os.close(other.to)
                os.close(other.back)
            os.close(to)
            os.close(back)
            self._prepare()
            while True:
                _send(outbox, tuple(self._work(_receive(inbox))))
        except (EOFError, BrokenPipeError):
            os._exit(0)
        except BaseException:
            os._exit(1)


def _send(descriptor: int, message: object) -> None:
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    data = memoryview(_LENGTH.pack(len(body)) + body)
    while data:
        data = data[os.write(descriptor, data) :]


def _receive(descriptor: int) -> Any:
    (length,) = _LENGTH.unpack(_read_exactly(descriptor, _LENGTH.size))
    return pickle.loads(_read_exactly(descriptor, length))


def _read_exactly(descriptor: int, length: int) -> bytes:
    parts = []
    while length:
        part = os.read(descriptor, min(length, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        length -= len(part)
    return b"".join(parts)

"""What was acknowledged outside, and whether the database has it."""

import json
import shutil
import sqlite3
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.daemon.store import DATABASE

Record = dict[str, Any]

EARLIEST = "2026"  # no time before it is the time of anything
IN_ORDER = ("stdout", "mqtt")  # channels on which every record has to arrive
HTTP = "http"


@dataclass
class Compared:
    """The database against what was acknowledged. Each entry is one line about one thing that is wrong."""

    records: int = 0
    lost: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


class Account:
    """Everything that somebody outside has seen. For any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, Record] = {}
        self._by_channel: dict[str, set[str]] = {channel: set() for channel in (*IN_ORDER, HTTP)}
        self._last: Counter[str] = Counter()  # sequence, by channel
        self._corrections: set[tuple[int, str]] = set()
        self._different: list[str] = []
        self.wrong: list[str] = []  # what nobody should have been told
        self.repeats = 0

    def see(self, channel: str, record: Record) -> None:
        """A record arrived outside."""
        name, sequence, time = record["id"], record["sequence"], record["time"]
        with self._lock:
            before = self._seen.get(name)
            if before is not None and not _same(before, record):
                self._different.append(f"{name} on {channel} is not what was said before")
            if before is None or before["time"] is None:
                self._seen[name] = record
            if time is not None and time < EARLIEST:
                self.wrong.append(f"{name} on {channel} says {time}")
            if channel in IN_ORDER:
                if name in self._by_channel[channel]:
                    self.repeats += 1
                elif sequence < self._last[channel]:
                    self.wrong.append(f"{name} came on {channel} after record {self._last[channel]}")
                self._last[channel] = max(self._last[channel], sequence)
            self._by_channel[channel].add(name)

    def see_correction(self, sequence: int, text: str) -> None:
        """A correction was answered with 200."""
        with self._lock:
            self._corrections.add((sequence, text))

    @property
    def acknowledged(self) -> int:
        """Different records, and corrections, that somebody saw."""
        with self._lock:
            return len(self._seen) + len(self._corrections)

    def records(self) -> list[Record]:
        """What was seen, each once."""
        with self._lock:
            return list(self._seen.values())

    def count(self, channel: str) -> int:
        """Different records that came this way."""
        with self._lock:
            return len(self._by_channel[channel])

    def compare(self, state: Path, *, all_delivered: bool = False) -> Compared:
        """Looks into a copy of the database. all_delivered: nothing is left in the outboxes."""
        with self._lock:
            seen, corrections = dict(self._seen), set(self._corrections)
            arrived = {channel: set(self._by_channel[channel]) for channel in IN_ORDER}
            found = Compared(different=list(self._different))
        found.corrupt += [f"{path.name} was set aside" for path in state.glob(f"{DATABASE}.damaged-*")]
        with _copied(state) as copy, closing(sqlite3.connect(copy)) as connection:
            try:
                stored = _look_into(connection, found)
                kept = set(connection.execute("SELECT sequence, text FROM corrections").fetchall())
            except (sqlite3.Error, ValueError) as error:
                found.corrupt.append(f"the database cannot be read: {error}")
                return found
        found.records = len(stored)
        found.lost += [f"{name} is not in the database" for name in seen if name not in stored]
        found.lost += [f"the correction of {sequence} is not kept" for sequence, _ in corrections - kept]
        found.different += [
            f"{name} is another one in the database"
            for name in seen.keys() & stored
            if not _same(seen[name], stored[name])
        ]
        if all_delivered:
            found.missing += [
                f"{name} never came on {channel}" for channel in IN_ORDER for name in stored.keys() - arrived[channel]
            ]
        return found


def _look_into(connection: sqlite3.Connection, found: Compared) -> dict[str, Record]:
    """The records by id. Raises sqlite3.Error and ValueError."""
    found.corrupt += [line for (line,) in connection.execute("PRAGMA integrity_check") if line != "ok"]
    found.corrupt += [f"a row of {row[0]} points nowhere" for row in connection.execute("PRAGMA foreign_key_check")]
    stored: dict[str, Record] = {}
    frames: set[tuple[str, float, str]] = set()
    glyphs = dict(connection.execute("SELECT sequence, count FROM glyphs").fetchall())
    expected = 1
    for sequence, text in connection.execute("SELECT sequence, record FROM readings ORDER BY sequence"):
        record = json.loads(text)
        # By its moment alone it is not known: where the clock steps by a little, frames seem to be of another one.
        name, frame = record["id"], (record["clock"]["boot"], record["clock"]["monotonic"], str(record["digits"]))
        if sequence != expected:
            found.lost.append(f"records {expected} to {sequence - 1} are not in the database")
        expected = sequence + 1
        if name in stored or frame in frames:
            found.doubled.append(f"{name} is there twice, or its frame is")
        if record["sequence"] != sequence or not name.endswith(f"-{sequence}"):
            found.corrupt.append(f"record {sequence} calls itself {name}")
        if record["event"] == "reading" and glyphs.get(sequence, 0) != len(record["digits"]):
            found.corrupt.append(f"record {sequence} has not all of its glyphs")
        stored[name] = record
        frames.add(frame)
    return stored


@contextmanager
def _copied(state: Path) -> Iterator[Path]:
    """As it lies on the disk, the log not yet brought in: what the daemon is to find stays untouched."""
    with tempfile.TemporaryDirectory() as folder:
        for end in ("", "-wal"):
            source = state / f"{DATABASE}{end}"
            if source.exists():
                shutil.copy(source, folder)
        yield Path(folder) / DATABASE


def _same(one: Record, other: Record) -> bool:
    """Whether they say the same; a time that was not known may be filled in later."""
    if one["time"] is None or other["time"] is None:
        one, other = {**one, "time": None}, {**other, "time": None}
    return one == other

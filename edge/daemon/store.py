"""What is kept: every record, the glyphs to correct it by, and how far each sink has come.

store = Store(state / DATABASE, settings)
record = store.add(record)          # committed: it survives a kill and a power cut
store.undelivered("mqtt", 100)      # what that sink has not had yet, the oldest first
"""

import itertools
import json
import logging
import os
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from edge.daemon import query
from edge.daemon.clock import Clock, Now, milliseconds, parse_time, utc
from edge.daemon.database import DATABASE as DATABASE
from edge.daemon.database import (
    DamagedError,
    Lock,
    disk_bytes,
    explained,
    open_to_read,
    open_whole,
    set_aside,
    used_bytes,
)
from edge.daemon.database import StoreError as StoreError
from edge.daemon.query import Wanted
from edge.daemon.settings import StoreSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Record = dict[str, Any]
Made = TypeVar("Made")

GLYPH_SIDE = 28  # pixels
MEGABYTE = 1_000_000  # bytes
DAY_SECONDS = 86_400.0

WAL_BYTES = 4 << 20  # the write-ahead log goes into the database at this size: the more, the less is written twice
WAL_SHARE = 0.25  # of what the database may take, at most
ROOM = 0.9  # of that; so much is left when old records go for want of space, lest they go one by one
BATCH = 500  # records deleted or given their time in one transaction: nobody waits long
LARGEST_FREE = 0.25  # of the file; with more free space in it, it is made smaller

CLOSED = "the database is closed"

log = logging.getLogger("edge_digits.store")


class LastValue(NamedTuple):
    """The last valid value of a field. `time`: None while it is not known; `monotonic`: seconds since boot `boot`."""

    value: str
    time: str | None
    boot: str
    monotonic: float
    sequence: int


class Correction(NamedTuple):
    """What a person said stands in a field of a reading, or in all of it where `field` is None."""

    field: str | None
    text: str
    time: str | None


class Store:
    """The database, for any number of threads."""

    set_aside: Path | None = None
    """Where a damaged database was put, if that happened since the start; a new one began in its place."""
    corrected: int = 0
    """How many corrections were made since the start."""
    identity: str
    """Tells this database from all others; in every record's id."""

    def __init__(self, path: Path, settings: StoreSettings, clock: Clock | None = None) -> None:
        """Opens the database, or makes it; brings an older one up to date. Raises StoreError."""
        self._path = path
        self._settings = settings
        self._clock = clock or Clock()
        self._lock = threading.RLock()  # of all that writes
        self._pool = threading.Lock()  # of the next two, and of which connection it is; never held for long
        self._readers: list[sqlite3.Connection] = []  # those that nobody uses now
        self._is_open = self._closed = False
        self._written = 0
        self._wakes: list[Callable[[], None]] = []
        self._sinks: set[str] = set()
        self._lock_file = Lock(path)
        try:
            self._open()
        except BaseException:
            self._lock_file.release()
            raise

    def configure(self, settings: StoreSettings) -> None:
        """What to keep, from now on."""
        self._settings = settings

    # Opening and closing

    def _open(self, aside: Path | None = None) -> None:
        with self._counting():
            self._connection, damaged = open_whole(self._path)
        self._is_open = True
        aside = aside or damaged
        if aside is not None:
            self.set_aside = aside
            log.error("%s was damaged: it is kept as %s, and a new one begins", self._path, aside)
        limit = self._wal_limit()
        try:
            (page_size,) = self._connection.execute("PRAGMA page_size").fetchone()
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {limit // page_size}")
            self._connection.execute(f"PRAGMA journal_size_limit = {limit}")
            self._look_up()
        except sqlite3.Error as error:
            self._close_connections()
            raise explained(error, self._path) from None

    def _wal_limit(self) -> int:
        share = int(WAL_SHARE * self._settings.keep_megabytes * MEGABYTE)
        return min(WAL_BYTES, share) if share else WAL_BYTES

    def _look_up(self) -> None:
        """What is asked for at every record, and only this object changes."""
        find = self._connection.execute
        (self.identity,) = find("SELECT value FROM about WHERE name = 'identity'").fetchone()
        find("INSERT OR IGNORE INTO boots (name) VALUES (?)", (self._clock.boot,))
        (self._boot,) = find("SELECT id FROM boots WHERE name = ?", (self._clock.boot,)).fetchone()
        self._sequence = int((find("SELECT seq FROM sqlite_sequence WHERE name = 'readings'").fetchone() or (0,))[0])
        self._newest = int(find("SELECT ifnull(max(time), 0) FROM readings WHERE time IS NOT NULL").fetchone()[0])
        before = find(
            "SELECT time FROM readings WHERE time IS NOT NULL AND boot <> ? ORDER BY time DESC LIMIT 1", (self._boot,)
        ).fetchone()
        self._newest_of_other_boots = int(before[0]) if before else 0
        self._untimed = bool(
            find("SELECT 1 FROM readings WHERE time IS NULL AND boot = ? LIMIT 1", (self._boot,)).fetchone()
        )
        (self._glyphs,) = find("SELECT count(*) FROM glyphs").fetchone()
        self._fields = dict(find("SELECT name, id FROM fields").fetchall())
        self._cursors = dict.fromkeys(self._sinks, self._sequence)
        self._cursors.update(find("SELECT sink, sequence FROM deliveries").fetchall())

    def close(self) -> None:
        """Lets go of it; a second time does nothing."""
        with self._lock:
            if not self._closed:
                self._close_connections(for_good=True)
                self._lock_file.release()

    def _close_connections(self, *, for_good: bool = False) -> None:
        with self._pool:
            self._closed, self._is_open = for_good, False
            readers, self._readers = self._readers, []
        for reader in readers:
            reader.close()
        with self._counting():
            self._connection.close()

    def _begin_anew(self, damaged: sqlite3.Connection) -> None:
        """The database turned out to be damaged: sets it aside, as at the start, unless another thread did."""
        with self._lock:
            if not self._is_open or self._connection is not damaged:
                return
            self._close_connections()
            self._open(aside=set_aside(self._path))
            for sink in self._sinks:
                self.register(sink)

    # Writing

    def _write(self, act: Callable[[sqlite3.Connection], Made]) -> Made:
        """Does it in one transaction, committed when this returns. Raises StoreError."""
        with self._lock:
            if not self._is_open and not self._closed:  # what came in place of a damaged one could not be made
                self._open()
            try:
                return self._attempt(act)
            except DamagedError:
                self._begin_anew(self._connection)
                return self._attempt(act)

    def _attempt(self, act: Callable[[sqlite3.Connection], Made]) -> Made:
        if self._closed:
            raise StoreError(CLOSED)
        connection = self._connection
        try:
            with self._counting():
                connection.execute("BEGIN IMMEDIATE")
                try:
                    made = act(connection)
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
        except sqlite3.Error as error:
            raise explained(error, self._path) from None
        return made

    @contextmanager
    def _counting(self) -> Iterator[None]:
        before = _written_by_this_thread()
        try:
            yield
        finally:
            self._written += _written_by_this_thread() - before

    def add(
        self,
        record: Record,
        *,
        event: str = "reading",
        glyphs: "NDArray[np.uint8] | None" = None,
        picture: tuple[str, str] | None = None,
    ) -> Record:
        """Commits a record and returns it completed with time, sequence, id, event and clock.

        record: its "time", if any, is when the frame was taken, in seconds since 1970. glyphs: uint8 (n, 28, 28), those
        of its digits. picture: path and state of a folder's picture, marked in the same transaction. Raises StoreError.
        """
        with self._lock:
            completed = self._write(lambda connection: self._insert(connection, record, event, glyphs, picture))()
        for wake in tuple(self._wakes):
            wake()
        return completed

    def _insert(
        self,
        connection: sqlite3.Connection,
        record: Record,
        event: str,
        glyphs: "NDArray[np.uint8] | None",
        picture: tuple[str, str] | None,
    ) -> Callable[[], Record]:
        """Returns what is to be done once that is committed."""
        now = self._clock.now()
        newest, _ = self._fill_times(connection, now)
        time, monotonic = now.of_frame(record.get("time"), newest / 1000)
        stored_time = None if time is None else milliseconds(time)
        sequence = self._sequence + 1
        completed = {
            **record,
            "time": None if stored_time is None else utc(stored_time / 1000),
            "sequence": sequence,
            "id": f"{self.identity}-{sequence}",
            "event": event,
            "clock": {
                "boot": self._clock.boot,
                "monotonic": round(monotonic, 3),
                "synchronised": now.synchronised,
            },
        }
        connection.execute(
            "INSERT INTO readings VALUES (?, ?, ?, ?, ?, ?)",
            (sequence, stored_time, self._boot, round(monotonic, 3), event, _json(completed)),
        )
        new_fields = _insert_values(connection, self._fields, completed)
        has_glyphs = glyphs is not None and len(glyphs) > 0 and self._settings.keep_glyphs > 0
        if glyphs is not None and has_glyphs:
            connection.execute("INSERT INTO glyphs VALUES (?, ?, ?)", (sequence, len(glyphs), _packed(glyphs)))
        if picture is not None:
            _mark(connection, *picture)

        def committed() -> Record:
            self._sequence = sequence
            self._newest = max(newest, stored_time or 0)
            self._untimed = self._untimed or stored_time is None
            self._fields.update(new_fields)
            self._glyphs += has_glyphs
            return completed

        return committed

    def _fill_times(self, connection: sqlite3.Connection, now: Now) -> tuple[int, int]:
        """Gives a batch of records of this boot their time, once it is known.

        Returns the newest time of all records, in milliseconds, and to how many it gave one.

        A clock that nobody keeps may have been behind at the start and still be: then it says times before the newest
        of the boots before, and those are left out.
        """
        if not self._untimed or not now.is_known(self._newest / 1000):
            return self._newest, 0
        started = milliseconds(now.wall - now.monotonic)
        least = 0.0 if now.synchronised else (self._newest_of_other_boots - started) / 1000
        newest = self._newest
        rows = connection.execute(
            "SELECT sequence, monotonic, record FROM readings "
            "WHERE time IS NULL AND boot = ? AND monotonic >= ? ORDER BY monotonic LIMIT ?",
            (self._boot, least, BATCH),
        ).fetchall()
        for sequence, monotonic, record in rows:
            time = started + milliseconds(monotonic)
            filled = _json({**json.loads(record), "time": utc(time / 1000)})
            connection.execute("UPDATE readings SET time = ?, record = ? WHERE sequence = ?", (time, filled, sequence))
            newest = max(newest, time)
        return newest, len(rows)

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """wake is called after each commit of a record, by the thread that added it: it has to be quick.

        What comes back ends that.
        """
        self._wakes.append(wake)

        def end() -> None:
            with suppress(ValueError):  # it was ended before
                self._wakes.remove(wake)

        return end

    # Looking up

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for one question, beside the one that writes. Raises StoreError."""
        with self._pool:
            if not self._is_open:
                raise StoreError(CLOSED)
            beside = self._connection
            connection = self._readers.pop() if self._readers else None
        try:
            connection = connection or open_to_read(self._path)
            yield connection
        except (sqlite3.Error, DamagedError) as error:
            reason = error if isinstance(error, DamagedError) else explained(error, self._path)
            if isinstance(reason, DamagedError):
                self._begin_anew(beside)
            raise reason from None
        finally:
            with self._pool:
                kept = connection is not None and self._is_open and beside is self._connection
                if connection is not None and kept:
                    self._readers.append(connection)
            if connection is not None and not kept:
                connection.close()

    def latest(self, event: str | None = None) -> Record | None:
        """The newest record. event: of this kind. Raises StoreError."""
        found = self.readings(event=event, limit=1)
        return found[0] if found else None

    def readings(
        self,
        *,
        before: int | None = None,
        after: int | None = None,
        since: str | None = None,
        until: str | None = None,
        field: str | None = None,
        event: str | None = None,
        limit: int = 100,
        oldest_first: bool = False,
    ) -> list[Record]:
        """Records in their order, the newest first.

        before, after: sequences, not included. since, until: times in ISO 8601, the last not included. field: those
        that have it. event: "reading" or "heartbeat". Raises StoreError, and UsageError where a time is none.
        """
        wanted = Wanted(
            low=0 if after is None else after + 1,
            high=query.ALL if before is None else before - 1,
            since=None if since is None else parse_time(since),
            until=None if until is None else parse_time(until),
            field=field,
            event=event,
        )
        with self._reading() as connection:
            found = query.records(connection, wanted.narrowed(connection), limit, oldest_first=oldest_first)
        return [json.loads(record) for _, record in found]

    def count(self) -> int:
        """How many records there are. Raises StoreError."""
        with self._reading() as connection:
            oldest, newest = query.span(connection)
        return newest - oldest + 1

    def last_value(self, field: str) -> LastValue | None:
        """The last valid value of a field, of whichever boot. Raises StoreError."""
        with self._reading() as connection:
            found = connection.execute(
                """SELECT value, time, boots.name, monotonic, sequence
                FROM field_values CROSS JOIN readings USING (sequence) JOIN boots ON boots.id = boot
                WHERE field = (SELECT id FROM fields WHERE name = ?) AND value IS NOT NULL
                ORDER BY sequence DESC LIMIT 1""",
                (field,),
            ).fetchone()
        if found is None:
            return None
        value, time, *rest = found
        return LastValue(value, _utc(time), *rest)

    # Correcting

    def glyphs(self, sequence: int) -> "NDArray[np.uint8] | None":
        """uint8 (n, 28, 28): those of a record's digits; None where they are not kept. Raises StoreError."""
        with self._reading() as connection:
            found = connection.execute("SELECT count, pixels FROM glyphs WHERE sequence = ?", (sequence,)).fetchone()
        return None if found is None else _unpacked(*found)

    def correct(self, sequence: int, text: str, field: str | None) -> None:
        """Keeps what a person says stands there. field: None for the whole text. Raises StoreError, KeyError."""
        now = self._clock.now()

        def insert(connection: sqlite3.Connection) -> None:
            if connection.execute("SELECT 1 FROM readings WHERE sequence = ?", (sequence,)).fetchone() is None:
                raise KeyError(sequence)
            time = milliseconds(now.wall) if now.is_known(self._newest / 1000) else None
            connection.execute(
                "INSERT INTO corrections (sequence, field, text, time) VALUES (?, ?, ?, ?)",
                (sequence, field, text, time),
            )

        self._write(insert)
        self.corrected += 1

    def corrections(self, sequence: int) -> list[Correction]:
        """Of a record, in their order. Raises StoreError."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT field, text, time FROM corrections WHERE sequence = ? ORDER BY id", (sequence,)
            ).fetchall()
        return [Correction(field, text, _utc(time)) for field, text, time in found]

    def corrected_between(self, first: int, last: int) -> dict[int, list[Correction]]:
        """Corrections of these records, both included, by sequence. Raises StoreError."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT sequence, field, text, time FROM corrections WHERE sequence BETWEEN ? AND ? ORDER BY id",
                (first, last),
            ).fetchall()
        made: dict[int, list[Correction]] = {}
        for sequence, field, text, time in found:
            made.setdefault(sequence, []).append(Correction(field, text, _utc(time)))
        return made

    def last_correction(self, field: str) -> tuple[int, str] | None:
        """The newest record of which a person said what stands in this field: its sequence, and what they said.

        None where the field had another valid value since: a heartbeat only says again what was wrong. Raises
        StoreError.
        """
        with self._reading() as connection:
            found = connection.execute(
                "SELECT sequence, text FROM corrections WHERE field = ? ORDER BY sequence DESC, id DESC LIMIT 1",
                (field,),
            ).fetchone()
            if found is None:
                return None
            (number,) = connection.execute("SELECT max(id) FROM fields WHERE name = ?", (field,)).fetchone()
            (wrong,) = connection.execute(
                "SELECT max(value) FROM field_values WHERE field = ? AND sequence = ?", (number, found[0])
            ).fetchone()
            passed = connection.execute(
                "SELECT 1 FROM field_values WHERE field = ? AND sequence > ? AND value <> ifnull(?, '') LIMIT 1",
                (number, found[0], wrong),
            ).fetchone()
        return (int(found[0]), str(found[1])) if passed is None else None

    # Delivering

    def register(self, sink: str) -> None:
        """Keeps records for this sink until they are delivered; a new one begins with the next. Raises StoreError."""

        def insert(connection: sqlite3.Connection) -> int:
            connection.execute(
                "INSERT OR IGNORE INTO deliveries (sink, sequence) VALUES (?, ?)", (sink, self._sequence)
            )
            return int(connection.execute("SELECT sequence FROM deliveries WHERE sink = ?", (sink,)).fetchone()[0])

        with self._lock:
            self._cursors[sink] = self._write(insert)
            self._sinks.add(sink)

    def undelivered(self, sink: str, limit: int) -> list[Record]:
        """What a registered sink has not had yet, the oldest first. Raises StoreError."""
        return self.readings(after=self._cursors[sink], limit=limit, oldest_first=True)

    def delivered(self, sink: str, sequence: int) -> None:
        """Everything up to this record has arrived: it is not given again. Raises StoreError."""

        def update(connection: sqlite3.Connection) -> int:
            if not self._cursors[sink] < sequence <= self._sequence:  # of a damaged database, set aside meanwhile
                return self._cursors[sink]
            connection.execute("UPDATE deliveries SET sequence = ? WHERE sink = ?", (sequence, sink))
            return sequence

        with self._lock:
            if sequence > self._cursors[sink]:
                self._cursors[sink] = self._write(update)

    def backlog(self, sink: str) -> int:
        """How many records a sink has not had yet; none where it could not be registered yet. Raises StoreError."""
        with self._reading() as connection:
            oldest, newest = query.span(connection)
        return max(0, newest - max(self._cursors.get(sink, newest), oldest - 1))

    def lost(self, sink: str) -> int:
        """How many records were deleted for want of space before a registered sink had them. Raises StoreError."""
        with self._reading() as connection:
            found = connection.execute("SELECT lost FROM deliveries WHERE sink = ?", (sink,)).fetchone()
        return int(found[0]) if found else 0

    # Pictures of a folder

    def picture_state(self, path: str) -> str | None:
        """What a picture was marked as; None where it never was. Raises StoreError."""
        with self._reading() as connection:
            found = connection.execute("SELECT state FROM pictures WHERE path = ?", (os.fsencode(path),)).fetchone()
        return None if found is None else str(found[0])

    def mark_picture(self, path: str, state: str) -> None:
        """Remembers it. Raises StoreError."""
        self._write(lambda connection: _mark(connection, path, state))

    def marked_pictures(self) -> Iterator[str]:
        """The paths of all that are marked; some may be forgotten meanwhile. Raises StoreError."""
        last = b""
        while True:
            with self._reading() as connection:
                found = connection.execute(
                    "SELECT path FROM pictures WHERE path > ? ORDER BY path LIMIT ?", (last, BATCH)
                ).fetchall()
            yield from (os.fsdecode(path) for (path,) in found)
            if len(found) < BATCH:
                return
            last = found[-1][0]

    def forget_pictures(self, paths: Iterable[str]) -> None:
        """They are as if they had never been marked. Raises StoreError."""
        rows = ((os.fsencode(path),) for path in paths)

        def forget(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM pictures WHERE path = ?", some)

        while some := list(itertools.islice(rows, BATCH)):
            self._write(forget)

    # Keeping it small

    def tidy(self) -> None:
        """Deletes what is too old or too much; to be called every few minutes. Raises StoreError."""
        self._fill_all_times()
        self._delete_glyphs()
        self._delete_old()
        self._delete_for_space()
        self._shrink()

    def _fill_all_times(self) -> None:
        count = BATCH if self._untimed else 0
        while count == BATCH:
            with self._lock:
                self._newest, count = self._write(lambda found: self._fill_times(found, self._clock.now()))

    def _delete_glyphs(self) -> None:
        def delete(connection: sqlite3.Connection) -> int:
            return connection.execute(
                "DELETE FROM glyphs WHERE sequence <= (SELECT sequence FROM glyphs ORDER BY sequence LIMIT 1 OFFSET ?)",
                (surplus - 1,),
            ).rowcount

        with self._lock:
            surplus = self._glyphs - self._settings.keep_glyphs
            if surplus > 0:
                deleted = self._write(delete)
                self._glyphs -= deleted

    def _delete_old(self) -> None:
        """By age: only while the clock is known to be right, for one that jumped ahead would cost everything."""
        now = self._clock.now()
        if not self._settings.keep_days or not now.synchronised or not now.is_known(0):
            return
        least = milliseconds(now.wall - self._settings.keep_days * DAY_SECONDS)
        with self._reading() as connection:
            last = query.last_too_old(connection, least, milliseconds(now.wall + DAY_SECONDS))
        with self._lock:
            last = min([last, *(self._cursors[sink] for sink in self._sinks)])
        self._delete_up_to(last)

    def _delete_for_space(self) -> None:
        """By size: also what was not delivered."""
        if not self._settings.keep_megabytes:
            return
        limit = int(self._settings.keep_megabytes * MEGABYTE) - self._wal_limit()
        if self._used()[0] <= limit:
            return
        while self._used()[0] > ROOM * limit and (count := self.count()) > 1:
            with self._reading() as connection:
                oldest, _ = query.span(connection)
            self._delete_up_to(oldest + min(BATCH, max(1, count // 20)) - 1)

    def _used(self) -> tuple[int, int]:
        with self._reading() as connection:
            return used_bytes(connection)

    def _delete_up_to(self, last: int) -> None:
        """All records up to this one, some at a time."""
        while True:
            with self._reading() as connection:
                oldest, newest = query.span(connection)
            if not oldest <= min(last, newest):
                return
            self._delete_batch(oldest, min(last, oldest + BATCH - 1))

    def _delete_batch(self, oldest: int, last: int) -> None:
        def delete(connection: sqlite3.Connection) -> int:
            for sink, count in lost.items():
                connection.execute("UPDATE deliveries SET lost = lost + ? WHERE sink = ?", (count, sink))
            for field in self._fields.values():
                connection.execute("DELETE FROM field_values WHERE field = ? AND sequence <= ?", (field, last))
            glyphs = connection.execute("DELETE FROM glyphs WHERE sequence <= ?", (last,)).rowcount
            connection.execute("DELETE FROM readings WHERE sequence <= ?", (last,))
            return glyphs

        with self._lock:
            lost = {sink: last - max(self._cursors[sink], oldest - 1) for sink in self._sinks}
            lost = {sink: count for sink, count in lost.items() if count > 0}
            deleted = self._write(delete)
            self._glyphs -= deleted
        for sink, count in lost.items():
            log.warning("%d records were deleted for want of space before %s had them", count, sink)

    def _shrink(self) -> None:
        """Gives free space back to the disk where it is much; little is used again."""
        used, free = self._used()
        if free <= LARGEST_FREE * (used + free):
            return
        with self._lock, self._counting():
            try:
                self._connection.executescript("PRAGMA incremental_vacuum")  # execute() would take one page's step
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except sqlite3.Error as error:
                raise explained(error, self._path) from None

    def size(self) -> int:
        """Bytes on the disk."""
        return disk_bytes(self._path)

    @property
    def written(self) -> int:
        """Bytes that the kernel wrote to the disk for it since the start; 0 where it does not count them.

        What the file system writes on top, its journal and its folders, is not in it.
        """
        return self._written


def _written_by_this_thread() -> int:
    try:
        with open("/proc/thread-self/io", "rb") as file:
            counts = dict(line.split(b": ") for line in file)
        return int(counts[b"write_bytes"])
    except (OSError, KeyError):
        return 0


def _insert_values(connection: sqlite3.Connection, known: dict[str, int], record: Record) -> dict[str, int]:
    """Puts the values of a record's fields into their table; returns the fields that are new there."""
    new: dict[str, int] = {}
    for field in record.get("fields", ()):
        name = field["name"]
        number = known.get(name) or new.get(name)
        if number is None:
            number = connection.execute("INSERT INTO fields (name) VALUES (?)", (name,)).lastrowid
            assert number is not None
            new[name] = number
        connection.execute(
            "INSERT OR REPLACE INTO field_values VALUES (?, ?, ?)", (number, record["sequence"], field["value"])
        )
    return new


def _mark(connection: sqlite3.Connection, path: str, state: str) -> None:
    connection.execute("INSERT OR REPLACE INTO pictures VALUES (?, ?)", (os.fsencode(path), state))


def _json(record: Record) -> str:
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:  # a file name that is not UTF-8: written as JsonLines in edge/output.py does
        return json.dumps(record, separators=(",", ":"))
    return text


def _packed(glyphs: "NDArray[np.uint8]") -> bytes:
    if glyphs.shape[1:] != (GLYPH_SIDE, GLYPH_SIDE) or glyphs.dtype != "uint8":
        raise ValueError(f"glyphs are uint8 (n, {GLYPH_SIDE}, {GLYPH_SIDE}), not {glyphs.dtype} {glyphs.shape}")
    return zlib.compress(glyphs.tobytes())


def _unpacked(count: int, pixels: bytes) -> "NDArray[np.uint8]":
    import numpy as np

    return np.frombuffer(zlib.decompress(pixels), np.uint8).reshape(count, GLYPH_SIDE, GLYPH_SIDE)


def _utc(stored: int | None) -> str | None:
    return None if stored is None else utc(stored / 1000)

"""The database file: opened whole, by one daemon alone, and what goes wrong with it in words for people."""

import errno
import fcntl
import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from edge.daemon import schema
from edge.errors import EdgeDigitsError

DATABASE = "readings.db"  # in the state folder
BUSY_SECONDS = 5.0  # to wait for another program that has the database locked
PAGE_SIZE = 1024  # bytes: half of what 4096 writes a reading, for each of its few rows is in another page
READER_CACHE = 256  # KB; a reader looks up a page or two of records, and there are many
LEAST_FREE = 64 << 10  # bytes: with less, what SQLite calls an input/output error is a full disk
COMPANIONS = ("", "-wal", "-shm")  # a database and what SQLite puts beside it
DISK_FULL = "the disk is full: nothing is recorded until there is space"


class StoreError(EdgeDigitsError):
    """Nothing can be recorded or looked up: the disk is full, the database cannot be written, another daemon has it."""


class DamagedError(StoreError):
    """The database is no database any more, or its parts contradict each other."""


def explained(error: sqlite3.Error | OSError, path: Path) -> StoreError:
    """What stands in the way, for people."""
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return StoreError(DISK_FULL)
        return StoreError(f"{path} cannot be used: {error.strerror or error}")
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the kind; the higher bits say more
    if code == sqlite3.SQLITE_FULL:
        return StoreError(DISK_FULL)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return DamagedError(f"{path} is damaged: {error}")
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and _is_full(path.parent):
        return StoreError(DISK_FULL)
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
        return StoreError(f"{path} cannot be opened or written: see who owns it, and its folder")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(f"{path} is locked by another program, such as a sqlite3 shell: let that one end")
    return StoreError(f"{path} cannot be used: {error}")


def _is_full(folder: Path) -> bool:
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < LEAST_FREE


class Lock:
    """One daemon alone has a database: the lock of a file beside it, which ends with the process, however it ends."""

    def __init__(self, path: Path) -> None:
        """path: of the database. Raises StoreError where another one has it."""
        file = path.with_name(f"{path.name}.lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise explained(error, path) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise StoreError(
                f"{path} is in use by another edge-digits daemon: end that one, or give this one another state folder"
            ) from None

    def release(self) -> None:
        """Lets others have it. The file stays: who removed it could remove another one's."""
        os.close(self._descriptor)


def open_whole(path: Path) -> tuple[sqlite3.Connection, Path | None]:
    """The database, made or brought up to date, for writing; and where a damaged one was put, if it was.

    Raises StoreError.
    """
    try:
        return _open(path), None
    except DamagedError:
        aside = set_aside(path)
    return _open(path), aside


def _open(path: Path) -> sqlite3.Connection:
    try:
        connection = _connect(path, uri=False)
        try:
            _refuse_others(connection, path)
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise DamagedError(f"{path} is damaged: {found}")
            connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")  # these two count for a new file alone
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            if connection.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
                raise StoreError(f"{path} lies where SQLite cannot share memory: put the state folder on a local disk")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            schema.migrate(connection)
        except BaseException:
            connection.close()
            raise
        _sync_folder(path.parent)
    except (sqlite3.Error, OSError) as error:
        raise explained(error, path) from None
    return connection


def _connect(name: str | Path, *, uri: bool) -> sqlite3.Connection:
    return sqlite3.connect(name, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=uri)


def _refuse_others(connection: sqlite3.Connection, path: Path) -> None:
    if not schema.is_ours(connection):
        raise StoreError(f"{path} is the database of another program: name another file or folder")
    version = schema.version(connection)
    if version > schema.VERSION:
        raise StoreError(
            f"{path} was written by a newer edge-digits (version {version} of its tables; this one knows "
            f"{schema.VERSION}): install that one, or use another state folder"
        )


def _sync_folder(folder: Path) -> None:
    """So that a new file is found again after the power went."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def set_aside(path: Path) -> Path:
    """Renames a database to NAME.damaged-<UTC>, with its companions; returns where it is. Raises StoreError."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    try:
        for end in COMPANIONS:
            with suppress(FileNotFoundError):
                path.with_name(path.name + end).rename(aside.with_name(aside.name + end))
    except OSError as error:
        raise explained(error, path) from None
    return aside


def open_to_read(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, beside a daemon that does or without one. Raises StoreError."""
    name = path.absolute().as_uri()
    try:
        try:
            connection = _opened_to_read(f"{name}?mode=ro", path)
        except sqlite3.OperationalError:
            # In a folder where this user may not write, SQLite cannot make the files that it shares with a writer.
            # Where there is none, and it left nothing, none are needed.
            if os.access(path.parent, os.W_OK) or path.with_name(f"{path.name}-wal").exists():
                raise
            connection = _opened_to_read(f"{name}?mode=ro&immutable=1", path)
    except sqlite3.Error as error:
        raise explained(error, path) from None
    return connection


def _opened_to_read(name: str, path: Path) -> sqlite3.Connection:
    connection = _connect(name, uri=True)
    try:
        _refuse_others(connection, path)
        version = schema.version(connection)
        if version < schema.VERSION:
            raise StoreError(f"{path} is of an older edge-digits: the daemon brings it up to date when it starts")
        connection.execute(f"PRAGMA cache_size = -{READER_CACHE}")
    except BaseException:
        connection.close()
        raise
    return connection


def used_bytes(connection: sqlite3.Connection) -> tuple[int, int]:
    """Of the file: bytes in use, and bytes free for use again."""
    (size,), (pages,), (free,) = (
        connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_size", "page_count", "freelist_count")
    )
    return (pages - free) * size, free * size


def disk_bytes(path: Path) -> int:
    """Of the database and its companions."""
    total = 0
    for end in COMPANIONS:
        with suppress(OSError):
            total += path.with_name(path.name + end).stat().st_size
    return total

"""Look records up in the database: which, in which order, and no more of them than asked for."""

import sqlite3
from dataclasses import dataclass, replace
from typing import Self

ALL = 2**63 - 1  # the largest whole number of SQLite


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records.

    `low` to `high`: sequences, both included. `since`, `until`: milliseconds since 1970, the first included, the last
    not; a record without a time is in no such span. `field`: those that have it. `event`: "reading" or "heartbeat".
    """

    low: int = 0
    high: int = ALL
    since: int | None = None
    until: int | None = None
    field: str | None = None
    event: str | None = None

    def narrowed(self, connection: sqlite3.Connection) -> Self:
        """The same records, with low and high where those of the span of time begin and end.

        Those near each other in time are so in sequence, too, so that going through what lies between costs little.
        """
        if self.since is None and self.until is None:
            return self
        low, high = connection.execute(
            "SELECT min(sequence), max(sequence) FROM readings WHERE time >= ? AND time < ?",
            (0 if self.since is None else self.since, ALL if self.until is None else self.until),
        ).fetchone()
        if low is None:
            return replace(self, low=1, high=0)
        return replace(self, low=max(self.low, low), high=min(self.high, high))


def records(connection: sqlite3.Connection, wanted: Wanted, limit: int, *, oldest_first: bool) -> list[tuple[int, str]]:
    """Sequence and JSON of the first so many."""
    return _select(connection, "sequence, record", wanted, limit, 0, oldest_first)


def nth_newest(connection: sqlite3.Connection, wanted: Wanted, number: int) -> int:
    """The sequence of the record that has number - 1 newer ones among those wanted; 0 where there are fewer."""
    found = _select(connection, "sequence", wanted, 1, number - 1, False)
    return int(found[0][0]) if found else 0


def _select(
    connection: sqlite3.Connection, columns: str, wanted: Wanted, limit: int, offset: int, oldest_first: bool
) -> list[tuple[int, str]]:
    # The plus keeps SQLite from taking the index of times and sorting all that it finds.
    conditions = ["sequence BETWEEN ? AND ?"]
    values: list[int | str] = [wanted.low, wanted.high]
    for condition, value in (("+time >= ?", wanted.since), ("+time < ?", wanted.until), ("event = ?", wanted.event)):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    table = "readings"
    if wanted.field is not None:
        table = "field_values CROSS JOIN readings USING (sequence)"
        conditions += ["field = (SELECT id FROM fields WHERE name = ?)"]
        values.append(wanted.field)
    order = "ASC" if oldest_first else "DESC"
    return connection.execute(
        f"SELECT {columns} FROM {table} WHERE {' AND '.join(conditions)} ORDER BY sequence {order} LIMIT ? OFFSET ?",
        (*values, limit, offset),
    ).fetchall()


def field_names(connection: sqlite3.Connection) -> list[str]:
    """Of all fields that any record had."""
    return [name for (name,) in connection.execute("SELECT name FROM fields ORDER BY id")]


def span(connection: sqlite3.Connection) -> tuple[int, int]:
    """The sequences of the oldest and the newest record; 1, 0 where there is none.

    Between them none is missing: they are deleted from the oldest on, and one that is not committed uses no number.
    """
    oldest, newest = connection.execute(
        "SELECT (SELECT min(sequence) FROM readings), (SELECT max(sequence) FROM readings)"
    ).fetchone()
    return (1, 0) if oldest is None else (oldest, newest)


def last_too_old(connection: sqlite3.Connection, least: int, now: int) -> int:
    """The sequence up to which records are older than least, in milliseconds since 1970; 0 where none is.

    One without a time is as old as those around it. One from after now, of a clock that was wrong, says nothing.
    """
    kept = connection.execute(
        "SELECT sequence FROM readings WHERE +time BETWEEN ? AND ? ORDER BY sequence LIMIT 1", (least, now)
    ).fetchone()
    old = connection.execute(
        "SELECT sequence FROM readings WHERE sequence < ? AND +time < ? ORDER BY sequence DESC LIMIT 1",
        (kept[0] if kept else ALL, least),
    ).fetchone()
    return int(old[0]) if old else 0

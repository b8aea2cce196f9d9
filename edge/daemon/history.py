"""`edge-digits history`: what the daemon recorded, while it runs or later."""

import argparse
import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from edge.arguments import Parser, count
from edge.errors import UsageError
from edge.terminal import is_terminal, write

if TYPE_CHECKING:  # imported where they are used: --help does not wait for SQLite
    import sqlite3

    from edge.daemon.query import Wanted

Record = dict[str, Any]

DONE = 0  # exit status
AT_ONCE = 200  # records looked up with one question: no memory to speak of, and no writer waits for a reader
SPAN = re.compile(r"(\d+)([mhdw])")
SPAN_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
STATE_VARIABLE = "STATE_DIRECTORY"  # systemd sets it
SERVICE_STATE = Path("/var/lib/edge-digits")  # what it sets it to
FIELD_KEYS = ("value", "text", "valid", "reason", "confidence")
UNKNOWN_TIME = "(clock not set)"  # in a table

STATUSES = """\
times are ISO 8601, in UTC where they name no zone, or an age such as 90m, 12h, 7d or 2w. The columns of csv are time,
sequence, event, field, value, text, valid, reason, confidence: one row a field, or one a reading without fields.
exit status: 0 done, 1 the disk or the terminal failed meanwhile, 2 nothing could start: the command line or the
database is wrong, 130 interrupted"""


def add_arguments(parser: Parser) -> None:
    """What `history` takes."""
    parser.description = "Shows and exports what the daemon recorded, the oldest first. The daemon may run meanwhile."
    parser.epilog = STATUSES
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--state",
        metavar="DIR",
        help=f"the daemon's state folder (default: {SERVICE_STATE} if it is there, else ~/.local/state/edge-digits)",
    )
    where.add_argument("--database", metavar="FILE", help="its database")
    parser.add_argument("--since", metavar="TIME", help="from then on")
    parser.add_argument("--until", metavar="TIME", help="before then")
    parser.add_argument("--field", metavar="NAME", help="this field alone")
    parser.add_argument("--event", choices=("reading", "heartbeat"), help="these alone (default: both)")
    parser.add_argument("--limit", type=count, metavar="N", help="the newest N alone")
    parser.add_argument(
        "--format",
        choices=("table", "jsonl", "csv"),
        help="default: a table on a terminal, one JSON object a line into a pipe or a file",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, terminal: TextIO) -> int:
    """`edge-digits history`."""
    import sqlite3

    from edge.daemon import query
    from edge.daemon.database import explained, open_to_read

    wanted = query.Wanted(
        since=_time(options.since, "--since"),
        until=_time(options.until, "--until"),
        field=options.field,
        event=options.event,
    )
    path = _database(options)
    with closing(open_to_read(path)) as connection:
        known = query.field_names(connection)
        if options.field is not None and options.field not in known:
            there = f"there are {', '.join(known)}" if known else "there are none"
            raise UsageError(f"--field: no reading has a field {options.field!r}; {there}")
        format = _format(options)
        write(format.header())
        try:
            for records in _found(connection, wanted, options.limit):
                write(b"".join(map(format.rows, records)))
        except sqlite3.Error as error:
            raise explained(error, path) from None
    return DONE


def _database(options: argparse.Namespace) -> Path:
    from edge.daemon.database import DATABASE

    if options.database is not None:
        path = Path(options.database)
        missing = "--database names a file that is not there"
    else:
        path = (default_state() if options.state is None else Path(options.state)) / DATABASE
        missing = "no daemon has recorded anything there; --state or --database says where it does"
    try:
        path.stat()
    except FileNotFoundError:
        raise UsageError(f"{path}: {missing}") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; run this as the daemon's user") from None
    return path


def default_state() -> Path:
    """The folder where the daemon of this machine or user keeps what it keeps, if nobody says otherwise."""
    if given := os.environ.get(STATE_VARIABLE):
        return Path(given.split(":")[0])
    if SERVICE_STATE.exists():
        return SERVICE_STATE
    home = os.environ.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local" / "state") / "edge-digits"


def _time(text: str | None, option: str) -> int | None:
    """Milliseconds since 1970."""
    import time

    from edge.daemon.clock import milliseconds, parse_time

    if text is None:
        return None
    if span := SPAN.fullmatch(text):
        return milliseconds(time.time() - int(span[1]) * SPAN_SECONDS[span[2]])
    try:
        return parse_time(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error}, nor an age such as 90m, 12h, 7d or 2w") from None


def _found(connection: "sqlite3.Connection", wanted: "Wanted", limit: int | None) -> Iterator[list[str]]:
    """The records' JSON, some at a time; those recorded meanwhile, too, but never more than the limit."""
    from dataclasses import replace

    from edge.daemon import query

    wanted = wanted.narrowed(connection)
    if limit is not None:
        wanted = replace(wanted, low=max(wanted.low, query.nth_newest(connection, wanted, limit)))
    left = limit
    while left is None or left > 0:
        rows = query.records(connection, wanted, AT_ONCE if left is None else min(AT_ONCE, left), oldest_first=True)
        if not rows:
            return
        yield [record for _, record in rows]
        wanted = replace(wanted, low=rows[-1][0] + 1)
        left = None if left is None else left - len(rows)


class _Format(Protocol):
    """One way to write records, as the bytes of whole lines."""

    def header(self) -> bytes: ...

    def rows(self, record: str) -> bytes:
        """record: JSON."""
        ...


class _JsonLines:
    """The records as they were handed out."""

    def header(self) -> bytes:
        return b""

    def rows(self, record: str) -> bytes:
        return record.encode() + b"\n"


class _Csv:
    _COLUMNS = ("time", "sequence", "event", "field", "value", "text", "valid", "reason", "confidence")

    def __init__(self, field: str | None) -> None:
        self._field = field

    def header(self) -> bytes:
        return self._row(dict(zip(self._COLUMNS, self._COLUMNS, strict=True)))

    def rows(self, record: str) -> bytes:
        return b"".join(map(self._row, _entries(record, self._field)))

    def _row(self, entry: Record) -> bytes:
        import csv
        import io

        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow([_cell(entry[column]) for column in self._COLUMNS])
        return text.getvalue().encode("utf-8", "surrogateescape")


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else value


class _Table:
    """For people: a value that is none stands as what was read, with the reason."""

    def __init__(self, field: str | None) -> None:
        self._field = field

    def header(self) -> bytes:
        return self._row("time", "sequence", "confidence", "reading")

    def rows(self, record: str) -> bytes:
        return b"".join(map(self._entry, _entries(record, self._field)))

    def _entry(self, entry: Record) -> bytes:
        name = f"{entry['field']} = " if entry["field"] else ""
        text = " / ".join((entry["text"] if entry["value"] is None else entry["value"]).splitlines())
        notes = [entry["reason"], entry["event"] if entry["event"] != "reading" else None]
        note = "".join(f" ({note})" for note in notes if note)
        confidence = "-" if entry["confidence"] is None else f"{entry['confidence'] * 100:.1f} %"
        return self._row(
            entry["time"] or UNKNOWN_TIME, str(entry["sequence"]), confidence, f"{name}{text or '(nothing)'}{note}"
        )

    def _row(self, time: str, sequence: str, confidence: str, text: str) -> bytes:
        from edge.output import printable

        line = f"{printable(time):24}  {sequence:>8}  {confidence:>10}  {printable(text)}\n"
        return line.encode("utf-8", "backslashreplace")


def _entries(text: str, field: str | None) -> Iterator[Record]:
    """What a record says of each field, or of this one; of all that was read, where it has no fields."""
    import json

    record = json.loads(text)
    about = {name: record[name] for name in ("time", "sequence", "event")}
    fields = record.get("fields")
    if not fields:
        confidences = [digit["confidence"] for digit in record.get("digits", ())]
        yield {
            **about,
            "field": None,
            "value": None,
            "text": record.get("text", ""),
            "valid": None,
            "reason": record.get("reason"),
            "confidence": min(confidences, default=None),
        }
    for entry in fields or ():
        if field is None or entry["name"] == field:
            yield {**about, "field": entry["name"], **{key: entry[key] for key in FIELD_KEYS}}


def _format(options: argparse.Namespace) -> _Format:
    name = options.format or ("table" if is_terminal(1) else "jsonl")
    if name == "jsonl":
        return _JsonLines()
    return _Csv(options.field) if name == "csv" else _Table(options.field)

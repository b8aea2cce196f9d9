"""The readings across an upgrade: a newer version brings the tables up to date, and an older one cannot read those.

`database.py keep CONFIG TABLES` copies the database aside where a version that knows so many steps of the tables would
change it, and no copy is there already. `restore` puts the copy back where a version that knows so many could not read
what is there, which stays beside it, and says so. `must-keep` and `must-restore` say by the exit status whether there
is anything to do; install.sh ends the daemon in between. `fits` ends with 1 where that version could not read it.
`forget` removes the copy.
"""

import itertools
import os
import shutil
import sqlite3
import sys
import tomllib
from contextlib import closing, suppress
from pathlib import Path

STATE = "/var/lib/edge-digits"
DATABASE, COPY, NEWER = "readings.db", "readings.db.before", "readings.db.newer"
BESIDE = ("", "-wal", "-shm")
SPARE = 4_000_000  # bytes that are left to the version that goes on


def tables(path: Path) -> int:
    """Which step its tables are at; 0 where there is none."""
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("PRAGMA user_version").fetchone()[0])


def must_keep(state: Path, known: int) -> bool:
    # A copy that is there is of a version that an interrupted upgrade has to go back to.
    return 0 < tables(state / DATABASE) < known and not (state / COPY).exists()


def must_restore(state: Path, known: int) -> bool:
    return tables(state / DATABASE) > known and 0 < tables(state / COPY) <= known


def keep(state: Path, known: int) -> None:
    if not must_keep(state, known):
        return
    half = state / f"{COPY}.half"
    _remove(half)
    size = sum(path.stat().st_size for end in BESIDE if (path := state / f"{DATABASE}{end}").exists())
    free = shutil.disk_usage(state).free
    if free < size + SPARE:
        room = f"{(size + SPARE) / 1e6:.0f} MB are needed for a copy of the readings, and {free / 1e6:.0f} MB are free"
        raise SystemExit(f"{room} in {state}")
    try:
        with closing(sqlite3.connect(state / DATABASE)) as source, closing(sqlite3.connect(half)) as copy:
            source.backup(copy)
        shutil.copystat(state / DATABASE, half)
        _owned_as(state / DATABASE, half)
        with open(half, "rb") as file:
            os.fsync(file.fileno())
        half.replace(state / COPY)
    except (OSError, sqlite3.Error):
        _remove(half)
        raise


def restore(state: Path, known: int) -> None:
    if not must_restore(state, known):
        return
    # What an earlier upgrade left there is somebody's readings as well.
    names = (f"{NEWER}-{number}" if number > 1 else NEWER for number in itertools.count(1))
    newer = next(name for name in names if not (state / name).exists())
    for end in BESIDE:
        with suppress(FileNotFoundError):
            (state / f"{DATABASE}{end}").replace(state / f"{newer}{end}")
    (state / COPY).replace(state / DATABASE)
    print(f"its readings are as before the upgrade; what came since is in {state / newer}")


def fits(state: Path, known: int) -> None:
    if tables(state / DATABASE) > known:
        raise SystemExit(f"the version before cannot read {state / DATABASE}: this one has changed its tables")


def forget(state: Path) -> None:
    for name in (COPY, f"{COPY}.half"):
        _remove(state / name)


def _remove(path: Path) -> None:
    """A database, and what SQLite keeps beside it."""
    for end in (*BESIDE, "-journal"):
        path.with_name(path.name + end).unlink(missing_ok=True)


def _owned_as(one: Path, other: Path) -> None:
    found = one.stat()
    os.chown(other, found.st_uid, found.st_gid)


def main(what: str, config: str, known: str = "0") -> None:
    try:
        said = tomllib.loads(Path(config).read_text("utf-8-sig")).get("device", {}).get("state", "")
        state = Path(said or STATE)
        if what.startswith("must-"):
            needed = must_keep if what == "must-keep" else must_restore
            sys.exit(0 if needed(state, int(known)) else 1)
        elif what == "keep":
            keep(state, int(known))
        elif what == "restore":
            restore(state, int(known))
        elif what == "fits":
            fits(state, int(known))
        else:
            forget(state)
    except (OSError, sqlite3.Error, ValueError) as error:
        raise SystemExit(f"the database: {error}") from None


if __name__ == "__main__":
    main(*sys.argv[1:])

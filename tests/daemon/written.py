"""Measures what a day of readings writes to the disk: `python -m tests.daemon.written [FOLDER]`.

Each day is recorded in a process of its own, as fast as it goes, and the kernel's count of what that process had
written (write_bytes in /proc/PID/io) is taken at its end, the closing of the database included. FOLDER has to lie on
the disk in question, not in memory; default: this one.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.daemon.recording import ROOT, open_store, record
from tests.edge.helpers import glyph

MINUTES = 24 * 60
HEARTBEAT = 15  # minutes
TIDY = 5  # minutes
MEGABYTE = 1e6

# Name: what is recorded each minute; what is kept.
DAYS: dict[str, dict[str, Any]] = {
    "nothing but heartbeats": {"readings": False},
    "a reading a minute": {},
    "a reading a minute, no glyphs": {"keep_glyphs": 0},
    "a reading a minute to one sink": {"sinks": 1},
    "a reading a minute to two sinks": {"sinks": 2},
    "a reading a minute to one sink, the database full": {"sinks": 1, "keep_megabytes": 2.0},
}


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".").absolute()
    print(f"{'day':50}  records  written (MB)  by its own count (MB)  database (MB)")
    for name in DAYS:
        with tempfile.TemporaryDirectory(dir=folder) as state:
            command = [sys.executable, "-m", "tests.daemon.written", "--day", name, state]
            child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert child.stdin is not None and child.stdout is not None
            records, own, size = child.stdout.readline().split()  # its database is closed, and it waits
            counts = dict(line.split(": ") for line in Path(f"/proc/{child.pid}/io").read_text().splitlines())
            child.stdin.close()
            child.wait()
        megabytes = (f"{int(count) / MEGABYTE:.1f}" for count in (counts["write_bytes"], own, size))
        print(f"{name:50}  {records:>7}  {next(megabytes):>12}  {next(megabytes):>21}  {next(megabytes):>13}")


def day(folder: Path, *, readings: bool = True, sinks: int = 0, **settings: Any) -> None:
    """Records one, says records, bytes written and bytes of the database, and waits to be looked at."""
    store = open_store(folder, **settings)
    names = [f"sink {number}" for number in range(sinks)]
    for name in names:
        store.register(name)
    glyphs = np.stack([glyph(text) for text in "01234567"])
    count = 0
    for minute in range(MINUTES):
        said = []
        if readings:
            said.append(store.add(record("01234567", total=f"{minute:08}"), glyphs=glyphs))
        if minute % HEARTBEAT == 0:
            said.append(store.add(record("01234567", total=f"{minute:08}"), event="heartbeat"))
        for one in said:
            for name in names:
                store.delivered(name, one["sequence"])
        count += len(said)
        if minute % TIDY == 0:
            store.tidy()
    store.close()
    print(count, store.written, store.size(), flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--day"]:
        day(Path(sys.argv[3]), **DAYS[sys.argv[2]])
    else:
        main()

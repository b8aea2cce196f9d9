"""The clock of a device without a battery: it starts in 1970, is set, and steps back and forward, under libfaketime."""

import json
import random
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from edge.daemon.store import DATABASE
from tests.daemon.faults.bench import Bench
from tests.daemon.faults.result import Result

FAULT = "clock steps, begins in 1970"
LIBRARIES = "/usr/lib/*/faketime/libfaketimeMT.so.1"
DAY = 86_400
BACK_SECONDS = 20.0
STAY_SECONDS = 1.0  # at most, until the clock steps again
STEPS = (-400 * DAY, -30 * DAY, -DAY, -3600, 3600, DAY, 30 * DAY)  # seconds from the right time
# libfaketime 0.9.10 refuses the clock_nanosleep that Python's time.sleep asks for (EINVAL); select sleeps as well.
STARTED = (
    "import select, sys, time; time.sleep = lambda seconds: select.select((), (), (), seconds) and None; "
    "from edge.cli import main; sys.exit(main(['daemon', '--config', sys.argv[1]]))"
)


def run(seed: int, steps: int) -> Result:
    library = next(iter(sorted(Path("/").glob(LIBRARIES.lstrip("/")))), None)
    if library is None:
        return Result(FAULT, skipped="Debian's faketime is not installed")
    rng = random.Random(f"{seed} {FAULT}")
    with _offset_file() as offset:
        environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        with Bench(FAULT, seed, environment=environment, command=(sys.executable, "-c", STARTED)) as bench:
            offset.write_text(f"{60 - int(time.time())}\n")  # a minute after the beginning of 1970
            bench.start()
            bench.daemon.wait_for_record(BACK_SECONDS, "the first record, in 1970")
            record = bench.daemon.ask("GET", "/api/latest")[1]["record"]
            bench.expect(record["time"] is None, f"in 1970 the time is {record['time']}")
            for number in range(steps):
                step = 0 if number == 0 else rng.choice(STEPS)  # first it is set right
                offset.write_text(f"{step + rng.uniform(-5, 5):+.0f}\n")
                bench.result.recovery.append(bench.daemon.wait_for_record(BACK_SECONDS, f"a record after {step} s"))
                time.sleep(rng.uniform(0, STAY_SECONDS))
                bench.expect_running()
                if number == 0:
                    oldest = bench.daemon.ask("GET", "/api/readings?before=2")[1]["readings"][0]
                    bench.expect(oldest["time"], "the time of the first record is not filled in once the clock is set")
                bench.result.times += 1
                if number % 4 == 3:  # and starts anew in that time
                    bench.daemon.end(rng.choice((9, 15)))  # type: ignore[arg-type]
                    bench.start()
            bench.finish()
            without, records = _without_time(bench.state), bench.result.compared.records
            bench.result.notes.append(f"{without} of {records} records have no time, for it was not known")
    return bench.result


@contextmanager
def _offset_file() -> Iterator[Path]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "offset"


def _without_time(state: Path) -> int:
    with closing(sqlite3.connect(state / DATABASE)) as connection:
        records = connection.execute("SELECT record FROM readings").fetchall()
    return sum(json.loads(record)["time"] is None for (record,) in records)

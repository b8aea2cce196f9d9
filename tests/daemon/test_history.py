"""The command `history`, run for real, beside a daemon that has the database open or without one."""

import csv
import io
import json
import os
import pty
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edge.daemon.store import DATABASE
from tests.daemon.recording import PATIENCE, ROOT, Hands, open_store, record, run_python

HELP_SECONDS = 0.1  # the best of HELP_RUNS
HELP_RUNS = 10
MANY = 20_000  # records
LITTLE = 12 << 20  # bytes that MANY records may cost more than few


def run(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "edge", "history", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def fill(folder: Path) -> list[dict[str, Any]]:
    """Six records, a minute apart from noon on, the second without a time."""
    hands = Hands()
    with closing(open_store(folder, hands)) as store:
        said = [store.add(record("0471", total="471", flow=None))]
        hands.run(60)
        hands.synchronised, wall, hands.wall = False, hands.wall, 0.0
        said.append(store.add(record("0472")))
        hands.synchronised, hands.wall, hands.boot = True, wall, "second"
    with closing(open_store(folder, Hands(wall=wall + 60, boot="second"))) as store:
        said.append(store.add(record("")))
        said.append(store.add(record("0473", total="473"), event="heartbeat"))
    return said


def records(ran: subprocess.CompletedProcess) -> list[dict[str, Any]]:
    assert ran.returncode == 0 and ran.stderr == "", ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_json_lines_are_the_records_unchanged_the_oldest_first(tmp_path: Path) -> None:
    said = fill(tmp_path)
    assert records(run("--state", tmp_path)) == said
    assert records(run("--database", tmp_path / DATABASE, "--format", "jsonl")) == said


def test_csv_has_one_row_a_field_and_one_for_a_reading_without_fields(tmp_path: Path) -> None:
    fill(tmp_path)
    ran = run("--state", tmp_path, "--format", "csv")
    assert ran.returncode == 0 and ran.stderr == ""
    noon, later = "2026-11-25T12:00:00.000Z", "2026-11-25T12:02:00.000Z"
    assert list(csv.reader(io.StringIO(ran.stdout))) == [
        ["time", "sequence", "event", "field", "value", "text", "valid", "reason", "confidence"],
        [noon, "1", "reading", "total", "471", "471", "true", "", "0.97"],
        [noon, "1", "reading", "flow", "", "4?7", "false", "a character was not a digit", "0.97"],
        ["", "2", "reading", "", "", "0472", "", "", "0.98"],
        [later, "3", "reading", "", "", "", "", "", ""],
        [later, "4", "heartbeat", "total", "473", "473", "true", "", "0.97"],
    ]
    ran = run("--state", tmp_path, "--format", "csv", "--field", "flow")
    assert [row[3:5] for row in csv.reader(io.StringIO(ran.stdout))] == [["field", "value"], ["flow", ""]]


def test_the_table_is_for_people(tmp_path: Path) -> None:
    fill(tmp_path)
    ran = run("--state", tmp_path, "--format", "table")
    assert ran.returncode == 0 and ran.stderr == ""
    assert ran.stdout.splitlines() == [
        "time                      sequence  confidence  reading",
        "2026-11-25T12:00:00.000Z         1      97.0 %  total = 471",
        "2026-11-25T12:00:00.000Z         1      97.0 %  flow = 4?7 (a character was not a digit)",
        "(clock not set)                  2      98.0 %  0472",
        "2026-11-25T12:02:00.000Z         3           -  (nothing)",
        "2026-11-25T12:02:00.000Z         4      97.0 %  total = 473 (heartbeat)",
    ]


def test_a_terminal_gets_the_table(tmp_path: Path) -> None:
    fill(tmp_path)
    master, terminal = pty.openpty()
    with open(master, "rb", buffering=0) as screen:
        command = [sys.executable, "-m", "edge", "history", "--state", str(tmp_path), "--limit", "1"]
        subprocess.run(command, cwd=ROOT, stdout=terminal, timeout=PATIENCE, check=True)
        os.close(terminal)
        assert screen.read(4).startswith(b"time")


@pytest.mark.parametrize(
    ("options", "sequences"),
    [
        (("--since", "2026-11-25T12:01:00Z"), [3, 4]),
        (("--until", "2026-11-25T13:01:00+01:00"), [1]),
        (("--since", "2026-11-25", "--until", "2026-11-26"), [1, 3, 4]),
        (("--since", "2027-01-01"), []),
        (("--field", "total"), [1, 4]),
        (("--event", "heartbeat"), [4]),
        (("--event", "reading", "--limit", "2"), [2, 3]),
        (("--limit", "1"), [4]),
        (("--limit", "100"), [1, 2, 3, 4]),
        (("--limit", "1", "--field", "flow"), [1]),
        (("--limit", "1", "--until", "2026-11-25T12:01"), [1]),
    ],
)
def test_options_say_which_records(tmp_path: Path, options: tuple[str, ...], sequences: list[int]) -> None:
    fill(tmp_path)
    assert [said["sequence"] for said in records(run("--state", tmp_path, *options))] == sequences


def test_an_age_counts_from_now(tmp_path: Path) -> None:
    now = time.time()
    with closing(open_store(tmp_path, Hands(wall=now - 3 * 86_400))) as store:
        store.add(record())
    with closing(open_store(tmp_path, Hands(wall=now, boot="second"))) as store:
        store.add(record())
    for age, sequences in (("90m", [2]), ("12h", [2]), ("2d", [2]), ("4d", [1, 2]), ("1w", [1, 2])):
        assert [said["sequence"] for said in records(run("--state", tmp_path, "--since", age))] == sequences
    assert [said["sequence"] for said in records(run("--state", tmp_path, "--until", "2d"))] == [1]


def test_it_reads_beside_a_daemon_also_what_is_only_in_the_write_ahead_log(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        said = [store.add(record(str(number))) for number in range(5)]
        with closing(sqlite3.connect(f"file:{tmp_path / DATABASE}?immutable=1", uri=True)) as connection:
            assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,), (
                "it is not in the log only"
            )
        assert records(run("--state", tmp_path)) == said
        said.append(store.add(record()))
        assert records(run("--state", tmp_path)) == said


RECORD_AND_DIE = """
import os, sys
from pathlib import Path
from tests.daemon.recording import open_store, record
store = open_store(Path(sys.argv[1]))
for _ in range(3):
    store.add(record())
os._exit(9)
"""


def test_it_reads_what_a_killed_daemon_left(tmp_path: Path) -> None:
    assert run_python(RECORD_AND_DIE, tmp_path).returncode == 9
    assert len(records(run("--state", tmp_path))) == 3


READ_AS_NOBODY = """
import os, sys
import csv, locale, sqlite3
import edge.cli, edge.daemon.history, edge.daemon.store
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
sys.exit(edge.cli.main(["history", "--database", sys.argv[1]]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may read and not write")
def test_a_database_that_lies_where_this_user_may_not_write_is_read(tmp_path: Path) -> None:
    said = fill(tmp_path)
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        shutil.copy(tmp_path / DATABASE, name)
        Path(name).chmod(0o555)
        Path(name, DATABASE).chmod(0o444)
        assert records(run_python(READ_AS_NOBODY, Path(name, DATABASE))) == said


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (
            ("--since", "yesterday"),
            "--since: 'yesterday' is not a time such as .* nor an age such as 90m",
        ),
        (("--until", "7y"), "--until: '7y' is not a time"),
        (("--limit", "0"), "argument --limit: 0 is less than 1; see edge-digits history --help"),
        (("--event", "noise"), "argument --event: invalid choice: 'noise'"),
        (("--format", "xml"), "argument --format: invalid choice: 'xml'"),
        (("--field", "totl"), "--field: no reading has a field 'totl'; there are total, flow"),
        (("--database", "there"), "argument --database: not allowed with argument --state"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_2(
    tmp_path: Path, options: tuple[str, ...], complaint: str
) -> None:
    fill(tmp_path)
    ran = run("--state", tmp_path, *options)
    assert ran.returncode == 2 and ran.stdout == ""
    assert re.fullmatch(f"edge-digits: {complaint}.*\n", ran.stderr)


def test_a_database_that_is_not_there_is_one_line_and_is_not_made(tmp_path: Path) -> None:
    ran = run("--state", tmp_path)
    assert ran.returncode == 2 and "no daemon has recorded anything there" in ran.stderr
    ran = run("--database", tmp_path / "there.db")
    assert ran.returncode == 2 and "names a file that is not there" in ran.stderr and ran.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "complaint"), [(b"no database " * 100, "is damaged"), (b"", "is of an older edge-digits")]
)
def test_a_file_that_is_no_database_of_ours_is_one_line(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / DATABASE).write_bytes(content)
    ran = run("--state", tmp_path)
    assert ran.returncode == 2 and complaint in ran.stderr and ran.stderr.count("\n") == 1
    assert (tmp_path / DATABASE).read_bytes() == content


def test_the_state_folder_is_the_daemons_of_this_user_if_nobody_says_otherwise(tmp_path: Path) -> None:
    said = fill(tmp_path / "state" / "edge-digits")
    assert records(run(env={"STATE_DIRECTORY": str(tmp_path / "state" / "edge-digits")})) == said
    assert records(run(env={"XDG_STATE_HOME": str(tmp_path / "state")})) == said


def test_a_reader_that_has_seen_enough_is_no_failure(tmp_path: Path) -> None:
    fill(tmp_path)
    command = f"{sys.executable} -m edge history --state {tmp_path} --format csv | head -n 1; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert ran.stdout.splitlines()[0].startswith("time,sequence") and ran.stderr == ""


def test_many_records_cost_no_more_memory_than_few(tmp_path: Path) -> None:
    for name, count in (("few", 10), ("many", MANY)):
        (tmp_path / name).mkdir()
        with closing(open_store(tmp_path / name)) as store:
            row = store.add(record("0123456789", total="1"))
            with closing(sqlite3.connect(tmp_path / name / DATABASE)) as connection:
                connection.executemany(
                    "INSERT INTO readings (time, boot, monotonic, event, record) VALUES (?, 1, 0, 'reading', ?)",
                    ((number, json.dumps({**row, "sequence": number})) for number in range(2, count + 1)),
                )
                connection.commit()

    def most(name: str) -> int:
        """Bytes resident."""
        with open(os.devnull, "wb") as nowhere:
            child = subprocess.Popen(
                [sys.executable, "-m", "edge", "history", "--state", str(tmp_path / name), "--format", "csv"],
                cwd=ROOT,
                stdout=nowhere,
            )
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0
        return usage.ru_maxrss * 1024

    assert most("many") - most("few") < LITTLE


def test_help_comes_at_once() -> None:
    taken = []
    for _ in range(HELP_RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert run("--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(taken) < HELP_SECONDS

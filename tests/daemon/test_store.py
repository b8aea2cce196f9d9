"""The database of the daemon: real files, a full disk, a process killed in mid-write, older and damaged databases."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from edge.daemon import database, schema
from edge.daemon.database import DISK_FULL
from edge.daemon.settings import StoreSettings
from edge.daemon.store import DATABASE, Correction, Store, StoreError
from edge.errors import UsageError
from tests.daemon.recording import NOON, PATIENCE, ROOT, Hands, glyphs, open_store, record, run_python

DAY = 86_400.0
KILLS = 20
KILLED_WITHIN = 0.15  # seconds after the first record
SMALL_DISK = 1 << 20  # bytes


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(tmp_path)) as opened:
        yield opened


def look(folder: Path, question: str) -> list[tuple]:
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        return connection.execute(question).fetchall()


# What is recorded


def test_a_record_comes_back_completed_and_is_found_as_it_came_back(store: Store) -> None:
    said = store.add(record(total="472"))
    assert {key: said[key] for key in record()} == record(total="472")
    assert said["sequence"] == 1 and said["id"] == f"{store.identity}-1" and said["event"] == "reading"
    assert set(said) - set(record()) == {"time", "sequence", "id", "event", "clock"}
    assert store.latest() == said and store.readings() == [said] and store.count() == 1


def test_who_subscribed_is_woken_until_he_ends_it(store: Store) -> None:
    woken: list[str] = []
    ends = {name: store.subscribe(lambda name=name: woken.append(name)) for name in ("one", "other")}
    store.add(record())
    ends["one"]()
    store.add(record())
    assert woken == ["one", "other", "other"]


def test_an_empty_store_has_nothing(store: Store) -> None:
    assert store.latest() is None and store.readings() == [] and store.count() == 0
    assert store.glyphs(1) is None and store.last_value("total") is None and store.corrections(1) == []


def test_the_sequence_goes_on_after_a_restart_and_the_identity_stays(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        store.add(record())
        identity = store.identity
    with closing(open_store(tmp_path)) as store:
        assert store.add(record())["id"] == f"{identity}-2"


def test_the_sequence_goes_on_when_all_records_were_deleted(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        store.add(record())
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        connection.execute("DELETE FROM readings")
        connection.commit()
    with closing(open_store(tmp_path)) as store:
        assert (store.count(), store.add(record())["sequence"], store.count()) == (0, 2, 1)


def test_two_databases_have_two_identities(tmp_path: Path) -> None:
    with closing(open_store(tmp_path / "a")) as one, closing(open_store(tmp_path / "b")) as other:
        assert one.identity != other.identity


def test_it_is_kept_in_the_way_that_survives_a_power_cut(store: Store, tmp_path: Path) -> None:
    store.add(record())
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert look(tmp_path, "PRAGMA journal_mode") == [("wal",)]
    assert look(tmp_path, "PRAGMA application_id") == [(schema.APPLICATION_ID,)]
    assert look(tmp_path, "PRAGMA user_version") == [(2,)]
    assert look(tmp_path, "PRAGMA auto_vacuum") == [(2,)]  # incremental


def test_a_file_name_that_is_not_utf_8_is_recorded_and_marked(store: Store) -> None:
    path = os.fsdecode(b"inbox/p\xe9ge.png")
    store.add({**record(), "path": path}, picture=(path, "done"))
    latest = store.latest()
    assert latest is not None and latest["path"] == path
    assert store.picture_state(path) == "done"


def test_a_picture_is_marked_with_its_record_or_not_at_all(store: Store) -> None:
    store.add(record(), picture=("a.png", "done"))
    with pytest.raises(ValueError, match="uint8"):
        store.add(record(), picture=("b.png", "done"), glyphs=np.zeros((1, 3, 3), np.uint8))
    assert (store.picture_state("a.png"), store.picture_state("b.png"), store.count()) == ("done", None, 1)
    store.mark_picture("a.png", "failed")
    assert store.picture_state("a.png") == "failed"


def test_marked_pictures_are_told_one_by_one_and_can_be_forgotten(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.daemon.store.BATCH", 3)
    paths = [*(f"{number}.png" for number in range(6)), os.fsdecode(b"p\xe9ge.png")]
    for path in paths:
        store.mark_picture(path, "done")
    assert list(store.marked_pictures()) == paths
    for path in store.marked_pictures():
        if path != "4.png":
            store.forget_pictures([path])
    assert list(store.marked_pictures()) == ["4.png"]
    assert store.picture_state("0.png") is None


def test_subscribers_are_woken_after_the_commit(store: Store) -> None:
    seen: list[int] = []
    store.subscribe(lambda: seen.append(store.count()))
    store.add(record())
    store.add(record(), event="heartbeat")
    assert seen == [1, 2]


# Looking up


def test_readings_are_paged_in_both_directions(store: Store) -> None:
    for _ in range(10):
        store.add(record())

    def found(**wanted: int | bool) -> list[int]:
        return [said["sequence"] for said in store.readings(**wanted)]  # type: ignore[arg-type]

    assert found(limit=3) == [10, 9, 8]
    assert found(limit=3, before=8) == [7, 6, 5]
    assert found(limit=3, after=2, oldest_first=True) == [3, 4, 5]
    assert found(after=2, before=5) == [4, 3]
    assert found(before=1) == found(after=10) == []


def test_readings_are_found_by_time_field_and_event(tmp_path: Path) -> None:
    hands = Hands()
    with closing(open_store(tmp_path, hands)) as store:
        for number in range(6):
            fields = {"total": str(number)} if number % 2 else {"flow": str(number)}
            store.add(record(**fields), event="heartbeat" if number == 3 else "reading")
            hands.run(60)

        def found(**wanted: str) -> list[int]:
            return [said["sequence"] for said in store.readings(oldest_first=True, **wanted)]  # type: ignore[arg-type]

        assert found(since="2026-11-25T12:02:00Z", until="2026-11-25T12:04:00Z") == [3, 4]
        assert found(until="2026-11-25T12:02") == [1, 2] and found(since="2026-11-25T13:04+01:00") == [5, 6]
        assert found(since="2027-01-01") == []
        assert found(field="total") == [2, 4, 6] and found(field="nothing") == []
        assert found(field="total", event="heartbeat", since="2026-11-25T12:01Z") == [4]
        assert found(event="heartbeat") == [4]
        latest = store.latest("heartbeat")
        assert latest is not None and latest["sequence"] == 4
        with pytest.raises(UsageError, match="'noon' is not a time"):
            found(since="noon")


def test_the_last_valid_value_of_a_field_is_known_across_restarts(tmp_path: Path) -> None:
    with closing(open_store(tmp_path, Hands())) as store:
        store.add(record(total="0471", flow="3"))
        store.add(record(total="0472"))
        store.add(record(total=None))
    with closing(open_store(tmp_path, Hands(boot="second"))) as store:
        last = store.last_value("total")
        assert last == ("0472", "2026-11-25T12:00:00.000Z", "first", 100.0, 2)
        assert store.last_value("nothing") is None


def test_a_question_by_field_or_time_does_not_go_through_all_records(store: Store, tmp_path: Path) -> None:
    store.add(record(total="1"))

    def plan(question: str) -> str:
        return " ".join(row[3] for row in look(tmp_path, f"EXPLAIN QUERY PLAN {question}"))

    assert "SEARCH field_values USING PRIMARY KEY" in plan(
        "SELECT record FROM field_values CROSS JOIN readings USING (sequence) WHERE field = 1 ORDER BY sequence"
    )
    assert "USING COVERING INDEX readings_by_time" in plan(
        "SELECT min(sequence), max(sequence) FROM readings WHERE time >= 5"
    )


# Glyphs and corrections


def test_glyphs_come_back_as_they_were(store: Store) -> None:
    store.add(record(), glyphs=glyphs(3))
    store.add(record(), glyphs=np.zeros((0, 28, 28), np.uint8))
    found = store.glyphs(1)
    assert found is not None and found.dtype == np.uint8 and np.array_equal(found, glyphs(3))
    assert store.glyphs(2) is None


def test_glyphs_are_kept_for_the_last_readings_that_have_some(tmp_path: Path) -> None:
    with closing(open_store(tmp_path, keep_glyphs=3)) as store:
        for number in range(1, 7):
            store.add(record(), glyphs=glyphs(seed=number))
            store.add(record(), event="heartbeat")
        store.tidy()
    with closing(open_store(tmp_path, keep_glyphs=3)) as store:
        assert look(tmp_path, "SELECT sequence FROM glyphs") == [(7,), (9,), (11,)]
        store.add(record(), glyphs=glyphs())
        store.tidy()
        assert look(tmp_path, "SELECT sequence FROM glyphs") == [(9,), (11,), (13,)]


def test_no_glyphs_are_kept_where_none_are_wanted(tmp_path: Path) -> None:
    with closing(open_store(tmp_path, keep_glyphs=0)) as store:
        store.add(record(), glyphs=glyphs())
        assert store.glyphs(1) is None


def test_corrections_are_kept_beside_the_record_which_stays_as_it_was(tmp_path: Path) -> None:
    with closing(open_store(tmp_path, Hands())) as store:
        said = store.add(record("477", total="477"))
        store.correct(1, "472", None)
        store.correct(1, "472", "total")
        at = "2026-11-25T12:00:00.000Z"
        assert store.corrections(1) == [Correction(None, "472", at), Correction("total", "472", at)]
        assert store.latest() == said
        with pytest.raises(KeyError):
            store.correct(2, "1", None)


def test_the_last_correction_of_a_field_is_that_of_the_newest_record(store: Store) -> None:
    for _ in range(2):
        store.add(record(total="477"))
    assert store.last_correction("total") is None
    store.correct(2, "472", "total")
    store.correct(2, "473", "total")
    store.correct(1, "471", "total")
    store.correct(2, "999", None)
    assert store.last_correction("total") == (2, "473")
    assert {sequence: len(made) for sequence, made in store.corrected_between(1, 2).items()} == {1: 1, 2: 3}


def test_a_correction_counts_until_the_field_has_another_value(store: Store) -> None:
    store.add(record(total="477"))
    store.correct(1, "411", "total")
    for value in ("477", None, "477"):  # heartbeats of what was misread, and what was refused
        store.add(record(total=value))
        assert store.last_correction("total") == (1, "411")
    store.add(record(total="412"))
    assert store.last_correction("total") is None
    store.add(record(total=None))
    store.correct(6, "413", "total")
    assert store.last_correction("total") == (6, "413")
    store.add(record(total="414"))
    assert store.last_correction("total") is None


# Delivering


def test_a_sink_gets_what_it_has_not_had_in_order_also_after_a_restart(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        store.add(record())
        store.register("mqtt")
        assert store.undelivered("mqtt", 10) == [] and store.backlog("mqtt") == 0
        said = [store.add(record(str(number))) for number in range(4)]
        assert store.undelivered("mqtt", 3) == said[:3] and store.backlog("mqtt") == 4
        store.delivered("mqtt", said[1]["sequence"])
        store.delivered("mqtt", said[0]["sequence"])  # late: it does not go back
    with closing(open_store(tmp_path)) as store:
        store.register("mqtt")
        store.register("webhook")
        assert store.undelivered("mqtt", 10) == said[2:] and store.backlog("mqtt") == 2
        assert store.undelivered("webhook", 10) == [] and store.lost("mqtt") == 0


# Keeping it small


def test_what_to_keep_can_be_changed_at_work(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        for _ in range(3):
            store.add(record(), glyphs=glyphs())
        store.configure(StoreSettings(keep_glyphs=1))
        store.tidy()
        assert look(tmp_path, "SELECT sequence FROM glyphs") == [(3,)]


def test_records_that_are_too_old_go_but_not_before_they_were_delivered(tmp_path: Path) -> None:
    hands = Hands()
    with closing(open_store(tmp_path, hands, keep_days=2)) as store:
        store.register("mqtt")
        for _ in range(5):
            store.add(record(total="1"), glyphs=glyphs())
            hands.run(DAY)
        store.delivered("mqtt", 2)
        store.tidy()
        assert look(tmp_path, "SELECT sequence FROM readings") == [(3,), (4,), (5,)]
        store.delivered("mqtt", 5)
        store.tidy()
        assert look(tmp_path, "SELECT sequence FROM readings") == [(4,), (5,)]
        assert look(tmp_path, "SELECT sequence FROM glyphs") == look(tmp_path, "SELECT sequence FROM field_values")
        assert store.lost("mqtt") == 0 and store.count() == 2


def test_a_clock_that_nobody_keeps_deletes_nothing(tmp_path: Path) -> None:
    hands = Hands()
    with closing(open_store(tmp_path, hands, keep_days=2)) as store:
        store.add(record())
        hands.step(1000 * DAY)
        hands.synchronised = False
        store.tidy()
        assert store.count() == 1


def test_records_whose_age_is_not_known_stay_and_a_time_from_the_future_says_nothing(tmp_path: Path) -> None:
    unknown = Hands(wall=0.0, synchronised=False, boot="lost")
    with closing(open_store(tmp_path, unknown, keep_days=2)) as store:
        store.add(record())
        store.add(record())
    hands = Hands(wall=NOON + 1000 * DAY, boot="wrong")
    with closing(open_store(tmp_path, hands, keep_days=2)) as store:
        store.add(record())
        hands.step(-1000 * DAY)
        store.tidy()
        store.add(record())
        assert look(tmp_path, "SELECT sequence FROM readings") == [(1,), (2,), (3,), (4,)]
        hands.run(3 * DAY)
        store.add(record())
        store.tidy()
        assert look(tmp_path, "SELECT sequence FROM readings") == [(5,)]


def test_the_database_grows_no_larger_than_it_may_and_says_what_was_not_delivered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(open_store(tmp_path, keep_megabytes=1)) as store:
        store.register("mqtt")
        store.register("webhook")
        for number in range(500):
            store.add(record(total=str(number)), glyphs=glyphs(seed=number))
            store.delivered("mqtt", store.count() and number + 1)
            if number % 20 == 0:
                store.tidy()
                assert store.size() < 1.2e6
        store.tidy()
        oldest = store.readings(limit=1, oldest_first=True)[0]["sequence"]
        assert oldest > 50 and store.count() == 501 - oldest > 50
        assert (store.lost("mqtt"), store.lost("webhook")) == (0, oldest - 1)
        assert store.backlog("webhook") == store.count()
        assert store.undelivered("webhook", 1)[0]["sequence"] == oldest
    assert "records were deleted for want of space before webhook had them" in caplog.text
    assert look(tmp_path, "PRAGMA integrity_check") == [("ok",)]


def test_a_file_that_has_become_too_large_for_what_is_in_it_becomes_smaller(tmp_path: Path) -> None:
    hands = Hands()
    with closing(open_store(tmp_path, hands, keep_days=1)) as store:
        for number in range(200):
            store.add(record(), glyphs=glyphs(seed=number))
        hands.run(3 * DAY)
        store.add(record())
        before = store.size()
        store.tidy()
        assert store.count() == 1 and store.size() < before / 4


def test_what_is_written_to_the_disk_is_counted(tmp_path: Path) -> None:
    with closing(open_store(tmp_path)) as store:
        before = store.written
        for _ in range(10):
            store.add(record())
        on_a_disk = (tmp_path / DATABASE).stat().st_dev != Path("/dev/shm").stat().st_dev
        assert 10 * 2048 < store.written - before < 10 * 65536 or not on_a_disk


# What goes wrong


def test_two_daemons_cannot_have_one_database(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"{DATABASE} is in use by another edge-digits daemon: end that one"):
        open_store(tmp_path)
    store.close()
    open_store(tmp_path).close()


def test_another_program_that_has_it_locked_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    with closing(open_store(tmp_path)) as store:
        with closing(sqlite3.connect(tmp_path / DATABASE, isolation_level=None)) as shell:
            shell.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="is locked by another program"):
                store.add(record())
        assert store.add(record())["sequence"] == 1


def test_a_closed_store_says_so_and_may_be_closed_again(store: Store) -> None:
    store.close()
    store.close()
    for use in (lambda: store.add(record()), store.latest):
        with pytest.raises(StoreError, match="the database is closed"):
            use()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        connection.execute("PRAGMA user_version = 3")
    before = (tmp_path / DATABASE).read_bytes()
    with pytest.raises(StoreError, match=r"was written by a newer edge-digits \(version 3 .* knows 2\)"):
        open_store(tmp_path)
    assert (tmp_path / DATABASE).read_bytes() == before


def test_the_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StoreError, match="is the database of another program"):
        open_store(tmp_path)
    assert look(tmp_path, "SELECT name FROM sqlite_schema") == [("theirs",)]


def test_a_database_of_version_1_becomes_one_of_this_version(tmp_path: Path) -> None:
    path = tmp_path / DATABASE
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        schema.migrate(connection, to=1)
        (identity,) = connection.execute("SELECT value FROM about").fetchone()
        connection.execute("INSERT INTO boots VALUES (1, 'first')")
        for sequence, fields in enumerate(({"total": "471", "flow": None}, {"total": "472"}, {}), start=1):
            said = {**record(**fields), "time": "2026-11-25T12:00:00.000Z", "sequence": sequence, "event": "reading"}
            row = (sequence, int(NOON * 1000), json.dumps(said))
            connection.execute("INSERT INTO readings VALUES (?, ?, 1, 100.0, 'reading', ?)", row)
        connection.execute("INSERT INTO deliveries VALUES ('mqtt', 1, 0)")
        assert schema.version(connection) == 1
    with closing(open_store(tmp_path, Hands())) as store:
        assert store.identity == identity and store.count() == 3
        last = store.last_value("total")
        assert last is not None and (last.value, last.sequence) == ("472", 2)
        assert store.last_value("flow") is None
        assert [said["sequence"] for said in store.readings(field="flow")] == [1]
        store.register("mqtt")
        assert store.backlog("mqtt") == 2
        store.add(record(total="473"), picture=("a.png", "done"))
        assert store.picture_state("a.png") == "done" and len(store.readings(field="total")) == 3
    assert look(tmp_path, "PRAGMA user_version") == [(2,)]


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / DATABASE, isolation_level=None)) as connection:
        schema.migrate(connection, to=1)
        connection.execute("INSERT INTO boots VALUES (1, 'first')")
        connection.execute("INSERT INTO readings VALUES (1, 0, 1, 0.0, 'reading', 'no JSON')")
    with pytest.raises(StoreError, match="JSON"):
        open_store(tmp_path)
    assert look(tmp_path, "PRAGMA user_version") == [(1,)]
    assert ("pictures",) not in look(tmp_path, "SELECT name FROM sqlite_schema")


def damage(path: Path, start: float = 0.25) -> None:
    """Overwrites half of the file from there on, but not the first page."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(max(database.PAGE_SIZE, int(start * size)))
        file.write(b"\x5a" * (size // 2))


@pytest.mark.parametrize("how", ["in the middle", "no database"])
def test_a_damaged_database_is_set_aside_and_a_new_one_begins(tmp_path: Path, how: str) -> None:
    path = tmp_path / DATABASE
    with closing(open_store(tmp_path)) as store:
        for number in range(50):
            store.add(record(), glyphs=glyphs(seed=number))
        identity = store.identity
        assert store.set_aside is None
    if how == "in the middle":
        damage(path)
    else:
        path.write_bytes(b"What was this?\n" * 200)
    path.with_name(f"{DATABASE}-wal").write_bytes(b"left over")
    damaged = path.read_bytes()
    with closing(open_store(tmp_path)) as store:
        aside = store.set_aside
        assert aside is not None and aside.name.startswith(f"{DATABASE}.damaged-2") and aside.read_bytes() == damaged
        assert store.identity != identity and store.add(record())["sequence"] == 1
    with closing(open_store(tmp_path)) as store:
        assert store.set_aside is None and store.count() == 1


def test_a_second_damaged_database_does_not_replace_the_first(tmp_path: Path) -> None:
    asides = set()
    for _ in range(3):
        (tmp_path / DATABASE).write_bytes(b"What was this?\n" * 200)
        with closing(open_store(tmp_path)) as store:
            asides.add(store.set_aside)
    assert len(asides) == 3 and all(aside is not None and aside.exists() for aside in asides)


@pytest.mark.parametrize("who", ["a reader", "the writer", "a sink"])
def test_a_database_damaged_at_work_is_set_aside_and_recording_goes_on(tmp_path: Path, who: str) -> None:
    with closing(open_store(tmp_path, keep_glyphs=1)) as store:
        store.register("mqtt")
        for number in range(50):
            store.add(record(), glyphs=glyphs(seed=number))
        store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        damage(tmp_path / DATABASE, 0 if who == "a sink" else 0.25)
        store._connection.execute("PRAGMA shrink_memory")
        if who == "a reader":
            with pytest.raises(StoreError, match="is damaged"):
                store.readings()
        elif who == "a sink":
            store.delivered("mqtt", 30)
        else:
            store.tidy()
        assert store.set_aside is not None and store.set_aside.exists()
        assert store.add(record())["sequence"] == 1
        store.delivered("mqtt", 50)  # the end of one that was sent out of the old database
        assert store.backlog("mqtt") == 1
        for number in range(3):
            store.add(record(), glyphs=glyphs(seed=number))
        store.tidy()
        assert look(tmp_path, "SELECT sequence FROM glyphs") == [(4,)]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be used: ") as caught:
        open_store(tmp_path / "file" / "state")
    assert "\n" not in str(caught.value)


OPENED = """
import os, sys
from pathlib import Path
from edge.daemon.settings import StoreSettings
from edge.daemon.store import Store, StoreError
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    Store(Path(sys.argv[1]), StoreSettings())
except StoreError as error:
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("lock", [0o600, 0o666])
def test_a_database_of_somebody_else_is_one_line(lock: int) -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder = Path(name)
        open_store(folder).close()
        folder.chmod(0o755)
        (folder / f"{DATABASE}.lock").chmod(lock)
        ran = run_python(OPENED, folder / DATABASE)
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == 1 and f"{folder / DATABASE} cannot be" in ran.stdout


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of SMALL_DISK bytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_one_line_and_recording_goes_on_once_there_is_space(small_disk: Path) -> None:
    with closing(open_store(small_disk)) as store:
        store.register("mqtt")
        kept = [store.add(record("0"))["id"]]
        (small_disk / "filler").write_bytes(b"x" * (SMALL_DISK // 2))
        with pytest.raises(StoreError) as caught:
            kept.extend(store.add(record(), glyphs=glyphs(seed=number))["id"] for number in range(1, 2000))
        assert str(caught.value) == DISK_FULL
        for _ in range(20):
            with pytest.raises(StoreError, match="the disk is full"):
                store.add(record(), glyphs=glyphs(8))
        assert [said["id"] for said in store.undelivered("mqtt", 5000)] == kept, "what was said is there meanwhile"
        (small_disk / "filler").unlink()
        kept.append(store.add(record("1"), glyphs=glyphs(8))["id"])
        assert kept == [f"{store.identity}-{number}" for number in range(1, len(kept) + 1)]
        assert [said["id"] for said in store.readings(limit=5000, oldest_first=True)] == kept
    assert look(small_disk, "PRAGMA integrity_check") == [("ok",)]


def test_a_store_is_not_opened_on_a_full_disk_and_is_once_there_is_space(small_disk: Path) -> None:
    with closing(open_store(small_disk)) as store:
        store.add(record())
    with (small_disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError):
        while True:
            filler.write(b"x" * 4096)
    with pytest.raises(StoreError, match="the disk is full"):
        open_store(small_disk)
    (small_disk / "filler").unlink()
    with closing(open_store(small_disk)) as store:
        assert store.set_aside is None and store.add(record())["sequence"] == 2


RECORDING = """
import sys
from pathlib import Path
from tests.daemon.recording import glyphs, open_store, record

store = open_store(Path(sys.argv[1]), keep_megabytes=2, keep_glyphs=20)
store.register("mqtt")
pixels = glyphs(4)
number = 0
while True:
    said = store.add(record(str(number), total=str(number)), glyphs=pixels, picture=(f"{sys.argv[2]}/{number}", "done"))
    print(said["sequence"], said["id"], flush=True)
    store.delivered("mqtt", said["sequence"] - 3)
    number += 1
    if number % 10 == 0:
        store._delete_glyphs()
        store._shrink()
"""


def test_what_was_said_to_be_recorded_is_there_after_a_kill_in_mid_write(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    acknowledged: dict[int, str] = {}
    for kill in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", RECORDING, tmp_path, str(kill)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        lines = [child.stdout.readline()]
        time.sleep(chance.uniform(0, KILLED_WITHIN))
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.readlines()
        child.stdout.close()
        assert child.wait(PATIENCE) == -signal.SIGKILL, "it ended by itself"
        for line in lines:
            if line.endswith("\n"):
                sequence, identity = line.split()
                assert int(sequence) not in acknowledged
                acknowledged[int(sequence)] = identity
    assert len(acknowledged) > KILLS
    with closing(open_store(tmp_path)) as store:
        assert store.set_aside is None
        found = store.readings(limit=10**6, oldest_first=True)
        store.register("mqtt")
        assert store.backlog("mqtt") <= 4
        pictures = look(tmp_path, "SELECT count(*) FROM pictures")
    sequences = [said["sequence"] for said in found]
    assert sequences == list(range(1, len(found) + 1)), "none is missing and none is there twice"
    assert {said["sequence"]: said["id"] for said in found if said["sequence"] in acknowledged} == acknowledged
    assert len(found) <= len(acknowledged) + KILLS, "at most the one in mid-write was not said"
    assert pictures == [(len(found),)]
    assert look(tmp_path, "PRAGMA integrity_check") == [("ok",)] and look(tmp_path, "PRAGMA foreign_key_check") == []


def test_many_threads_add_and_read_at_once(store: Store) -> None:
    writers, each = 4, 25
    problems: list[BaseException] = []
    done = threading.Event()

    def add(writer: int) -> None:
        try:
            for number in range(each):
                said = store.add(record(str(number), total=str(writer)))
                assert store.readings(after=said["sequence"] - 1, before=said["sequence"] + 1) == [said]
        except BaseException as problem:
            problems.append(problem)

    def read() -> None:
        try:
            while not done.is_set():
                found = [said["sequence"] for said in store.readings(limit=1000, oldest_first=True)]
                assert found == list(range(1, len(found) + 1))
                assert store.count() >= len(found)
        except BaseException as problem:
            problems.append(problem)

    readers = [threading.Thread(target=read) for _ in range(2)]
    adders = [threading.Thread(target=add, args=(writer,)) for writer in range(writers)]
    for thread in readers + adders:
        thread.start()
    for thread in adders:
        thread.join(PATIENCE)
    done.set()
    for thread in readers:
        thread.join(PATIENCE)
    assert not problems and store.count() == writers * each


def test_a_reader_waits_for_no_writer(store: Store) -> None:
    store.add(record())
    with store._lock:  # as while a commit waits for the card
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(store.count()))
        thread.start()
        thread.join(PATIENCE)
    assert found == [1]


def test_a_sink_that_could_not_be_registered_yet_has_no_backlog(tmp_path) -> None:
    with closing(Store(tmp_path / "readings.db", StoreSettings())) as store:
        assert store.backlog("mqtt") == 0

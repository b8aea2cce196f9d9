"""Times on a device without a clock battery: told only when known, filled in later, and never what order depends on."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge.daemon import clock
from edge.daemon.clock import EARLIEST, Clock, parse_time, utc
from edge.daemon.store import DATABASE
from edge.errors import UsageError
from tests.daemon.recording import NOON, Hands, open_store, record, run_python

HOUR = 3600.0
UNSET = 1000.0  # a clock that began at 1970


def times(folder: Path) -> list[str | None]:
    """Of all records in their order, as the database's column and as the records say, which must be the same."""
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        rows = connection.execute("SELECT time, record FROM readings ORDER BY sequence").fetchall()
    said = [json.loads(text)["time"] for _, text in rows]
    assert [None if time is None else utc(time / 1000) for time, _ in rows] == said
    return said


def test_the_boot_id_is_the_kernels_and_stays_the_same() -> None:
    assert Clock().boot == Clock().boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_time_since_boot_goes_on() -> None:
    before = Clock().now().monotonic
    assert 0 < before <= Clock().now().monotonic


def test_whether_the_clock_is_synchronised_is_the_kernels_word() -> None:
    state = clock._adjtimex()
    assert state is not None and clock.synchronised() == (state != clock.TIME_ERROR)


def test_where_the_kernel_does_not_say_it_is_systemds_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(clock, "_adjtimex", lambda: None)
    monkeypatch.setattr(clock, "TIMESYNC", tmp_path / "synchronized")
    assert not clock.synchronised()
    (tmp_path / "synchronized").touch()
    assert clock.synchronised()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-25T12:00:00Z", NOON),
        ("2026-11-25T12:00:00.250+00:00", NOON + 0.25),
        ("2026-11-25T13:00:00+01:00", NOON),
        ("2026-11-25T12:00", NOON),
        ("2026-11-25", NOON - 12 * HOUR),
    ],
)
def test_a_time_in_iso_8601_is_understood_as_utc_where_it_names_no_zone(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds * 1000


def test_what_is_no_time_is_refused_in_one_line() -> None:
    with pytest.raises(UsageError, match="'yesterday' is not a time such as"):
        parse_time("yesterday")


def test_a_record_says_when_its_frame_was_taken(tmp_path: Path) -> None:
    hands = Hands()
    with closing(open_store(tmp_path, hands)) as store:
        said = store.add({**record(), "time": NOON - 0.5})
        assert said["time"] == "2026-11-25T11:59:59.500Z"
        assert said["clock"] == {"boot": "first", "monotonic": 99.5, "synchronised": True}
        assert store.add(record())["time"] == "2026-11-25T12:00:00.000Z"


def test_a_picture_that_is_older_keeps_its_time_but_not_if_it_is_absurd(tmp_path: Path) -> None:
    hands = Hands()
    with closing(open_store(tmp_path, hands)) as store:
        old = store.add({**record(), "time": NOON - 24 * HOUR})
        assert (old["time"], old["clock"]["monotonic"]) == ("2026-11-24T12:00:00.000Z", 100.0)
        for absurd in (UNSET, NOON + HOUR):
            assert store.add({**record(), "time": absurd})["time"] == "2026-11-25T12:00:00.000Z"


@pytest.mark.parametrize("synchronised", [False, True])
def test_a_clock_that_was_never_set_gives_no_time(tmp_path: Path, synchronised: bool) -> None:
    hands = Hands(wall=EARLIEST - 1, synchronised=synchronised)
    with closing(open_store(tmp_path, hands)) as store:
        said = store.add({**record(), "time": hands.wall})
        assert said["time"] is None and said["clock"]["synchronised"] is synchronised


def test_times_are_filled_in_from_the_monotonic_clock_once_the_clock_is_set(tmp_path: Path) -> None:
    hands = Hands(wall=UNSET, synchronised=False)
    with closing(open_store(tmp_path, hands)) as store:
        for _ in range(3):
            assert store.add({**record(), "time": hands.wall})["time"] is None
            hands.run(60)
        hands.wall, hands.synchronised = NOON, True
        store.add(record())
    assert times(tmp_path) == [f"2026-11-25T{at}:00.000Z" for at in ("11:57", "11:58", "11:59", "12:00")]


def test_times_are_filled_in_without_a_new_record_too(tmp_path: Path) -> None:
    hands = Hands(wall=UNSET, synchronised=False)
    with closing(open_store(tmp_path, hands)) as store:
        store.add(record())
        hands.wall, hands.synchronised = NOON, True
        store.tidy()
    assert times(tmp_path) == ["2026-11-25T12:00:00.000Z"]


def test_times_are_filled_in_after_a_restart_of_the_process_but_not_of_the_device(tmp_path: Path) -> None:
    hands = Hands(wall=UNSET, synchronised=False, boot="lost")
    with closing(open_store(tmp_path, hands)) as store:
        store.add(record())
    hands = Hands(wall=UNSET, synchronised=False, boot="kept", monotonic=40.0)
    with closing(open_store(tmp_path, hands)) as store:
        store.add(record())
    hands = Hands(boot="kept", monotonic=100.0)
    with closing(open_store(tmp_path, hands)) as store:
        store.add(record())
    assert times(tmp_path) == [None, "2026-11-25T11:59:00.000Z", "2026-11-25T12:00:00.000Z"]


def test_a_clock_behind_the_newest_record_is_not_believed_until_it_is_synchronised(tmp_path: Path) -> None:
    with closing(open_store(tmp_path, Hands())) as store:
        store.add(record())
    hands = Hands(wall=NOON - 2 * HOUR, synchronised=False, boot="second", monotonic=10.0)
    with closing(open_store(tmp_path, hands)) as store:
        assert store.add(record())["time"] is None
        hands.run(60)
        hands.wall, hands.synchronised = NOON + HOUR, True
        assert store.add(record())["time"] == "2026-11-25T13:00:00.000Z"
    assert times(tmp_path) == [f"2026-11-25T{at}:00.000Z" for at in ("12:00", "12:59", "13:00")]


def test_a_clock_that_is_behind_and_catches_up_by_itself_does_not_date_what_came_before(tmp_path: Path) -> None:
    with closing(open_store(tmp_path, Hands())) as store:
        store.add(record())
    hands = Hands(wall=NOON - HOUR, synchronised=False, boot="second", monotonic=10.0)
    with closing(open_store(tmp_path, hands)) as store:
        store.add(record())
        hands.run(HOUR + 60)
        store.add(record())
    assert times(tmp_path) == ["2026-11-25T12:00:00.000Z", None, "2026-11-25T12:01:00.000Z"]


def test_a_clock_set_by_hand_dates_what_came_before_though_nobody_synchronises_it(tmp_path: Path) -> None:
    hands = Hands(wall=UNSET, synchronised=False)
    with closing(open_store(tmp_path, hands)) as store:
        store.add(record())
        hands.run(60)
        hands.wall = NOON
        store.add(record())
    assert times(tmp_path) == ["2026-11-25T11:59:00.000Z", "2026-11-25T12:00:00.000Z"]


def test_more_records_than_one_transaction_dates_get_their_time_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.daemon.store.BATCH", 5)
    hands = Hands(wall=UNSET, synchronised=False)
    with closing(open_store(tmp_path, hands)) as store:
        for _ in range(12):
            store.add(record(""))
        hands.wall, hands.synchronised = NOON, True
        store.tidy()
    assert None not in times(tmp_path)


STEPPED = """
import os, sys
from pathlib import Path
from edge.daemon.clock import Clock, utc
from edge.daemon.settings import StoreSettings
from edge.daemon.store import Store
from tests.daemon.recording import record
import time

kept = True
store = Store(Path(sys.argv[1]), StoreSettings(), Clock(synchronised=lambda: kept))
for kept, offset in ((True, "+0s"), (True, "+7200s"), (False, "-7200s"), (False, "-20000d"), (True, "+10s")):
    os.environ["FAKETIME"] = offset
    said = store.add({**record(), "time": time.time()})
    print(said["sequence"], said["time"], said["clock"]["monotonic"], utc(time.time()))
store.close()
"""


def test_order_survives_a_clock_that_steps_forward_and_back(tmp_path: Path) -> None:
    ran = run_python(
        STEPPED,
        tmp_path / DATABASE,
        wrapper=["faketime", "-f", "+0s"],
        env={"FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1"},
    )
    assert ran.returncode == 0, ran.stderr
    sequences, said, monotonic, wall = zip(*(line.split() for line in ran.stdout.splitlines()), strict=True)
    assert sequences == ("1", "2", "3", "4", "5")
    assert sorted(wall) != list(wall) and wall[3].startswith("19"), "the clock did not step"
    assert sorted(map(float, monotonic)) == list(map(float, monotonic))
    # Back behind the newest record, or in another century, it is not believed until somebody vouches for it.
    assert [time[:16] for time in said] == [wall[0][:16], wall[1][:16], "None", "None", wall[4][:16]]
    kept = times(tmp_path)
    assert None not in kept and kept[2][:15] == kept[3][:15] == wall[4][:15], "those of this boot were not filled in"
    with closing(open_store(tmp_path)) as store:
        assert [found["sequence"] for found in store.readings(oldest_first=True)] == [1, 2, 3, 4, 5]
        assert store.add(record())["sequence"] == 6


def test_the_boot_of_a_kernel_that_does_not_say_is_this_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(clock, "BOOT_ID", tmp_path / "none")
    assert len(clock.boot_id()) == 32 and clock.boot_id() != clock.boot_id()

"""The fault campaign's bookkeeping finds what is wrong: a campaign that cannot fail proves nothing."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.daemon.settings import StoreSettings
from edge.daemon.store import DATABASE, Store
from tests.daemon.faults.account import Account
from tests.daemon.faults.result import Result, table
from tests.daemon.sinks import record_of

RECORDS = 5


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    """Of five records in a database, all of which arrived everywhere."""
    store = Store(tmp_path / DATABASE, StoreSettings())
    account = Account()
    for number in range(1, RECORDS + 1):
        glyphs = np.zeros((1, 28, 28), np.uint8)
        digit = {"label": "7", "confidence": 0.9, "box": [number, 2, 3, 4], "line": 0}
        record = store.add(record_of(number, digits=[digit]), glyphs=glyphs)
        for channel in ("stdout", "mqtt", "http"):
            account.see(channel, record)
    store.close()
    yield account


def _change(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / DATABASE)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(statement)


def _kinds(account: Account, folder: Path) -> set[str]:
    found = account.compare(folder, all_delivered=True)
    return {kind for kind in ("lost", "different", "doubled", "corrupt", "missing") if getattr(found, kind)}


def test_nothing_is_wrong_where_nothing_is(account: Account, tmp_path: Path) -> None:
    assert _kinds(account, tmp_path) == set()
    assert account.acknowledged == RECORDS
    assert (account.repeats, account.wrong) == (0, [])


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("DELETE FROM readings WHERE sequence = 5", "lost"),
        ("DELETE FROM readings WHERE sequence = 3", "lost"),
        ("UPDATE readings SET record = json_set(record, '$.text', '9') WHERE sequence = 2", "different"),
        ("DELETE FROM glyphs WHERE sequence = 4", "corrupt"),
        ("UPDATE readings SET record = 'no JSON' WHERE sequence = 1", "corrupt"),
    ],
)
def test_what_is_wrong_in_the_database_is_found(account: Account, tmp_path: Path, statement: str, kind: str) -> None:
    _change(tmp_path, statement)

    assert kind in _kinds(account, tmp_path)


def test_the_same_frame_in_two_records_is_doubled(account: Account, tmp_path: Path) -> None:
    _change(
        tmp_path,
        "UPDATE readings SET record = (SELECT json_set(record, '$.sequence', 2) FROM readings WHERE sequence = 1) "
        "WHERE sequence = 2",
    )

    assert "doubled" in _kinds(account, tmp_path)


def test_a_damaged_file_is_found(account: Account, tmp_path: Path) -> None:
    path = tmp_path / DATABASE
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    path.write_bytes(content)

    assert "corrupt" in _kinds(account, tmp_path)


def test_a_record_that_never_arrived_is_missing(account: Account, tmp_path: Path) -> None:
    store = Store(tmp_path / DATABASE, StoreSettings())
    account.see("stdout", store.add(record_of(6), glyphs=np.zeros((1, 28, 28), np.uint8)))
    store.close()

    assert _kinds(account, tmp_path) == {"missing"}


def test_repeats_are_counted_and_a_wrong_order_and_1970_are_said(account: Account) -> None:
    first: dict[str, Any] = account.records()[0]

    account.see("mqtt", first)
    account.see("mqtt", {**first, "id": "other-3", "sequence": 3})
    account.see("http", {**first, "id": "other-9", "sequence": 9, "time": "1970-01-01T00:01:00.000Z"})

    assert account.repeats == 1
    assert [line.partition(" ")[0] for line in account.wrong] == ["other-3", "other-9"]


def test_a_time_may_be_filled_in_later_and_nothing_else_may_change(account: Account, tmp_path: Path) -> None:
    first = {**account.records()[0], "id": "other-9", "sequence": 9, "time": None}

    account.see("http", first)
    account.see("http", {**first, "time": "2026-11-25T10:00:00.000Z"})
    assert account.compare(tmp_path).different == []

    account.see("http", {**first, "text": "8"})
    assert len(account.compare(tmp_path).different) == 1


def test_a_correction_that_was_acknowledged_has_to_be_kept(account: Account, tmp_path: Path) -> None:
    account.see_correction(2, "7")

    assert _kinds(account, tmp_path) == {"lost"}


def test_the_table_has_a_row_a_fault_and_a_total() -> None:
    lines = table([Result("kill -9", times=3, acknowledged=7), Result("disk full", skipped="not root")]).splitlines()

    assert len(lines) == 5
    assert len({len(line) for line in lines}) == 1
    assert lines[-1].startswith("| all")

"""Standard output as JSON Lines: a line that was written is acknowledged, and nobody who reads slowly is waited for."""

import errno
import json
import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.daemon import delivery, lines
from edge.daemon.lines import LinesSink
from edge.daemon.live import FAILED, WAITING, WORKING
from edge.daemon.settings import Settings
from edge.daemon.store import StoreError
from tests.daemon.broker import SECONDS, wait_for
from tests.daemon.sinks import StandIn, add_many, in_memory, record_of

STOP_SECONDS = 2.0

tmp_path = in_memory
NOT_OPEN = 1000  # no file descriptor


@pytest.fixture
def daemon(tmp_path: Path) -> StandIn:
    return StandIn(Settings(), tmp_path)


@contextmanager
def piped(daemon: StandIn) -> Iterator[tuple[LinesSink, int]]:
    """A sink that writes into a pipe, and where to read it."""
    reading, writing = os.pipe()
    sink = LinesSink(daemon, writing)  # type: ignore[arg-type]
    sink.start()
    try:
        yield sink, reading
    finally:
        sink.stop(STOP_SECONDS)
        for end in (reading, writing):
            try:
                os.close(end)
            except OSError as error:
                assert error.errno == errno.EBADF


def read_lines(descriptor: int, count: int) -> list[dict]:
    data = b""
    while data.count(b"\n") < count:
        assert select.select([descriptor], [], [], SECONDS)[0], f"only {len(data)} bytes"
        data += os.read(descriptor, 65_536)
    assert data.count(b"\n") == count and data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


def test_each_record_is_a_line_as_it_is_stored(daemon: StandIn) -> None:
    with piped(daemon) as (_, reading):
        kept = [daemon.store.add(record_of(number, path="Zähler\n")) for number in range(50)]
        assert read_lines(reading, 50) == kept
        wait_for(lambda: daemon.store.backlog("stdout") == 0)


def test_after_a_restart_it_goes_on_where_it_stood(daemon: StandIn) -> None:
    with piped(daemon) as (_, reading):
        add_many(daemon.store, 3)
        read_lines(reading, 3)
    missed = add_many(daemon.store, 2, 4)
    with piped(daemon) as (_, reading):
        assert [record["id"] for record in read_lines(reading, 2)] == missed


def test_a_new_sink_begins_at_the_present_end(daemon: StandIn) -> None:
    add_many(daemon.store, 5)
    with piped(daemon) as (_, reading):
        new = add_many(daemon.store, 1, 6)
        assert [record["id"] for record in read_lines(reading, 1)] == new


def test_a_pipe_that_nobody_reads_is_said_and_neither_blocks_nor_loses(
    daemon: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "POLL_SECONDS", 0.05)
    with piped(daemon) as (sink, reading):
        # More than a pipe holds (64 KB), in records longer than what a pipe takes in one piece.
        ids = [daemon.store.add(record_of(number, text="7" * 6000))["id"] for number in range(30)]
        wait_for(lambda: daemon.part("stdout") == (WAITING, "nobody reads standard output"))
        start = time.monotonic()
        sink.stop(STOP_SECONDS)
        assert time.monotonic() - start < STOP_SECONDS
        left = daemon.store.backlog("stdout")
        assert 0 < left < 30
        got = os.read(reading, 1 << 20)
        whole = [json.loads(line)["id"] for line in got.splitlines(keepends=True) if line.endswith(b"\n")]
        assert whole == ids[: 30 - left]
    with piped(daemon) as (_, reading):
        assert [record["id"] for record in read_lines(reading, left)] == ids[30 - left :]
        wait_for(lambda: daemon.part("stdout") == (WORKING, ""))


def test_a_reader_that_went_away_ends_the_sink_and_the_daemon_goes_on(daemon: StandIn) -> None:
    with piped(daemon) as (_, reading):
        os.close(reading)
        add_many(daemon.store, 3)
        wait_for(lambda: daemon.part("stdout")[0] == FAILED)
        assert "whoever read standard output is gone" in daemon.part("stdout")[1]
        assert daemon.store.backlog("stdout") == 3


def test_a_closed_standard_output_is_said(daemon: StandIn) -> None:
    sink = LinesSink(daemon, NOT_OPEN)  # type: ignore[arg-type]
    sink.start()
    add_many(daemon.store, 1)
    wait_for(lambda: daemon.part("stdout")[0] == FAILED)
    assert "standard output is closed" in daemon.part("stdout")[1]
    sink.stop(STOP_SECONDS)


def test_a_full_disk_behind_standard_output_is_said_and_tried_again(
    daemon: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "FIRST_RETRY", 0.05)
    full = os.open("/dev/full", os.O_WRONLY)
    sink = LinesSink(daemon, full)  # type: ignore[arg-type]
    sink.start()
    (kept,) = add_many(daemon.store, 1)
    wait_for(lambda: daemon.part("stdout") == (FAILED, "standard output: No space left on device"))
    reading, writing = os.pipe()
    os.dup2(writing, full)
    assert [record["id"] for record in read_lines(reading, 1)] == [kept]
    wait_for(lambda: daemon.part("stdout") == (WORKING, ""))
    sink.stop(STOP_SECONDS)
    for end in (reading, writing, full):
        os.close(end)


def test_a_cursor_that_cannot_be_kept_does_not_repeat_lines(daemon: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_RETRY", 0.02)
    keep = daemon.store.delivered

    def fails(_sink: str, _sequence: int) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(daemon.store, "delivered", fails)
    with piped(daemon) as (_, reading):
        ids = add_many(daemon.store, 3)
        wait_for(lambda: daemon.part("stdout") == (FAILED, "the disk is full"))
        ids += add_many(daemon.store, 3, 4)
        monkeypatch.setattr(daemon.store, "delivered", keep)
        wait_for(lambda: daemon.store.backlog("stdout") == 0)
        assert [record["id"] for record in read_lines(reading, len(ids))] == ids
        assert daemon.part("stdout") == (WORKING, "")

"""systemd hears what it is told, and nobody else is bothered."""

import socket
import time

import pytest

from edge.daemon import systemd


@pytest.fixture
def listener(tmp_path, monkeypatch):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        server.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        yield server


def test_it_is_told_lines_in_one_message(listener) -> None:
    assert systemd.notify("READY=1", "STATUS=started")
    assert listener.recv(1000) == b"READY=1\nSTATUS=started"


def test_an_abstract_socket_is_spoken_to_as_well(monkeypatch) -> None:
    name = f"edge-digits-test-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind("\0" + name)
        server.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        assert systemd.notify("WATCHDOG=1")
        assert server.recv(100) == b"WATCHDOG=1"


def test_a_reload_says_when_it_began(listener) -> None:
    before = time.monotonic_ns() // 1000
    assert systemd.reloading()
    first, second = listener.recv(1000).decode().split("\n")
    assert first == "RELOADING=1"
    assert int(second.removeprefix("MONOTONIC_USEC=")) >= before


@pytest.mark.parametrize("address", [None, "/no/such/socket"])
def test_without_systemd_nothing_happens(monkeypatch, address) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not systemd.notify("READY=1")


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [({}, None), ({"WATCHDOG_USEC": "30000000"}, 30.0), ({"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}, None),
     ({"WATCHDOG_USEC": "soon"}, None)],
)  # fmt: skip
def test_the_watchdogs_patience_is_in_the_environment(monkeypatch, variables, seconds) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert systemd.watchdog_seconds() == seconds

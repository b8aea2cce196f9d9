"""How the daemon's parts start and end together."""

import os
import socket
import threading
import time
from pathlib import Path
from typing import NoReturn

import pytest

from edge.daemon import cameras
from edge.daemon.service import Service
from edge.daemon.settings import DeviceSettings, HttpSettings, MqttSettings, Settings
from edge.daemon.store import StoreError
from edge.daemon.web.server import Server
from edge.errors import PictureError
from tests.daemon.broker import free_port
from tests.daemon.sinks import record_of


def test_the_first_record_reaches_every_sink_however_fast_the_camera_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(
        device=DeviceSettings(state=str(tmp_path)),
        http=HttpSettings(enabled=False),
        mqtt=MqttSettings(host="127.0.0.1", port=free_port()),  # nobody listens: it stays in the outbox
    )
    service = Service(settings)
    monkeypatch.setattr(service, "_start_reading", lambda: service.store.add(record_of(1)))

    service.start()
    try:
        assert [record["sequence"] for record in service.store.undelivered("mqtt", 10)] == [1]
    finally:
        service.stop()


def test_it_ends_within_two_seconds_although_the_camera_hangs_and_the_broker_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = Settings(
            device=DeviceSettings(state=str(tmp_path)),
            http=HttpSettings(enabled=False),
            mqtt=MqttSettings(host="127.0.0.1", port=silent.getsockname()[1]),
        )
        hanging = Hanging()
        monkeypatch.setattr(cameras, "open_camera", lambda *_: hanging)
        service = Service(settings)
        service.start()
        assert hanging.called.wait(20)

        start = time.monotonic()
        service.stop()
        seconds = time.monotonic() - start
        hanging.back.set()

    assert service.is_stuck
    assert seconds < 2


def test_the_health_is_said_although_the_database_cannot_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(device=DeviceSettings(state=str(tmp_path)), http=HttpSettings(enabled=False))
    service = Service(settings)
    service.start()
    try:

        def fail(*_: object) -> None:
            raise StoreError("readings.db is locked by another program")

        monkeypatch.setattr(service.store, "latest", fail)
        health = service.health()
        assert health["status"] == "failed"
        assert health["parts"]["store"]["reason"] == "readings.db is locked by another program"
        monkeypatch.undo()
        assert service.health()["backlog"].keys() == {"stdout"}
    finally:
        service.stop()


def test_it_does_not_wait_for_a_picture_that_is_being_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(device=DeviceSettings(state=str(tmp_path)), http=HttpSettings(enabled=False))
    service = Service(settings)
    reads, back = threading.Event(), threading.Event()

    def slowly(*_: object, **__: object) -> NoReturn:
        reads.set()
        back.wait(60)
        raise PictureError("no picture")

    monkeypatch.setattr(service.reader, "read", slowly)
    service.start()
    assert reads.wait(20)

    start = time.monotonic()
    service.stop()
    seconds = time.monotonic() - start
    is_stuck = service.is_stuck
    back.set()

    assert is_stuck
    assert seconds < 2


class Hanging:
    """A camera whose library does not come back."""

    name, live = "hanging", True

    def __init__(self) -> None:
        self.called, self.back = threading.Event(), threading.Event()

    def open(self) -> None:
        self.called.set()
        self.back.wait(60)

    def read(self) -> None:
        return None

    def close(self) -> None:
        pass


def test_an_answer_that_comes_when_all_is_closed_writes_to_nobodys_file() -> None:
    server = Server(lambda *_: [], "127.0.0.1", 0, lambda _: None, [])
    server.start()
    listener = server._server
    assert listener is not None
    server.stop()
    receiving, sending = os.pipe()  # with the numbers that those had by which the loop was woken
    os.set_blocking(receiving, False)

    listener.pull_trigger()

    with pytest.raises(BlockingIOError):
        os.read(receiving, 1)
    os.close(receiving)
    os.close(sending)


def test_a_page_that_ends_by_itself_a_moment_before_it_is_told_to_ends_in_peace() -> None:
    # Between the two steps of stop() its thread has time to end: on a busy machine it does.
    server = Server(lambda *_: [], "127.0.0.1", 0, lambda _: None, [], on_stop=lambda: time.sleep(1.5))
    server.start()

    server.stop()

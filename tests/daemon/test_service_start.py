"""How the daemon's parts start."""

from pathlib import Path

import pytest

from edge.daemon.service import Service
from edge.daemon.settings import DeviceSettings, HttpSettings, MqttSettings, Settings
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

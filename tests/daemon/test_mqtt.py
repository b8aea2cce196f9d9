"""MQTT against a real Mosquitto, which is killed and started again: nothing is lost, nothing is out of order."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge.daemon import delivery
from edge.daemon.live import FAILED, WORKING
from edge.daemon.mqtt import MqttSink
from edge.daemon.settings import MqttSettings, Settings
from edge.errors import UsageError
from tests.conftest import ROOT
from tests.daemon.broker import Broker, Subscriber, free_port, make_certificates, make_passwords, wait_for
from tests.daemon.sinks import Adder, StandIn, add_many, in_memory, record_of, without_repeats

VERSIONS = ("3.1.1", "5")
TOPIC = "edge-digits/test"
PERSISTENT = (
    "allow_anonymous true",
    "persistence true",
    "autosave_on_changes true",
    "autosave_interval 1",
    "max_inflight_messages 0",
    "max_queued_messages 0",
)
SECRET = "correct horse battery"
STOP_SECONDS = 2.0  # that the service has to end

tmp_path = in_memory

# Another process: adds records until it is killed, and publishes them.
PUBLISHER = """
import sys
from pathlib import Path
from edge.daemon import delivery
from edge.daemon.mqtt import MqttSink
from edge.daemon.settings import MqttSettings, Settings
from tests.daemon.sinks import Adder, StandIn
port, version, folder, count = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
delivery.FIRST_RETRY = 0.1
daemon = StandIn(Settings(mqtt=MqttSettings(host="127.0.0.1", port=port, version=version)), folder)
sink = MqttSink(daemon)
sink.start()
adder = Adder(daemon.store, count, 0.002)
adder.start()
adder.join()
print("added", flush=True)
while daemon.store.backlog("mqtt"):
    adder.join(0.1)
    import time; time.sleep(0.02)
sink.stop(2)
print("stopped", flush=True)
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_RETRY", 0.1)
    monkeypatch.setattr(delivery, "LONGEST_RETRY", 0.5)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    folder = tmp_path / "broker"
    folder.mkdir()
    with Broker(folder, *PERSISTENT, f"persistence_location {folder}/") as started:
        yield started


def daemon_for(port: int, folder: Path, **settings: Any) -> StandIn:
    return StandIn(Settings(mqtt=MqttSettings(host="127.0.0.1", port=port, **settings)), folder)


@contextmanager
def running(daemon: StandIn) -> Iterator[MqttSink]:
    sink = MqttSink(daemon)  # type: ignore[arg-type]
    sink.start()
    try:
        yield sink
    finally:
        sink.stop(STOP_SECONDS)


def ids_of(subscriber: Subscriber) -> list[str]:
    return [json.loads(payload)["id"] for payload in subscriber.on(f"{TOPIC}/reading")]


def reason_of(daemon: StandIn) -> str:
    def failed() -> bool:
        """the sink says that it failed"""
        return daemon.part("mqtt")[0] == FAILED

    wait_for(failed)
    return daemon.part("mqtt")[1]


def works(daemon: StandIn) -> None:
    wait_for(lambda: daemon.part("mqtt")[0] == WORKING)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_record_arrives_in_order_although_the_broker_is_killed_under_load(
    broker: Broker, tmp_path: Path, version: str
) -> None:
    daemon = daemon_for(broker.port, tmp_path, version=version)
    with Subscriber(broker, f"{TOPIC}/reading") as subscriber, running(daemon):
        adder = Adder(daemon.store, 200, 0.005)
        adder.start()
        for arrived in (30, 80, 130):
            wait_for(lambda least=arrived: len(subscriber.got) >= least)
            broker.kill()
            subscriber.ready.clear()
            broker.start()
            # What is acknowledged while a subscriber is away is the broker's to keep, not ours.
            assert subscriber.ready.wait(30)
        adder.join()
        wait_for(lambda: set(ids_of(subscriber)) >= set(adder.ids))
        assert without_repeats(ids_of(subscriber)) == adder.ids
        wait_for(lambda: daemon.store.backlog("mqtt") == 0)


def test_records_of_an_outage_arrive_when_the_broker_is_back(broker: Broker, tmp_path: Path) -> None:
    daemon = daemon_for(broker.port, tmp_path)
    with Subscriber(broker, f"{TOPIC}/#") as subscriber, running(daemon):
        works(daemon)
        broker.kill()
        reason_of(daemon)
        ids = add_many(daemon.store, 50)
        assert daemon.store.backlog("mqtt") == 50
        broker.start()
        wait_for(lambda: set(ids_of(subscriber)) >= set(ids))
        assert without_repeats(ids_of(subscriber)) == ids
        wait_for(lambda: json.loads(subscriber.on(f"{TOPIC}/state")[-1])["id"] == ids[-1])
        assert daemon.part("mqtt") == (WORKING, "")


@pytest.mark.parametrize("version", VERSIONS)
def test_every_record_arrives_in_order_although_the_publisher_is_killed(
    broker: Broker, tmp_path: Path, version: str
) -> None:
    command = [sys.executable, "-c", PUBLISHER, str(broker.port), version, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with Subscriber(broker, f"{TOPIC}/reading", f"{TOPIC}/status") as subscriber:
        for killed in (20, 60):
            process = subprocess.Popen([*command, "100000"], env=environment, cwd=ROOT)
            wait_for(lambda least=killed: len(without_repeats(ids_of(subscriber))) >= least)
            process.send_signal(signal.SIGKILL)
            process.wait()
            wait_for(lambda: subscriber.on(f"{TOPIC}/status")[-1:] == [b"offline"])  # the last will
        subprocess.run([*command, "20"], env=environment, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        store = StandIn(Settings(), tmp_path).store
        committed = [record["id"] for record in store.readings(limit=100_000, oldest_first=True)]
        assert len(committed) > 60
        wait_for(lambda: len(set(ids_of(subscriber))) >= len(committed))
        assert without_repeats(ids_of(subscriber)) == committed


@pytest.mark.parametrize("version", VERSIONS)
def test_a_stop_says_offline_and_ends_in_time_with_everything_acknowledged(
    broker: Broker, tmp_path: Path, version: str
) -> None:
    daemon = daemon_for(broker.port, tmp_path, version=version)
    with Subscriber(broker, f"{TOPIC}/#") as subscriber:
        with running(daemon) as sink:
            works(daemon)
            ids = add_many(daemon.store, 30)
            start = time.monotonic()
            sink.stop(STOP_SECONDS)
            assert time.monotonic() - start < STOP_SECONDS
        assert daemon.store.backlog("mqtt") == 0
        wait_for(lambda: subscriber.on(f"{TOPIC}/status") == [b"online", b"offline"])
        wait_for(lambda: ids_of(subscriber) == ids)


def test_state_status_and_health_are_retained_and_the_stream_is_not(broker: Broker, tmp_path: Path) -> None:
    daemon = daemon_for(broker.port, tmp_path)
    with running(daemon):
        works(daemon)
        ids = add_many(daemon.store, 3)
        wait_for(lambda: daemon.store.backlog("mqtt") == 0)
        with Subscriber(broker, f"{TOPIC}/#") as late:
            wait_for(lambda: late.on(f"{TOPIC}/state"))
            wait_for(lambda: late.on(f"{TOPIC}/health") and late.on(f"{TOPIC}/status"))
            assert json.loads(late.on(f"{TOPIC}/state")[-1])["id"] == ids[-1]
            assert late.on(f"{TOPIC}/status") == [b"online"]
            assert json.loads(late.on(f"{TOPIC}/health")[-1])["status"] == "ok"
            assert not late.on(f"{TOPIC}/reading")
            daemon.status = "degraded"
            daemon.live.report("source", FAILED, "it was unplugged")
            wait_for(lambda: json.loads(late.on(f"{TOPIC}/health")[-1])["status"] == "degraded")


def test_a_record_is_published_as_it_is_stored(broker: Broker, tmp_path: Path) -> None:
    daemon = daemon_for(broker.port, tmp_path, topic="cellar/meter/")
    with Subscriber(broker, "cellar/meter/reading") as subscriber, running(daemon):
        works(daemon)
        kept = daemon.store.add(record_of(7, text="Zähler"))
        wait_for(lambda: subscriber.got)
        assert json.loads(subscriber.got[0][1]) == kept == daemon.store.latest()


def test_records_of_a_database_that_begins_anew_arrive_too(broker: Broker, tmp_path: Path) -> None:
    daemon = daemon_for(broker.port, tmp_path)
    with Subscriber(broker, f"{TOPIC}/reading") as subscriber, running(daemon):
        works(daemon)
        old = add_many(daemon.store, 30)
        wait_for(lambda: len(subscriber.got) == 30)
        wait_for(lambda: daemon.store.backlog("mqtt") == 0)
        daemon.store._begin_anew(daemon.store._connection)  # as when it turns out to be damaged
        new = add_many(daemon.store, 5)
        wait_for(lambda: set(ids_of(subscriber)) >= set(new))
        assert without_repeats(ids_of(subscriber)) == old + new
        wait_for(lambda: daemon.store.backlog("mqtt") == 0)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_wrong_password_is_one_clear_reason_without_the_password(
    tmp_path: Path, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    passwords = make_passwords(tmp_path, "meter", SECRET)
    wrong = tmp_path / "wrong"
    wrong.write_text("the wrong secret\n")
    with Broker(tmp_path, "allow_anonymous false", f"password_file {passwords}") as broker:
        daemon = daemon_for(broker.port, tmp_path, version=version, user="meter", password_file=str(wrong))
        with caplog.at_level(logging.DEBUG), running(daemon):
            reason = reason_of(daemon)
            assert "user 'meter' is not let in" in reason
            assert "\n" not in reason
            wrong.write_text(f"{SECRET}\n")  # put right while it runs
            works(daemon)
        assert "the wrong secret" not in caplog.text and SECRET not in caplog.text


def test_the_password_can_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = make_passwords(tmp_path, "meter", SECRET)
    monkeypatch.setenv("EDGE_DIGITS_MQTT_PASSWORD", SECRET)
    with Broker(tmp_path, "allow_anonymous false", f"password_file {passwords}") as broker:
        daemon = daemon_for(broker.port, tmp_path, user="meter")
        with running(daemon):
            works(daemon)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("version", VERSIONS)
def test_tls_with_a_client_certificate(tmp_path: Path, certificates: dict[str, Path], version: str) -> None:
    lines = [
        f"cafile {certificates['ca']}",
        f"certfile {certificates['server']}",
        f"keyfile {certificates['server_key']}",
    ]
    with Broker(tmp_path, *lines, "require_certificate true", "use_identity_as_username true") as broker:
        own = {"ca_file": str(certificates["ca"])}
        certificate = {
            "certificate_file": str(certificates["client"]),
            "key_file": str(certificates["client_key"]),
        }
        stranger = {
            "certificate_file": str(certificates["stranger"]),
            "key_file": str(certificates["stranger_key"]),
        }
        for number, (settings, expected) in enumerate(
            [
                ({**own, **certificate}, ""),
                (own, "if it wants a client certificate"),
                ({**own, **stranger}, "it does not trust mqtt.certificate_file"),
                ({**certificate}, "its certificate is not trusted"),
                ({"ca_file": str(certificates["other_ca"]), **certificate}, "its certificate is not trusted"),
                ({"ca_file": str(tmp_path / "missing.pem")}, "No such file"),
                ({**own, "certificate_file": str(certificates["ca_key"])}, "no usable certificate"),
            ]
        ):
            folder = tmp_path / str(number)
            folder.mkdir()
            daemon = daemon_for(broker.port, folder, tls=True, version=version, **settings)
            with running(daemon):
                if expected:
                    assert expected in reason_of(daemon)
                else:
                    works(daemon)
                    add_many(daemon.store, 3)
                    wait_for(lambda store=daemon.store: store.backlog("mqtt") == 0)


def test_tls_to_a_broker_without_it_is_one_clear_reason(broker: Broker, tmp_path: Path) -> None:
    daemon = daemon_for(broker.port, tmp_path, tls=True)
    with running(daemon):
        assert f"127.0.0.1:{broker.port}: " in reason_of(daemon)


def test_without_commands_none_is_subscribed_to(broker: Broker, tmp_path: Path) -> None:
    daemon = daemon_for(broker.port, tmp_path)
    with running(daemon), Subscriber(broker, f"{TOPIC}/reading") as other:
        works(daemon)
        other.publish(f"{TOPIC}/command", "read")
        add_many(daemon.store, 1)
        wait_for(lambda: other.got)  # had the command been delivered, it would have been before
        assert not daemon.triggered
    assert f"{TOPIC}/command (QoS" not in broker.said()
    assert "homeassistant/status (QoS" in broker.said()  # so that is how a subscription looks


@pytest.mark.parametrize("version", VERSIONS)
def test_a_command_takes_a_reading_and_says_why_there_is_none(broker: Broker, tmp_path: Path, version: str) -> None:
    daemon = daemon_for(broker.port, tmp_path, commands=True, version=version)
    with Subscriber(broker, f"{TOPIC}/#") as subscriber:
        subscriber.publish(f"{TOPIC}/command", "read", retain=True)  # must not be obeyed at each start
        with running(daemon):
            works(daemon)
            subscriber.publish(f"{TOPIC}/command", "dance")
            subscriber.publish(f"{TOPIC}/command", "read")
            wait_for(lambda: ids_of(subscriber))
            assert daemon.triggered == ["mqtt"]
            wait_for(lambda: json.loads(subscriber.on(f"{TOPIC}/health")[-1])["command"])
            daemon.stable = False
            subscriber.publish(f"{TOPIC}/command", "read")
            wait_for(
                lambda: (
                    json.loads(subscriber.on(f"{TOPIC}/health")[-1])["command"]
                    == {"command": "read", "error": "the source gives no frame"}
                )
            )


def test_a_record_that_is_too_large_for_the_broker_is_passed_over_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Broker(tmp_path, "allow_anonymous true", "max_packet_size 8000") as broker:
        daemon = daemon_for(broker.port, tmp_path)
        with Subscriber(broker, f"{TOPIC}/reading") as subscriber, running(daemon):
            works(daemon)
            (before,) = add_many(daemon.store, 1)
            large = daemon.store.add(record_of(2, text="7" * 9000))
            (after,) = add_many(daemon.store, 1, 3)
            wait_for(lambda: ids_of(subscriber) == [before, after])
            wait_for(lambda: daemon.store.backlog("mqtt") == 0)
            assert daemon.part("mqtt")[0] == WORKING
            assert "WARNING  edge_digits.mqtt:delivery" not in caplog.text  # the connection was never lost
    assert f"record {large['sequence']} cannot be published" in caplog.text


def test_a_broker_that_forbids_the_topic_is_one_clear_reason_and_the_record_waits(tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text(f"topic read #\ntopic write {TOPIC}/status\n")
    with Broker(tmp_path, "allow_anonymous true", f"acl_file {rules}") as broker:
        daemon = daemon_for(broker.port, tmp_path, discovery=False)
        with running(daemon):
            works(daemon)
            add_many(daemon.store, 1)
            assert f"refuses readings on {TOPIC}/reading: Not authorized" in reason_of(daemon)
            assert daemon.store.backlog("mqtt") == 1


def test_a_name_that_another_client_takes_is_one_clear_reason(tmp_path: Path) -> None:
    # Debian's Mosquitto hangs up without the reason that MQTT 5 has for it; other brokers give it.
    with socket.create_server(("127.0.0.1", 0)) as other:
        daemon = daemon_for(other.getsockname()[1], tmp_path, client_id="twin")
        with running(daemon):
            client, _ = other.accept()
            with client:
                client.recv(1000)
                client.sendall(bytes.fromhex("20 03 00 00 00") + bytes.fromhex("e0 02 8e 00"))  # CONNACK, DISCONNECT
                assert "another client took the name twin" in reason_of(daemon)


def test_nobody_there_is_one_clear_reason(tmp_path: Path) -> None:
    daemon = daemon_for(free_port(), tmp_path)
    with running(daemon):
        assert "nothing listens there" in reason_of(daemon)


def test_a_broker_that_never_answers_does_not_keep_the_service_from_stopping(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for number, settings in enumerate(({}, {"tls": True})):
            folder = tmp_path / str(number)
            folder.mkdir()
            daemon = daemon_for(silent.getsockname()[1], folder, **settings)
            sink = MqttSink(daemon)  # type: ignore[arg-type]
            sink.start()
            silent.accept()
            start = time.monotonic()
            sink.stop(STOP_SECONDS)
            assert time.monotonic() - start < STOP_SECONDS + 0.5


@pytest.mark.parametrize("settings", [{"topic": "a/#"}, {"discovery_prefix": "a+b"}, {"discovery_prefix": ""}])
def test_a_topic_that_cannot_be_is_said_at_once(tmp_path: Path, settings: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=rf"mqtt\.{next(iter(settings))} is "):
        MqttSink(daemon_for(1883, tmp_path, **settings))  # type: ignore[arg-type]

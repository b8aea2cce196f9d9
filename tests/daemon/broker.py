"""A real Mosquitto on a port of its own: started, killed and started again by the tests, with or without TLS."""

import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

SECONDS = 20.0  # for anything to happen on a loaded machine
SESSION_SECONDS = 3600  # that the broker keeps a subscriber's session


def wait_for(what: Any, seconds: float = SECONDS, every: float = 0.02) -> Any:
    """What the function gives once that is true; fails where it takes too long."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > deadline:
            pytest.fail(f"not in {seconds:g} s: {getattr(what, '__doc__', None) or what}")
        time.sleep(every)
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Broker:
    """Mosquitto with these lines of configuration beside what every test needs."""

    def __init__(self, folder: Path, *lines: str) -> None:
        executable = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if executable is None:
            pytest.skip("Debian's mosquitto is not installed")
        self.port = free_port()
        self.log = folder / "mosquitto.log"
        config = folder / "mosquitto.conf"
        config.write_text(
            "\n".join(
                [
                    "per_listener_settings false",
                    "user root",  # started by root, it would become a user who may not write here
                    f"listener {self.port} 127.0.0.1",
                    "log_type all",
                    f"log_dest file {self.log}",
                    *(lines or ["allow_anonymous true"]),
                    "",
                ]
            )
        )
        self._command = [executable, "-c", str(config)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Broker":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self._listens)

    def kill(self) -> None:
        """SIGKILL: it writes nothing more."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def said(self) -> str:
        """Its log."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _listens(self) -> bool:
        """the broker listens"""
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail(f"mosquitto ended: {self.said()[-500:]}")
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


class Subscriber:
    """A client with a session that lasts; `got`: (topic, payload, retained) of everything, in order."""

    def __init__(self, broker: Broker, *topics: str, name: str = "subscriber", **credentials: Any) -> None:
        self.got: list[tuple[str, bytes, bool]] = []
        self.ready = threading.Event()
        self._topics = [(topic, 1) for topic in topics]
        self._client = paho.Client(CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv5)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda *_: self._client.subscribe(self._topics) if self._topics else None
        self._client.on_subscribe = lambda *_: self.ready.set()
        self._client.on_disconnect = lambda *_: self.ready.clear()
        self._client.on_message = lambda _c, _d, m: self.got.append((m.topic, m.payload, m.retain))
        if credentials:
            self._client.username_pw_set(credentials["user"], credentials["password"])
        session = Properties(PacketTypes.CONNECT)
        session.SessionExpiryInterval = SESSION_SECONDS
        self._client.connect("127.0.0.1", broker.port, clean_start=False, properties=session)
        self._client.loop_start()
        if topics:
            assert self.ready.wait(SECONDS)

    def __enter__(self) -> "Subscriber":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(SECONDS)

    def on(self, topic: str) -> list[bytes]:
        """The payloads of one topic, in order."""
        return [payload for where, payload, _ in list(self.got) if where == topic]


def make_certificates(folder: Path) -> dict[str, Path]:
    """An authority, a broker's certificate for 127.0.0.1 and a client's, by openssl; and an authority of strangers."""
    made = {}
    for authority in ("ca", "other_ca"):
        made[authority], made[f"{authority}_key"] = folder / f"{authority}.pem", folder / f"{authority}.key"
        _openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", f"/CN={authority} of the tests",
            "-keyout", made[f"{authority}_key"], "-out", made[authority],
        )  # fmt: skip
    for name, extra, authority in (
        ("server", "subjectAltName=IP:127.0.0.1", "ca"),
        ("client", "extendedKeyUsage=clientAuth", "ca"),
        ("stranger", "extendedKeyUsage=clientAuth", "other_ca"),
    ):
        made[name], made[f"{name}_key"] = folder / f"{name}.pem", folder / f"{name}.key"
        request, extensions = folder / f"{name}.csr", folder / f"{name}.ext"
        extensions.write_text(extra)
        _openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
            "-keyout", made[f"{name}_key"], "-out", request,
        )  # fmt: skip
        _openssl(
            "x509", "-req", "-days", "2", "-in", request, "-extfile", extensions,
            "-CA", made[authority], "-CAkey", made[f"{authority}_key"], "-CAcreateserial", "-out", made[name],
        )  # fmt: skip
    return made


def make_passwords(folder: Path, user: str, password: str) -> Path:
    """A password file by mosquitto_passwd."""
    path = folder / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", path, user, password], check=True, capture_output=True)
    return path


def _openssl(*arguments: Any) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

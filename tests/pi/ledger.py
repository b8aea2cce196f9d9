"""Readings that somebody outside of the machine was told: by its page or by the broker. None of them may be lost."""

import http.client
import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.pi.machine import HOST, Machine

Record = dict[str, Any]
TOPIC = "edge-digits/pi"
ATTEMPT_SECONDS = 15.0
# What is filled in later, and so is no part of what was said: the clock may be set after the reading.
FILLED_IN = {"time", "clock"}


class Page:
    """The daemon's HTTP interface, as somebody outside meets it."""

    def __init__(self, machine: Machine, token: str) -> None:
        self._machine, self._token = machine, token

    def ask(self, path: str, method: str = "GET", seconds: float = ATTEMPT_SECONDS) -> bytes:
        """Raises OSError where there is no answer, or one that is an error."""
        headers = {"Authorization": f"Bearer {self._token}"}
        address = f"http://127.0.0.1:{self._machine.page_port}{path}"
        request = urllib.request.Request(address, method=method, headers=headers)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=seconds) as answer:
                return bytes(answer.read())
        except http.client.HTTPException as error:
            raise OSError(str(error)) from None

    def get(self, path: str) -> Any:
        return json.loads(self.ask(path))

    def latest(self) -> Record | None:
        return self.get("/api/latest")["record"]  # type: ignore[no-any-return]

    def readings(self) -> dict[int, Record]:
        """All that the database has, by sequence."""
        found: dict[int, Record] = {}
        before = ""
        while True:
            page = self.get(f"/api/readings?limit=500{before}")
            found |= {record["sequence"]: record for record in page["readings"]}
            if not page["next"]:
                return found
            before = f"&before={page['next']}"


class Ledger:
    """What was acknowledged, by sequence."""

    def __init__(self) -> None:
        self.told: dict[int, Record] = {}
        self.by_mqtt: set[int] = set()
        self.by_http: set[int] = set()
        self.different: list[str] = []
        self._lock = threading.Lock()

    def add(self, record: Record, by: set[int]) -> None:
        with self._lock:
            by.add(record["sequence"])
            known = self.told.setdefault(record["sequence"], record)
            if essence(known) != essence(record):
                self.different.append(f"{record['sequence']} was {known['text']!r}, and then {record['text']!r}")

    def lost(self, page: Page) -> list[str]:
        """What is not in the database, or otherwise than it was told."""
        with self._lock:
            told, said = dict(self.told), list(self.different)
        kept = page.readings()
        for sequence, record in sorted(told.items()):
            if sequence not in kept:
                said.append(f"{sequence} is gone")
            elif essence(kept[sequence]) != essence(record):
                said.append(f"{sequence} is another one")
        gaps = set(range(min(kept, default=1), max(kept, default=0) + 1)) - set(kept)
        return said + [f"{sequence} was never there" for sequence in sorted(gaps)]


def essence(record: Record) -> Record:
    return {key: value for key, value in record.items() if key not in FILLED_IN}


class Broker:
    """A real Mosquitto on this machine, and a subscriber that writes all readings into a ledger."""

    def __init__(self, folder: Path, port: int, ledger: Ledger) -> None:
        import subprocess

        from tests.pi.lab import which

        config = folder / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence false\n")
        tool = which("mosquitto")
        assert tool is not None
        self._process = subprocess.Popen([tool, "-c", str(config)], stderr=subprocess.DEVNULL)
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="ledger")
        self._client.on_connect = lambda client, *_: client.subscribe(f"{TOPIC}/#", qos=1)
        self._client.on_message = lambda _client, _data, message: self._take(message, ledger)
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()

    @staticmethod
    def _take(message: paho.MQTTMessage, ledger: Ledger) -> None:
        with suppress(ValueError):
            said = json.loads(message.payload)
            if isinstance(said, dict) and "sequence" in said and "digits" in said:
                ledger.add(said, ledger.by_mqtt)

    def stop(self) -> None:
        self._client.loop_stop()
        self._process.kill()
        self._process.wait()


@contextmanager
def asking(page: Page, ledger: Ledger) -> Iterator[None]:
    """Asks for readings as fast as they come, and writes down each that was answered."""
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                record = json.loads(page.ask("/api/trigger", "POST"))
            except (OSError, ValueError):
                done.wait(0.2)  # no stable reading, or nobody there
                continue
            ledger.add(record.get("record", record), ledger.by_http)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(ATTEMPT_SECONDS + 5)


def mqtt_settings(port: int) -> str:
    return f'host = "{HOST}"\nport = {port}\ntopic = "{TOPIC}"\ndiscovery = false\n'

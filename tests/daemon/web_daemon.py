"""A daemon without a camera for the tests of its HTTP side: the real reader, the real store, the real server."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.daemon.live import Live, Seen
from edge.daemon.protocol import NoReadingError
from edge.daemon.settings import FieldSettings, HttpSettings, Settings
from edge.daemon.store import Store
from edge.daemon.watched import Watched, parse_watched, watched_as_toml
from edge.daemon.web.server import WebServer
from edge.errors import UsageError
from edge.output import reading_record
from edge.reader import DigitReader
from edge.reading import Reading

TOKEN = "a-token-for-the-tests-0123456789"
TIME = 1_795_600_800.0  # seconds since 1970: in 2026
DEADLINE = 20.0  # seconds: a loaded machine is slow, a hanging server for ever


@cache
def reader() -> DigitReader:
    return DigitReader()


def page(text: str = "5550100", width: int = 640, height: int = 240) -> np.ndarray:
    """uint8 (height, width, 3): digits in ink on paper."""
    picture = np.full((height, width, 3), 225, np.uint8)
    cv2.putText(picture, text, (60, height - 80), cv2.FONT_HERSHEY_SIMPLEX, 2.6, (40, 30, 30), 6, cv2.LINE_AA)
    return picture


def jpeg(picture: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", picture)[1].tobytes()


class FakeDaemon:
    """What edge.daemon.protocol.Daemon asks for; frames are put in by hand."""

    def __init__(self, state: Path, settings: Settings) -> None:
        self.settings, self.state, self.name = settings, state, "shelf"
        self.store = Store(state / "readings.db", settings.store)
        self.live = Live()
        self.live.report("source", "working")
        self.live.report("store", "working")
        self.watched = Watched(settings.fields)
        self.status = "ok"
        self.why_none: str | None = None

    @property
    def reader(self) -> DigitReader:
        return reader()

    def see(self, picture: np.ndarray, verdict: str = "", time: float = TIME) -> Reading:
        """A frame passes by."""
        reading = self.reader.read(picture, fields=self.watched.form())
        number = 1 if self.live.seen is None else self.live.seen.number + 1
        self.live.see(Seen(picture, reading, time, number, {"load": 0.001, "read": 0.02}), verdict)
        return reading

    def record(self, reading: Reading | None = None, event: str = "reading", **more: Any) -> dict[str, Any]:
        """And is recorded."""
        if reading is None:
            reading = self.see(page())
        said = reading_record("synthetic", reading) | {"time": TIME, "device": self.name, "source": "synthetic"}
        said |= {"model": self.reader.classifier.info.sha256} | more
        glyphs = np.stack([digit.glyph for digit in reading.digits]) if reading.digits else None
        return self.store.add(said, event=event, glyphs=glyphs)

    def trigger(self, by: str, timeout: float = 10.0) -> dict[str, Any]:
        if self.why_none is not None:
            raise NoReadingError(self.why_none)
        return self.record()

    def fields(self) -> tuple[FieldSettings, ...]:
        return self.watched.fields

    def form_text(self) -> str:
        return watched_as_toml(self.watched)

    def save_fields(self, text: str) -> None:
        if self.settings.fields:
            raise UsageError("the configuration fixes the fields")
        self.watched = parse_watched(text)

    def health(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "version": "0.1.0",
            "uptime_seconds": 12.5,
            "parts": {"source": {"state": "working", "reason": "", "since_seconds": 12.0}},
            "source": {"name": "synthetic"},
            "frames": {"read": 1, "dropped": 0, "fps": 2.0},
            "reading": {"text": "5", "verdict": ""},
            "backlog": {"mqtt": 3},
            "device": {"temperature_c": 47.2, "throttled": [], "under_voltage": False, "disk_free_bytes": 10**9,
                       "memory_bytes": 9 * 10**7},
        }  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        said = self.json["error"]
        assert isinstance(said, str) and said and "\n" not in said
        return said


@dataclass
class Site:
    """A running server with its daemon, and a client for it."""

    daemon: FakeDaemon
    server: WebServer

    @property
    def port(self) -> int:
        return self.server.port

    def ask(self, method: str, path: str, body: bytes | str | dict[str, Any] | None = None, **headers: str) -> Answer:
        """headers: with underscores for dashes. A dictionary goes as JSON."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, dict):
            body = json.dumps(body)
            named.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: bytes | str | dict[str, Any] | None = None, **headers: str) -> Answer:
        return self.ask("POST", path, body, **headers)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)


@contextmanager
def running(state: Path, **settings: Any) -> Iterator[Site]:
    """A server on a port of its own. settings: sections of the configuration."""
    settings.setdefault("http", HttpSettings(port=0))
    state.mkdir(exist_ok=True)
    daemon = FakeDaemon(state, Settings(**settings))
    server = WebServer(daemon)
    server.start()
    try:
        yield Site(daemon, server)
    finally:
        server.stop()
        daemon.store.close()

"""A device that says what a test wants it to say: the daemon's page over a scripted API, with its security headers."""

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np

STATIC = Path(__file__).parents[2] / "edge/daemon/web/static"
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
POLICY = "default-src 'self'; img-src 'self' blob: data:"
WIDTH, HEIGHT = 640, 360
DIGIT_WIDTH, DIGIT_HEIGHT, DIGIT_STEP = 44, 70, 64
FIRST_DIGIT = (120, 140)
BEGIN = 1_764_000_000.0  # seconds since 1970: when the first reading was


def box_of(index: int) -> list[int]:
    """Where the digit of this index stands in the picture."""
    return [FIRST_DIGIT[0] + index * DIGIT_STEP, FIRST_DIGIT[1], DIGIT_WIDTH, DIGIT_HEIGHT]


def digits_of(text: str) -> list[dict[str, Any]]:
    return [
        {"label": None if c == "?" else c, "confidence": 0.3 if c == "?" else 0.987, "box": box_of(index), "line": 0}
        for index, c in enumerate(text)
    ]


def picture_of(text: str) -> np.ndarray:
    """uint8 (360, 640, 3): a sheet of paper with the text's digits in their boxes."""
    image = np.full((HEIGHT, WIDTH, 3), (214, 222, 226), np.uint8)
    for index, character in enumerate(text):
        x, y, _, height = box_of(index)
        cv2.putText(image, character, (x + 2, y + height - 6), cv2.FONT_HERSHEY_SIMPLEX, 2.1, (70, 50, 40), 6)
    return image


def record_of(sequence: int, text: str, fields: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    """A record as the daemon makes it."""
    return {
        "path": "synthetic",
        "width": WIDTH,
        "height": HEIGHT,
        "text": text,
        "lines": text.split("\n") if text else [],
        "digits": digits_of(text),
        "fields": fields or [],
        "time": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(BEGIN + 60 * sequence)),
        "sequence": sequence,
        "device": "shelf",
        "source": "synthetic",
        "model": "0" * 64,
        "id": f"abc-{sequence}",
        "event": "reading",
        "clock": {"boot": "1", "monotonic": 60.0 * sequence, "synchronised": True},
        **more,
    }


@dataclass
class Request:
    """What a page asked for."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Device:
    """The device's state; a test changes it as it likes. `failures`: by "METHOD /path", the status and its line."""

    records: list[dict[str, Any]] = field(default_factory=list)
    seen: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, Any] = field(
        default_factory=lambda: {"editable": True, "fields": [], "size": None, "deskew": None}
    )
    health: dict[str, Any] = field(default_factory=dict)
    verdict: str = ""
    failures: dict[str, tuple[int, str]] = field(default_factory=dict)
    read: dict[str, Any] = field(default_factory=lambda: record_of(0, "42"))
    requests: list[Request] = field(default_factory=list)
    corrections: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    image: np.ndarray = field(default_factory=lambda: picture_of(""))

    def __post_init__(self) -> None:
        self.changed = threading.Condition()
        self.health = self.health or {
            "status": "ok",
            "name": "shelf",
            "parts": {"source": {"state": "working", "reason": "", "since_seconds": 75}},
            "device": {
                "temperature_c": 51.2,
                "throttled": [],
                "under_voltage": False,
                "disk_free_bytes": 12_300_000_000,
            },
            "frames": {"read": 1234, "dropped": 5, "fps": 2.0},
            "reading": {"text": "", "age_seconds": 3, "verdict": ""},
            "uptime_seconds": 4000,
            "version": "0.1.0",
        }
        self.show("", number=1)

    def show(self, text: str, number: int | None = None, **more: Any) -> None:
        """The camera sees a text."""
        with self.changed:
            self.image = picture_of(text)
            self.seen = {
                "number": number or self.seen["number"] + 1,
                "time": time.time(),
                "width": WIDTH,
                "height": HEIGHT,
                "text": text,
                "digits": digits_of(text),
                "fields": [],
                "sharpness": 0.42,
                "verdict": self.verdict,
                "fps": 2.0,
                **more,
            }
            self.changed.notify_all()

    def add(self, text: str, **more: Any) -> dict[str, Any]:
        """A reading is recorded."""
        self.records.append(record_of(len(self.records) + 1, text, **more))
        return self.records[-1]

    def asked(self, method: str, path: str) -> list[Request]:
        return [request for request in self.requests if (request.method, request.path) == (method, path)]

    def answer(self, request: Request, query: dict[str, str]) -> tuple[int, Any]:
        """A status and what is sent: bytes of a JPEG picture, or JSON."""
        match f"{request.method} {request.path}":
            case "GET /api/live":
                with self.changed:
                    after = int(query["after"])
                    self.changed.wait_for(lambda: self.seen["number"] != after, float(query["wait"]))
                    return 200, self.seen
            case "GET /api/frame.jpg":
                return 200, cv2.imencode(".jpg", self.image)[1].tobytes()
            case "GET /api/glyphs.png":
                return 200, cv2.imencode(".png", np.full((28, 28 * 10), 200, np.uint8))[1].tobytes()
            case "GET /api/health":
                return 200, self.health
            case "GET /api/latest":
                return 200, {
                    "record": self.records[-1] if self.records else None,
                    "verdict": self.verdict,
                    "sharpness": 0.42,
                }
            case "GET /api/readings":
                before = int(query.get("before", len(self.records) + 1))
                found = [r for r in reversed(self.records) if r["sequence"] < before][: int(query["limit"])]
                return 200, {
                    "readings": found,
                    "corrections": {str(s): said for s, said in self.corrections.items()},
                    "next": found[-1]["sequence"] if found and found[-1]["sequence"] > 1 else None,
                }
            case "GET /api/fields":
                return 200, self.fields
            case "PUT /api/fields":
                self.fields = {"editable": True, **request.json}
                return 200, self.fields
            case "POST /api/trigger":
                return 200, self.records[-1]
            case "POST /api/read":
                return 200, self.read
            case "POST /api/correct":
                said = {"field": request.json["field"], "text": request.json["text"], "time": None}
                self.corrections.setdefault(request.json["sequence"], []).append(said)
                return 200, {}
            case "POST /api/logout" | "POST /login":
                return 200, {}
        return 404, {"error": "there is nothing here"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    server: "_Server"

    def _serve(self) -> None:
        device = self.server.device
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(self.command, url.path, dict(self.headers), body)
        device.requests.append(request)
        failure = device.failures.get(f"{self.command} {url.path}")
        if failure:
            return self._send(failure[0], json.dumps({"error": failure[1]}).encode(), "application/json")
        name = {"/": "index.html", "/login": "login.html"}.get(url.path) if self.command in ("GET", "HEAD") else None
        file = STATIC / (name or url.path.removeprefix("/static/"))
        if name or (url.path.startswith("/static/") and file.parent == STATIC and file.is_file()):
            return self._send(200, file.read_bytes(), TYPES[file.suffix])
        status, said = device.answer(request, {key: values[0] for key, values in parse_qs(url.query).items()})
        if isinstance(said, bytes):
            return self._send(status, said, "image/jpeg")
        return self._send(status, json.dumps(said).encode(), "application/json")

    do_GET = do_POST = do_PUT = do_HEAD = _serve

    def _send(self, status: int, body: bytes, kind: str) -> None:
        if self.server.stopping:  # a daemon that ended says nothing more
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    device: Device
    stopping = False

    def handle_error(self, *_: object) -> None:
        pass  # a browser that closes its connection is no news


class StandIn:
    """Serves a device on a port of its own, which it keeps when it is stopped and started again."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._port = 0
        self._server: _Server | None = None

    def start(self) -> None:
        self._server = _Server(("127.0.0.1", self._port), _Handler)
        self._server.device = self.device
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        if self._server is None:
            return
        self._server.stopping = True
        self._server.shutdown()
        self._server.server_close()
        self._server = None
        with self.device.changed:
            self.device.changed.notify_all()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> "StandIn":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

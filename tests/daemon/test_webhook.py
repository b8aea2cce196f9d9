"""The webhook against a real HTTP server: every record once at least, in order, and what each answer leads to."""

import email.utils
import json
import logging
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from edge.daemon import delivery, webhook
from edge.daemon.live import FAILED, WORKING
from edge.daemon.settings import Settings, WebhookSettings
from edge.daemon.webhook import WebhookSink
from edge.errors import UsageError
from tests.daemon.broker import free_port, make_certificates, wait_for
from tests.daemon.sinks import StandIn, add_many, in_memory, record_of

STOP_SECONDS = 2.0

tmp_path = in_memory
TOKEN = "s3cret-token"


class Receiver:
    """An HTTP server whose next answers can be scripted; `posts`: path, headers and body of each request."""

    def __init__(self, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.posts: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.times: list[float] = []
        self.answers: deque[tuple[int, dict[str, str]] | str] = deque()
        self.accepted: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        self.times.append(time.monotonic())
        self.posts.append((request.path, dict(request.headers), body))
        scripted = self.answers.popleft() if self.answers else (200, {})
        if scripted == "hang up":
            request.close_connection = True
            return
        if scripted == "accept, then hang up":  # the answer is lost on its way
            self.accepted.append(body["id"])
            request.close_connection = True
            return
        assert not isinstance(scripted, str)
        status, headers = scripted
        if 200 <= status < 300:
            self.accepted.append(body["id"])
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", "2")
        request.end_headers()
        request.wfile.write(b"{}")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_RETRY", 0.02)
    monkeypatch.setattr(delivery, "LONGEST_RETRY", 0.1)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


def daemon_for(port: int, folder: Path, scheme: str = "http", path: str = "/hook", **settings: Any) -> StandIn:
    url = f"{scheme}://127.0.0.1:{port}{path}"
    return StandIn(Settings(webhook=WebhookSettings(url=url, **settings)), folder)


@contextmanager
def running(daemon: StandIn) -> Iterator[WebhookSink]:
    sink = WebhookSink(daemon)  # type: ignore[arg-type]
    sink.start()
    try:
        yield sink
    finally:
        sink.stop(STOP_SECONDS)


def reason_of(daemon: StandIn) -> str:
    wait_for(lambda: daemon.part("webhook")[0] == FAILED)
    return daemon.part("webhook")[1]


def arrives(daemon: StandIn) -> None:
    wait_for(lambda: daemon.store.backlog("webhook") == 0)


def test_each_record_is_posted_in_order_as_it_is_stored(receiver: Receiver, tmp_path: Path) -> None:
    daemon = daemon_for(receiver.port, tmp_path, path="/hook?key=ü&x=1")
    with running(daemon):
        kept = [daemon.store.add(record_of(number)) for number in range(40)]
        arrives(daemon)
    assert [body for _, _, body in receiver.posts] == kept
    path, headers, body = receiver.posts[0]
    assert path == "/hook?key=%C3%BC&x=1"
    assert headers["Content-Type"] == "application/json"
    assert headers["Idempotency-Key"] == body["id"]
    assert headers["User-Agent"].startswith("edge-digits/")
    assert "Authorization" not in headers
    assert daemon.part("webhook") == (WORKING, "")


def test_the_token_comes_from_a_file_or_the_environment_and_is_never_logged(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    receiver.answers.append((401, {}))
    daemon = daemon_for(receiver.port, tmp_path, token_file=str(file))
    with caplog.at_level(logging.DEBUG), running(daemon):
        add_many(daemon.store, 1)
        arrives(daemon)
    monkeypatch.setenv("EDGE_DIGITS_WEBHOOK_TOKEN", f"{TOKEN}-2")
    other = tmp_path / "other"
    other.mkdir()
    daemon = daemon_for(receiver.port, other)
    with running(daemon):
        add_many(daemon.store, 1)
        arrives(daemon)
    said = [headers["Authorization"] for _, headers, _ in receiver.posts]
    assert said == [f"Bearer {TOKEN}", f"Bearer {TOKEN}", f"Bearer {TOKEN}-2"]
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("status", [408, 429, 503])
def test_what_may_succeed_later_is_tried_until_it_does(receiver: Receiver, tmp_path: Path, status: int) -> None:
    receiver.answers.extend([(status, {})] * 3)
    daemon = daemon_for(receiver.port, tmp_path)
    with running(daemon):
        ids = add_many(daemon.store, 3)
        assert f"127.0.0.1 answered {status}" in reason_of(daemon)
        arrives(daemon)
    assert receiver.accepted == ids
    assert len(receiver.posts) == 3 + 3


@pytest.mark.parametrize("status", [307, 401, 404])
def test_a_wrong_address_or_token_holds_records_until_it_is_put_right(
    receiver: Receiver, tmp_path: Path, status: int
) -> None:
    receiver.answers.extend([(status, {"Location": f"http://127.0.0.1:{receiver.port}/elsewhere"})] * 3)
    daemon = daemon_for(receiver.port, tmp_path)
    with running(daemon):
        ids = add_many(daemon.store, 2)
        assert "webhook.url" in reason_of(daemon)
        arrives(daemon)
    assert receiver.accepted == ids
    assert {path for path, _, _ in receiver.posts} == {"/hook"}  # no redirect was followed


@pytest.mark.parametrize("status", [400, 422])
def test_a_record_that_is_refused_for_good_is_passed_over_and_said(
    receiver: Receiver, tmp_path: Path, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers.extend([(200, {}), *[(status, {})] * webhook.TRIES])
    daemon = daemon_for(receiver.port, tmp_path)
    with running(daemon):
        first, refused, last = add_many(daemon.store, 3)
        wait_for(lambda: last in receiver.accepted)
    assert receiver.accepted == [first, last]
    tried = [body["id"] for _, _, body in receiver.posts].count(refused)
    assert tried == webhook.TRIES
    assert "to record 2 5 times: passed over, it stays in the database" in caplog.text
    assert [r["id"] for r in daemon.store.readings(oldest_first=True)] == [first, refused, last]


def test_a_record_that_is_refused_shows_in_the_health_until_another_is_accepted(
    receiver: Receiver, tmp_path: Path
) -> None:
    receiver.answers.extend([(422, {})] * webhook.TRIES)
    daemon = daemon_for(receiver.port, tmp_path)
    with running(daemon):
        add_many(daemon.store, 1)
        wait_for(lambda: "passed over" in daemon.part("webhook")[1])
        assert daemon.part("webhook")[0] == FAILED
        add_many(daemon.store, 1)
        wait_for(lambda: daemon.part("webhook") == (WORKING, ""))


def test_retry_after_is_waited_for(receiver: Receiver, tmp_path: Path) -> None:
    receiver.answers.append((503, {"Retry-After": "1"}))
    daemon = daemon_for(receiver.port, tmp_path)
    with running(daemon):
        add_many(daemon.store, 1)
        arrives(daemon)
    assert receiver.times[1] - receiver.times[0] >= 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0),
        ("7", 7),
        ("86400", 3600),
        ("-5", 0),
        ("soon", 0),
        ("", 0),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0),
        ("9" * 400, 3600),
    ],
)
def test_retry_after_is_taken_within_bounds(value: str | None, seconds: float) -> None:
    assert webhook._retry_after(value) == seconds


def test_retry_after_can_be_a_date() -> None:
    assert 80 < webhook._retry_after(email.utils.formatdate(time.time() + 100, usegmt=True)) <= 100


def test_an_answer_that_is_lost_leads_to_a_repeat_with_the_same_key(receiver: Receiver, tmp_path: Path) -> None:
    receiver.answers.extend(["accept, then hang up", "hang up", (204, {}), "hang up"])
    daemon = daemon_for(receiver.port, tmp_path)
    with running(daemon):
        ids = add_many(daemon.store, 2)
        arrives(daemon)
    assert list(dict.fromkeys(receiver.accepted)) == ids
    assert [headers["Idempotency-Key"] for _, headers, _ in receiver.posts] == [
        body["id"] for _, _, body in receiver.posts
    ]


def test_records_of_an_outage_arrive_when_the_server_is_back(tmp_path: Path) -> None:
    port = free_port()
    daemon = daemon_for(port, tmp_path)
    with running(daemon):
        ids = add_many(daemon.store, 10)
        assert "Connection refused" in reason_of(daemon)
        with Receiver(port=port) as receiver:
            arrives(daemon)
            assert receiver.accepted == ids


def test_it_goes_on_where_it_stood_after_a_restart(receiver: Receiver, tmp_path: Path) -> None:
    daemon = daemon_for(receiver.port, tmp_path)
    with running(daemon):
        add_many(daemon.store, 2)
        arrives(daemon)
    ids = add_many(daemon.store, 2, 3)
    with running(daemon):
        arrives(daemon)
    assert receiver.accepted[2:] == ids


def test_a_certificate_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificates = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates["server"], certificates["server_key"])
    with Receiver(context) as receiver:
        daemon = daemon_for(receiver.port, tmp_path, "https")
        with running(daemon):
            add_many(daemon.store, 1)
            assert "its certificate is not trusted" in reason_of(daemon)
            monkeypatch.setenv("SSL_CERT_FILE", str(certificates["ca"]))  # as if the system's
            arrives(daemon)


def test_a_server_that_does_not_answer_is_said_and_does_not_keep_the_service_from_stopping(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        daemon = daemon_for(silent.getsockname()[1], tmp_path, timeout=0.2)
        with running(daemon) as sink:
            add_many(daemon.store, 1)
            assert reason_of(daemon) == "127.0.0.1 did not answer in 0.2 s"
            start = time.monotonic()
            sink.stop(STOP_SECONDS)
            assert time.monotonic() - start < STOP_SECONDS + 0.5
        assert daemon.store.backlog("webhook") == 1


@pytest.mark.parametrize("url", ["ftp://host/x", "https://", "https://u:p@host/", "http://host:99999/", "http://[::1/"])
def test_an_address_that_cannot_be_posted_to_is_said_at_once(tmp_path: Path, url: str) -> None:
    daemon = StandIn(Settings(webhook=WebhookSettings(url=url)), tmp_path)
    with pytest.raises(UsageError, match=r"webhook\.url"):
        WebhookSink(daemon)  # type: ignore[arg-type]

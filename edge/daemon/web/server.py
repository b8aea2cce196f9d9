"""Serves the application with waitress: one loop for all connections, few threads for requests, a limit to everything.

Waitress alone lets a client that sends a byte now and then keep its connection, never gives up one that does not
read its answer, takes any body before the application is asked, and counts time by a clock that may be set back. So
the loop here looks after the connections itself, once a second.
"""

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.buffers import OverflowableBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher

from edge.daemon.live import FAILED, WORKING
from edge.daemon.protocol import Daemon
from edge.daemon.web.auth import PICTURE_PATH, Asker, Gate
from edge.daemon.web.errors import JSON, HttpError, busy, error_body
from edge.errors import EdgeDigitsError

log = logging.getLogger("edge_digits.web")

THREADS = 8  # of which waiting pollers, a trigger and a picture take six at most
CONNECTIONS = 100  # beyond, the one that waited longest makes room
BACKLOG = 128  # connections that the kernel keeps meanwhile
PIPELINED = 8  # requests that came before the first of them was answered; a client with more is dropped

MAX_HEADER_BYTES = 16_384
SMALL_BODY_BYTES = 65_536  # is taken from anybody; a larger one only from who may, on LARGE_PATHS, LARGE_BODIES at once
MAX_BODY_BYTES = 17_000_000  # a picture of 16 MB, and what multipart/form-data adds to it
LARGE_BODIES = 2
LARGE_PATHS = (PICTURE_PATH, "/api/fields")
DRAINED_BYTES = 64_000_000  # of a refused body are read and forgotten, so that its sender comes to read the answer
OUTPUT_MEMORY_BYTES = 16_000_000  # of answers waiting for a slow reader, before they go into a file; none is as large

LOOK_SECONDS = 1.0  # between two looks at the connections
IDLE_SECONDS = 30.0  # without a request
REQUEST_SECONDS = 10.0  # for a request to come, or an answer to go, and beyond:
SLOWEST_RATE = 50_000.0  # bytes a second
RETRY_SECONDS = 5.0  # before an address that cannot be listened on is tried again: the network comes up after us
STOP_SECONDS = 0.8  # for running requests, and the threads, when the daemon ends

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
Headers = list[tuple[str, str]]


class ServerError(EdgeDigitsError):
    """The address cannot be listened on."""


class Server:
    """Listens and serves in threads of its own."""

    def __init__(
        self,
        application: Application,
        listen: str,
        port: int,
        admit: Callable[[Asker], None],
        headers: Headers,
        on_stop: Callable[[], None] = lambda: None,
    ) -> None:
        """admit: asked before a large body is taken; raises HttpError. headers: of every answer that comes from here.

        on_stop: wakes whoever waits in a request.
        """
        self._application = application
        self._listen, self._wanted_port = listen, port
        self._admit, self._headers, self._on_stop = admit, headers, on_stop
        self._stopping = False
        self._patience = STOP_SECONDS / 2
        self._thread: threading.Thread | None = None
        self._server: _Listener | None = None
        self.port = port

    def start(self) -> None:
        """Listens from here on. Raises ServerError."""
        for noisy in ("waitress", "waitress.queue"):  # it logs what clients do wrong, a line each
            logging.getLogger(noisy).setLevel(logging.ERROR)
        listening = _listen(self._listen, self._wanted_port)
        self.port = listening.getsockname()[1]
        dispatcher = ThreadedTaskDispatcher()
        dispatcher.set_thread_count(THREADS)
        adjustments = Adjustments(
            sockets=[listening],
            threads=THREADS,
            ident="",
            backlog=BACKLOG,
            max_request_header_size=MAX_HEADER_BYTES,
            max_request_body_size=DRAINED_BYTES + 1,
            inbuf_overflow=MAX_BODY_BYTES,
            outbuf_overflow=OUTPUT_MEMORY_BYTES,
            log_socket_errors=False,
            asyncore_use_poll=True,
            channel_request_lookahead=1,  # so that a poller that went away is noticed
            clear_untrusted_proxy_headers=False,  # none is trusted; the application looks at one that can do no harm
        )
        self._server = _Listener(
            self._application,
            {},
            dispatcher=dispatcher,
            adj=adjustments,
            bind_socket=False,
            sock=listening,
            judge=_Judge(self._admit),
            headers=self._headers,
        )
        self._stopping = False
        self._thread = threading.Thread(target=self._run, args=(self._server,), name="http", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Listens no more; a request that takes longer than this many seconds gets no answer."""
        self._patience = timeout / 2
        self._on_stop()
        self._stopping = True
        if self._server is None or self._thread is None:
            return
        self._server.pull_trigger()
        self._thread.join(timeout)
        self._server = self._thread = None

    def _run(self, server: "_Listener") -> None:
        while not self._stopping:
            try:
                server.look_after()
                wasyncore.loop(LOOK_SECONDS, use_poll=True, map=server.connections, count=1)
            except OSError as error:  # out of descriptors, perhaps: the daemon goes on
                log.warning("http: %s", error.strerror or error)
                time.sleep(LOOK_SECONDS)
        server.task_dispatcher.shutdown(timeout=self._patience)
        server.close_for_good()


def _listen(listen: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            listen.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # "::" is all addresses of this machine, also those of IPv4.
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listening.bind(address)
        except OSError:
            listening.close()
            raise
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None) or 0
        reason = os.strerror(number) if number > 0 else str(error)  # below 0 it is of the resolver
        raise ServerError(f"cannot listen on {listen} port {port}: {reason}; set listen and port in [http]") from None
    return listening


class WebServer:
    """The daemon's HTTP side: starts, and tries again where it cannot listen yet; stops within a moment."""

    name = "http"

    def __init__(self, daemon: Daemon) -> None:
        """Raises UsageError where it would not be safe to listen."""
        from edge.daemon.web.app import HEADERS, App, load_static
        from edge.daemon.web.metrics import Metrics

        self._daemon = daemon
        self._http = daemon.settings.http
        self._gate = Gate(daemon.settings, daemon.name)
        self._metrics = Metrics(daemon)
        self.app = App(daemon, self._gate, self._metrics, load_static())
        self._server = Server(
            self.app, self._http.listen, self._http.port, self._gate.admit, HEADERS, on_stop=self.app.api.close
        )
        self._stopping = threading.Event()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.port

    def login_link(self) -> str:
        """The page's address; where a token is needed, one that logs in without it, once and within 15 minutes."""
        return self._gate.login_link(self.port)

    def start(self) -> None:
        """Listens from here on, or as soon as it can."""
        self._metrics.start()
        if not self._is_listening():
            threading.Thread(target=self._try_again, name="http again", daemon=True).start()

    def _is_listening(self) -> bool:
        try:
            self._server.start()
        except ServerError as error:
            if self._daemon.live.report(self.name, FAILED, str(error)):
                log.error("%s", error)
            return False
        self._daemon.live.report(self.name, WORKING)
        log.info("the page: %s", self.login_link())
        return True

    def _try_again(self) -> None:
        while not self._stopping.wait(RETRY_SECONDS):
            if self._is_listening():
                if self._stopping.is_set():
                    self._server.stop()
                return

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Listens no more; a request that takes longer than this many seconds gets no answer."""
        self._stopping.set()
        self._server.stop(timeout)
        self._metrics.stop()


class _Refusal:
    """An answer instead of a request's own, as waitress takes it."""

    def __init__(self, error: HttpError) -> None:
        self.code, self.body = error.status, str(error)
        self.headers = error.headers


class _Judge:
    """Decides by its header whether a request's body is taken at all."""

    def __init__(self, admit: Callable[[Asker], None]) -> None:
        self._admit = admit
        self._places = threading.BoundedSemaphore(LARGE_BODIES)

    def admit(self, request: "_Request", address: str) -> None:
        """Raises HttpError. A request with a large body holds a place from here on."""
        if request.chunked:
            raise HttpError(HTTPStatus.LENGTH_REQUIRED, "send a Content-Length; a body in chunks is not taken")
        if request.content_length <= SMALL_BODY_BYTES:
            return
        if request.path not in LARGE_PATHS or request.content_length > MAX_BODY_BYTES:
            raise HttpError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"{request.content_length / 1e6:.1f} MB are more than is taken here; a picture has 16 MB at most",
            )
        self._admit(Asker.of(request.command, request.path, address, request.headers))
        if not self._places.acquire(blocking=False):
            raise busy("other pictures are just being sent; try again in a second")
        request.place = self._places


class _Discard:
    """Takes a body that nobody wants."""

    error = None

    def __init__(self, length: int) -> None:
        self._rest = length
        self.completed = length == 0

    def __len__(self) -> int:
        return 0

    def received(self, data: bytes) -> int:
        taken = min(len(data), self._rest)
        self._rest -= taken
        self.completed = self._rest == 0
        return taken

    def getbuf(self) -> OverflowableBuffer:
        return OverflowableBuffer(SMALL_BODY_BYTES)


class _Request(HTTPRequestParser):  # type: ignore[misc]
    """A request as it comes in."""

    place: threading.BoundedSemaphore | None = None
    path = ""  # waitress names it in the log, also where the first line was none
    chunked: bool
    expect_continue: bool
    content_length: int

    def __init__(self, adjustments: Adjustments, judge: _Judge, address: str) -> None:
        super().__init__(adjustments)
        self._judge, self._address = judge, address

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError:  # an address or a length that urllib or int cannot take
            raise ParsingError("the request's first line or its Content-Length is wrong") from None
        try:
            self._judge.admit(self, self._address)
        except HttpError as error:
            self.error = _Refusal(error)
            comes = not self.expect_continue and not self.chunked and self.content_length <= DRAINED_BYTES
            length = self.content_length if comes else 0
            self.expect_continue = self.chunked = False
            self.content_length = 0
            self.body_rcv = _Discard(length) if length else None

    def close(self) -> None:
        super().close()
        place, self.place = self.place, None
        if place is not None:
            place.release()


class _ErrorTask(ErrorTask):  # type: ignore[misc]
    """Says in JSON what waitress, or the judge, has against a request."""

    def execute(self) -> None:
        error = self.request.error
        status = HTTPStatus(error.code)
        body = error_body(str(error.body))
        self.status = f"{status.value} {status.phrase}"
        self.response_headers += [("Content-Type", JSON), *self.channel.server.headers]
        self.response_headers += list(getattr(error, "headers", {}).items())
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):  # type: ignore[misc]
    """A connection, and since when it is doing what it does."""

    error_task_class = _ErrorTask

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.doing: tuple[str, int] = ("nothing", 0)
        self.since = time.monotonic()
        self.allowed = IDLE_SECONDS
        self.served = 0
        super().__init__(*arguments, **named)

    def parser_class(self, adjustments: Adjustments) -> _Request:
        return _Request(adjustments, self.server.judge, self.addr[0])

    def received(self, data: bytes) -> bool:
        more = bool(super().received(data))
        if len(self.requests) > PIPELINED:
            self.handle_close()
            return False
        return more

    def service(self) -> None:
        super().service()
        self.served += 1

    def handle_close(self) -> None:
        if self.request is not None:
            self.request.close()
        super().handle_close()

    def cancel(self) -> None:
        for request in self.requests:
            request.close()
        super().cancel()

    def handle_error(self) -> None:
        """Called in an except clause by the loop."""
        log.warning("http: a connection failed: %r", sys.exc_info()[1])
        self.handle_close()

    def is_overdue(self, now: float) -> bool:
        """Whether it is too slow. Called once in a while."""
        doing, allowed = self._state()
        if doing != self.doing:
            self.doing, self.since, self.allowed = doing, now, 0.0
        self.allowed = max(self.allowed, allowed)
        return now - self.since > self.allowed

    def _state(self) -> tuple[tuple[str, int], float]:
        """What it is doing, and how many seconds it has for that."""
        request = self.request
        if self.total_outbufs_len:
            return ("sending", self.served), REQUEST_SECONDS + self.total_outbufs_len / SLOWEST_RATE
        if self.requests:
            return ("running", self.served), float("inf")
        if request is not None:
            return ("receiving", self.served), REQUEST_SECONDS + request.content_length / SLOWEST_RATE
        return ("nothing", self.served), IDLE_SECONDS


class _Listener(TcpWSGIServer):  # type: ignore[misc]
    """The listening socket and its connections."""

    channel_class = _Channel

    def __init__(
        self, application: Application, connections: dict[int, Any], *, sock: socket.socket, judge: _Judge,
        headers: Headers, dispatcher: ThreadedTaskDispatcher, adj: Adjustments, bind_socket: bool,
    ) -> None:  # fmt: skip
        self.judge, self.headers, self.connections = judge, headers, connections
        self._next_look = 0.0
        self._waking = threading.Lock()
        self._closed_for_good = False
        super().__init__(
            application,
            connections,
            _sock=sock,
            dispatcher=dispatcher,
            adj=adj,
            sockinfo=(sock.family, sock.type, sock.proto, sock.getsockname()),
            bind_socket=bind_socket,
        )

    def readable(self) -> bool:
        return len(self.active_channels) < CONNECTIONS

    def pull_trigger(self) -> None:
        """Wakes the loop, if it has not ended: what is written to for that is closed then, and may be another file."""
        with self._waking:
            if not self._closed_for_good:
                super().pull_trigger()

    def close_for_good(self) -> None:
        """Closes every connection, and listens no more."""
        with self._waking:
            self._closed_for_good = True
        wasyncore.close_all(self.connections)

    def look_after(self) -> None:
        """Closes connections that are too slow, and those that waited longest where there are too many."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            for channel in list(self.active_channels.values()):
                if channel.is_overdue(now):
                    channel.handle_close()
        if len(self.active_channels) >= CONNECTIONS:
            waiting = [channel for channel in self.active_channels.values() if not channel.requests]
            if waiting:
                min(waiting, key=lambda channel: channel.since).handle_close()

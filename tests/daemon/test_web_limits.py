"""Nobody can stop the server: slow clients, many, large ones, and those that send nonsense."""

import logging
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from edge.daemon.settings import HttpSettings
from edge.daemon.web import server
from tests.daemon.web_daemon import DEADLINE, TOKEN, jpeg, page, running

REQUESTS = 2400
PICTURES = 400
MEMORY_BYTES = 40_000_000  # that thousands of requests may leave behind: caches, arenas of threads
GET = b"GET /api/latest HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def site(tmp_path):
    with running(tmp_path) as site:
        site.daemon.see(page())
        yield site


@pytest.fixture
def quick(monkeypatch):
    """Limits of time that a test can wait for."""
    monkeypatch.setattr(server, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.5)
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.5)
    monkeypatch.setattr(server, "SLOWEST_RATE", 10e6)


@pytest.fixture
def errors():
    """What is logged as an error meanwhile."""
    found = []

    class Handler(logging.Handler):
        def emit(self, record):
            found.append(record.getMessage())

    handler = Handler(logging.ERROR)
    loggers = [logging.getLogger(name) for name in ("edge_digits", "waitress", "waitress.queue")]
    for logger in loggers:
        logger.addHandler(handler)
    yield found
    for logger in loggers:
        logger.removeHandler(handler)


def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))


def is_closed(connection, within=DEADLINE):
    """Whether the other side ends the connection; what it says before is passed over."""
    connection.settimeout(within)
    try:
        while connection.recv(65_536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


# Slow


def test_a_connection_that_asks_nothing_is_ended(site, quick):
    with site.connect() as connection:
        assert is_closed(connection)


def test_a_request_that_trickles_in_is_ended(site, quick):
    with site.connect() as connection:
        start = time.monotonic()
        ended = False
        while not ended and time.monotonic() - start < DEADLINE:
            try:
                connection.sendall(b"GET / HTTP/1.1\r\n" if time.monotonic() - start < 0.05 else b"X: y\r\n")
                time.sleep(0.05)
            except OSError:
                ended = True
        assert ended


def test_a_body_that_trickles_in_is_ended(site, quick):
    head = b"POST /api/read HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\n"
    with site.connect() as connection:
        connection.sendall(head)
        start = time.monotonic()
        ended = False
        while not ended and time.monotonic() - start < DEADLINE:
            try:
                connection.sendall(b"x")
                time.sleep(0.05)
            except OSError:
                ended = True
        assert ended


def test_a_client_that_reads_nothing_is_ended(site, quick):
    noise = np.random.default_rng(1).integers(0, 256, (1080, 1920, 3), np.uint8)
    site.daemon.live.see(type(site.daemon.live.seen)(noise, site.daemon.live.seen.reading, 2e9, 2), "")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", site.port))
    with connection:
        connection.sendall(b"GET /api/frame.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
        channels = site.server._server._server.active_channels
        end = time.monotonic() + DEADLINE
        while not channels and time.monotonic() < end:
            time.sleep(0.01)
        while channels and time.monotonic() < end:
            time.sleep(0.02)
        assert not channels
    assert site.get("/healthz").status == 200


def test_a_client_that_sends_many_requests_before_it_reads_is_ended(site):
    with site.connect() as connection:
        connection.sendall((GET + b"\r\n") * 60)
        assert is_closed(connection)
    assert site.get("/healthz").status == 200


def test_two_requests_one_behind_the_other_are_answered_in_their_order(site):
    with site.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + GET + b"Connection: close\r\n\r\n")
        said = b""
        while data := connection.recv(65_536):
            said += data
    assert said.count(b"HTTP/1.1 200 OK") == 2
    assert said.index(b"\r\n\r\nok\n") < said.index(b'"verdict"')


def test_slow_clients_in_all_places_do_not_keep_others_out(site, monkeypatch):
    monkeypatch.setattr(server, "CONNECTIONS", 20)
    slow = [site.connect() for _ in range(60)]
    try:
        for connection in slow:
            try:
                connection.sendall(b"POST /api/read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000\r\n\r\nx")
            except OSError:
                continue  # it was the oldest
        start = time.monotonic()
        for _ in range(5):
            assert site.get("/api/latest").status == 200
        assert time.monotonic() - start < 10
        assert len(site.server._server._server.active_channels) <= 20
    finally:
        for connection in slow:
            connection.close()


# Many


def test_fifty_clients_at_once_are_all_answered(site):
    paths = ["/api/latest", "/api/frame.jpg?width=320", "/api/readings", "/", "/metrics"] * 20
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(site.get, paths))
    assert [answer.status for answer in answers] == [200] * len(paths)


def test_frames_are_read_while_clients_ask(site):
    """What looks at the camera takes its turn, whatever is asked meanwhile."""
    stop = threading.Event()

    def ask():
        while not stop.is_set():
            site.get("/api/frame.jpg")
            site.post("/api/read", jpeg(page()), Content_Type="image/jpeg")

    clients = [threading.Thread(target=ask) for _ in range(10)]
    for client in clients:
        client.start()
    try:
        start = time.monotonic()
        for _ in range(10):
            site.daemon.see(page())
        assert time.monotonic() - start < 10
    finally:
        stop.set()
        for client in clients:
            client.join(DEADLINE)


# Large


def answer_to(site, data):
    with site.connect() as connection:
        connection.sendall(data)
        said = b""
        try:
            while piece := connection.recv(65_536):
                said += piece
        except OSError:
            pass
    return said


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /api/read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999\r\n\r\n", b"413"),
        (b"POST /api/trigger HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000\r\n\r\n" + bytes(70_000), b"413"),
        (b"POST /api/read HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 70000\r\n\r\n" + bytes(70_000), b"421"),
        (
            b"POST /api/read HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"411",
        ),
        (b"POST /api/read HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", b"501"),
        (b"POST /api/read HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", b"400"),
        (b"POST /api/read HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"GET http://[::1 HTTP/1.1\r\nHost: localhost\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", b"400"),
        (b"GET /api/latest HTTP/1.0\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
    ],
)
def test_what_is_no_request_for_us_is_refused_with_one_line(site, head, status):
    said = answer_to(site, head)
    assert said.split()[1] == status
    headers, _, body = said.partition(b"\r\n\r\n")
    assert b"Content-Type: application/json" in headers
    assert b"X-Content-Type-Options: nosniff" in headers
    assert b"\nServer:" not in headers
    assert body.startswith(b'{"error": "')
    assert body.count(b"\n") == 0


def test_a_large_body_is_not_taken_from_who_is_not_logged_in(tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    with running(tmp_path / "state", http=HttpSettings(port=0, token_file=str(tmp_path / "token"))) as site:
        head = b"POST /api/read HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9000000\r\n\r\n"
        assert answer_to(site, head).split()[1] == b"401"
        body = b"x" * 16_000_000  # this process's own, and there before it is weighed
        before = resident()
        assert site.post("/api/read", body, Content_Type="image/png").status == 401
        assert resident() - before < 8_000_000
        authorized = head.replace(b"Expect", f"Authorization: Bearer {TOKEN}\r\nExpect".encode())
        with site.connect() as connection:
            connection.sendall(authorized)
            assert connection.recv(100).startswith(b"HTTP/1.1 100")


def test_only_two_large_bodies_come_in_at_once(site):
    head = b"POST /api/read HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 9000000\r\n\r\n"
    first = [site.connect() for _ in range(server.LARGE_BODIES)]
    for connection in first:
        connection.sendall(head + b"x")
    judge = site.server._server._server.judge
    end = time.monotonic() + DEADLINE
    while judge._places._value and time.monotonic() < end:
        time.sleep(0.01)
    answer = site.post("/api/read", bytes(9_000_000), Content_Type="image/png")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    for connection in first:
        connection.close()
    while judge._places._value < server.LARGE_BODIES and time.monotonic() < end:
        time.sleep(0.01)
    assert site.post("/api/read", bytes(9_000_000), Content_Type="image/png").status == 422


# Nonsense


SEEDS = [
    GET + b"\r\n",
    b"GET /api/readings?limit=10&before=5&since=2026-11-25T10:00:00Z HTTP/1.1\r\nHost: localhost:8347\r\n\r\n",
    b"GET /api/frame.jpg?number=1&width=320 HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: \"1-320-0\"\r\n\r\n",
    b"GET /login?once=abc HTTP/1.1\r\nHost: localhost\r\nCookie: edge_digits=abc; a=b\r\n\r\n",
    b"GET /static/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer abc\r\n\r\n",
    b'POST /api/correct HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 30\r\n\r\n'
    b'{"sequence": 1, "text": "555"}',
    b"PUT /api/fields HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 41\r\n\r\n"
    b'[[field]]\nname = "a"\nbox = [0, 0, 1, 1]\n ',
    b"POST /api/read HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    b'Content-Length: 80\r\n\r\n--x\r\nContent-Disposition: form-data; name="picture"; filename="a"'
    b"\r\n\r\nabc\r\n--x--\r\n",
    b"POST /api/read HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST /api/trigger HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nContent-Length: 2\r\n\r\n{}",
    b"HEAD / HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nRange: bytes=0-1\r\n\r\n",
]  # fmt: skip
PIECES = [
    b"\r\n", b"\n", b"\r", b"\0", b"\xff", b"%", b"%00", b"%zz", b"..", b"/", b"//", b"?", b"#", b":", b" ", b"\t",
    b",", b";", b"=", b"[", b"]", b'"', b"-1", b"99999999999999999999999", b"1e999", b"NaN", b"HTTP/9.9", b"HTTP/1.1",
    b"Host: localhost\r\n", b"Content-Length: 0\r\n", b"Content-Length: 5, 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Content-Type: multipart/form-data\r\n", b"Cookie: =\r\n", b"\xc3\x28", b"\xed\xa0\x80", b"A" * 3000, b"{" * 500,
    b"[" * 2000, b"GET ", b"POST ", b"PUT ", b"http://[", b"http://localhost:x/", b"*", b"&after=", b"&since=0000",
]  # fmt: skip


def nonsense(chance: random.Random) -> bytes:
    """A request that something is wrong with."""
    data = bytearray(chance.choice(SEEDS))
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0:
                data[place:place] = chance.choice(PIECES)
            case 1:
                del data[place : place + chance.randint(1, 12)]
            case 2:
                data[place : place + 1] = bytes([chance.randrange(256)])
            case 3:
                other = chance.choice(SEEDS)
                cut = chance.randrange(len(other))
                data[place:] = other[cut:]
            case 4:
                data[place : place + len(chance.choice(PIECES))] = chance.choice(PIECES)
    if chance.random() < 0.05:
        return bytes(chance.randrange(256) for _ in range(chance.randrange(1, 400)))
    return bytes(data)


def send(site, data: bytes) -> bytes:
    """The beginning of what is answered, if something is; some requests are never whole."""
    try:
        with site.connect() as connection:
            connection.sendall(data)
            connection.settimeout(0.03)
            return connection.recv(4096)
    except OSError:
        return b""


@pytest.mark.parametrize("seed", [20261125])
def test_malformed_requests_stop_nothing(site, errors, seed):
    print(f"seed {seed}")
    for _ in range(20):
        site.get("/api/frame.jpg")
    chance = random.Random(seed)
    requests = [nonsense(chance) for _ in range(REQUESTS)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda data: send(site, data), requests[:300]))
        before = resident()
        answers = list(pool.map(lambda data: send(site, data), requests))
    answered = [answer for answer in answers if answer]
    assert len(answered) > REQUESTS / 3
    for answer in answered:
        assert answer.startswith((b"HTTP/1.1 ", b"HTTP/1.0 "))
        assert answer.split()[1] != b"500"
    assert errors == []
    assert resident() - before < MEMORY_BYTES
    assert site.get("/api/latest").status == 200
    assert site.get("/healthz").body == b"ok\n"


def damaged(chance: random.Random, picture: bytes) -> bytes:
    data = bytearray(picture)
    for _ in range(chance.randint(1, 8)):
        place = chance.randrange(len(data)) if chance.random() < 0.5 else chance.randrange(min(80, len(data)))
        if chance.random() < 0.7:
            data[place] = chance.randrange(256)
        else:
            del data[place : place + chance.randint(1, 30)]
    return bytes(data[: chance.randrange(1, len(data))] if chance.random() < 0.1 else data)


@pytest.mark.parametrize("seed", [20261126])
def test_damaged_pictures_stop_nothing(site, errors, seed):
    print(f"seed {seed}")
    chance = random.Random(seed)
    small = page("42", 160, 120)
    kinds = [cv2.imencode(suffix, small)[1].tobytes() for suffix in (".jpg", ".png", ".bmp", ".webp", ".tiff", ".ppm")]
    site.post("/api/read", kinds[0], Content_Type="image/jpeg")
    before = resident()
    statuses = set()
    for number in range(PICTURES):
        data = damaged(chance, kinds[number % len(kinds)])
        answer = site.post("/api/read", data, Content_Type="application/octet-stream")
        statuses.add(answer.status)
        assert answer.status in (200, 413, 422)
        assert answer.status == 200 or answer.error
    assert {200, 422} <= statuses
    assert errors == []
    assert resident() - before < MEMORY_BYTES
    assert site.get("/healthz").body == b"ok\n"

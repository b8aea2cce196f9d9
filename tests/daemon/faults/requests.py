"""Ten thousand malformed HTTP requests and broken pictures, while it reads."""

import contextlib
import random
import socket
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable

from tests.daemon.faults.bench import Bench
from tests.daemon.faults.camera import pictures
from tests.daemon.faults.result import Result

FAULT = "malformed requests and pictures"
CLIENTS = 4  # at the same time
PICTURES = 0.2  # of the requests
ANSWER_SECONDS = 15.0
UNFINISHED_SECONDS = 0.1  # a request that is not whole gets no answer, or one at once
HURRIED = 0.05  # of the requests: those whose client leaves without waiting for an answer
PARTS = 8  # of the requests; memory is looked at between them
MOST_MEGABYTES = 200.0  # resident: MemoryHigh of deploy/edge-digits.service
MOST_LATE = 20.0  # megabytes by which the second half may make it grow: a large picture is in memory once
LEAST_RATE = 0.5  # records a second that it still makes
LONG_BYTES = 40_000  # of a header or an address
PATHS = (
    "/api/latest", "/api/readings", "/api/health", "/api/live", "/api/frame.jpg", "/api/read", "/api/correct",
    "/api/fields", "/metrics", "/", "/static/page.js", "/login", "/api/openapi.json", "/healthz",
)  # fmt: skip
METHODS = ("GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "TRACE", "get", "BREW", "\x00", "GETGETGET")
ODD = (
    "../../etc/passwd", "%2e%2e%2f", "%", "%zz", "\x00", "ü", "?limit=-1", "?limit=1e9", "?before=99999999999999999999",
    "?since=yesterday", "?until=9999-99-99", "?field=%00", "?event=party", "?width=0", "?number=-", "?wait=nan",
    "?after=&after=&after=", "?" + "&" * 500, "?x=" + "9" * 3000, "//", "/./", "?limit=%F0%9F%98%80",
)  # fmt: skip
JSON_BODIES = (
    b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"sequence": 1e400}', b'{"sequence": -1, "text": "1"}', b"[" * 50_000,
    b'{"sequence": 1, "text": ' + b'"' + b"7" * 30_000 + b'"}', b'{"text": null}', b'{"sequence": true, "text": "1"}',
    b'{"sequence": 1, "text": "\\ud800", "field": "\\u0000"}', b'{"fields": [{"name": 1}]}', b'{"fields": 7}',
    b'{"fields": [{"name": "a", "box": [9, 9, -1, NaN]}]}', b'{"size": [1, 0], "fields": []}x',
)  # fmt: skip


def run(seed: int, count: int) -> Result:
    with Bench(FAULT, seed, visitors=1, reading={"interval": 0.2}) as bench:
        bench.start()
        bench.daemon.wait_for_record(20, "the first record")
        answers: Counter[str] = Counter()
        sequence, start, memory = bench.daemon.sequence(), time.monotonic(), [bench.daemon.memory()]
        for part in range(PARTS):
            _attack(bench, f"{seed} {part}", count // PARTS + (part < count % PARTS), answers)
            bench.expect_running()
            memory.append(bench.daemon.memory())
        seconds = time.monotonic() - start
        bench.result.times = count
        bench.result.recovery.append(bench.daemon.wait_for_record(20, "a record after the requests"))
        read = bench.daemon.sequence() - sequence
        bench.expect(read >= LEAST_RATE * seconds, f"only {read} records in the {seconds:.0f} s of the requests")
        bench.expect(max(memory) < MOST_MEGABYTES, f"{max(memory):.0f} MB resident")
        late = memory[-1] - memory[PARTS // 2]
        bench.expect(late < MOST_LATE, f"{late:.1f} MB more after the second half of the requests than after the first")
        if answers["500"]:
            bench.result.crashes.append(f"{answers['500']} requests were answered with an internal error")
        said = ", ".join(f"{status} {number}" for status, number in sorted(answers.items()))
        bench.result.notes.append(f"answers: {said}; {read} records meanwhile")
        bench.result.notes.append("resident memory, MB, from part to part: " + ", ".join(f"{mb:.0f}" for mb in memory))
        bench.finish()
    return bench.result


def _attack(bench: Bench, seed: str, count: int, answers: "Counter[str]") -> None:
    parts = [count // CLIENTS + (place < count % CLIENTS) for place in range(CLIENTS)]
    threads = [
        threading.Thread(target=_client, args=(bench.daemon.port, random.Random(f"{seed} {place}"), part, answers))
        for place, part in enumerate(parts)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _client(port: int, rng: random.Random, count: int, answers: "Counter[str]") -> None:
    for _ in range(count):
        make = _picture_request if rng.random() < PICTURES else rng.choice(REQUESTS)
        seconds = UNFINISHED_SECONDS if make in UNFINISHED else ANSWER_SECONDS
        answers[_sent(port, make(rng), 0.0 if rng.random() < HURRIED else seconds)] += 1


def _sent(port: int, request: bytes, seconds: float) -> str:
    """The status of the answer; "none" where none comes in time or the connection is closed. seconds: 0: not waited."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it answered before it had everything
                connection.sendall(request)
            if not seconds:
                return "not waited for"
            connection.settimeout(seconds)
            first = connection.recv(64)
            while first and connection.recv(65536):
                pass
    except OSError:
        return "none"
    words = first.split(b" ", 2)
    return words[1].decode("ascii", "replace") if len(words) > 1 and words[0].startswith(b"HTTP/") else "none"


# Requests


def _request(method: str, path: str, headers: str = "", body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{headers}"
    return head.encode("utf-8", "replace") + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


def _noise(rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(1, 3000)) + rng.choice((b"", b"\r\n\r\n"))


def _odd_address(rng: random.Random) -> bytes:
    return _request(rng.choice(METHODS[:3]), rng.choice(PATHS) + rng.choice(ODD))


def _odd_method(rng: random.Random) -> bytes:
    return _request(rng.choice(METHODS), rng.choice(PATHS))


def _odd_headers(rng: random.Random) -> bytes:
    header = rng.choice(
        (
            "Content-Length: -1\r\n", "Content-Length: 1e3\r\n", "Content-Length: 99999999999999\r\n", "Host: \r\n",
            "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip, chunked\r\n", "Host: evil.example\r\n",
            "Expect: 100-continue\r\n", "X: " + "y" * LONG_BYTES + "\r\n", "no colon here\r\n", " folded\r\n",
            "Origin: http://[\r\n", "Cookie: " + ";=" * 5000 + "\r\n",
            "If-None-Match: \x00\r\n", "Range: bytes=a-b\r\n",
            "Content-Type: multipart/form-data; boundary=\r\n", "Authorization: Bearer \xff\r\n",
        )
    )  # fmt: skip
    return _request(rng.choice(METHODS[:3]), rng.choice(PATHS), header, rng.randbytes(rng.randrange(50)))


def _cut_short(rng: random.Random) -> bytes:
    whole = _request("POST", "/api/correct", "Content-Type: application/json\r\n", b'{"sequence": 1, "text": "1"}')
    return whole[: rng.randrange(1, len(whole))]


def _odd_json(rng: random.Random) -> bytes:
    method, path = rng.choice((("POST", "/api/correct"), ("PUT", "/api/fields")))
    return _request(method, path, "Content-Type: application/json\r\n", rng.choice(JSON_BODIES))


def _odd_toml(rng: random.Random) -> bytes:
    body = rng.choice(
        (b"[[field]]\nname = 1\n", b"[[field]]\n" * 2000, rng.randbytes(500), b"size = [1,", b"x = " + b"[" * 9000)
    )
    return _request("PUT", "/api/fields", "Content-Type: text/plain\r\nX-Requested-With: x\r\n", body)


def _mutated(rng: random.Random) -> bytes:
    whole = bytearray(_request("POST", "/api/read?fields=1", "Content-Type: image/jpeg\r\n", pictures()[0][:2000]))
    for _ in range(rng.randrange(1, 9)):
        whole[rng.randrange(200)] = rng.randrange(256)
    return bytes(whole)


REQUESTS: tuple[Callable[[random.Random], bytes], ...] = (
    _noise, _odd_address, _odd_method, _odd_headers, _cut_short, _odd_json, _odd_toml, _mutated,
)  # fmt: skip

UNFINISHED = (_noise, _odd_headers, _cut_short, _mutated)


# Pictures


def _picture_request(rng: random.Random) -> bytes:
    picture = rng.choice(PICTURE_MAKERS)(rng)
    if rng.random() < 0.3:
        body = (
            b'--b\r\nContent-Disposition: form-data; name="picture"; filename="../x"\r\n\r\n'
            + picture
            + b"\r\n--b--\r\n"
        )
        return _request("POST", "/api/read", "Content-Type: multipart/form-data; boundary=b\r\n", body)
    return _request("POST", "/api/read", "Content-Type: image/png\r\n", picture)


def _torn_jpeg(rng: random.Random) -> bytes:
    picture = rng.choice(pictures())
    return picture[: rng.randrange(len(picture))]


def _flipped_jpeg(rng: random.Random) -> bytes:
    picture = bytearray(rng.choice(pictures()))
    for _ in range(rng.randrange(1, 40)):
        picture[rng.randrange(len(picture))] = rng.randrange(256)
    return bytes(picture)


def _png(width: int, height: int, data: bytes, *, kind: int = 0) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width & 0xFFFFFFFF, height & 0xFFFFFFFF, 8, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _huge_png(rng: random.Random) -> bytes:
    """Says that it has more pixels than there is memory for."""
    side = rng.choice((30_000, 65_535, 2**31 - 1, 2**32 - 1, 0))
    return _png(side, rng.choice((side, 1, 20_000)), zlib.compress(bytes(100_000)), kind=rng.choice((0, 2, 3, 6, 9)))


def _packed_png(rng: random.Random) -> bytes:
    """Little that becomes much."""
    side = rng.choice((1000, 3000))
    return _png(side, side, zlib.compress(bytes(side * (side + 1))))


def _no_picture(rng: random.Random) -> bytes:
    begin = rng.choice(
        (b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\xff\xff\xff\xffWEBPVP8L", b"BM", b"II*\x00", b"")
    )
    return begin + rng.randbytes(rng.randrange(2000))


PICTURE_MAKERS = (
    _torn_jpeg,
    _torn_jpeg,
    _flipped_jpeg,
    _flipped_jpeg,
    _huge_png,
    _no_picture,
    _no_picture,
    _packed_png,
)

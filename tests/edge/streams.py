"""Servers of live pictures for tests: MJPEG over HTTP, and RTSP with JPEG over RTP in the same connection.

Each serves the frames of a function, called with the time since the client came; None ends the stream.
"""

import itertools
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cv2
import numpy as np

Picture = Callable[[float], np.ndarray | None]

RTP_CLOCK = 90_000  # a second
RTP_JPEG = 26  # payload type, RFC 3551
PACKET_BYTES = 1400
BASELINE_420, OWN_TABLES = 1, 255  # type and Q of RFC 2435


class Server(socketserver.ThreadingTCPServer):
    """Listens on a free port of this machine."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, handler: type, picture: Picture, rate: float) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.picture, self.rate = picture, rate
        self.port = self.server_address[1]
        self.start = 0.0  # time.monotonic() when the last client came

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""

    def frames(self) -> Iterator[tuple[float, np.ndarray]]:
        """Time and picture, at the server's rate, however long the client takes."""
        start = self.start = time.monotonic()
        for number in itertools.count():
            delay = start + number / self.rate - time.monotonic()
            if delay > 0:
                time.sleep(delay)
            now = time.monotonic() - start
            picture = self.picture(now)
            if picture is None:
                return
            yield now, picture


class _Http(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        path = self.rfile.readline().split()[1]
        while self.rfile.readline().strip():
            pass
        if path == b"/missing":
            self.wfile.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        if path == b"/private":
            self.wfile.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
            return
        if path in (b"/page", b"/text"):
            kind = b"html" if path == b"/page" else b"plain"
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/%b\r\nContent-Length: 4\r\n\r\n<p>\n" % kind)
            return
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n")
        for _, picture in self.server.frames():
            jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg + b"\r\n")


class _Rtsp(socketserver.StreamRequestHandler):
    """RFC 2326, as far as a client needs it to play one stream."""

    def handle(self) -> None:
        while True:
            request = self.rfile.readline().split()
            if not request:
                return
            headers = dict(self._headers())
            more, body = "", ""
            if request[0] == b"DESCRIBE":
                if request[1].endswith(b"/missing"):
                    self._answer(headers, "404 Not Found")
                    continue
                body = f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP {RTP_JPEG}\r\n"
                more = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
            elif request[0] == b"SETUP":
                if "TCP" not in headers.get("transport", ""):
                    self._answer(headers, "461 Unsupported Transport")
                    continue
                more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
            elif request[0] == b"OPTIONS":
                more = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
            self._answer(headers, "200 OK", more, body)
            if request[0] == b"PLAY":
                self._play()
                return

    def _headers(self) -> Iterator[tuple[str, str]]:
        while line := self.rfile.readline().decode().strip():
            name, _, value = line.partition(":")
            yield name.lower(), value.strip()

    def _answer(self, headers: dict[str, str], status: str, more: str = "", body: str = "") -> None:
        self.wfile.write(f"RTSP/1.0 {status}\r\nCSeq: {headers.get('cseq', 0)}\r\n{more}\r\n{body}".encode())

    def _play(self) -> None:
        sequence = itertools.count()
        for now, picture in self.server.frames():
            for packet in rtp_jpeg(picture, round(now * RTP_CLOCK), sequence):
                self.wfile.write(b"$\0" + struct.pack(">H", len(packet)) + packet)


def rtp_jpeg(picture: np.ndarray, timestamp: int, sequence: Iterator[int]) -> Iterator[bytes]:
    """The RTP packets (RFC 3550, RFC 2435) of a picture whose sides are multiples of 16."""
    height, width = picture.shape[:2]
    jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420])[
        1
    ].tobytes()
    tables, position = b"", 2
    while jpeg[position + 1] != 0xDA:  # until the scan
        length = int.from_bytes(jpeg[position + 2 : position + 4], "big")
        if jpeg[position + 1] == 0xDB:
            segment = jpeg[position + 4 : position + 2 + length]
            tables += b"".join(segment[at + 1 : at + 65] for at in range(0, len(segment), 65))
        position += 2 + length
    scan = jpeg[position + 2 + int.from_bytes(jpeg[position + 2 : position + 4], "big") : -2]
    for offset in range(0, len(scan), PACKET_BYTES):
        part = scan[offset : offset + PACKET_BYTES]
        last = offset + len(part) == len(scan)
        yield (
            struct.pack(">BBHII", 0x80, RTP_JPEG | last << 7, next(sequence) & 0xFFFF, timestamp & 0xFFFFFFFF, 7)
            + struct.pack(">IBBBB", offset, BASELINE_420, OWN_TABLES, width // 8, height // 8)
            + (struct.pack(">BBH", 0, 0, len(tables)) + tables if offset == 0 else b"")
            + part
        )


@contextmanager
def serve(kind: str, picture: Picture, rate: float = 20.0) -> Iterator[Server]:
    """A running server; kind: "http" or "rtsp"."""
    server = Server({"http": _Http, "rtsp": _Rtsp}[kind], picture, rate)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def silence() -> Iterator[int]:
    """The port of a server that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]

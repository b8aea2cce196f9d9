"""A camera on the network that fails as cameras do: an MJPEG stream whose number grows with every picture."""

import random
import socket
import threading
import time
from collections.abc import Callable
from functools import cache

import cv2
import numpy as np

from edge.daemon.synthetic import STEP_SECONDS, Sheet

SIZE = (320, 240)  # pixels
PICTURES = 240  # different ones, shown in turn
RATE = 60.0  # frames a second
BOUNDARY = b"frame"
QUALITY = 90  # of JPEG
GARBAGE_BYTES = 4096  # sent at once
LOOK_SECONDS = 0.05

GOOD, FROZEN, GARBAGE, TORN, SILENT, REFUSING = "good", "frozen", "garbage", "torn", "silent", "refusing"


@cache
def pictures() -> tuple[bytes, ...]:
    """JPEG files of the synthetic camera's sheet, each with another number."""
    sheet = Sheet(SIZE)
    return tuple(jpeg(sheet.picture(place * STEP_SECONDS + 1)) for place in range(1, PICTURES + 1))


def jpeg(picture: np.ndarray) -> bytes:
    return np.asarray(cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))[1]).tobytes()


class Camera:
    """Serves a stream on a port of its own, which it keeps when it is closed and opened again.

    `mode` can be changed at any time: "good"; "frozen", the same picture over and over; "garbage", bytes that are
    none; "torn", pictures that end in the middle; "silent", connections taken and never answered; "refusing", 503.
    """

    def __init__(self, seed: int = 0, *, rate: float = RATE, show: Callable[[float], bytes] | None = None) -> None:
        """show: the picture at a moment, in seconds since 1970."""
        self.mode = GOOD
        # By the clock: what is shown does not begin anew with each connection.
        self._show = show or (lambda moment: pictures()[int(moment * rate) % PICTURES])
        self._rate = rate
        self._seed = seed
        self._port = 0
        self._listening: socket.socket | None = None
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/stream.mjpg"

    def __enter__(self) -> "Camera":
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Listens."""
        self._listening = socket.create_server(("127.0.0.1", self._port), backlog=16)
        self._port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def close(self) -> None:
        """Is unplugged: nobody listens, and connections end."""
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        self.hang_up()

    def hang_up(self) -> None:
        """Ends all connections."""
        with self._lock:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.add(connection)
        try:
            with connection:
                connection.settimeout(5)
                connection.recv(4096)
                self._answer(connection)
        except OSError:
            return  # whoever looked is gone
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _answer(self, connection: socket.socket) -> None:
        while self.mode == SILENT:
            time.sleep(LOOK_SECONDS)
        if self.mode == REFUSING:
            connection.sendall(b"HTTP/1.0 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
            return
        connection.sendall(
            b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=" + BOUNDARY + b"\r\n\r\n"
        )
        rng = random.Random(self._seed)
        frozen = b""
        due = time.monotonic()
        while True:
            picture = self._show(time.time())
            mode = self.mode
            frozen = (frozen or picture) if mode == FROZEN else b""
            if mode == SILENT:
                time.sleep(LOOK_SECONDS)
                continue
            if mode == REFUSING:
                return
            if mode == GARBAGE:
                connection.sendall(rng.randbytes(GARBAGE_BYTES))
            else:
                connection.sendall(_part(frozen or picture, torn=mode == TORN, rng=rng))
            due = max(due + 1 / self._rate, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))


def _part(picture: bytes, *, torn: bool, rng: random.Random) -> bytes:
    body = picture[: rng.randrange(len(picture))] if torn else picture
    head = b"--%s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % (BOUNDARY, len(body))
    return head + body + b"\r\n"

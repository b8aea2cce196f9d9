"""Pictures out and in: the live frame as JPEG, encoded once for all; uploads, one decoded at a time."""

import ctypes
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.daemon.live import Seen
from edge.daemon.web.errors import HttpError, busy
from edge.decode import UNDECODABLE, Page, decode_page_bytes
from edge.errors import PictureError
from edge.picture_header import read_header

JPEG_QUALITY = 80  # of 100: ink stays crisp, 1280×720 pixels are some 100 KB
WIDTH_STEP = 160  # pixels: sizes are rounded up to this, so that a frame is encoded in few of them
MAX_WIDTH = 1920  # pixels
KEPT_JPEGS = 8  # of the newest frames, in all sizes

GLYPHS_A_ROW = 32

MAX_UPLOAD_BYTES = 16_000_000
MAX_JPEG_PIXELS = 25_000_000  # a telephone's 24 megapixels; decoded reduced
MAX_OTHER_PIXELS = 12_000_000  # of 8 bits a channel: 48 MB with transparency, and as much on the way to a page
UPLOAD_KINDS = ("JPEG", "PNG", "WebP", "BMP")  # what cameras and browsers make; fewer decoders, fewer holes

Image = NDArray[np.uint8]
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Jpeg:
    """A frame, encoded. `number`: of the frame; `tag`: tells it from every other, also of an earlier run."""

    data: bytes
    number: int
    tag: str


class Frames:
    """JPEGs of the newest frames. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: OrderedDict[tuple[int, int], Jpeg] = OrderedDict()  # by number of the frame and width
        self._told: Seen | None = None

    def tell(self, seen: Seen) -> None:
        """Somebody was told of this frame, and is about to ask for its picture: it stays, though newer ones come."""
        self._told = seen

    def jpeg(self, seen: Seen, wanted: int | None, width: int | None) -> Jpeg:
        """The frame wanted by its number while it is there, else the one seen.

        width: in pixels; None for the frame's own.
        """
        told = self._told
        if told is not None and told.number == wanted:
            seen = told
        height, full = seen.image.shape[:2]
        rounded = -(-(width or full) // WIDTH_STEP) * WIDTH_STEP
        width = min(full, MAX_WIDTH, rounded)
        with self._lock:  # a second client waits for the first one's work instead of doing it again
            if wanted is not None and (wanted, width) in self._made:
                return self._made[wanted, width]
            key = seen.number, width
            if key not in self._made:
                data = _encoded(seen.image, width, max(1, round(height * width / full)))
                self._made[key] = Jpeg(data, seen.number, f"{seen.number}-{width}-{zlib.crc32(data):08x}")
                while len(self._made) > KEPT_JPEGS:
                    self._made.popitem(last=False)
            return self._made[key]


def sheet(glyphs: Image) -> bytes:
    """PNG of glyphs, uint8 (n, 28, 28), one beside the other, `GLYPHS_A_ROW` in a row."""
    count, height, width = glyphs.shape
    columns = min(count, GLYPHS_A_ROW)
    rows = -(-count // columns)
    cells = np.zeros((rows * columns, height, width), np.uint8)
    cells[:count] = glyphs
    picture = cells.reshape(rows, columns, height, width).swapaxes(1, 2).reshape(rows * height, columns * width)
    return cv2.imencode(".png", picture)[1].tobytes()


def _encoded(image: Image, width: int, height: int) -> bytes:
    if width < image.shape[1]:
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


class Uploads:
    """Decodes pictures that people send, one at a time: what looks at the camera goes on meanwhile."""

    def __init__(self) -> None:
        self._place = threading.Lock()

    def __enter__(self) -> "Uploads":
        """Takes the place. Raises HttpError where somebody has it."""
        if not self._place.acquire(blocking=False):
            raise busy("another picture is just being read; try again in a second")
        return self

    def __exit__(self, *_: object) -> None:
        _give_memory_back()
        self._place.release()

    def run(self, work: Callable[[], Made]) -> Made:
        """Does it in a thread of its own, for which the end of the daemon does not wait.

        glibc keeps freed memory by thread, and has the next thread use it: so what pictures need is needed once.
        """
        answer: Future[Made] = Future()

        def do() -> None:
            try:
                answer.set_result(work())
            except BaseException as error:
                answer.set_exception(error)

        threading.Thread(target=do, name="picture", daemon=True).start()
        return answer.result()

    def page(self, data: bytes, *, full_resolution: bool = False) -> Page:
        """The picture. Raises HttpError for one that is too large, PictureError for what is none."""
        if len(data) > MAX_UPLOAD_BYTES:
            raise HttpError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"{len(data) / 1e6:.1f} MB; pictures of more than {MAX_UPLOAD_BYTES // 1_000_000} MB are not read",
            )
        header = read_header(data)
        if header is None:
            raise PictureError("the picture is empty" if not data else UNDECODABLE)
        if header.kind not in UPLOAD_KINDS:
            raise PictureError(f"{header.kind} pictures are not read here; send JPEG or PNG")
        most = MAX_JPEG_PIXELS if header.kind == "JPEG" else MAX_OTHER_PIXELS // _channel_bytes(header.kind, data)
        if header.width * header.height > most:
            raise HttpError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"{header.width}x{header.height} pixels; of {header.kind} no more than {most // 1_000_000} megapixels "
                "are read here",
            )
        return decode_page_bytes(data, full_resolution=full_resolution)


def _give_memory_back() -> None:
    """Hands what a picture took back to the system: malloc_trim(3). Where there is no glibc it does nothing."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _channel_bytes(kind: str, data: bytes) -> int:
    """1, or 2 for a PNG of 16 bits a channel (PNG, section 11.2.1: the bit depth is the header's ninth byte)."""
    return 2 if kind == "PNG" and data[24] > 8 else 1

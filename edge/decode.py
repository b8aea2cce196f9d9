"""Decode a picture file into a frame: any format OpenCV reads, upright, 8 bits a channel, without transparency."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import PictureError
from edge.page import reduced, scale_to
from edge.picture_header import MAX_PIXELS, UPRIGHT, PictureHeader, read_header
from edge.segment import FRAME_SIDE

Image = NDArray[np.uint8]

MAX_FILE_BYTES = 64_000_000
PAGE_SIDE = 1800  # pixels: a larger page is read reduced to this longer side; its smallest digits then are 12 high
FULL_SIDE = 30_000  # pixels: the same at full resolution, for OpenCV turns no picture with a side above 32,767
PREVIEW_SCALE = 8  # a page's colours are judged on a copy reduced by this
GLANCE_SIDE = 1000  # pixels: a page is looked at first on a copy of half its size or less, no larger than this
LEAST_GLANCE = 300  # and no smaller than this
READ_BYTES = 1 << 20  # a file that grows while it is read is followed in steps of this

STRIP_PIXELS = 1 << 18  # 6 MB for a strip of three channels in float64
MAX_UNIT_PEAK = 16.0  # float pixels up to here have white at 1, and highlights or overshoot above; beyond, white at 255
SPARSE_ALPHA = 0.5  # part of a picture that is opaque; less is ink without paper
PLAIN_SPREAD = 16.0  # grey levels, standard deviation: less within the opaque part is ink of one colour
OPAQUE = 255

_REDUCED = {  # scale: (flag for colour, flag for grey)
    1: (cv2.IMREAD_COLOR, cv2.IMREAD_GRAYSCALE),
    2: (cv2.IMREAD_REDUCED_COLOR_2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
    4: (cv2.IMREAD_REDUCED_COLOR_4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
    8: (cv2.IMREAD_REDUCED_COLOR_8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
}
_AS_STORED = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR

NOT_FILES = {  # what stands in a file's place: its name for people
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_SYSTEM_ERRORS = {
    errno.ENOENT: "no such file",
    errno.ENOTDIR: "no such file",
    errno.EACCES: "no permission to read it",
    errno.EPERM: "no permission to read it",
    errno.ELOOP: "a loop of symbolic links",
    errno.ENAMETOOLONG: "the path is too long",
}
UNSAFE_KINDS = ("JPEG 2000",)  # OpenCV 4.11 dies of memory errors in 4 of 2,400 mutated files
UNDECODABLE = "not a picture that can be decoded"


def decode(path: str | os.PathLike[str], *, reduce: bool = True) -> Image:
    """The frame in a picture file: uint8 (height, width) grey or (height, width, 3) BGR, upright.

    EXIF orientation is applied, palettes are expanded, deeper pixels are scaled to 8 bits, and transparency is laid
    over black or white, whichever makes the ink visible. With `reduce`, a large JPEG is decoded at 1/2, 1/4 or 1/8 of
    its size as long as its longer side keeps FRAME_SIDE pixels. Raises PictureError, within bounded time and memory,
    for whatever is not a picture of at most 100 megapixels and 64 MB.
    """
    return decode_bytes(read_file(path), reduce=reduce)


@dataclass(frozen=True, slots=True)
class Page:
    """A picture to be read as a page, upright, perhaps reduced.

    `width`, `height`: of the original, upright, in pixels. `preview`: uint8 (h', w', 3) BGR, a small copy; None for a
    grey picture. `grey`: gives uint8 (h, w), its longer side PAGE_SIDE at most, at full resolution FULL_SIDE.
    `colour`: gives uint8 (h, w, 3) BGR. `glance`: the same page reduced, on which digits that are large and clear are
    read in two thirds of the time; None where it is small already, or huge, and for full resolution.

    What is given is made when it is asked for, but for the grey of a large JPEG: many pages need no more than a glance,
    and few their colours, which take four times as long to decode as the grey.
    """

    width: int
    height: int
    preview: Image | None
    grey: Callable[[], Image]
    colour: Callable[[], Image]
    glance: "Page | None" = None


def page_of(frame: Image, *, full_resolution: bool = False) -> Page:
    """The page in a frame, uint8 (height, width) grey or (height, width, 3) BGR: it must stay as it is until read."""
    return _page(frame, frame.shape[1], frame.shape[0], full_resolution)


def _page(frame: Image, width: int, height: int, full_resolution: bool) -> Page:
    """The page in a frame that may be a reduced copy of the original, which has that width and height."""
    scale = 1 if full_resolution else _glance_scale(max(frame.shape[:2]))
    small = reduced(frame, scale)
    preview = None if frame.ndim == 2 else reduced(small, PREVIEW_SCALE // scale)
    glance = Page(width, height, preview, _grey_of(small), _colour_of(small)) if scale > 1 else None

    if frame.ndim == 2:
        frame = _fit_page(frame, full_resolution)  # nobody needs the rest of it

    def fitted(pixels: Callable[[], Image]) -> Callable[[], Image]:
        return cache(lambda: _fit_page(pixels(), full_resolution))

    return Page(width, height, preview, fitted(_grey_of(frame)), fitted(_colour_of(frame)), glance)


def _glance_scale(longer: int) -> int:
    """The power of two by which a page with that longer side, in pixels, is reduced for a glance; 1 for none."""
    scale = 2
    while longer > GLANCE_SIDE * scale:
        scale *= 2
    return scale if longer >= LEAST_GLANCE * scale and scale <= PREVIEW_SCALE else 1


def _grey_of(frame: Image) -> Callable[[], Image]:
    if frame.ndim == 2:
        return lambda: frame
    return lambda: np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8)


def _colour_of(frame: Image) -> Callable[[], Image]:
    if frame.ndim == 3:
        return lambda: frame
    return lambda: np.asarray(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR), np.uint8)


def decode_page(path: str | os.PathLike[str], *, full_resolution: bool = False) -> Page:
    """The page in a picture file. Raises PictureError as `decode` does."""
    return decode_page_bytes(read_file(path), full_resolution=full_resolution)


def decode_page_bytes(data: bytes, *, full_resolution: bool = False) -> Page:
    """The page in the bytes of a picture file, as `decode_page` gives it."""
    header = read_header(data)
    if header is None or header.kind != "JPEG" or not _is_readable(header):
        return page_of(decode_bytes(data, reduce=False), full_resolution=full_resolution)
    longer = max(header.width, header.height)
    scale = 1 if full_resolution else next((s for s in (8, 4, 2) if longer // s >= PAGE_SIDE), 1)

    def pixels(scale: int, *, grey: bool) -> Image:
        flag = _REDUCED[scale][grey]
        try:
            found = cv2.imdecode(np.frombuffer(data, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION)
        except cv2.error:
            found = None
        if found is None or found.size == 0:
            raise PictureError(UNDECODABLE)
        frame = np.asarray(found, np.uint8)
        return frame if header.orientation == UPRIGHT else _turned(frame, header.orientation)

    def whole(*, grey: bool) -> Image:
        return _fit_page(pixels(scale, grey=grey), full_resolution)

    width, height = (header.width, header.height) if header.orientation < 5 else (header.height, header.width)
    if header.channels == 1 or scale > 1:
        # All bits of a JPEG are decoded for any part of it: a reduced one costs less in colour than grey and a preview.
        page = _page(pixels(scale, grey=header.channels == 1), width, height, full_resolution)
        fitted = page.grey()
        # Few pages need their colours at all: to hold them would cost more memory than the reading does.
        return replace(page, grey=lambda: fitted, colour=lambda: whole(grey=False))
    glance, glance_scale = None, 1 if full_resolution else _glance_scale(longer)
    if glance_scale == 1:
        preview = pixels(PREVIEW_SCALE, grey=False)
    else:
        # For the same reason it costs little more than the preview.
        small = pixels(glance_scale, grey=False)
        preview = reduced(small, PREVIEW_SCALE // glance_scale)
        glance = Page(width, height, preview, _grey_of(small), _colour_of(small))
    return Page(width, height, preview, cache(lambda: whole(grey=True)), lambda: whole(grey=False), glance)


def _fit_page(frame: Image, full_resolution: bool) -> Image:
    longer = max(frame.shape[:2])
    most = FULL_SIDE if full_resolution else PAGE_SIDE
    if longer <= most:
        return frame
    size = tuple(max(1, round(side * most / longer)) for side in frame.shape[1::-1])
    # To more than half of its size each pixel is in a mean of four, and that is six times as fast as OpenCV's areas.
    halved = reduced(frame, scale_to(frame, most))
    return np.asarray(cv2.resize(halved, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _is_readable(header: PictureHeader) -> bool:
    return header.complete and header.width * header.height <= MAX_PIXELS


def decode_bytes(data: bytes, *, reduce: bool = True) -> Image:
    """The frame in the bytes of a picture file, as `decode` gives it."""
    header = read_header(data)
    if header is None:
        raise PictureError("the file is empty" if not data else UNDECODABLE)
    if header.width * header.height > MAX_PIXELS:
        raise PictureError(
            f"{header.width}x{header.height} pixels; more than {MAX_PIXELS // 1_000_000} megapixels are not read"
        )
    if header.kind in UNSAFE_KINDS:
        raise PictureError(f"{header.kind} pictures are not read: a damaged one crashes the decoder; save it as PNG")
    if not header.complete:
        raise PictureError(f"the {header.kind} picture is cut short")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), _flags(header, reduce))
    except cv2.error:
        pixels = None
    if pixels is None or pixels.size == 0:
        if header.kind in ("GIF", "AVIF", "HEIF"):
            raise PictureError(f"{header.kind} pictures are not decoded by this OpenCV; save it as PNG or JPEG")
        raise PictureError(UNDECODABLE)
    pixels = _to_8_bits(pixels)  # under the same name: the deeper ones are let go of
    frame = _opaque(pixels)
    return frame if header.orientation == UPRIGHT else _turned(frame, header.orientation)


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a regular file of at most 64 MB; never waits for a pipe or a device. Raises PictureError."""
    try:
        # Looking before opening: to open a device can already do something to it.
        _check_regular(os.stat(path))
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            _check_regular(status)
            return _read_all(descriptor, status.st_size)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise PictureError(_SYSTEM_ERRORS.get(error.errno or 0) or error.strerror or str(error)) from None
    except ValueError:  # a path with a null byte
        raise PictureError("no such file") from None


def _check_regular(status: os.stat_result) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        raise PictureError(f"{NOT_FILES.get(kind, 'not a regular file')}, not a picture file")
    if status.st_size > MAX_FILE_BYTES:
        raise PictureError(
            f"{status.st_size / 1e6:.0f} MB; files of more than {MAX_FILE_BYTES // 1_000_000} MB are not read"
        )


def _read_all(descriptor: int, size: int) -> bytes:
    data = os.read(descriptor, size + 1)
    if len(data) == size:
        return data
    parts = [data]  # the file grew or shrank meanwhile, or lies on a file system that hands out pieces
    total = len(data)
    while data and total <= MAX_FILE_BYTES:
        data = os.read(descriptor, READ_BYTES)
        parts.append(data)
        total += len(data)
    if total > MAX_FILE_BYTES:
        raise PictureError(f"files of more than {MAX_FILE_BYTES // 1_000_000} MB are not read")
    return b"".join(parts)


def _flags(header: PictureHeader, reduce: bool) -> int:
    if header.kind == "JPEG":
        scale = 1
        if reduce:
            longer = max(header.width, header.height)
            scale = next((s for s in (8, 4, 2) if longer // s >= FRAME_SIDE), 1)
        return _REDUCED[scale][header.channels == 1] | cv2.IMREAD_IGNORE_ORIENTATION
    if header.alpha:
        return cv2.IMREAD_UNCHANGED
    return _AS_STORED | cv2.IMREAD_IGNORE_ORIENTATION


def _to_8_bits(pixels: NDArray[Any]) -> Image:
    if pixels.dtype == np.uint8:
        return np.asarray(pixels, np.uint8)
    if pixels.dtype.kind == "u":
        # A 10 or 12 bit camera's picture in 16 bits uses the low ones only; the alpha channel always uses all.
        alpha = pixels.ndim == 3 and pixels.shape[2] in (2, 4)
        peak = int((pixels[..., :-1] if alpha else pixels).max())
        bits = max(8, peak.bit_length())
        frame = np.empty(pixels.shape, np.uint8)
        for rows in _strips(pixels):
            scaled = cv2.convertScaleAbs(pixels[rows], alpha=255 / ((1 << bits) - 1))
            frame[rows] = scaled.reshape(frame[rows].shape)
            if alpha:
                opacity = np.ascontiguousarray(pixels[rows][..., -1])
                frame[rows][..., -1] = cv2.convertScaleAbs(opacity, alpha=255 / np.iinfo(pixels.dtype).max)
        return frame
    return _from_float(pixels)


def _from_float(pixels: NDArray[Any]) -> Image:
    low, high = np.inf, -np.inf
    for rows in _strips(pixels):
        values = _finite(pixels[rows])
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    if low >= 0 and high <= MAX_UNIT_PEAK:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    scale = 255 / (high - low) if high > low else 0.0
    frame = np.empty(pixels.shape, np.uint8)
    for rows in _strips(pixels):
        frame[rows] = np.clip((_finite(pixels[rows]).astype(np.float64) - low) * scale + 0.5, 0, 255)
    return frame


def _finite(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """float32, with 0 for what is no number."""
    with np.errstate(over="ignore"):
        return np.nan_to_num(pixels.astype(np.float32), copy=False, nan=0.0, posinf=0.0, neginf=0.0)


def _strips(pixels: NDArray[Any]) -> Iterator[slice]:
    """Rows to work on at a time, so that what is computed on the way stays small beside the picture."""
    height, width = pixels.shape[:2]
    step = max(1, STRIP_PIXELS // width)
    return (slice(top, top + step) for top in range(0, height, step))


def _opaque(pixels: Image) -> Image:
    """The picture without its alpha channel, laid over the background on which its ink shows."""
    if pixels.ndim == 2:
        return pixels
    channels = pixels.shape[2]
    if channels == 3:
        return pixels
    if channels == 1:
        return np.ascontiguousarray(pixels[:, :, 0])
    if channels not in (2, 4):
        raise PictureError(UNDECODABLE)
    if int(pixels[..., -1].min()) == OPAQUE:
        return np.ascontiguousarray(pixels[..., 0] if channels == 2 else pixels[..., :-1])
    background = _background(pixels)
    frame = np.empty(pixels.shape[:2] if channels == 2 else (*pixels.shape[:2], channels - 1), np.uint8)
    for rows in _strips(pixels):
        colour, alpha = _parted(pixels[rows])
        weight = alpha if colour.ndim == 2 else cv2.cvtColor(alpha, cv2.COLOR_GRAY2BGR)
        # OpenCV's own scaled product is cut off on ARM, not rounded.
        over = cv2.convertScaleAbs(cv2.multiply(colour, weight, dtype=cv2.CV_16U), alpha=1 / 255)
        frame[rows] = cv2.add(over, cv2.bitwise_not(weight)) if background else over
    return frame


def _parted(pixels: Image) -> tuple[Image, Image]:
    """Colour (or grey) and alpha."""
    colour = pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :-1]
    return np.ascontiguousarray(colour), np.ascontiguousarray(pixels[..., -1])


def _background(pixels: Image) -> int:
    """255 or 0, for white or black behind a partly transparent picture.

    Ink alone, of one colour or on little of the picture, goes on its opposite. Ink on paper with transparent margins
    goes on what resembles the paper.
    """
    weights, faint = np.zeros(256), np.zeros(256)  # pixels of each grey level, those well opaque and those at all
    for rows in _strips(pixels):
        colour, alpha = _parted(pixels[rows])
        grey = colour if colour.ndim == 2 else cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY)
        for levels_found, least in ((weights, 128), (faint, 1)):
            levels_found += cv2.calcHist([grey], [0], (alpha >= least).astype(np.uint8), [256], [0, 256]).ravel()
    if not weights.any():
        weights = faint
    opaque = float(weights.sum())
    if opaque == 0:
        return OPAQUE
    levels = np.arange(256)
    mean = float(weights @ levels) / opaque
    spread = float(np.sqrt(weights @ (levels - mean) ** 2 / opaque))
    if opaque < SPARSE_ALPHA * pixels.shape[0] * pixels.shape[1] or spread < PLAIN_SPREAD:
        return OPAQUE if mean < 128 else 0
    paper = int(np.searchsorted(np.cumsum(weights), opaque / 2))
    return OPAQUE if paper >= 128 else 0


def _turned(frame: Image, orientation: int) -> Image:
    """The frame upright; `orientation` is where its first row and column lie, as EXIF 2.3 numbers it."""
    if orientation >= 5:
        frame = np.asarray(cv2.transpose(frame), np.uint8)
    if orientation in (2, 3, 6, 7):
        frame = np.asarray(cv2.flip(frame, 1), np.uint8)
    if orientation in (3, 4, 7, 8):
        frame = np.asarray(cv2.flip(frame, 0), np.uint8)
    return frame

"""Read the header of a picture file: its kind, its size, whether it is all there, which way is up.

A decoder first allocates what the header asks for and some return half a picture for half a file, so both are judged
here, from the bytes, before OpenCV sees them.
"""

import re
import struct
from collections.abc import Callable
from typing import NamedTuple

MAX_PIXELS = 100_000_000  # a picture with more is refused before it is decoded

UPRIGHT = 1  # EXIF orientation of a picture stored the way it is looked at
EXIF_ORIENTATION = 0x0112  # tag of the orientation, TIFF 6.0 and EXIF 2.3
MAX_DIRECTORY_ENTRIES = 4096  # a damaged file may claim 65,535 tags
# The major brands of pictures in ISO/IEC 23008-12 and of AVIF, phones' among them.
HEIF_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1")
HEADER_BYTES = 4096  # text headers (PNM, PFM, Radiance) end well before


class PictureHeader(NamedTuple):
    """What a picture's header says.

    `width`, `height`: pixels as stored, before `orientation` (1 to 8, as EXIF counts) is applied. `channels`: 1 where
    the picture is known to be grey, else 0. `alpha`: transparency is stored. `complete`: False where the file ends
    before its picture does.
    """

    kind: str
    width: int
    height: int
    channels: int = 0
    alpha: bool = False
    orientation: int = UPRIGHT
    complete: bool = True


def read_header(data: bytes) -> PictureHeader | None:
    """The header of the picture in `data`; None for bytes that are no picture of a known kind."""
    for magic, reader in _READERS:
        if data.startswith(magic):
            try:
                header = reader(data)
            except (struct.error, IndexError, ValueError):
                return None
            return header if header is not None and header.width > 0 and header.height > 0 else None
    if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS:
        return PictureHeader("AVIF" if data[8:11] == b"avi" else "HEIF", 1, 1)
    return None


# PNG (third edition, section 5): chunks of length, type, data and CRC, from IHDR to IEND.


def _png(data: bytes) -> PictureHeader | None:
    if data[12:16] != b"IHDR":
        return None
    width, height, _, colour_type = struct.unpack_from(">IIBB", data, 16)
    alpha, orientation, complete = colour_type in (4, 6), UPRIGHT, False
    position, size = 8, len(data)
    while position + 12 <= size:
        length = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        if kind == b"IEND":
            complete = True
            break
        if kind == b"tRNS":
            alpha = True
        elif kind == b"eXIf":
            orientation = _exif_orientation(data[position + 8 : position + 8 + length])
        position += 12 + length
    return PictureHeader("PNG", width, height, int(colour_type == 0), alpha, orientation, complete)


# JPEG (ITU-T T.81, annex B): marker segments; in the entropy-coded data after SOS, 0xFF is stuffed or a restart marker.

# Of the 0xFF that may pad a marker the last alone is asked for: a search for a fixed byte is over ten times as fast.
_NEXT_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
_SOI, _EOI, _SOS, _APP1, _TEM = 0xD8, 0xD9, 0xDA, 0xE1, 0x01
_END = bytes((0xFF, _EOI))
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # frame headers; C4, C8 and CC are tables


def _jpeg(data: bytes) -> PictureHeader | None:
    width = height = channels = 0
    orientation, complete = UPRIGHT, False
    position = 2
    while (found := _NEXT_MARKER.search(data, position)) is not None:
        marker, position = found[1][0], found.end()
        if marker == _EOI:
            complete = True
            break
        if marker in (_SOI, _TEM):
            continue
        if marker == _SOS:
            # Nothing but the end itself is written so in what follows, and a whole file has it in its last bytes.
            complete = data.rfind(_END, position) >= 0
            break
        if position + 2 > len(data):
            break
        length = int.from_bytes(data[position : position + 2], "big")
        if marker in _SOF:
            _, rows, columns, components = struct.unpack_from(">BHHB", data, position + 2)
            width, height, channels = max(width, columns), max(height, rows), int(components == 1)
        elif marker == _APP1 and orientation == UPRIGHT and data[position + 2 : position + 8] == b"Exif\0\0":
            orientation = _exif_orientation(data[position + 8 : position + length])
        position += max(length, 2)
    return PictureHeader("JPEG", width, height, channels, False, orientation, complete)


# BMP: a file header of 14 bytes, then one whose size tells its version; from the third on it has a mask for alpha.

_BMP_MASKED = 3  # compression "bit fields"
_BMP_ALPHA_AT, _BMP_ALPHA_HEADER = 66, 56  # where the mask is, and the smallest header that has it
_BMP_ALPHA_BYTE = 0xFF000000  # the mask of alpha in the fourth byte of each pixel


def _bmp(data: bytes) -> PictureHeader | None:
    file_size, pixels, header_size = struct.unpack_from("<I4xII", data, 2)
    if header_size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    height = abs(height)
    needed = pixels + (width * bits + 31) // 32 * 4 * height if compression == 0 else file_size
    alpha = False
    if compression == _BMP_MASKED and bits == 32 and header_size >= _BMP_ALPHA_HEADER:
        masked = struct.unpack_from("<I", data, _BMP_ALPHA_AT)[0] == _BMP_ALPHA_BYTE
        alpha = masked and any(data[pixels + 3 :: 4])  # some programs announce it and leave it 0
    return PictureHeader("BMP", width, height, alpha=alpha, complete=len(data) >= needed)


# WebP (RFC 9649): a RIFF file; VP8X announces alpha, EXIF and the canvas, VP8 and VP8L hold a picture.


def _webp(data: bytes) -> PictureHeader | None:
    if data[8:12] != b"WEBP":
        return None
    end = 8 + int(struct.unpack_from("<I", data, 4)[0])
    width = height = 0
    alpha, orientation = False, UPRIGHT
    position = 12
    while position + 8 <= min(end, len(data)):
        kind, length = data[position : position + 4], int(struct.unpack_from("<I", data, position + 4)[0])
        body = position + 8
        if kind == b"VP8X":
            alpha |= bool(data[body] & 0x10)
            width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (body + 4, body + 7))
        elif kind == b"VP8L":
            bits = int(struct.unpack_from("<I", data, body + 1)[0])
            width, height = max(width, 1 + (bits & 0x3FFF)), max(height, 1 + (bits >> 14 & 0x3FFF))
            alpha |= bool(bits >> 28 & 1)
        elif kind == b"VP8 ":
            columns, rows = struct.unpack_from("<HH", data, body + 6)
            width, height = max(width, columns & 0x3FFF), max(height, rows & 0x3FFF)
        elif kind == b"EXIF":
            exif = data[body : body + length]
            orientation = _exif_orientation(exif[6:] if exif.startswith(b"Exif\0\0") else exif)
        position = body + length + (length & 1)
    return PictureHeader("WebP", width, height, alpha=alpha, orientation=orientation, complete=len(data) >= end)


# TIFF 6.0, section 2, and BigTIFF: an image file directory of tagged values.

_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_PHOTOMETRIC, _TIFF_SAMPLES, _TIFF_EXTRA_SAMPLES = 256, 257, 262, 277, 338
_TIFF_RGB = 2
_TIFF_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # field type: its struct code


def _tiff(data: bytes) -> PictureHeader | None:
    tags = _first_directory(data)
    extra = tags.get(_TIFF_EXTRA_SAMPLES, 0)
    # A fourth sample beside RGB that nobody explains is alpha: libtiff takes it so.
    unexplained = extra == 0 and tags.get(_TIFF_PHOTOMETRIC) == _TIFF_RGB and tags.get(_TIFF_SAMPLES) == 4
    # OpenCV turns a TIFF upright itself, so the orientation is not passed on.
    return PictureHeader(
        "TIFF", tags.get(_TIFF_WIDTH, 0), tags.get(_TIFF_HEIGHT, 0), alpha=extra in (1, 2) or unexplained
    )


def _first_directory(data: bytes) -> dict[int, int]:
    """First integer of each tag in the first directory of a TIFF structure."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return {}
    if struct.unpack_from(order + "H", data, 2)[0] == 43:
        start = struct.unpack_from(order + "Q", data, 8)[0]
        count = struct.unpack_from(order + "Q", data, start)[0]
        first, entry_size, value_at, value_size = start + 8, 20, 12, 8
    else:
        start = struct.unpack_from(order + "I", data, 4)[0]
        count = struct.unpack_from(order + "H", data, start)[0]
        first, entry_size, value_at, value_size = start + 2, 12, 8, 4
    tags = {}
    for index in range(min(count, MAX_DIRECTORY_ENTRIES)):
        entry = first + index * entry_size
        if entry + entry_size > len(data):
            break
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        code = _TIFF_INTEGERS.get(kind)
        if code is not None and struct.calcsize(code) <= value_size:
            tags[tag] = int(struct.unpack_from(order + code, data, entry + value_at)[0])
    return tags


def _exif_orientation(exif: bytes) -> int:
    """EXIF orientation, 1 to 8; 1 where the block does not say or is damaged."""
    try:
        orientation = _first_directory(exif).get(EXIF_ORIENTATION, UPRIGHT)
    except struct.error:
        return UPRIGHT
    return orientation if 1 <= orientation <= 8 else UPRIGHT


def _gif(data: bytes) -> PictureHeader | None:
    width, height = struct.unpack_from("<HH", data, 6)
    return PictureHeader("GIF", width, height)


def _sun_raster(data: bytes) -> PictureHeader | None:
    width, height = struct.unpack_from(">II", data, 4)
    return PictureHeader("Sun raster", width, height)


# JPEG 2000 (ITU-T T.800): the code stream's SIZ segment has the size, wherever a JP2 file holds it.

_SIZ = b"\xff\x4f\xff\x51"


def _jpeg2000(data: bytes) -> PictureHeader | None:
    position = data.find(_SIZ)
    if position < 0:
        return None
    right, bottom, left, top = struct.unpack_from(">IIII", data, position + 8)
    return PictureHeader("JPEG 2000", right - left, bottom - top)


_GAP = rb"(?:\s|#[^\n]*\n)+"
_PNM_SIZE = re.compile(rb"P[1-6fF]" + _GAP + rb"(\d{1,10})" + _GAP + rb"(\d{1,10})\s")
_PAM_WIDTH, _PAM_HEIGHT = re.compile(rb"\nWIDTH\s+(\d{1,10})\s"), re.compile(rb"\nHEIGHT\s+(\d{1,10})\s")
_PAM_DEPTH = re.compile(rb"\nDEPTH\s+(\d{1,10})\s")
_RADIANCE_SIZE = re.compile(rb"\n\n[-+]Y (\d{1,10}) [-+]X (\d{1,10})\n")


def _pnm(data: bytes) -> PictureHeader | None:
    found = _PNM_SIZE.match(data, 0, HEADER_BYTES)
    return None if found is None else PictureHeader("PNM", int(found[1]), int(found[2]))


def _pam(data: bytes) -> PictureHeader | None:
    head = data[:HEADER_BYTES]
    width, height, depth = (pattern.search(head) for pattern in (_PAM_WIDTH, _PAM_HEIGHT, _PAM_DEPTH))
    if width is None or height is None or depth is None:
        return None
    return PictureHeader("PNM", int(width[1]), int(height[1]), alpha=int(depth[1]) in (2, 4))


def _radiance(data: bytes) -> PictureHeader | None:
    found = _RADIANCE_SIZE.search(data, 0, HEADER_BYTES)
    return None if found is None else PictureHeader("Radiance HDR", int(found[2]), int(found[1]))


_READERS: tuple[tuple[bytes, Callable[[bytes], PictureHeader | None]], ...] = (
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"\xff\xd8\xff", _jpeg),
    (b"BM", _bmp),
    (b"RIFF", _webp),
    (b"II*\0", _tiff),
    (b"MM\0*", _tiff),
    (b"II+\0", _tiff),
    (b"MM\0+", _tiff),
    (b"GIF8", _gif),
    (b"\0\0\0\x0cjP  ", _jpeg2000),
    (_SIZ, _jpeg2000),
    (b"P7\n", _pam),
    *((b"P%c" % kind, _pnm) for kind in b"123456fF"),
    (b"#?RADIANCE", _radiance),
    (b"#?RGBE", _radiance),
    (b"\x59\xa6\x6a\x95", _sun_raster),
)

"""Any picture becomes an upright 8-bit frame, and anything else a PictureError, quickly."""

import os
import socket
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.decode import MAX_FILE_BYTES, decode, decode_bytes
from edge.errors import PictureError
from edge.picture_header import MAX_PIXELS, read_header
from tests.edge.helpers import ROOT, digit

SECONDS = 5  # for any hostile file, on a busy machine


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(rows: list[bytes], width: int, depth: int, colour_type: int, *extra: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour_type, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", body), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def exif(orientation: int, order: str = "<") -> bytes:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def encoded(suffix: str, picture: np.ndarray, *parameters: int) -> bytes:
    done, data = cv2.imencode(suffix, picture, parameters)
    assert done
    return data.tobytes()


def colour_picture(height: int = 120, width: int = 160) -> np.ndarray:
    ramp = np.linspace(40, 220, width, dtype=np.uint8)
    picture = np.stack(
        [np.tile(ramp, (height, 1)), np.full((height, width), 90, np.uint8), digit("5", 200)[:height, :width]], -1
    )
    return np.ascontiguousarray(picture)


JPEG_2000 = encoded(".jp2", colour_picture())
FORMATS = {
    "png": encoded(".png", colour_picture()),
    "png grey": encoded(".png", digit()),
    "jpeg": encoded(".jpg", colour_picture()),
    "jpeg progressive": encoded(".jpg", colour_picture(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "jpeg restarts": encoded(".jpg", colour_picture(), cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    "bmp": encoded(".bmp", colour_picture()),
    "webp": encoded(".webp", colour_picture(), cv2.IMWRITE_WEBP_QUALITY, 80),
    "webp lossless": encoded(".webp", colour_picture(), cv2.IMWRITE_WEBP_QUALITY, 101),
    "tiff": encoded(".tiff", colour_picture()),
    "ppm": encoded(".ppm", colour_picture()),
    "pgm": encoded(".pgm", digit()),
    "pam": encoded(".pam", colour_picture()),
    "sun raster": encoded(".ras", colour_picture()),
    "hdr": encoded(".hdr", colour_picture().astype(np.float32) / 255),
    "pfm": encoded(".pfm", colour_picture().astype(np.float32) / 255),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_becomes_the_picture_it_holds(name: str) -> None:
    frame = decode_bytes(FORMATS[name])
    expected = digit() if name in ("png grey", "pgm") else colour_picture()
    assert frame.dtype == np.uint8
    assert frame.shape == expected.shape
    assert np.abs(frame.astype(int) - expected).mean() < (6 if "jp" in name or name == "webp" else 3)


@pytest.mark.parametrize("name", FORMATS)
def test_the_header_is_read_as_the_decoder_reads_it(name: str) -> None:
    header = read_header(FORMATS[name])
    assert header is not None
    assert (header.height, header.width) == decode_bytes(FORMATS[name]).shape[:2]


@pytest.mark.parametrize("part", [0.05, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("name", FORMATS)
def test_half_a_file_is_not_half_a_picture(name: str, part: float) -> None:
    data = FORMATS[name]
    with pytest.raises(PictureError):
        decode_bytes(data[: int(len(data) * part)])


@pytest.mark.parametrize("name", ["jpeg", "jpeg progressive", "jpeg restarts"])
def test_a_jpeg_without_its_end_is_cut_short(name: str) -> None:
    with pytest.raises(PictureError, match="cut short"):
        decode_bytes(FORMATS[name][:-2])
    with pytest.raises(PictureError, match="cut short"):
        decode_bytes(FORMATS[name][:-2] + b"\0" * 1000)


def with_segment(jpeg: bytes, marker: int, body: bytes) -> bytes:
    return jpeg[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_picture() -> None:
    thumbnail = encoded(".jpg", digit(size=32))
    data = with_segment(FORMATS["jpeg"], 0xE1, b"Exif\0\0" + exif(1) + thumbnail)
    assert decode_bytes(data).shape == (120, 160, 3)
    with pytest.raises(PictureError, match="cut short"):
        decode_bytes(data[: len(data) * 2 // 3])


def test_bytes_after_a_jpegs_end_do_not_matter() -> None:
    for trailer in (b"\0" * 100, b"\r\n", FORMATS["jpeg"][:500], os.urandom(3000)):
        assert decode_bytes(FORMATS["jpeg"] + trailer).shape == (120, 160, 3)


def upright(stored: np.ndarray, orientation: int) -> np.ndarray:
    """What a picture stored so looks like, by EXIF's definition: where its row 0 and column 0 belong."""
    return {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.swapaxes(0, 1),
        6: np.rot90(stored, -1),
        7: np.rot90(stored, 2).swapaxes(0, 1),
        8: np.rot90(stored),
    }[orientation]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_a_jpeg_upright(orientation: int, order: str) -> None:
    data = with_segment(FORMATS["jpeg"], 0xE1, b"Exif\0\0" + exif(orientation, order))
    assert (decode_bytes(data) == upright(decode_bytes(FORMATS["jpeg"]), orientation)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("alpha", [False, True])
def test_exif_turns_a_png_upright(orientation: int, alpha: bool) -> None:
    picture = colour_picture()
    if alpha:
        mask = np.full(picture.shape[:2], 255, np.uint8)
        picture = np.dstack([picture, mask])
    data = encoded(".png", picture)
    turned = data[:33] + chunk(b"eXIf", exif(orientation)) + data[33:]
    assert (decode_bytes(turned) == upright(colour_picture(), orientation)).all()


@pytest.mark.parametrize("orientation", [3, 6])
def test_exif_turns_a_webp_upright(orientation: int) -> None:
    data = FORMATS["webp lossless"]
    height, width = 120, 160
    body = (
        b"VP8X"
        + struct.pack("<IB3x", 10, 0x08)
        + (width - 1).to_bytes(3, "little")
        + (height - 1).to_bytes(3, "little")
    )
    block = exif(orientation)
    body += data[12:] + b"EXIF" + struct.pack("<I", len(block)) + block
    turned = b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
    assert (decode_bytes(turned) == upright(colour_picture(), orientation)).all()


def test_damaged_exif_leaves_the_picture_as_it_is() -> None:
    for block in (b"", b"II*\0", exif(9), exif(0), b"II*\0\xff\xff\xff\xff", os.urandom(40)):
        data = with_segment(FORMATS["jpeg"], 0xE1, b"Exif\0\0" + block)
        assert decode_bytes(data).shape == (120, 160, 3)


@pytest.mark.parametrize("size", [(3000, 4000), (1280, 960), (1279, 900), (640, 480), (5200, 700), (12000, 20)])
@pytest.mark.parametrize("grey", [False, True])
def test_large_jpegs_are_decoded_reduced_but_never_below_640(size: tuple[int, int], grey: bool) -> None:
    picture = np.full(size if grey else (*size, 3), 200, np.uint8)
    data = encoded(".jpg", picture)
    frame = decode_bytes(data)
    longer = max(frame.shape[:2])
    assert longer == max(size) or longer >= 640
    assert longer < 1280 or longer * 8 <= max(size) + 8
    assert frame.ndim == (2 if grey else 3)
    assert decode_bytes(data, reduce=False).shape[:2] == size


def ink_on_transparency(ink: int) -> np.ndarray:
    """uint8 (200, 200, 4): a digit in one colour, nothing else."""
    alpha = 255 - digit(ink=0, paper=255)
    return np.dstack([np.full((200, 200, 3), ink, np.uint8), alpha])


@pytest.mark.parametrize(("ink", "paper"), [(0, 255), (255, 0), (40, 255), (220, 0)])
def test_transparency_becomes_the_background_on_which_the_ink_shows(ink: int, paper: int) -> None:
    frame = decode_bytes(encoded(".png", ink_on_transparency(ink)))
    assert frame.shape == (200, 200, 3)
    assert (frame[0, 0] == paper).all()
    shown = ink_on_transparency(ink)[..., 3] == 255
    assert np.abs(frame[shown].astype(int) - ink).max() <= 2


def test_bold_ink_on_transparency_gets_the_other_background() -> None:
    picture = np.dstack([np.zeros((100, 100, 3), np.uint8), np.zeros((100, 100), np.uint8)])
    picture[10:90, 10:90, 3] = 255  # most of the picture is ink
    assert (decode_bytes(encoded(".png", picture))[0, 0] == 255).all()


def test_transparent_corners_of_a_page_look_like_paper() -> None:
    page = np.dstack([cv2.cvtColor(digit(), cv2.COLOR_GRAY2BGR), np.full((200, 200), 255, np.uint8)])
    cv2.rectangle(page, (0, 0), (15, 15), (0, 0, 0, 0), -1)
    assert (decode_bytes(encoded(".png", page))[0, 0] == 255).all()


def test_a_wholly_transparent_picture_is_empty_paper() -> None:
    assert (decode_bytes(encoded(".png", np.zeros((50, 50, 4), np.uint8))) == 255).all()


def test_16_bit_alpha_is_composed_too() -> None:
    picture = ink_on_transparency(0).astype(np.uint16) * 257
    frame = decode_bytes(encoded(".png", picture))
    assert frame.dtype == np.uint8
    assert (frame[0, 0] == 255).all()
    assert frame.min() == 0


def test_grey_with_alpha() -> None:
    rows = [b"".join(bytes([0, a]) for a in row) for row in ink_on_transparency(0)[..., 3]]
    frame = decode_bytes(png(rows, 200, 8, 4))
    grey = frame if frame.ndim == 2 else frame[..., 0]
    assert grey[0, 0] == 255
    assert grey.min() == 0


def test_palette_with_transparency() -> None:
    rows = [bytes(int(a > 127) for a in row) for row in ink_on_transparency(0)[..., 3]]
    palette, transparency = chunk(b"PLTE", b"\0\0\0\0\0\0"), chunk(b"tRNS", b"\0\xff")
    frame = decode_bytes(png(rows, 200, 8, 3, palette, transparency))
    assert frame.shape == (200, 200, 3)
    assert (frame[0, 0] == 255).all()
    assert frame.min() == 0


def bmp_with_alpha(pixels: np.ndarray, header_size: int) -> bytes:
    height, width = pixels.shape[:2]
    body = pixels[::-1].tobytes()
    header = struct.pack("<IiiHHIIiiII", header_size, width, height, 1, 32, 3, len(body), 0, 0, 0, 0)
    header += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    start = 14 + header_size
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header.ljust(header_size, b"\0") + body


@pytest.mark.parametrize("header_size", [56, 108, 124])
def test_bmp_with_alpha(header_size: int) -> None:
    frame = decode_bytes(bmp_with_alpha(ink_on_transparency(0), header_size))
    assert np.array_equal(frame, decode_bytes(encoded(".png", ink_on_transparency(0))))


def test_bmp_whose_alpha_was_left_zero_is_opaque() -> None:
    picture = np.dstack([colour_picture(), np.zeros((120, 160), np.uint8)])
    assert np.array_equal(decode_bytes(bmp_with_alpha(picture, 124)), colour_picture())


def test_a_tiffs_fourth_sample_is_alpha_though_it_does_not_say_so() -> None:
    data = encoded(".tiff", ink_on_transparency(0), cv2.IMWRITE_TIFF_COMPRESSION, 1)
    assert struct.pack("<HHI", 338, 3, 1) not in data, "no ExtraSamples"
    assert np.array_equal(decode_bytes(data), decode_bytes(encoded(".png", ink_on_transparency(0))))


def test_one_bit_pictures_are_black_and_white() -> None:
    bits = (digit() > 128).astype(np.uint8)
    rows = [np.packbits(row).tobytes() for row in bits]
    frame = decode_bytes(png(rows, 200, 1, 0))
    assert (frame == bits * 255).all()


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_deep_pixels_are_scaled_to_8_bits_whatever_part_they_use(bits: int, suffix: str) -> None:
    deep = (digit().astype(np.float64) / 230 * (2**bits - 1)).astype(np.uint16)
    frame = decode_bytes(encoded(suffix, deep))
    assert np.abs(frame.astype(float) - digit().astype(float) / 230 * 255).max() <= 2


@pytest.mark.parametrize(("scale", "shift"), [(1 / 255, 0.0), (1.0, 0.0), (1000.0, -3000.0)])
def test_float_pixels_are_scaled_to_8_bits(scale: float, shift: float) -> None:
    values = digit().astype(np.float32) * np.float32(scale) + np.float32(shift)
    frame = decode_bytes(encoded(".tiff", values))
    assert frame.dtype == np.uint8
    assert int(frame[0, 0]) - int(frame.min()) >= 190


@pytest.mark.parametrize("peak", [1.0166, 4.0, 15.0])
def test_float_pixels_a_little_above_white_are_clipped(peak: float) -> None:
    values = digit("3").astype(np.float32) / 255
    values[:3, :3] = peak  # overshoot of a resampling, or a highlight
    frame = decode_bytes(encoded(".tiff", values))
    assert frame[0, 0] == 255
    assert np.abs(frame.astype(int) - digit("3"))[3:].max() <= 1


@pytest.mark.parametrize(("name", "limit"), [("hdr", 180), ("png", 130)])
def test_a_large_deep_picture_takes_little_more_than_its_pixels(name: str, limit: int, tmp_path: Path) -> None:
    page = cv2.resize(colour_picture(), (2400, 2400))  # decoded: 69 MB of float32, or 46 MB of 16-bit BGRA
    if name == "png":
        deep = np.dstack([page, np.full(page.shape[:2], 200, np.uint8)]).astype(np.uint16) * 257
    else:
        deep = page.astype(np.float32) / 255
    assert cv2.imwrite(str(tmp_path / f"page.{name}"), deep)
    peak = "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss"
    program = (
        f"import resource, sys, edge.decode; before = {peak}; "
        f"edge.decode.decode(sys.argv[1]); print(({peak} - before) // 1024)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / f"page.{name}")]
    taken = int(subprocess.check_output(command, cwd=ROOT))
    assert taken < limit, f"{taken} MB"


def test_float_pixels_that_are_no_numbers_do_not_spoil_the_rest() -> None:
    values = digit().astype(np.float32) / 255
    values[:3, 0] = np.nan, np.inf, -np.inf
    frame = decode_bytes(encoded(".tiff", values))
    assert np.abs(frame[10:].astype(int) - digit()[10:]).max() <= 1


HUGE = {
    "png": png([b"\0"], 1, 8, 0).replace(
        chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)),
        chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)),
    ),
    "jpeg": FORMATS["jpeg"].replace(struct.pack(">HH", 120, 160), struct.pack(">HH", 50_000, 50_000)),
    "bmp": FORMATS["bmp"][:18] + struct.pack("<ii", 50_000, -50_000) + FORMATS["bmp"][26:],
    "webp": b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I4x", 10) + b"\x4f\xc3\0" * 2,
    "ppm": b"P6\n# made up\n50000 50000\n255\n" + b"\0" * 1000,
    "pfm": b"Pf\n50000 50000\n-1.0\n" + b"\0" * 1000,
    "pam": b"P7\nWIDTH 50000\nHEIGHT 50000\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n" + b"\0" * 1000,
    "hdr": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 50000 +X 50000\n" + b"\0" * 1000,
    "sun raster": struct.pack(">8I", 0x59A66A95, 50_000, 50_000, 24, 0, 1, 0, 0) + b"\0" * 1000,
    "gif": b"GIF89a" + struct.pack("<HH", 50_000, 50_000) + b"\0" * 100,
    "tiff": b"II*\0" + struct.pack("<IHHHIIHHIII", 8, 2, 256, 4, 1, 50_000, 257, 4, 1, 50_000, 0),
    "jp2": JPEG_2000.replace(struct.pack(">II", 160, 120), struct.pack(">II", 50_000, 50_000)),
}


@pytest.mark.parametrize("name", HUGE)
def test_a_huge_header_is_refused_before_decoding(name: str) -> None:
    assert len(HUGE[name]) < 200_000
    start = time.perf_counter()
    with pytest.raises(PictureError, match="50000x50000 pixels; more than 100 megapixels"):
        decode_bytes(HUGE[name])
    assert time.perf_counter() - start < 0.1


def test_the_limit_itself_is_allowed() -> None:
    side = int(MAX_PIXELS**0.5)
    data = png([bytes(side // 8)] * side, side, 1, 0)
    assert decode_bytes(data).shape == (side, side)


def test_a_large_file_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(PictureError, match="more than 64 MB"):
        decode(path)


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    pipe, link, plug = tmp_path / "pipe.png", tmp_path / "link.png", tmp_path / "socket.png"
    os.mkfifo(pipe)
    link.symlink_to(link)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(plug))
        cases = {
            pipe: "a named pipe",
            link: "a loop of symbolic links",
            plug: "a socket",
            tmp_path: "a folder",
            Path("/dev/null"): "a device",
            Path("/dev/zero"): "a device",
            tmp_path / "missing.png": "no such file",
            tmp_path / "a.png" / "b.png": "no such file",
            tmp_path / ("x" * 300): "the path is too long",
        }
        for path, reason in cases.items():
            start = time.perf_counter()
            with pytest.raises(PictureError, match=reason):
                decode(path)
            assert time.perf_counter() - start < 1
    with pytest.raises(PictureError, match="no such file"):
        decode("a\0b.png")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"only text", "not a picture"),
        (b"\x89PNG\r\n\x1a\n", "not a picture"),
        (b"\xff\xd8\xff", "not a picture"),
        (b"BM", "not a picture"),
        (b"RIFF\0\0\0\0WAVE", "not a picture"),
        (b"GIF89a" + struct.pack("<HH", 9, 9) + b"\0" * 20, "GIF pictures are not decoded"),
        (b"\0\0\0\x1cftypavif" + b"\0" * 40, "AVIF pictures are not decoded"),
        (JPEG_2000, "JPEG 2000 pictures are not read"),
        (b"%PDF-1.4", "not a picture"),
    ],
)
def test_what_is_no_picture_is_said_so(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(data)
    with pytest.raises(PictureError, match=reason):
        decode(path)


def check(data: bytes) -> None:
    start = time.perf_counter()
    try:
        frame = decode_bytes(data)
    except PictureError as error:
        assert "\n" not in str(error)
    else:
        assert frame.dtype == np.uint8
        assert frame.ndim == 2 or frame.shape[2:] == (3,)
        assert frame.size > 0
    assert time.perf_counter() - start < SECONDS


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(list(FORMATS)),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    in_header=st.booleans(),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
    tail=st.binary(max_size=20),
)
def test_mutated_files_are_frames_or_errors(
    name: str, changes: list[tuple[float, int]], in_header: bool, kept: float, tail: bytes
) -> None:
    data = bytearray(FORMATS[name])
    reach = min(len(data), 120) if in_header else len(data)
    for where, value in changes:
        data[int(where * reach)] = value
    check(bytes(data[: int(len(data) * kept)]) + tail)


@settings(max_examples=300, deadline=None)
@given(start=st.sampled_from([data[:12] for data in FORMATS.values()]), rest=st.binary(max_size=300))
def test_noise_behind_a_magic_number_is_an_error(start: bytes, rest: bytes) -> None:
    check(start + rest)

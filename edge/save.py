"""Keep pictures in a folder: whole files or none, and never over a file that is not this program's own."""

import contextlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import PictureError, UsageError
from edge.source import Found

Image = NDArray[np.uint8]

JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
JPEG_QUALITY = 90  # per cent
LONGEST_NAME = 200  # bytes: file systems take 255, and something is added
SIGNATURE = b"made by edge-digits"
SIGNATURE_BYTES = 100  # of a file, within which the signature lies


class Folder:
    """A folder that pictures are written to. It is made where it is missing."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises UsageError for what is no folder or cannot be written to."""
        if not os.fspath(path):
            raise UsageError("the folder to write pictures to has no name")
        self.path = Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / f".edge-digits-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except FileExistsError:
            raise UsageError(f"{path} is a file; name a folder to write pictures to") from None
        except OSError as error:
            raise UsageError(f"{path}: pictures cannot be written there: {error.strerror or error}") from None
        self._real = os.path.join(os.path.realpath(self.path), "")
        self._used: set[str] = set()
        self._next: dict[str, int] = {}

    def named(self, found: Iterator[Found | None]) -> Iterator[Found | None]:
        """Each with the name of its annotated copy: its own, with a number where another picture is called the same."""
        for item in found:
            yield item if item is None or item.error is not None else item._replace(save_as=self._name(item.path))

    def _name(self, path: str) -> str:
        stem, suffix = os.path.splitext(os.path.basename(path))
        stem = os.fsdecode(os.fsencode(stem)[:LONGEST_NAME])
        suffix = suffix if suffix.lower() in (*JPEG_SUFFIXES, ".png") else ".png"
        name = f"{stem}{suffix}"
        # Memory cards know no difference between a.png and A.PNG.
        key = name.casefold()
        number = self._next.get(key, 1)
        while name.casefold() in self._used or not self._may_write(name):
            number += 1
            name = f"{stem}-{number}{suffix}"
        if number > 1:
            self._next[key] = number
        self._used.add(name.casefold())
        return name

    def holds_own(self, path: str) -> bool:
        """Whether this is a picture in the folder that was made here: no new input, though the folder is searched."""
        return os.path.realpath(path).startswith(self._real) and _is_own(path)

    def _may_write(self, name: str) -> bool:
        """Whether there is no such file, or one of an earlier run."""
        path = self.path / name
        return not os.path.lexists(path) or _is_own(path)

    def write_picture(self, name: str, frame: Image) -> None:
        """The frame as PNG or JPEG, by the name's ending. Raises PictureError."""
        self.write(name, encode(frame, os.path.splitext(name)[1].lower() in JPEG_SUFFIXES))

    def write(self, name: str, data: bytes) -> None:
        """A file in the folder, or in one inside it that is made where it is missing. Raises PictureError."""
        path = self.path / name
        whole = path.with_name(f".{zlib.crc32(os.fsencode(path.name)):08x}-{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                whole.write_bytes(data)
                whole.replace(path)
            except OSError:
                with contextlib.suppress(OSError):
                    whole.unlink()
                raise
        except OSError as error:
            raise PictureError(f"{path} cannot be written: {error.strerror or error}") from None


def _is_own(path: str | os.PathLike[str]) -> bool:
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return SIGNATURE in file.read(SIGNATURE_BYTES)
    except (OSError, ValueError):
        return False


def encode(frame: Image, jpeg: bool) -> bytes:
    """The bytes of a picture file, with this program's signature: PNG, or JPEG."""
    if jpeg:
        data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
        # A comment segment after the start of the image (JPEG, ITU-T T.81, B.2.4.5).
        return data[:2] + b"\xff\xfe" + (len(SIGNATURE) + 2).to_bytes(2, "big") + SIGNATURE + data[2:]
    data = cv2.imencode(".png", frame)[1].tobytes()
    # A text chunk after the header, which is 33 bytes long with the file's magic (PNG, section 11.3.3.2).
    chunk = b"tEXtSoftware\0" + SIGNATURE
    return data[:33] + (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") + data[33:]

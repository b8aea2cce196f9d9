"""A person says what a reading should have been: its glyphs go into a folder for each label, to be trained on.

    STATE/corrections/7/IDENTITY-17-03.png      what digit 3 (from 0) of reading 17 looks like, and it is a 7
    STATE/corrections/none/IDENTITY-17-04.png   and this is no digit

`make train DATA=STATE/corrections OUT=my-model` learns from them.
"""

import os
import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.crops import NONE, as_folder
from edge.daemon.web.errors import HttpError
from edge.errors import EdgeDigitsError, PictureError, UsageError
from edge.reading import REFUSED
from edge.save import Folder, encode

FOLDER = "corrections"  # below the state folder
LONGEST_TEXT = 10_000  # characters: no page has more digits
SAFE = re.compile(r"[A-Za-z0-9_-]{1,100}")  # what a database's identity and a sequence are made of

Record = dict[str, Any]


class CorrectionError(EdgeDigitsError):
    """A correction cannot be kept."""


class Corrections:
    """The folder with corrected glyphs. Safe to use from several threads."""

    def __init__(self, state: Path, labels: Sequence[str], none_index: int | None) -> None:
        """labels: of the model. none_index: which of them is none, if one is."""
        self._path = state / FOLDER
        self._labels = [label for index, label in enumerate(labels) if index != none_index]
        self._lock = threading.Lock()

    def labels_of(self, record: Record, field: str | None, text: str) -> list[tuple[int, str | None]]:
        """Place among the record's digits, and right label, None for no digit, of each that the text is about.

        text: lines below one another; `?` for what is no digit. Raises UsageError for what does not fit.
        """
        if len(text) > LONGEST_TEXT:
            raise UsageError(f"the text is longer than {LONGEST_TEXT} characters")
        digits = record["digits"]
        places = list(range(len(digits))) if field is None else _places(record, field)
        lines = [found for line in text.splitlines() if (found := self._parted(line))]
        right = [label for line in lines for label in line]
        if len(right) != len(places):
            what = "this reading" if field is None else f"field '{field}'"
            raise UsageError(f"{what} has {_digits(len(places))}, the text {len(right)}; put ? for what is no digit")
        if len(lines) > 1 and field is None:
            there = [sum(digit["line"] == line for digit in digits) for line in sorted({d["line"] for d in digits})]
            if [len(line) for line in lines] != there:
                raise UsageError(
                    f"the lines of this reading have {', '.join(map(str, there))} digits, yours have others"
                )
        return list(zip(places, right, strict=True))

    def check(self, record: Record, field: str | None, text: str) -> None:
        """Whether a text can stand in a record at all, with more or fewer digits than were read. Raises UsageError."""
        if len(text) > LONGEST_TEXT:
            raise UsageError(f"the text is longer than {LONGEST_TEXT} characters")
        if field is not None and all(said["name"] != field for said in record["fields"]):
            raise UsageError(f"this reading has no field '{field}'")
        for line in text.splitlines():
            self._parted(line)

    def _parted(self, line: str) -> list[str | None]:
        """The labels in a line: characters, or words where the model has labels of several characters."""
        single = all(len(label) == 1 for label in self._labels)
        said = "".join(line.split()) if single else line.split()
        for label in said:
            if label != REFUSED and label not in self._labels:
                raise UsageError(f"'{label}' is none of the labels of this model: {' '.join(self._labels)}")
        return [None if label == REFUSED else label for label in said]

    def keep(self, identity: str, glyphs: NDArray[np.uint8], right: Sequence[tuple[int, str | None]]) -> None:
        """Puts each glyph into the folder of its label, and out of where it was put before; on disk when it returns.

        identity: the record's `id`. glyphs: uint8 (n, 28, 28), of all its digits. Raises CorrectionError.
        """
        if not SAFE.fullmatch(identity):
            raise CorrectionError("this reading's id is no name for a file")
        if any(place >= len(glyphs) for place, _ in right):
            raise HttpError(HTTPStatus.GONE, "the glyphs of this reading are not all kept")
        try:
            with self._lock:
                folder = Folder(self._path)
                changed = {self._path}
                for place, label in right:
                    name = f"{identity}-{place:02d}.png"
                    home = NONE if label is None else as_folder(label)
                    folder.write(os.path.join(home, name), encode(glyphs[place], jpeg=False))
                    _sync(self._path / home / name)
                    changed.add(self._path / home)
                    changed.update(self._taken_from_others(home, name))
                for path in changed:
                    with suppress(FileNotFoundError):
                        _sync(path)
        except (PictureError, UsageError) as error:
            raise CorrectionError(str(error)) from None
        except OSError as error:
            raise CorrectionError(f"{self._path} cannot be written: {error.strerror or error}") from None

    def _taken_from_others(self, home: str, name: str) -> list[Path]:
        """Removes the glyph from other labels' folders; those that changed."""
        changed = []
        for other in list(os.scandir(self._path)):
            if other.name != home and other.is_dir(follow_symlinks=False):
                path = Path(other.path) / name
                with suppress(FileNotFoundError):
                    path.unlink()
                    changed.append(path.parent)
                    with suppress(OSError):  # others are in it
                        path.parent.rmdir()
        return changed


def _places(record: Record, name: str) -> list[int]:
    """Which of the record's digits stand in a field: their middle is in its box, and there are as many as its text."""
    field = next((field for field in record["fields"] if field["name"] == name), None)
    if field is None:
        raise UsageError(f"this reading has no field '{name}'")
    x, y, width, height = field["box"]
    places = []
    for place, digit in enumerate(record["digits"]):
        left, top, w, h = digit["box"]
        if x <= left + w / 2 < x + width and y <= top + h / 2 < y + height:
            places.append(place)
    inside = sum(len(record["digits"][place]["label"] or REFUSED) for place in places)
    if inside != len("".join(field["text"].split())):
        raise UsageError(
            f"{_digits(len(places))} lie in the box of field '{name}', which is not what was read there; "
            "correct the whole reading"
        )
    return places


def _digits(count: int) -> str:
    return "1 digit" if count == 1 else f"{count} digits"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

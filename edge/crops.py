"""Keep the glyphs of a reading as pictures, in a folder for each label: to be corrected by hand and trained on."""

import os
import zlib

from edge.reading import SURE, Digit, Reading
from edge.save import LONGEST_NAME, Folder, encode

UNSURE = "unsure"  # folder of folders: digits with less confidence than SURE
NONE = "none"  # folder of what was refused, and the label of the class that is no digit


def write_crops(folder: Folder, path: str, reading: Reading) -> None:
    """One PNG a digit, 28x28 as the network saw it, ink bright on black, in the folder of its label.

    path: of the picture. A file is called for it, for line and position in it (from 0), and for the glyph itself, so
    the same glyph always has the same name; where a file of that name lies in any of the folders, somebody has sorted
    it there, and it stays. Raises PictureError for what cannot be written.
    """
    stem = os.path.splitext(os.path.basename(path))[0].lstrip(".") or "picture"
    stem = os.fsdecode(os.fsencode(stem)[:LONGEST_NAME])
    known = _folders(folder)
    line, position = -1, 0
    for digit in reading.digits:
        line, position = (line, position + 1) if digit.line == line else (digit.line, 0)
        data = encode(digit.glyph, jpeg=False)
        name = f"{stem}-{line}-{position:02d}-{zlib.crc32(digit.glyph.tobytes()):08x}.png"
        if not any(os.path.lexists(os.path.join(place, name)) for place in known):
            folder.write(os.path.join(_home(digit), name), data)


def _home(digit: Digit) -> str:
    if digit.label is None:
        return NONE
    name = as_folder(digit.label)
    return name if digit.confidence >= SURE else os.path.join(UNSURE, name)


def as_folder(label: str) -> str:
    """The label, where a folder can be called so; else its bytes as a URL has them."""
    if label in (".", "..") or "/" in label or "\0" in label or len(os.fsencode(label)) > LONGEST_NAME:
        return "".join(f"%{byte:02X}" for byte in os.fsencode(label))[:LONGEST_NAME]
    return label


def _folders(folder: Folder) -> list[str]:
    found = []
    for place in (folder.path, folder.path / UNSURE):
        try:
            found += [entry.path for entry in os.scandir(place) if entry.is_dir()]
        except OSError:  # not there yet
            continue
    return found

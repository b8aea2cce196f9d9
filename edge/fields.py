"""Forms: named boxes on a page, each with what may stand in it, kept in a TOML file that people write.

    deskew = "page"
    size = [210, 297]

    [[field]]
    name = "account"
    box = [20, 45, 70, 12]
    pattern = '\\d{7}'
    length = 7

docs/fields.md explains every key.
"""

import difflib
import json
import math
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.decode import Page, page_of
from edge.deskew import find_marks, find_page, mapped_box, straighten
from edge.errors import PictureError, UsageError
from edge.reader import NO_DIGIT
from edge.reading import REFUSED, Box, Digit, Field, Reading

MAX_FORM_BYTES = 1_000_000  # a form file that is larger is something else
BYTE_ORDER_MARK = "\ufeff"  # before a text in UTF-8, as Windows Notepad may save it; TOML knows none
SHAPE_TOLERANCE = 0.06  # between the form's width over height and the picture's, where nothing straightens it

FRAME_PART = 0.7  # of a field's box, both ways: what fills more of it may be its printed frame
WIDEST = 1.5  # of its height: no digit is wider
FRAME_REACH = 0.2  # of a field's height: so near its left or right end its printed frame stands
BIT_WIDTH, BIT_HEIGHT = 0.35, 0.65  # of a field's height; of that and of its digits' height: bits of frame are less
ROW_REACH = 0.6  # of a digit's height: lines of a field whose middles are no farther apart are one
REFUSED_SHIFT = 0.5  # of a digit's height: so far may the middle of what is refused beside it be off
REFUSED_HEIGHT = (0.6, 1.6)  # of a digit's height: its own
REFUSED_WIDTH = 0.3  # of its height: what is thinner is a line
BORDER_REACH = 0.12  # of a cell's width: so far from where it should be may a printed border lie
BORDER_WIDTH = 0.3  # of a cell's width: a wider stroke is written

# Of regular expressions: an escaped character, or a repetition; and what makes part of a pattern optional.
NO_BRACE = re.compile(r"\\N\{[^}]*\}|\\.|\{(\d+(,\d*)?|,\d*)\}", re.DOTALL)
MAY_BE_LEFT_OUT = re.compile(r"[|?*#\[]|\{0|\{,")

DESKEW = {"page": find_page, "marks": find_marks}

A_CHARACTER_REFUSED = "a character was not a digit"

Numbers = tuple[float, ...]
Place = tuple[float, float, float, float]
Boxed = tuple[Digit, NDArray[np.float64]]
"""A digit with its box x, y, width, height on the flat page."""


@dataclass(frozen=True, slots=True)
class FormField:
    """One named box of a form.

    `box`: x, y, width, height in the units of the form. `pattern`: a regular expression that the whole text has to
    match. `length`: how many digits there have to be. `cells`: how many equal cells, one a digit, printed strokes part
    the box into; None where nothing parts it. `skip_marks`: whether points, commas, dashes and slashes between digits
    are left out of the text; else each is a `?`. Raises UsageError for what cannot be.
    """

    name: str
    box: Numbers
    pattern: str | None = None
    length: int | None = None
    cells: int | None = None
    skip_marks: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise UsageError(f"a field's name is {_said(self.name)}; it is a text")
        box = _numbers(self.box, 4)
        if box is None:
            raise self._mistake(f"box is {_said(self.box)}; it is four numbers: [x, y, width, height]")
        object.__setattr__(self, "box", box)
        if min(box[:2]) < 0 or min(box[2:]) <= 0:
            raise self._mistake(f"box is {_said(box)}; x and y are at least 0, width and height are more")
        if self.pattern is not None:
            if not isinstance(self.pattern, str):
                raise self._mistake(f"pattern is {_said(self.pattern)}; it is a text")
            try:
                re.compile(self.pattern)
            except (re.error, OverflowError, RecursionError) as error:
                raise self._mistake(f"pattern '{self.pattern}' is not a regular expression: {error}") from None
            if not self.pattern:
                raise self._mistake("pattern is empty; leave it out where any digits will do")
            if _needs_a_brace(self.pattern):
                how = r"a repetition is {7} or {4,6}, a brace \{"
                raise self._mistake(f"pattern '{self.pattern}' wants a brace in the text; {how}")
        for key, value in (("length", self.length), ("cells", self.cells)):
            if value is not None and (type(value) is not int or value < 1):
                raise self._mistake(f"{key} is {_said(value)}; it is a whole number from 1 on")
        if self.length is not None and self.cells is not None and self.length > self.cells:
            raise self._mistake(f"length is {self.length}, but cells is only {self.cells}")
        if type(self.skip_marks) is not bool:
            raise self._mistake(f"skip_marks is {_said(self.skip_marks)}; it is true or false")

    def judge(self, text: str) -> str | None:
        """Why this text is not valid; None where it is."""
        if not text:
            return NO_DIGIT
        if REFUSED in text:
            return A_CHARACTER_REFUSED
        found = len(text.replace("\n", ""))
        if self.cells is not None and found > self.cells:
            return f"{found} digits in {self.cells} cells"
        if self.length is not None and found != self.length:
            return f"{found} digits instead of {self.length}" if found > 1 else f"1 digit instead of {self.length}"
        if self.pattern is not None and re.fullmatch(self.pattern, text) is None:
            return f"does not match {self.pattern}"
        return None

    def _mistake(self, what: str) -> UsageError:
        return UsageError(f"field '{self.name}': {what}")


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a page.

    `size`: width and height of the page in the unit in which the boxes are given (pixels, millimetres); None where
    they are parts of the page, 0 to 1. `deskew`: "page" or "marks", what the page is straightened by; None where the
    picture is the page. Raises UsageError for what cannot be.
    """

    fields: tuple[FormField, ...]
    size: Numbers | None = None
    deskew: str | None = None

    def __post_init__(self) -> None:
        if not self.fields:
            raise UsageError("no fields; each is a [[field]] with a name and a box")
        if self.deskew is not None and self.deskew not in DESKEW:
            raise UsageError(f'deskew is {_said(self.deskew)}; it is "page" or "marks", or left out')
        if self.size is not None:
            size = _numbers(self.size, 2)
            if size is None or min(size) <= 0:
                raise UsageError(f"size is {_said(self.size)}; it is two numbers: [width, height] of the page")
            object.__setattr__(self, "size", size)
        names = set()
        for field in self.fields:
            if field.name in names:
                raise UsageError(f"field '{field.name}': there are two of this name")
            names.add(field.name)
            self._check_inside(field)

    def _check_inside(self, field: FormField) -> None:
        width, height = self.size or (1.0, 1.0)
        x, y, w, h = field.box
        slack = 1e-9 * max(width, height)
        if x + w <= width + slack and y + h <= height + slack:
            return
        if self.size is None:
            what = "goes beyond 1; boxes are parts of the page from 0 to 1, unless size = [width, height] is given"
        else:
            what = f"goes beyond the page, which is {_number(width)} wide and {_number(height)} high"
        raise UsageError(f"field '{field.name}': box {_said(field.box)} {what}")

    def parts(self, field: FormField) -> tuple[float, float, float, float]:
        """A field's box x, y, width, height as parts of the page, 0 to 1."""
        width, height = self.size or (1.0, 1.0)
        x, y, w, h = field.box
        return x / width, y / height, w / width, h / height


# Files


def load_form(path: str | os.PathLike[str]) -> Form:
    """The form in a TOML file. Raises UsageError, one line that names the file and the field."""
    try:
        if os.path.isdir(path):
            raise UsageError(f"{path}: a folder, not a form file")
        if not os.path.isfile(path) and os.path.exists(path):
            raise UsageError(f"{path}: not a form file")
        with open(path, "rb") as file:
            data = file.read(MAX_FORM_BYTES + 1)
        if len(data) > MAX_FORM_BYTES:
            raise UsageError(f"{path}: more than {MAX_FORM_BYTES // 1_000_000} MB; not a form file")
        return parse_form(data.decode())
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not a text in UTF-8") from None
    except UsageError as error:
        message = str(error)
        raise UsageError(message if message.startswith(f"{path}: ") else f"{path}: {message}") from None


def parse_form(text: str) -> Form:
    """The form that a TOML text describes. Raises UsageError."""
    said = parse_toml(text)
    listed = said.pop("field", [])
    check_keys(said, ("size", "deskew", "field"), "")
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise UsageError("each field begins with [[field]], in two brackets")
    return Form(tuple(_field(entry, place) for place, entry in enumerate(listed, 1)), **said)


def parse_toml(text: str) -> dict[str, Any]:
    """What a TOML text says. Raises UsageError."""
    try:
        return tomllib.loads(text.removeprefix(BYTE_ORDER_MARK))
    except (ValueError, RecursionError) as error:  # ValueError: also a number of more digits than Python reads
        raise UsageError(f"not valid TOML: {error}") from None


def _field(entry: dict[str, Any], place: int) -> FormField:
    if "name" not in entry:
        raise UsageError(f"field {place} has no name")
    where = f"field '{entry['name']}': "
    check_keys(entry, tuple(field.name for field in fields(FormField)), where)
    if "box" not in entry:
        raise UsageError(f"{where}has no box; it is [x, y, width, height]")
    return FormField(**entry)


def check_keys(said: Mapping[str, object], known: tuple[str, ...], where: str) -> None:
    for key in said:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise UsageError(f"{where}no key is called '{key}'; {hint}")


def form_as_toml(form: Form) -> str:
    """The form as TOML; `parse_form` gives the same form back."""
    head = []
    if form.deskew is not None:
        head.append(f"deskew = {toml_text(form.deskew)}")
    if form.size is not None:
        head.append(f"size = {_said(form.size)}")
    blocks = ["\n".join(head)] if head else []
    for field in form.fields:
        lines = ["[[field]]", f"name = {toml_text(field.name)}", f"box = {_said(field.box)}"]
        if field.pattern is not None:
            lines.append(f"pattern = {toml_text(field.pattern)}")
        lines += [f"{key} = {n}" for key, n in (("length", field.length), ("cells", field.cells)) if n is not None]
        if field.skip_marks:
            lines.append("skip_marks = true")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def toml_text(value: str) -> str:
    """A TOML string; one with backslashes literally, as people write patterns."""
    if "\\" in value and "'" not in value and value.isprintable():
        return f"'{value}'"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _needs_a_brace(pattern: str) -> bool:
    """Whether no text without a brace matches, as Python takes that of a mistaken repetition for one.

    False where that is not plain: an alternative, a group or a repetition may leave the brace out.
    """
    rest = NO_BRACE.sub("", pattern)
    return not MAY_BE_LEFT_OUT.search(pattern) and ("{" in rest or "}" in rest)


def _said(value: object) -> str:
    """A value as it stands in the file."""
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_said, value))}]"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, bool):
        return str(value).lower()
    return toml_text(value) if isinstance(value, str) else str(value)


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _numbers(value: object, count: int) -> Numbers | None:
    if not isinstance(value, (tuple, list)) or len(value) != count:
        return None
    if not all(type(n) in (int, float) for n in value):
        return None
    try:
        numbers = tuple(float(n) for n in value)
    except OverflowError:  # a whole number of 400 digits
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


# Reading


def read_form(form: Form, page: Page, read: Callable[[Page], Reading], full_resolution: bool = False) -> Reading:
    """What `read` finds on the page, with the form's fields. With `deskew`, only what is on the straightened page.

    full_resolution: straightened, the page is not reduced either.
    All boxes are in pixels of the upright original picture. Raises PictureError where the page cannot be straightened
    or is not shaped like the form.
    """
    aspect = None if form.size is None else form.size[0] / form.size[1]
    if form.deskew is None:
        if aspect is not None and abs(math.log(page.width / page.height / aspect)) > SHAPE_TOLERANCE:
            raise PictureError(
                f"{page.width}x{page.height} pixels are not of the form's shape, which is {_said(form.size)}; "
                "crop it to the page, or let deskew straighten it"
            )
        reading = read(page)
        to_picture = np.eye(3)
    else:
        frame = page.grey() if page.preview is None else page.colour()
        straight = straighten(frame, DESKEW[form.deskew](frame), aspect)
        scale = page.width / frame.shape[1], page.height / frame.shape[0]
        sheet = page_of(straight.frame, full_resolution=full_resolution)
        width, height = round(sheet.width * scale[0]), round(sheet.height * scale[1])
        reading = read(replace(sheet, width=width, height=height, glance=None))
        to_picture = _rescaled(straight.to_picture, scale, (reading.width / sheet.width, reading.height / sheet.height))
    flat = [*reading.digits, *reading.beside]
    flat_boxes = np.array([digit.box for digit in flat], np.float64).reshape(-1, 4)
    digits = (
        flat
        if form.deskew is None
        else [replace(digit, box=mapped_box(to_picture, digit.box, page.width, page.height)) for digit in flat]
    )
    in_lines = np.array([digit.line >= 0 for digit in flat], np.bool_)
    sides = (reading.width, reading.height, reading.width, reading.height)
    marks = np.array([digit.mark for digit in flat], np.bool_)
    places: list[Place] = []
    for field in form.fields:
        x, y, w, h = (part * side for part, side in zip(form.parts(field), sides, strict=True))
        places.append((x, y, w, h))
    inside = [_inside(place, flat_boxes) for place in places]
    printed = np.zeros(len(digits), np.bool_)
    for field, place, within in zip(form.fields, places, inside, strict=True):
        printed |= within & (_around_all(place, flat_boxes) | _bits_of_frame(place, flat_boxes, within))
        if field.cells is not None:
            printed |= within & _on_cell_borders(place, field.cells, flat_boxes)
    found = []
    for field, place, within in zip(form.fields, places, inside, strict=True):
        written = within & ~printed
        if field.skip_marks:
            written &= ~marks
        own = [(digits[k], flat_boxes[k]) for k in np.flatnonzero(written & in_lines)]
        own += _in_their_lines(own, [(digits[k], flat_boxes[k]) for k in np.flatnonzero(written & ~in_lines)])
        rows = _in_rows(own)
        found.append(_filled(field, rows, mapped_box(to_picture, place, page.width, page.height)))
    kept = [digits[k] for k in np.flatnonzero(in_lines & ~printed)]
    return Reading(page.width, page.height, _in_whole_lines(kept), tuple(found))


def _inside(place: Place, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which boxes (n, 4) have their middle in a place."""
    x, y, w, h = place
    middles = boxes[:, :2] + boxes[:, 2:] / 2
    return np.asarray(((middles >= (x, y)) & (middles < (x + w, y + h))).all(axis=1), np.bool_)


def _around_all(place: Place, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which boxes (n, 4) are as large as a place and wider than any digit: the printed frame itself."""
    as_large = (boxes[:, 2:] >= (FRAME_PART * place[2], FRAME_PART * place[3])).all(axis=1)
    return np.asarray(as_large & (boxes[:, 2] > WIDEST * boxes[:, 3]), np.bool_)


def _bits_of_frame(place: Place, boxes: NDArray[np.float64], within: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which boxes (n, 4) are thin, at the left or right end of a place, and low beside the digits in it."""
    x, _, w, h = place
    middles = boxes[:, 0] + boxes[:, 2] / 2
    at_end = np.minimum(abs(middles - x), abs(middles - x - w)) <= FRAME_REACH * h
    digits = boxes[within & ~at_end, 3]
    low = min(BIT_HEIGHT * h, BIT_HEIGHT * float(np.median(digits)) if digits.size else 0.0)
    return np.asarray(at_end & (boxes[:, 2] <= BIT_WIDTH * h) & (boxes[:, 3] <= low), np.bool_)


def _on_cell_borders(place: Place, cells: int, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which boxes (n, 4) are as thin as a printed stroke, and lie where one parts two cells of a place."""
    cell = place[2] / cells
    at = (boxes[:, 0] + boxes[:, 2] / 2 - place[0]) / cell
    return np.asarray((abs(at - np.rint(at)) <= BORDER_REACH) & (boxes[:, 2] <= BORDER_WIDTH * cell), np.bool_)


def _in_whole_lines(digits: list[Digit]) -> tuple[Digit, ...]:
    """The digits, their lines numbered from 0 without a gap."""
    numbers = {line: number for number, line in enumerate(dict.fromkeys(digit.line for digit in digits))}
    return tuple(replace(digit, line=numbers[digit.line]) for digit in digits)


def _rescaled(
    matrix: NDArray[np.float64], picture: tuple[float, float], page: tuple[float, float]
) -> NDArray[np.float64]:
    """A map between pixels of reduced pictures as one between those of the originals, larger by these factors."""

    def enlarged(factors: tuple[float, float]) -> NDArray[np.float64]:
        # Pixel centres lie at whole numbers, so a picture's corner is at -1/2.
        across, down = factors
        return np.array([(across, 0, (across - 1) / 2), (0, down, (down - 1) / 2), (0, 0, 1)])

    return np.asarray(enlarged(picture) @ matrix @ enlarged((1 / page[0], 1 / page[1])), np.float64)


def _in_their_lines(digits: list[Boxed], refused: list[Boxed]) -> list[Boxed]:
    """What was refused in a field and is as high as its digits and level with them, in the line of the nearest: a
    number that begins or ends with what is no digit is not the number without it."""
    found = []
    for digit, box in refused if digits else []:
        x, _, w, h = box.tolist()
        away = [_middle(place) - _middle(box) for _, place in digits]
        k = min(range(len(digits)), key=lambda k: math.hypot(away[k][0], 2 * away[k][1]))
        near, height = digits[k][0], float(digits[k][1][3])
        level = abs(away[k][1]) <= REFUSED_SHIFT * height
        as_high = REFUSED_HEIGHT[0] * height <= h <= REFUSED_HEIGHT[1] * height
        # What is left of a box stands around a digit, and what is left of a line is thin.
        clear = not any(x <= _middle(place)[0] <= x + w for _, place in digits)
        if level and as_high and clear and w >= REFUSED_WIDTH * h:
            found.append((replace(digit, line=near.line), box))
    return found


def _middle(box: NDArray[np.float64]) -> NDArray[np.float64]:
    return box[:2] + box[2:] / 2


def _in_rows(digits: list[Boxed]) -> list[list[Digit]]:
    """The digits of a field, each with its box x, y, width, height on the flat page, row by row.

    Lines whose middles lie on one level are one row: within so small a box the digits of one number seldom keep to
    their baseline.
    """
    lines: dict[int, list[Boxed]] = {}
    for digit, box in digits:
        lines.setdefault(digit.line, []).append((digit, box))
    rows: list[list[Boxed]] = []
    for line in lines.values():
        level, height = _level(line)
        for row in rows:
            other, other_height = _level(row)
            if abs(level - other) < ROW_REACH * max(height, other_height):
                row += line
                row.sort(key=lambda pair: float(pair[1][0] + pair[1][2] / 2))
                break
        else:
            rows.append(sorted(line, key=lambda pair: float(pair[1][0] + pair[1][2] / 2)))
    return [[digit for digit, _ in row] for row in rows]


def _level(line: list[Boxed]) -> tuple[float, float]:
    """Median of the middles, and of the heights, of a line's boxes."""
    boxes = np.stack([box for _, box in line])
    return float(np.median(boxes[:, 1] + boxes[:, 3] / 2)), float(np.median(boxes[:, 3]))


def _filled(field: FormField, rows: list[list[Digit]], box: Box) -> Field:
    text = "\n".join("".join(digit.text for digit in row) for row in rows)
    reason = field.judge(text)
    digits = tuple(replace(digit, line=number) for number, row in enumerate(rows) for digit in row)
    confidence = min((digit.confidence for digit in digits), default=0.0)
    return Field(field.name, text, text if reason is None else None, confidence, reason is None, reason, box, digits)

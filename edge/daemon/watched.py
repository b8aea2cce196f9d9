"""The fields a daemon watches: a form (docs/fields.md), each field with what its values can be."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from edge.daemon.settings import FieldSettings
from edge.errors import UsageError
from edge.fields import Form, FormField, check_keys, form_as_toml, parse_toml, toml_text

FORM_KEYS = tuple(field.name for field in fields(FormField))
RULE_KEYS = tuple(field.name for field in fields(FieldSettings) if field.name != "form")
MAX_DECIMALS = 9


@dataclass(frozen=True, slots=True)
class Watched:
    """Fields with the page they are on.

    `size`, `deskew`: as in edge.fields.Form. Raises UsageError for what cannot be.
    """

    fields: tuple[FieldSettings, ...] = ()
    size: tuple[float, ...] | None = None
    deskew: str | None = None

    def __post_init__(self) -> None:
        if self.fields:
            self.form()

    def form(self) -> Form | None:
        """What the reader looks for; None where there are no fields: the whole page."""
        if not self.fields:
            return None
        # Who says how many decimals there are says where the point is.
        wanted = (replace(f.form, skip_marks=True) if f.decimals else f.form for f in self.fields)
        return Form(tuple(wanted), self.size, self.deskew or None)


def parse_watched(text: str) -> Watched:
    """The fields that a TOML text describes; none of them in an empty one. Raises UsageError."""
    said = parse_toml(text)
    listed = said.pop("field", [])
    check_keys(said, ("size", "deskew", "field"), "")
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise UsageError("each field begins with [[field]], in two brackets")
    size, deskew = said.get("size"), said.get("deskew")
    return Watched(tuple(field_of(entry, place) for place, entry in enumerate(listed, 1)), size, deskew)


def load_watched(path: Path) -> Watched:
    """The fields in a file; none where there is no such file yet. Raises UsageError, one line that names the file."""
    try:
        return parse_watched(path.read_text("utf-8"))
    except FileNotFoundError:
        return Watched()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not a text in UTF-8") from None
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def field_of(entry: Mapping[str, Any], place: int) -> FieldSettings:
    """A field from its [[field]] table, which stands at this place, counted from 1. Raises UsageError."""
    name = entry.get("name")
    if name is None:
        raise UsageError(f"field {place} has no name")
    where = f"field '{name}': "
    check_keys(entry, (*FORM_KEYS, *RULE_KEYS), where)
    if "box" not in entry:
        raise UsageError(f"{where}has no box; it is [x, y, width, height]")
    form = FormField(**{key: entry[key] for key in FORM_KEYS if key in entry})
    for key, is_right, expected in _RULES:
        value = entry.get(key)
        if value is not None and not is_right(value):
            raise UsageError(f"{where}{key} is {value!r}; it is {expected}")
    rules = {key: entry[key] for key in RULE_KEYS if entry.get(key) is not None}
    rules |= {key: float(rules[key]) for key in ("largest_step", "roll_over") if key in rules}
    return FieldSettings(form, **rules)


def _is_positive(value: object) -> bool:
    # The comparison is exact for whole numbers of any size; float() and isfinite() are not for all of them.
    return type(value) in (int, float) and 0 < value <= sys.float_info.max  # type: ignore[operator]


def _is_word(value: object) -> bool:
    return isinstance(value, str) and value.isprintable()


_RULES = (
    ("decimals", lambda v: type(v) is int and 0 <= v <= MAX_DECIMALS, f"a whole number from 0 to {MAX_DECIMALS}"),
    ("never_decreasing", lambda v: type(v) is bool, "true or false"),
    ("largest_step", _is_positive, "a number above 0"),
    ("roll_over", _is_positive, "a number above 0"),
    ("unit", _is_word, "a text of one line"),
    ("device_class", _is_word, "a text of one line"),
)


def watched_as_toml(watched: Watched) -> str:
    """The fields as TOML; `parse_watched` gives the same back."""
    if not watched.fields:
        return ""
    form = Form(tuple(field.form for field in watched.fields), watched.size, watched.deskew or None)
    head, *blocks = ("\n" + form_as_toml(form)).split("[[field]]\n")
    said = []
    for block, field in zip(blocks, watched.fields, strict=True):
        rules = {key: getattr(field, key) for key in RULE_KEYS}
        lines = [f"{key} = {_toml(value)}" for key, value in rules.items() if value not in (None, "", 0, False)]
        said.append("\n".join(["[[field]]", block.rstrip("\n"), *lines]))
    return "\n\n".join(part for part in (head.strip("\n"), *said) if part) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return toml_text(value)
    return repr(value)

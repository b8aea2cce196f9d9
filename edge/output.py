"""Write answers: JSON Lines for programs, CSV for spreadsheets, a table for people."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edge.reader import NO_DIGIT, Classification
from edge.reading import Digit, Field, Reading

CONFIDENCE_DIGITS = 4  # decimals: finer than any calibration is true
PERCENT_DIGITS = 1  # decimals of a percentage, for people
NOT_A_DIGIT = "not a digit"  # the reason of a refused character


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said about one path: a classification or a reading, or the error that stood in its way.

    A reading with an error is one of which something could not be kept.
    """

    path: str
    classification: Classification | None = None
    error: str | None = None
    reading: Reading | None = None


class Format(Protocol):
    """One way to write answers, as the bytes of whole lines."""

    def header(self) -> bytes:
        """What comes before the first answer."""
        ...

    def line(self, answer: Answer) -> bytes:
        """One answer."""
        ...


class JsonLines:
    """One JSON object a picture.

    {"path": ..., "label": ..., "confidence": ..., "top": [{"label": ..., "confidence": ...}, ...]}, with "reason"
    where the label is null; or what `reading_record` says, with "error" where its picture or crops could not be
    written; or {"path": ..., "error": ...}. A file name that is not UTF-8 is written with the escapes of Python's
    "surrogateescape", so that every line is valid UTF-8 and the name can be had back.
    """

    def __init__(self) -> None:
        self._encode = json.JSONEncoder(ensure_ascii=False).encode
        self._encode_ascii = json.JSONEncoder(ensure_ascii=True).encode

    def header(self) -> bytes:
        return b""

    def line(self, answer: Answer) -> bytes:
        record = _record(answer)
        try:
            return self._encode(record).encode() + b"\n"
        except UnicodeEncodeError:
            return self._encode_ascii(record).encode() + b"\n"


def _record(answer: Answer) -> dict[str, object]:
    if answer.reading is not None:
        read = reading_record(answer.path, answer.reading)
        return read if answer.error is None else read | {"error": answer.error}
    said = answer.classification
    if said is None:
        return {"path": answer.path, "error": answer.error}
    refused = said.label is None
    record: dict[str, object] = {
        "path": answer.path,
        "label": said.label,
        "confidence": _rounded(said.confidence, refused),
        "top": [{"label": c.label, "confidence": _rounded(c.confidence, refused)} for c in said.top],
    }
    if said.reason is not None:
        record["reason"] = said.reason
    return record


def reading_record(path: str, reading: Reading) -> dict[str, object]:
    """What was read in a picture, as programs get it everywhere: JSON Lines, MQTT, HTTP.

    {"path", "width", "height", "text", "lines": [...], "digits": [{"label", "confidence", "box", "line"}, ...],
    "fields": [{"name", "text", "value", "confidence", "valid", "reason", "box"}, ...]}; boxes are x, y, width, height
    in pixels of the upright original. A picture without a digit has an empty text and empty lists.
    """
    return {
        "path": path,
        "width": reading.width,
        "height": reading.height,
        "text": reading.text,
        "lines": list(reading.lines),
        "digits": [
            {
                "label": digit.label,
                "confidence": _rounded(digit.confidence, digit.label is None),
                "box": list(digit.box),
                "line": digit.line,
            }
            for digit in reading.digits
        ],
        "fields": [
            {
                "name": field.name,
                "text": field.text,
                "value": field.value,
                "confidence": _rounded(field.confidence, not field.valid),
                "valid": field.valid,
                "reason": field.reason,
                "box": list(field.box),
            }
            for field in reading.fields
        ],
    }


def _rounded(confidence: float, refused: bool, digits: int = CONFIDENCE_DIGITS) -> float:
    """Rounded down where the answer is refused, lest 0.99999 be said to be 1 and below 1."""
    rounded = round(confidence, digits)
    return round(rounded - 10**-digits, digits) if refused and rounded > confidence else rounded


class Csv:
    """One row a picture under a header: path, label, confidence, reason, error, then the candidates.

    Those are label_1, confidence_1, label_2, ... to top-k, the best first. A refused answer has them too: its label is
    empty, its label_1 is not.
    """

    def __init__(self, top_k: int) -> None:
        self._top_k = top_k

    def header(self) -> bytes:
        candidates = [f"{name}_{place}" for place in range(1, self._top_k + 1) for name in ("label", "confidence")]
        return _csv_row(["path", "label", "confidence", "reason", "error", *candidates])

    def line(self, answer: Answer) -> bytes:
        said = answer.classification
        if said is None:
            return _csv_row([answer.path, "", "", "", answer.error or "", *[""] * (2 * self._top_k)])
        refused = said.label is None
        cells = [answer.path, said.label or "", _decimal(said.confidence, refused), said.reason or "", ""]
        for candidate in said.top[: self._top_k]:
            cells += [candidate.label, _decimal(candidate.confidence, refused)]
        return _csv_row(cells + [""] * (5 + 2 * self._top_k - len(cells)))


class DigitCsv:
    """What `read` found: one row a digit under a header, and one for a picture that has none or failed.

    Those are path, line and position in it (both from 0), label, confidence, x, y, width, height, reason, error. A
    refused character has an empty label and a reason.
    """

    _COLUMNS = ("path", "line", "position", "label", "confidence", "x", "y", "width", "height", "reason", "error")

    def header(self) -> bytes:
        return _csv_row(self._COLUMNS)

    def line(self, answer: Answer) -> bytes:
        if answer.reading is None or not answer.reading.digits:
            reason = "" if answer.reading is None else NO_DIGIT
            return _csv_row([answer.path, *[""] * 8, reason, answer.error or ""])
        rows = [] if answer.error is None else [_csv_row([answer.path, *[""] * 9, answer.error])]
        line, position = -1, 0
        for digit in answer.reading.digits:
            line, position = (line, position + 1) if digit.line == line else (digit.line, 0)
            refused = digit.label is None
            cells = [answer.path, line, position, digit.label or "", _decimal(digit.confidence, refused), *digit.box]
            rows.append(_csv_row([*cells, NOT_A_DIGIT if refused else "", ""]))
        return b"".join(rows)


class FieldCsv:
    """What stands in a form's fields: one row a field under a header, and one for a picture that failed.

    Those are path, field, value (empty where it is not valid), text, valid (true or false), confidence, reason, x, y,
    width, height, error.
    """

    _COLUMNS = ("path", "field", "value", "text", "valid", "confidence", "reason", "x", "y", "width", "height", "error")

    def header(self) -> bytes:
        return _csv_row(self._COLUMNS)

    def line(self, answer: Answer) -> bytes:
        failed = b"" if answer.error is None else _csv_row([answer.path, *[""] * 10, answer.error])
        if answer.reading is None:
            return failed
        return failed + b"".join(
            _csv_row(
                [
                    answer.path, field.name, field.value or "", field.text, str(field.valid).lower(),
                    _decimal(field.confidence, not field.valid), field.reason or "", *field.box, "",
                ]
            )
            for field in answer.reading.fields
        )  # fmt: skip


def _csv_row(cells: Sequence[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _decimal(confidence: float, refused: bool) -> str:
    return f"{_rounded(confidence, refused):.{CONFIDENCE_DIGITS}f}"


class Table:
    """Columns for people; the path comes last because nobody knows how long the longest will be."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._width = max(len("digit"), *map(len, labels))

    def header(self) -> bytes:
        return self._row("digit", "confidence", "or else", "picture")

    def line(self, answer: Answer) -> bytes:
        said = answer.classification
        path = printable(answer.path)
        if said is None:
            return self._row("!", "", "", f"{path}: {answer.error}")
        if said.reason is not None:
            path = f"{path}: {said.reason}"
        refused = said.label is None
        confidence = _percent(said.confidence, refused) if said.top else ""
        first_other = 0 if refused else 1
        others = [f"{c.label} {_percent(c.confidence, refused)}" for c in said.top[first_other : first_other + 1]]
        return self._row(said.label or "-", confidence, "".join(others), path)

    def _row(self, label: str, confidence: str, other: str, path: str) -> bytes:
        other_width = self._width + len(" 100.0 %")
        line = f"{label:>{self._width}}  {confidence:>10}  {other:>{other_width}}  {path}\n"
        return line.encode("utf-8", "backslashreplace")


class PageTable:
    """Each picture's lines of text, or the fields of its form, for people; first how sure the least sure digit is."""

    _HEADING = "least sure"

    def header(self) -> bytes:
        return self._row(self._HEADING, "text")

    def line(self, answer: Answer) -> bytes:
        path, reading = printable(answer.path), answer.reading
        failed = b"" if answer.error is None else self._row("!", f"{path}: {answer.error}")
        if reading is None:
            return failed
        if reading.fields:
            rows = [self._field_row(field) for field in reading.fields]
        elif reading.digits:
            rows = [self._row(*said) for said in _lines_with_confidence(reading.digits)]
        else:
            return failed + self._row("-", f"{path}: {NO_DIGIT}")
        return failed + self._row("", f"{path}:") + b"".join(rows)

    def _field_row(self, field: Field) -> bytes:
        said = [
            printable(field.name),
            "=",
            ", ".join(field.text.splitlines()),
            "" if field.valid else f"({field.reason})",
        ]
        sure = _percent(field.confidence, not field.valid) if field.text else "-"
        return self._row(sure, " ".join(part for part in said if part))

    def _row(self, confidence: str, text: str) -> bytes:
        return f"{confidence:>{len(self._HEADING)}}  {text}\n".encode("utf-8", "backslashreplace")


def _lines_with_confidence(digits: Sequence[Digit]) -> list[tuple[str, str]]:
    """Confidence of the least sure digit, and text, of each line."""
    lines: dict[int, list[Digit]] = {}
    for digit in digits:
        lines.setdefault(digit.line, []).append(digit)
    said = []
    for line in lines.values():
        least = min(line, key=lambda digit: digit.confidence)
        said.append((_percent(least.confidence, least.label is None), "".join(digit.text for digit in line)))
    return said


def _percent(confidence: float, refused: bool) -> str:
    return f"{_rounded(confidence, refused, PERCENT_DIGITS + 2) * 100:.{PERCENT_DIGITS}f} %"


def printable(text: str) -> str:
    """The text without what would move a terminal's cursor or break its line, each such character escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def make_format(name: str, labels: Sequence[str], top_k: int) -> Format:
    """The format called "jsonl", "csv" or "table" of classifications, for a model with these labels."""
    if name == "jsonl":
        return JsonLines()
    return Csv(top_k) if name == "csv" else Table(labels)


def make_page_format(name: str, fields: bool) -> Format:
    """The format called "jsonl", "csv" or "table" of readings, with the fields of a form or without."""
    if name == "jsonl":
        return JsonLines()
    if name == "csv":
        return FieldCsv() if fields else DigitCsv()
    return PageTable()

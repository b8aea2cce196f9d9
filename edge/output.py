"""Write answers: JSON Lines for programs, CSV for spreadsheets, a table for people."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edge.reader import Classification

CONFIDENCE_DIGITS = 4  # decimals: finer than any calibration is true
PERCENT_DIGITS = 1  # decimals of a percentage, for people


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said about one path: a classification, or the error that stood in its way."""

    path: str
    classification: Classification | None = None
    error: str | None = None


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
    where the label is null, or {"path": ..., "error": ...}. A file name that is not UTF-8 is written with the escapes
    of Python's "surrogateescape", so that every line is valid UTF-8 and the name can be had back.
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
    said = answer.classification
    if said is None:
        return {"path": answer.path, "error": answer.error}
    record: dict[str, object] = {
        "path": answer.path,
        "label": said.label,
        "confidence": _rounded(said.confidence, said),
        "top": [{"label": c.label, "confidence": _rounded(c.confidence, said)} for c in said.top],
    }
    if said.reason is not None:
        record["reason"] = said.reason
    return record


def _rounded(confidence: float, said: Classification, digits: int = CONFIDENCE_DIGITS) -> float:
    """Rounded down where the answer is refused, lest 0.99999 be said to be 1 and below 1."""
    rounded = round(confidence, digits)
    return round(rounded - 10**-digits, digits) if said.label is None and rounded > confidence else rounded


class Csv:
    """One row a picture under a header: path, label, confidence, reason, error, then the candidates.

    Those are label_1, confidence_1, label_2, ... to top-k, the best first. A refused answer has them too: its label is
    empty, its label_1 is not.
    """

    def __init__(self, top_k: int) -> None:
        self._top_k = top_k

    def header(self) -> bytes:
        candidates = [f"{name}_{place}" for place in range(1, self._top_k + 1) for name in ("label", "confidence")]
        return self._row(["path", "label", "confidence", "reason", "error", *candidates])

    def line(self, answer: Answer) -> bytes:
        said = answer.classification
        if said is None:
            return self._row([answer.path, "", "", "", answer.error or "", *[""] * (2 * self._top_k)])
        cells = [answer.path, said.label or "", _decimal(said.confidence, said), said.reason or "", ""]
        for candidate in said.top[: self._top_k]:
            cells += [candidate.label, _decimal(candidate.confidence, said)]
        return self._row(cells + [""] * (5 + 2 * self._top_k - len(cells)))

    def _row(self, cells: Sequence[str]) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        return text.getvalue().encode("utf-8", "surrogateescape")


def _decimal(confidence: float, said: Classification) -> str:
    return f"{_rounded(confidence, said):.{CONFIDENCE_DIGITS}f}"


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
        confidence = _percent(said.confidence, said) if said.top else ""
        first_other = 0 if said.label is None else 1
        others = [f"{c.label} {_percent(c.confidence, said)}" for c in said.top[first_other : first_other + 1]]
        return self._row(said.label or "-", confidence, "".join(others), path)

    def _row(self, label: str, confidence: str, other: str, path: str) -> bytes:
        other_width = self._width + len(" 100.0 %")
        line = f"{label:>{self._width}}  {confidence:>10}  {other:>{other_width}}  {path}\n"
        return line.encode("utf-8", "backslashreplace")


def _percent(confidence: float, said: Classification) -> str:
    return f"{_rounded(confidence, said, PERCENT_DIGITS + 2) * 100:.{PERCENT_DIGITS}f} %"


def printable(text: str) -> str:
    """The text without what would move a terminal's cursor or break its line, each such character escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def make_format(name: str, labels: Sequence[str], top_k: int) -> Format:
    """The format called "jsonl", "csv" or "table", for a model with these labels."""
    if name == "jsonl":
        return JsonLines()
    return Csv(top_k) if name == "csv" else Table(labels)

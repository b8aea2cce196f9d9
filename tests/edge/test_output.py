"""Answers are written for programs, for spreadsheets and for people."""

import csv
import io
import json
import os

import numpy as np
import pytest

from edge.output import Answer, Csv, DigitCsv, FieldCsv, JsonLines, PageTable, Table, printable
from edge.reader import NOTHING, Candidate, Classification
from edge.reading import Digit, Field, Reading

SEVEN = Classification("7", 0.99812, (Candidate("7", 0.99812), Candidate("1", 0.00104)))
DOUBT = Classification(None, 0.41, (Candidate("4", 0.41), Candidate("9", 0.4)), "confidence below 0.5")
ANSWERS = [
    Answer("a.png", SEVEN),
    Answer("b c.png", NOTHING),
    Answer("d.png", DOUBT),
    Answer("e.jpg", error="no such file"),
]


def test_json_lines_hold_the_record_of_the_design() -> None:
    records = [json.loads(JsonLines().line(answer)) for answer in ANSWERS]
    assert records == [
        {
            "path": "a.png",
            "label": "7",
            "confidence": 0.9981,
            "top": [{"label": "7", "confidence": 0.9981}, {"label": "1", "confidence": 0.001}],
        },
        {"path": "b c.png", "label": None, "confidence": 0.0, "top": [], "reason": "no digit found"},
        {
            "path": "d.png",
            "label": None,
            "confidence": 0.41,
            "top": [{"label": "4", "confidence": 0.41}, {"label": "9", "confidence": 0.4}],
            "reason": "confidence below 0.5",
        },
        {"path": "e.jpg", "error": "no such file"},
    ]


def test_json_keeps_the_order_of_its_keys() -> None:
    assert list(json.loads(JsonLines().line(ANSWERS[2]))) == ["path", "label", "confidence", "top", "reason"]


@pytest.mark.parametrize(
    "name", [b"plain.png", "日本é.png".encode(), b"bad \xff\xfe.png", b"line\nbreak\t\x1b[31m.png"]
)
def test_any_file_name_gives_one_line_of_valid_utf8_json(name: bytes) -> None:
    line = JsonLines().line(Answer(os.fsdecode(name), SEVEN))
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert os.fsencode(json.loads(line.decode("utf-8"))["path"]) == name


def test_a_readable_name_stays_readable() -> None:
    assert "日本é" in JsonLines().line(Answer("日本é.png", SEVEN)).decode()


def rows(top_k: int) -> list[list[str]]:
    form = Csv(top_k)
    text = (form.header() + b"".join(map(form.line, ANSWERS))).decode()
    return list(csv.reader(io.StringIO(text)))


def test_csv_has_a_header_and_a_row_a_picture() -> None:
    assert rows(2) == [
        ["path", "label", "confidence", "reason", "error", "label_1", "confidence_1", "label_2", "confidence_2"],
        ["a.png", "7", "0.9981", "", "", "7", "0.9981", "1", "0.0010"],
        ["b c.png", "", "0.0000", "no digit found", "", "", "", "", ""],
        ["d.png", "", "0.4100", "confidence below 0.5", "", "4", "0.4100", "9", "0.4000"],
        ["e.jpg", "", "", "", "no such file", "", "", "", ""],
    ]


@pytest.mark.parametrize("top_k", [1, 2, 3, 10])
def test_csv_rows_are_all_as_long_as_the_header(top_k: int) -> None:
    assert {len(row) for row in rows(top_k)} == {5 + 2 * top_k}


def test_a_refused_confidence_is_never_rounded_up_to_what_it_is_below() -> None:
    sure = Answer("x", Classification(None, 0.9999999, (Candidate("7", 0.9999999),), "confidence below 1"))
    record = json.loads(JsonLines().line(sure))
    assert record["confidence"] == record["top"][0]["confidence"] == 0.9999
    assert Csv(1).line(sure) == b"x,,0.9999,confidence below 1,,7,0.9999\n"
    assert b"99.9 %" in Table(["7"]).line(sure)


def test_csv_keeps_commas_quotes_and_bytes_of_names() -> None:
    name = b'a,"b"\xff.png'
    line = Csv(1).line(Answer(os.fsdecode(name), SEVEN))
    (row,) = csv.reader(io.StringIO(line.decode("utf-8", "surrogateescape")))
    assert os.fsencode(row[0]) == name


def test_a_table_says_all_of_it_in_aligned_columns() -> None:
    table = Table(["0", "1", "7"])
    lines = [table.header().decode(), *(table.line(answer).decode() for answer in ANSWERS)]
    starts = {
        line.rindex(word) for line, word in zip(lines, ["picture", "a.png", "b c.png", "d.png", "e.jpg"], strict=True)
    }
    assert len(starts) == 1
    assert "99.8 %" in lines[1]
    assert "no digit found" in lines[2]
    assert "confidence below 0.5" in lines[3]
    assert "no such file" in lines[4]


def test_a_table_is_as_wide_as_its_longest_label() -> None:
    lines = [
        Table(["a", "ampersand"]).line(Answer("x", Classification(label, 1.0, (Candidate(label, 1.0),))))
        for label in ("a", "ampersand")
    ]
    assert len(set(map(len, lines))) == 1


def test_a_file_name_cannot_move_the_terminals_cursor() -> None:
    assert printable("a\x1b[2Jb\n\u202ec\udcff é") == "a\\x1b[2Jb\\n\\u202ec\\udcff é"
    assert b"\x1b" not in Table(["0"]).line(Answer("\x1b[2J", error="no such file"))


# Readings

GLYPH = np.zeros((28, 28), np.uint8)
PAGE = Reading(
    640,
    480,
    (
        Digit("5", 0.99214, (40, 62, 31, 48), 0, GLYPH),
        Digit(None, 0.4999999, (80, 62, 30, 48), 0, GLYPH),
        Digit("7", 0.9, (120, 62, 30, 48), 0, GLYPH),
        Digit("0", 1.0, (40, 160, 31, 48), 1, GLYPH),
    ),
)
FIELDS = (
    Field("total", "5?7", None, 0.4999999, False, "a character was not a digit", (30, 50, 130, 70)),
    Field("Größe", "0", "0", 1.0, True, None, (30, 150, 130, 70)),
    Field("none", "", None, 0.0, False, "no digit found", (30, 250, 130, 70)),
)
BLANK = Reading(9, 7, ())
PAGES = [
    Answer("page.jpg", reading=PAGE),
    Answer("blank.png", reading=BLANK),
    Answer("broken.jpg", error="not a picture that can be decoded"),
]


def test_a_reading_is_the_record_of_the_design() -> None:
    page, blank, broken = (json.loads(JsonLines().line(answer)) for answer in PAGES)
    assert page == {
        "path": "page.jpg",
        "width": 640,
        "height": 480,
        "text": "5?7\n0",
        "lines": ["5?7", "0"],
        "digits": [
            {"label": "5", "confidence": 0.9921, "box": [40, 62, 31, 48], "line": 0},
            {"label": None, "confidence": 0.4999, "box": [80, 62, 30, 48], "line": 0},
            {"label": "7", "confidence": 0.9, "box": [120, 62, 30, 48], "line": 0},
            {"label": "0", "confidence": 1.0, "box": [40, 160, 31, 48], "line": 1},
        ],
        "fields": [],
    }
    assert blank == {"path": "blank.png", "width": 9, "height": 7, "text": "", "lines": [], "digits": [], "fields": []}
    assert broken == {"path": "broken.jpg", "error": "not a picture that can be decoded"}


def test_fields_are_objects_of_the_design() -> None:
    record = json.loads(JsonLines().line(Answer("a", reading=Reading(640, 480, PAGE.digits, FIELDS))))
    assert record["fields"][0] == {
        "name": "total",
        "text": "5?7",
        "value": None,
        "confidence": 0.4999,
        "valid": False,
        "reason": "a character was not a digit",
        "box": [30, 50, 130, 70],
    }
    assert [field["value"] for field in record["fields"]] == [None, "0", None]


def parsed(form: DigitCsv | FieldCsv, answers: list[Answer]) -> list[list[str]]:
    text = (form.header() + b"".join(map(form.line, answers))).decode()
    return list(csv.reader(io.StringIO(text)))


def test_csv_has_a_row_a_digit_and_one_for_a_picture_without() -> None:
    assert parsed(DigitCsv(), PAGES) == [
        ["path", "line", "position", "label", "confidence", "x", "y", "width", "height", "reason", "error"],
        ["page.jpg", "0", "0", "5", "0.9921", "40", "62", "31", "48", "", ""],
        ["page.jpg", "0", "1", "", "0.4999", "80", "62", "30", "48", "not a digit", ""],
        ["page.jpg", "0", "2", "7", "0.9000", "120", "62", "30", "48", "", ""],
        ["page.jpg", "1", "0", "0", "1.0000", "40", "160", "31", "48", "", ""],
        ["blank.png", "", "", "", "", "", "", "", "", "no digit found", ""],
        ["broken.jpg", "", "", "", "", "", "", "", "", "", "not a picture that can be decoded"],
    ]


def test_csv_with_fields_has_a_row_a_field() -> None:
    rows = parsed(FieldCsv(), [Answer("a", reading=Reading(640, 480, PAGE.digits, FIELDS)), PAGES[2]])
    head = ["path", "field", "value", "text", "valid", "confidence", "reason", "x", "y", "width", "height", "error"]
    refused = ["5?7", "false", "0.4999", "a character was not a digit", "30", "50", "130", "70", ""]
    assert rows == [
        head,
        ["a", "total", "", *refused],
        ["a", "Größe", "0", "0", "true", "1.0000", "", "30", "150", "130", "70", ""],
        ["a", "none", "", "", "false", "0.0000", "no digit found", "30", "250", "130", "70", ""],
        ["broken.jpg", *[""] * 10, "not a picture that can be decoded"],
    ]


def test_a_table_shows_lines_with_their_least_sure_digit() -> None:
    table = PageTable()
    assert (table.header() + b"".join(map(table.line, PAGES))).decode().splitlines() == [
        "least sure  text",
        "            page.jpg:",
        "    49.9 %  5?7",
        "   100.0 %  0",
        "         -  blank.png: no digit found",
        "         !  broken.jpg: not a picture that can be decoded",
    ]


def test_a_table_shows_fields_in_their_place() -> None:
    shown = PageTable().line(Answer("a", reading=Reading(640, 480, PAGE.digits, FIELDS))).decode().splitlines()
    assert shown == [
        "            a:",
        "    49.9 %  total = 5?7 (a character was not a digit)",
        "   100.0 %  Größe = 0",
        "         -  none = (no digit found)",
    ]


def test_names_in_a_page_table_cannot_move_the_terminals_cursor() -> None:
    field = Field("\x1b[2J", "1\n2", "1\n2", 1.0, True, None, (0, 0, 1, 1))
    shown = PageTable().line(Answer("\x1b[2J", reading=Reading(9, 9, (), (field,))))
    assert b"\x1b" not in shown
    assert shown.count(b"\n") == 2

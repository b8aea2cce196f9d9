"""Frames vote on each field, values are judged, and a record's digits are those that were agreed on."""

from dataclasses import replace

import numpy as np

from edge.daemon.consensus import PAGE, Tally
from edge.daemon.settings import FieldSettings, ReadingSettings
from edge.fields import FormField
from edge.reading import Digit, Field, Reading

GLYPH = np.zeros((28, 28), np.uint8)
THREE = ReadingSettings(frames=3, agree=2, confidence=0.5)
METER = FieldSettings(FormField("meter", (0, 0, 1, 0.5)), decimals=1, never_decreasing=True)
ROOM = FieldSettings(FormField("room", (0, 0.5, 1, 0.5), length=1))


def digits(text: str, y: int = 0) -> tuple[Digit, ...]:
    return tuple(Digit(None if c == "?" else c, 0.9, (20 * k, y, 15, 25), 0, GLYPH) for k, c in enumerate(text))


def page(text: str) -> Reading:
    return Reading(640, 480, digits(text))


def form(meter: str, room: str) -> Reading:
    fields = []
    for number, (name, text) in enumerate((("meter", meter), ("room", room))):
        own = digits(text, 100 * number)
        fields.append(Field(name, text, text, 0.9, True, None, (0, 100 * number, 640, 90), own))
    every = tuple(replace(digit, line=number) for number, field in enumerate(fields) for digit in field.digits)
    return Reading(640, 480, every, tuple(fields))


def never(_: str) -> None:
    return None


def test_a_page_without_fields_is_voted_on_whole() -> None:
    tally = Tally(THREE, (), never)
    assert tally.add(page("42")).texts == {PAGE: None}
    agreed = tally.add(page("42"))
    assert agreed.is_stable
    assert agreed.reading.text == "42"
    assert tally.add(page("47")).reading.text == "42"


def test_each_field_is_voted_on_by_itself() -> None:
    tally = Tally(THREE, (METER, ROOM), never)
    tally.add(form("100", "7"))
    agreed = tally.add(form("101", "7"))
    assert agreed.texts == {"meter": None, "room": "7"}
    assert not agreed.is_stable
    assert agreed.reason == "meter: digit 3 is 0 or 1"
    meter, room = agreed.reading.fields
    assert (meter.value, meter.valid, meter.reason) == (None, False, "not stable: digit 3 is 0 or 1")
    assert (room.value, room.valid, room.reason) == ("7", True, None)


def test_the_value_has_its_point_and_the_digits_are_those_agreed_on() -> None:
    tally = Tally(THREE, (METER, ROOM), never)
    tally.add(form("105", "7"))
    tally.add(form("105", "7"))
    agreed = tally.add(form("165", "7"))
    meter, _ = agreed.reading.fields
    assert (meter.text, meter.value) == ("105", "10.5")
    assert agreed.reading.text == "105\n7"


def test_a_value_that_cannot_be_has_a_reason_and_no_value() -> None:
    tally = Tally(THREE, (METER, ROOM), lambda name: "12.0" if name == "meter" else None)
    tally.add(form("119", "7"))
    agreed = tally.add(form("119", "7"))
    meter, _ = agreed.reading.fields
    assert (meter.text, meter.value, meter.valid) == ("119", None, False)
    assert meter.reason == "11.9 is less than 12.0 before"
    assert agreed.is_stable


def test_a_text_that_the_form_refuses_has_the_forms_reason() -> None:
    tally = Tally(THREE, (METER, ROOM), never)
    tally.add(form("1", "77"))
    agreed = tally.add(form("1", "77"))
    assert agreed.reading.fields[1].reason == "2 digits instead of 1"


def test_a_frame_that_lacks_a_digit_waits_for_the_next_one() -> None:
    tally = Tally(THREE, (METER, ROOM), never)
    tally.add(form("105", "7"))
    tally.add(form("105", "7"))
    agreed = tally.add(form("10", "7"))
    assert agreed.texts["meter"] is None
    assert tally.add(form("105", "7")).texts["meter"] == "105"


def test_forgotten_frames_do_not_vote() -> None:
    tally = Tally(THREE, (), never)
    tally.add(page("42"))
    tally.clear()
    assert not tally.add(page("42")).is_stable

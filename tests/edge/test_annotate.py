"""What is drawn into a picture can be read on any ground, and covers no digit."""

import itertools
import time

import cv2
import numpy as np
import pytest

from edge import annotate
from edge.annotate import REFUSED_COLOUR, RIM_COLOUR, SURE_COLOUR, UNSURE_COLOUR, annotated
from edge.reading import Digit, Field, Reading

GLYPH = np.zeros((28, 28), np.uint8)
INK = 200  # grey levels between a letter and its rim, at least


def reading(width: int, height: int, *digits: tuple[str | None, float, tuple[int, int, int, int]]) -> Reading:
    return Reading(width, height, tuple(Digit(label, sure, box, 0, GLYPH) for label, sure, box in digits))


ONE = reading(300, 200, ("7", 0.97, (120, 70, 40, 60)))
GROUNDS = {
    "white": (255, 255, 255), "black": (0, 0, 0), "grey": (128, 128, 128), "green": SURE_COLOUR,
    "red": (0, 0, 255), "blue": (255, 0, 0), "orange": UNSURE_COLOUR,
}  # fmt: skip


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.abs(after.astype(int) - before).max(axis=2)


@pytest.mark.parametrize("ground", GROUNDS)
def test_label_and_box_stand_out_of_any_ground(ground: str) -> None:
    frame = np.full((200, 300, 3), GROUNDS[ground], np.uint8)
    drawn = annotated(frame, ONE)
    label = drawn[20:66, 100:190]
    bright = (np.abs(label.astype(int) - SURE_COLOUR).max(axis=2) < 40).sum()
    dark = (label.max(axis=2) < 60).sum()
    assert bright >= 60, "the letters themselves"
    assert dark >= 60, "and their rim"
    assert changed(frame, drawn).max() >= INK / 2


def test_the_frame_itself_stays_as_it_was() -> None:
    frame = np.full((200, 300, 3), 200, np.uint8)
    annotated(frame, ONE)
    assert (frame == 200).all()


@pytest.mark.parametrize("shape", [(200, 300), (200, 300, 3)])
def test_grey_and_colour_give_colour(shape: tuple[int, ...]) -> None:
    drawn = annotated(np.full(shape, 230, np.uint8), ONE)
    assert drawn.shape == (200, 300, 3)
    assert drawn.dtype == np.uint8


def test_the_digit_is_not_touched() -> None:
    frame = np.full((200, 300, 3), 230, np.uint8)
    x, y, w, h = ONE.digits[0].box
    assert not changed(frame, annotated(frame, ONE))[y : y + h, x : x + w].any()


def colours(drawn: np.ndarray) -> set[tuple[int, int, int]]:
    return {
        colour for colour in (SURE_COLOUR, UNSURE_COLOUR, REFUSED_COLOUR) if (drawn == colour).all(axis=2).sum() > 20
    }


@pytest.mark.parametrize(
    ("label", "confidence", "colour"),
    [("7", 0.99, SURE_COLOUR), ("7", 0.6, UNSURE_COLOUR), (None, 0.3, REFUSED_COLOUR)],
)
def test_the_colour_says_how_sure_it_is(label: str | None, confidence: float, colour: tuple[int, int, int]) -> None:
    drawn = annotated(np.full((200, 300, 3), 230, np.uint8), reading(300, 200, (label, confidence, (120, 70, 40, 60))))
    assert colours(drawn) == {colour}


def words(monkeypatch: pytest.MonkeyPatch, frame: np.ndarray, said: Reading) -> list[str]:
    """The texts that are drawn."""
    put, texts = cv2.putText, []

    def note(canvas: np.ndarray, text: str, at: tuple[int, int], *rest: object) -> None:
        if rest[2] != RIM_COLOUR:
            texts.append(text)
        put(canvas, text, at, *rest)

    monkeypatch.setattr(annotate.cv2, "putText", note)
    annotated(frame, said)
    return texts


def test_label_and_confidence_are_written_and_a_refused_one_is_a_question_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    said = reading(300, 200, ("7", 0.978, (60, 70, 40, 60)), (None, 0.31, (160, 70, 40, 60)))
    assert words(monkeypatch, np.zeros((200, 300), np.uint8), said) == ["7", "97", "?", "31"]


def test_fields_are_named_with_what_stands_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    box = (20, 20, 200, 60)
    fields = (
        Field("Größe", "12", "12", 0.9, True, None, box),
        Field("empty", "", None, 0.0, False, "no digit found", (20, 120, 200, 60)),
        Field("日", "1\n2", "1\n2", 0.9, True, None, (240, 120, 50, 60)),
    )
    said = Reading(300, 200, (), fields)
    assert words(monkeypatch, np.zeros((200, 300), np.uint8), said) == ["Grosse: 12", "empty: -", "*: 1, 2"]


def page_of_digits(rows: int, columns: int, height: int, gap: float) -> tuple[np.ndarray, Reading]:
    """A page full of digits with `gap` digit heights between the lines."""
    step_x, step_y = round(height * 0.8), round(height * (1 + gap))
    margin = height * 2
    digits = [
        (str(k % 10), 0.95, (margin + c * step_x, margin + r * step_y, round(height * 0.6), height))
        for k, (r, c) in enumerate((r, c) for r in range(rows) for c in range(columns))
    ]
    width, tall = 2 * margin + columns * step_x, 2 * margin + rows * step_y
    return np.full((tall, width, 3), 230, np.uint8), reading(width, tall, *digits)


@pytest.mark.parametrize("height", [12, 24, 60, 200])
@pytest.mark.parametrize("gap", [0.5, 1.0])
def test_labels_cover_no_digit_on_a_full_page(height: int, gap: float) -> None:
    frame, said = page_of_digits(4, 8, height, gap)
    drawn = annotated(frame, said)
    scale = drawn.shape[1] / said.width
    for digit in said.digits:
        x, y, w, h = (round(v * scale) for v in digit.box)
        inside = drawn[y + 2 : y + h - 2, x + 2 : x + w - 2]
        assert (inside == 230).mean() > 0.97


def test_a_picture_of_small_digits_is_enlarged_until_letters_can_be_read() -> None:
    drawn = annotated(np.zeros((28, 28), np.uint8), reading(28, 28, ("3", 0.99, (7, 4, 14, 20))))
    assert drawn.shape[0] >= 3 * 28
    assert colours(drawn) == {SURE_COLOUR}


def small_digits(width: int, tall: int, height: int, step: int) -> tuple[np.ndarray, Reading]:
    """A large page with a block of small digits, `step` pixels from the left of one to that of the next."""
    digits = [
        (str(k % 10), 0.95, (60 + k % 10 * step, 60 + k // 10 * 2 * height, round(height * 0.6), height))
        for k in range(40)
    ]
    return np.full((tall, width), 230, np.uint8), reading(width, tall, *digits)


def test_small_digits_are_enlarged_on_a_large_page_as_well() -> None:
    frame, said = small_digits(1500, 1100, 13, 13)
    drawn = annotated(frame, said)
    scale = drawn.shape[1] / 1500
    assert 13 * scale > 45
    for first, second in itertools.pairwise(said.digits):
        if first.box[1] == second.box[1]:
            middle, level = (first.box[0] + first.box[2] + second.box[0]) / 2, first.box[1] + first.box[3] / 2
            assert (drawn[round(level * scale), round(middle * scale)] == 230).all(), "paper between two boxes"


def test_a_large_page_of_tiny_digits_stays_within_bounds_and_has_letters_that_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frame, said = small_digits(4000, 3000, 12, 11)
    drawn = annotated(frame, said)
    assert frame.size < drawn.size / 3 < 1.01 * annotate.ENLARGED_PIXELS
    scale = drawn.shape[1] / said.width
    for digit in said.digits:
        x, y, w, h = (round(v * scale) for v in digit.box)
        assert (drawn[y + 2 : y + h - 2, x + 2 : x + w - 2] == 230).mean() > 0.97
    assert words(monkeypatch, frame, said) == [digit.text for digit in said.digits]


def test_a_picture_with_digits_that_are_nearly_large_enough_is_not_blurred_for_that() -> None:
    frame = np.full((200, 300, 3), 230, np.uint8)
    assert annotated(frame, reading(300, 200, ("7", 0.97, (120, 70, 40, 52)))).shape == frame.shape


def test_a_page_that_is_larger_already_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotate, "ENLARGED_PIXELS", 1_000_000)
    frame, said = small_digits(1500, 1100, 13, 13)
    assert annotated(frame, said).shape == (1100, 1500, 3)


def test_letters_grow_with_the_digits() -> None:
    def lettering(size: int) -> int:
        frame = np.full((size, size, 3), 230, np.uint8)
        drawn = annotated(frame, reading(size, size, ("3", 0.99, (size // 3, size // 3, size // 5, size // 3))))
        return int((changed(frame, drawn).max(axis=1)[: size // 3 - size // 60] > 0).sum())

    assert lettering(4000) > 4 * lettering(400)


@pytest.mark.parametrize("box", [(0, 0, 40, 60), (260, 140, 40, 60), (0, 140, 40, 60), (260, 0, 40, 60)])
def test_a_digit_in_a_corner_has_its_label_in_the_picture(box: tuple[int, int, int, int]) -> None:
    frame = np.full((200, 300, 3), 230, np.uint8)
    x, y, w, h = box
    drawn = annotated(frame, reading(300, 200, ("7", 0.97, box)))
    away = changed(frame, drawn)
    away[max(0, y - 5) : y + h + 5, max(0, x - 5) : x + w + 5] = 0
    assert (away > INK / 2).sum() > 60
    assert drawn.shape == frame.shape


def test_a_digit_that_fills_the_picture_gets_a_margin_for_its_label() -> None:
    frame = np.full((200, 150, 3), 230, np.uint8)
    drawn = annotated(frame, reading(150, 200, ("8", 0.97, (2, 2, 146, 196))))
    assert drawn.shape[0] > 200
    assert drawn.shape[1] > 150
    top = (drawn.shape[0] - 200) // 2
    assert (drawn[top + 10 : top + 190, 60:-60] == 230).all()


def test_a_reduced_frame_is_drawn_on_at_its_own_scale() -> None:
    drawn = annotated(np.full((300, 400, 3), 230, np.uint8), reading(4000, 3000, ("7", 0.97, (2000, 1500, 400, 800))))
    assert (drawn[142:150, 200:240] == SURE_COLOUR).all(axis=2).any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 20000), (20000, 1, 3)])
def test_nothing_read_is_nothing_drawn(shape: tuple[int, ...]) -> None:
    frame = np.full(shape, 9, np.uint8)
    drawn = annotated(frame, reading(shape[1], shape[0]))
    assert drawn.shape == (*shape[:2], 3)
    assert (drawn == 9).all()


@pytest.mark.parametrize("shape", [(1, 1), (2, 20000), (20000, 2)])
def test_a_digit_in_a_picture_without_room_is_no_crash(shape: tuple[int, int]) -> None:
    height, width = shape
    annotated(np.zeros(shape, np.uint8), reading(width, height, ("1", 0.5, (0, 0, 1, 1))))


def test_some_hundred_digits_take_seconds_at_most() -> None:
    frame, said = page_of_digits(20, 25, 40, 0.4)
    start = time.process_time()
    annotated(frame, said)
    assert time.process_time() - start < 4  # half a second where nothing else runs

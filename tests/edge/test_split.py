"""Touching digits are taken apart where that makes digits of them, and left alone where it does not."""

import numpy as np
import pytest

from edge import DigitReader
from edge.preprocess import to_glyph
from edge.segment import Region
from edge.split import Piece, _steps, split, split_as
from tests.edge.sheets import Sheet

MOST_JUDGED = 400  # candidates looked at for one region


def touching(text: str, height: float = 60, overlap: float = 0.04) -> Region:
    """Digits whose ink runs into one another."""
    sheet = Sheet()
    sheet.write(text, 40, 40, height, gap=-overlap)
    return region_of(sheet)


def region_of(sheet: Sheet) -> Region:
    rows, columns = (np.flatnonzero((sheet.marks > 0.1).any(axis=axis)) for axis in (1, 0))
    x, y, x1, y1 = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    return Region(x, y, x1 - x, y1 - y, (sheet.marks[y:y1, x:x1] * 255).astype(np.uint8))


def named(region: Region, reader: DigitReader) -> tuple[str, float]:
    probabilities = reader.classifier(to_glyph(region)[None])[0][:10]
    best = int(probabilities.argmax())
    return str(best), float(probabilities[best])


def pieces_of(region: Region, reader: DigitReader) -> list[Piece[str]]:
    return split(region, lambda piece: named(piece, reader), named(region, reader)[1])


@pytest.mark.parametrize("text", ["88", "57", "83", "69", "28", "26"])
@pytest.mark.parametrize("height", [24, 90])
def test_touching_digits_are_taken_apart(text: str, height: float, reader: DigitReader) -> None:
    assert "".join(piece.answer for piece in pieces_of(touching(text, height), reader)) == text


@pytest.mark.parametrize("text", "2345689")
def test_a_digit_is_left_whole(text: str, reader: DigitReader) -> None:
    sheet = Sheet()
    sheet.write(text, 40, 40, 60)
    region = region_of(sheet)
    answer, alone = named(region, reader)
    assert answer == text
    assert split(region, lambda piece: (named(piece, reader)[0], 0.97 * alone), alone) == []


def test_pieces_come_from_the_left_with_the_ink_of_the_whole() -> None:
    region = touching("8888")
    seen: list[Region] = []

    def judge(piece: Region) -> tuple[Region, float]:
        seen.append(piece)
        # Of 8s, what is as wide as an 8.
        return piece, float(np.exp(-abs(piece.width / piece.height - 0.62)))

    pieces = [piece.answer for piece in split(region, judge, 0.0)]
    assert len(pieces) >= 2
    middles = [piece.x + piece.width / 2 for piece in pieces]
    assert middles == sorted(middles)
    for piece in seen:
        assert piece.mask.shape == (piece.height, piece.width)
        assert region.x <= piece.x and piece.x + piece.width <= region.x + region.width
        assert region.y <= piece.y and piece.y + piece.height <= region.y + region.height
    together = np.zeros_like(region.mask)
    for piece in pieces:
        y, x = piece.y - region.y, piece.x - region.x
        part = together[y : y + piece.height, x : x + piece.width]
        np.maximum(part, piece.mask, out=part)
    assert not (together > region.mask).any()
    assert np.count_nonzero(together > 127) > 0.9 * np.count_nonzero(region.mask > 127)
    assert len(seen) <= MOST_JUDGED


def test_where_no_piece_is_likely_the_whole_stays() -> None:
    assert split(touching("88"), lambda piece: (None, 0.0), 0.0) == []
    assert split(touching("88"), lambda piece: (None, 0.5), 0.9) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 3), (2, 300), (300, 2), (60, 2000)])
@pytest.mark.parametrize("kind", ["ink", "noise"])
def test_any_region_is_answered(shape: tuple[int, int], kind: str) -> None:
    mask = np.full(shape, 255, np.uint8)
    if kind == "noise":
        mask = np.random.default_rng(3).integers(0, 256, shape, np.uint8)
    judged = []

    def judge(piece: Region) -> tuple[None, float]:
        judged.append(piece)
        return None, 0.5

    split(Region(5, 7, shape[1], shape[0], mask), judge, 0.1)
    assert len(judged) <= MOST_JUDGED


def seen_in(text: str, height: float = 60) -> tuple[Region, list[tuple[float, float]]]:
    """Touching digits, and where each of them begins and ends."""
    sheet = Sheet()
    sheet.write(text, 40, 40, height, gap=-0.04)
    region = region_of(sheet)
    return region, [(digit.box[0] - region.x, digit.box[0] + digit.box[2] - region.x) for digit in sheet.written]


@pytest.mark.parametrize("straight", [False, True])
@pytest.mark.parametrize("text", ["88", "57", "8385", "69428"])
def test_a_region_is_cut_into_the_digits_that_were_seen_in_it(text: str, straight: bool, reader: DigitReader) -> None:
    region, spans = seen_in(text)
    calls = []

    def judge(pieces: list[Region]) -> list[Region]:
        calls.append(len(pieces))
        return pieces

    def name(piece: Region, number: int) -> tuple[Region, float]:
        probabilities = reader.classifier(to_glyph(piece)[None])[0][:10]
        return piece, float(probabilities[int(text[number])])

    pieces = split_as(region, spans, judge, name, straight=straight)
    assert "".join(named(piece, reader)[0] for piece in pieces) == text
    for piece, (left, right) in zip(pieces, spans, strict=True):
        assert max(abs(piece.x - region.x - left), abs(piece.x + piece.width - region.x - right)) < 17
    assert len(calls) == 1, "all pieces are judged together"
    if straight:
        assert calls == [len(text)]


def test_of_the_ways_to_cut_a_region_the_likeliest_is_taken() -> None:
    region, spans = seen_in("88")
    tried: list[int] = []

    def name(piece: Region, number: int) -> tuple[Region, float]:
        tried.append(piece.width)
        return piece, 1.0 if piece.width == widest else 0.1

    widest = 0
    split_as(region, spans, lambda pieces: pieces, name)
    widest = max(tried)
    assert len({*tried}) > 2
    assert widest in [piece.width for piece in split_as(region, spans, lambda pieces: pieces, name)]


@pytest.mark.parametrize("spans", [[(0, 38), (46, 60)], [(-30, -8), (-6, 20)]])
def test_digits_seen_outside_of_a_region_are_none_of_its_pieces(spans: list[tuple[float, float]]) -> None:
    region = Region(7, 5, 40, 60, np.full((60, 40), 255, np.uint8))
    pieces = split_as(region, spans, lambda pieces: pieces, lambda piece, number: (piece, 1.0))
    assert [(piece.x, piece.width) for piece in pieces] == [(7, 40)]


def test_where_no_cut_fits_what_was_seen_it_is_cut_straight() -> None:
    region = Region(7, 5, 40, 60, np.full((60, 40), 255, np.uint8))  # every cut crosses too much ink
    pieces = split_as(region, [(0, 12), (12, 40)], lambda pieces: pieces, lambda piece, number: ((piece, number), 1.0))
    assert [(piece.x, piece.width, number) for piece, number in pieces] == [(7, 13, 0), (18, 29, 1)]


def test_only_steps_that_lead_from_end_to_end_are_tried() -> None:
    steps = _steps([0.0, 20.0, 24.0, 50.0, 75.0], [(0.0, 22.0), (22.0, 52.0), (52.0, 75.0)], 5.0)
    assert steps == [(0, 0, 1), (0, 0, 2), (1, 1, 3), (1, 2, 3), (2, 3, 4)]
    assert _steps([0.0, 20.0, 75.0], [(0.0, 22.0), (22.0, 52.0), (52.0, 75.0)], 5.0) == []

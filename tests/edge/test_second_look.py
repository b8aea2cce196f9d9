"""What is in doubt is seen in its line: how many digits it holds, where, and whether any."""

import math

import numpy as np
import pytest

from edge import DigitReader
from edge.line_network import WIDTHS, LineNetwork
from edge.rules import levelled
from edge.second_look import Doubt, Seen, look_again
from edge.segment import Region
from tests.edge.sheets import Sheet, overlap

DEPTH = 180  # of the ink, of 255


@pytest.fixture(scope="module")
def network() -> LineNetwork:
    return LineNetwork()


def depth_of(sheet: Sheet) -> np.ndarray:
    return np.ascontiguousarray((sheet.marks * DEPTH).astype(np.uint8))


def doubt(depth: np.ndarray, left: float = 0, right: float = math.inf) -> Doubt:
    """The ink between two columns, as one region."""
    ink = depth > DEPTH / 2
    columns = np.flatnonzero(ink.any(axis=0))
    columns = columns[(columns >= left) & (columns < right)]
    x, x1 = int(columns[0]), int(columns[-1]) + 1
    rows = np.flatnonzero(ink[:, x:x1].any(axis=1))
    y, y1 = int(rows[0]), int(rows[-1]) + 1
    return Doubt(Region(x, y, x1 - x, y1 - y, (ink[y:y1, x:x1] * 255).astype(np.uint8)), DEPTH)


def values(seen: list[Seen]) -> str:
    return "".join(str(digit.digit.value) for digit in seen)


def box(seen: Seen) -> tuple[float, float, float, float]:
    digit = seen.digit
    return digit.left, digit.top, digit.right - digit.left, digit.bottom - digit.top


@pytest.mark.parametrize("height", [14, 40, 160])
@pytest.mark.parametrize("text", ["26", "583", "8"])
def test_touching_digits_of_any_size_are_counted_and_placed(text: str, height: float, network: LineNetwork) -> None:
    sheet = Sheet(height=300, width=700)
    sheet.write(text, 60, 70, height, gap=-0.04)
    depth = depth_of(sheet)
    seen = look_again([doubt(depth)], [], depth, None, network)
    assert values(seen) == text
    assert all(digit.home == 0 and digit.parts == () for digit in seen)
    for digit, written in zip(seen, sheet.written, strict=True):
        assert overlap(box(digit), written.box) > 0.5


def test_a_turned_page_is_seen_level(network: LineNetwork) -> None:
    sheet = Sheet(tilt=9)
    sheet.write("3062", 120, 120, 44)
    depth = depth_of(sheet)
    level, turn = levelled(depth, 9)
    seen = look_again([doubt(level)], [], depth, turn, network)
    assert values(seen) == "3062"


def test_sure_digits_beside_it_tell_how_high_a_bar_of_ink_is_to_be_seen(network: LineNetwork) -> None:
    sheet = Sheet()
    end = sheet.write("68", 60, 100, 40)
    sheet.write("5", end + 8, 100, 40)
    depth = depth_of(sheet)
    sure = [doubt(depth, right=end - 14).region]
    (seen,) = look_again([doubt(depth, left=end)], sure, depth, None, network)
    assert seen.digit.value == 5 and seen.home == 0


def test_the_line_between_two_cells_is_none(network: LineNetwork) -> None:
    sheet = Sheet()
    sheet.write("7", 108, 108, 40)
    sheet.write("3", 168, 108, 40)
    sheet.box(90, 98, 120, 60, cells=2)
    depth = depth_of(sheet)
    line = Doubt(Region(149, 100, 3, 56, np.full((56, 3), 255, np.uint8)), DEPTH)
    assert look_again([line], [], depth, None, network) == []


def test_a_piece_that_fell_off_is_no_digit_of_its_own(network: LineNetwork) -> None:
    sheet = Sheet()
    sheet.write("5", 60, 100, 60)
    depth = depth_of(sheet)
    depth[112:116] = 0  # the bar is cut off
    top, rest = depth.copy(), depth.copy()
    top[114:], rest[:114] = 0, 0
    (seen,) = look_again([doubt(top), doubt(rest)], [], depth, None, network)
    assert (seen.digit.value, seen.home) == (5, 1)


def test_a_half_that_was_torn_off_belongs_to_the_other(network: LineNetwork) -> None:
    sheet = Sheet()
    sheet.write("8", 60, 100, 60)
    depth = depth_of(sheet)
    depth[:, 84:86] = 0
    (seen,) = look_again([doubt(depth, right=84), doubt(depth, left=86)], [], depth, None, network)
    assert seen.digit.value == 8
    assert {seen.home, *seen.parts} <= {0, 1}


def test_a_line_longer_than_the_network_takes_is_read_whole(network: LineNetwork) -> None:
    text = "2836059" * 5
    sheet = Sheet(height=60, width=int(len(text) * 24 * 1.1))
    sheet.write(text, 20, 18, 24, gap=0.2)
    depth = depth_of(sheet)
    assert depth.shape[1] > 1.5 * WIDTHS[-1]
    assert values(look_again([doubt(depth)], [], depth, None, network)) == text


def test_an_empty_page_needs_no_look(network: LineNetwork) -> None:
    assert look_again([], [], np.zeros((100, 100), np.uint8), None, network) == []


@pytest.mark.parametrize("gap", [0.5, 0.85])
def test_only_what_shares_an_image_with_a_digit_in_doubt_is_looked_at(gap: float) -> None:
    """Neighbours a little farther off would each be read in an image of their own, which says nothing of the doubt."""
    reader = DigitReader()
    sheet = Sheet(200, 560)
    sheet.write("20547", 60, 60, 70, gap=gap)
    looked_at = []
    read, name = reader.lines.read, reader.classifier.classify

    def noted(image: np.ndarray) -> object:
        looked_at.append(image.shape)
        return read(image)

    def unsure_of_a_5(glyphs: np.ndarray) -> np.ndarray:
        shares = name(glyphs)
        return shares * np.float32(0.9) if shares.argmax() == 5 else shares

    reader.lines = _With(reader.lines, read=noted)
    reader.classifier = _With(reader.classifier, __call__=unsure_of_a_5)
    assert reader.read(sheet.grey()).text == "20547"
    assert len(looked_at) == 1


class _With:
    """Something with other attributes."""

    def __init__(self, base: object, **attributes: object) -> None:
        self._base, self._attributes = base, attributes

    def __getattr__(self, name: str) -> object:
        return self._attributes[name] if name in self._attributes else getattr(self._base, name)

    def __call__(self, *given: object) -> object:
        return self._attributes["__call__"](*given)

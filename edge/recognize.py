"""Read a page: find its ink, name each region, split what touches, and put the digits in lines."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.decode import Page
from edge.lines import arrange
from edge.page import page_ink
from edge.parts import find_parts
from edge.preprocess import to_glyph
from edge.reading import Box, Digit
from edge.segment import Region
from edge.split import split

Image = NDArray[np.uint8]

MIN_HEIGHT = 12  # pixels: a lower digit is not read
SMALLEST_PART = 1 / 150  # of the picture's longer side: nor is one lower than this
SURE = 0.9  # confidence at which a region of usual proportions is not tried to be split
WIDE = 1.0  # of its height: a wider region is tried to be split however sure
LINE_HEIGHT = (0.45, 1.9)  # of the heights of the digits beside it: a refused region in a line
LINE_SHIFT = 0.6  # of their height: its middle is no farther off


@dataclass(frozen=True, slots=True)
class Candidate:
    """A region with what the classifier says of it: `label` index of the best digit, `confidence` 0 to 1."""

    region: Region
    glyph: Image
    label: int
    confidence: float


Name = Callable[[Image], tuple[int, float]]
"""The best digit of a glyph, uint8 (28, 28), as an index, and its confidence."""


def read_page(page: Page, name: Name, labels: tuple[str, ...], threshold: float, smallest: float) -> tuple[Digit, ...]:
    """The digits of a page in reading order.

    threshold: confidence below which a region is refused. smallest: height of the smallest digit, in pixels of the
    page's grey picture.
    """
    ink = page_ink(page.grey, page.preview, page.colour)
    if ink is None:
        return ()
    parts = find_parts(ink, ink.mask, smallest)
    if parts is None:
        return ()

    def candidate(region: Region) -> Candidate:
        glyph = to_glyph(region)
        return Candidate(region, glyph, *name(glyph))

    def judge(region: Region) -> tuple[Candidate, float]:
        found = candidate(region)
        return found, found.confidence

    found: list[Candidate] = []
    for index in range(len(parts.members)):
        whole = candidate(parts.region(index))
        region = whole.region
        if whole.confidence < SURE or region.width > WIDE * region.height:
            pieces = split(region, judge, whole.confidence)
            if pieces and min(piece.likelihood for piece in pieces) >= threshold:
                found += [piece.answer for piece in pieces]
                continue
        found.append(whole)
    scale = page.width / page.grey.shape[1], page.height / page.grey.shape[0]
    return _in_lines(found, labels, threshold, scale)


def _in_lines(
    found: list[Candidate], labels: tuple[str, ...], threshold: float, scale: tuple[float, float]
) -> tuple[Digit, ...]:
    accepted = [c for c in found if c.confidence >= threshold]
    refused = [c for c in found if c.confidence < threshold]
    if not accepted:
        return ()
    boxes = _boxes(accepted)
    lines, tilt = arrange(boxes)
    digits = []
    for number, line in enumerate(lines):
        members = [accepted[k] for k in line]
        members = _with_refused(members, refused, tilt)
        for member in members:
            label = labels[member.label] if member.confidence >= threshold else None
            digits.append(Digit(label, member.confidence, _scaled(member.region, scale), number, member.glyph))
    return tuple(digits)


def _with_refused(members: list[Candidate], refused: list[Candidate], tilt: float) -> list[Candidate]:
    """A line with the refused regions that lie between its digits."""
    if len(members) < 2 or not refused:
        return members
    cos, sin = np.cos(tilt), np.sin(tilt)

    def place(c: Candidate) -> tuple[float, float, float, float]:
        x, y = c.region.x + c.region.width / 2, c.region.y + c.region.height / 2
        return x * cos + y * sin, y * cos - x * sin, c.region.width, c.region.height

    places = np.asarray([place(c) for c in members])
    height = float(np.median(places[:, 3]))
    added = []
    for c in refused:
        x, y, _, h = place(c)
        k = int(np.searchsorted(places[:, 0], x))
        if not 0 < k < len(members):
            continue
        level = (places[k - 1, 1] + places[k, 1]) / 2
        if abs(y - level) <= LINE_SHIFT * height and LINE_HEIGHT[0] * height <= h <= LINE_HEIGHT[1] * height:
            added.append(c)
    return sorted([*members, *added], key=lambda c: place(c)[0]) if added else members


def _boxes(candidates: list[Candidate]) -> NDArray[np.float64]:
    return np.asarray([(c.region.x, c.region.y, c.region.width, c.region.height) for c in candidates], np.float64)


def _scaled(region: Region, scale: tuple[float, float]) -> Box:
    left, top = int(region.x * scale[0]), int(region.y * scale[1])
    right = int(np.ceil((region.x + region.width) * scale[0]))
    bottom = int(np.ceil((region.y + region.height) * scale[1]))
    return left, top, right - left, bottom - top

"""Name regions: which digit each looks like, how sure that is, and where it stands in the original picture."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.candidate import Candidate, Shares
from edge.preprocess import glyph_and_stroke
from edge.reading import Box, Digit
from edge.segment import Region, corners_of

Image = NDArray[np.uint8]
Matrix = NDArray[np.float64]

BAR_LABEL, RING_LABEL, CORNER_LABEL = "1", "0", "7"  # the digits that are but a bar, a ring and a corner


@dataclass(frozen=True, slots=True)
class Judge:
    """Names glyphs.

    `name`: how likely each label is for a glyph, uint8 (28, 28): float32 (classes,), 0 for the label of what is no
    digit. `labels`: one a class. `threshold`: confidence below which a region is no digit. `least`: confidence below
    which a digit has its place in a line, and no label.
    """

    name: Callable[[Image], Shares]
    labels: tuple[str, ...]
    threshold: float
    least: float = 0.0

    def candidate(self, region: Region, depth: float) -> Candidate:
        """What a region is taken for; depth: how deep its ink usually is."""
        (found,) = self.candidates([(region, depth)])
        return found

    def candidates(self, regions: Sequence[tuple[Region, float]]) -> list[Candidate]:
        """What each region is taken for, arguments as for `candidate`.

        All glyphs first, then the network for all: each finds its code and numbers in the processor's cache.
        """
        glyphs = [glyph_and_stroke(region) for region, _ in regions]
        shares = [self.name(glyph) for glyph, _ in glyphs]
        return [
            Candidate(region, glyph, own, stroke, depth)
            for (region, depth), (glyph, stroke), own in zip(regions, glyphs, shares, strict=True)
        ]

    def index(self, label: str) -> int | None:
        """Of a label; None where there is no such."""
        return self.labels.index(label) if label in self.labels else None

    def digits(self, lines: list[list[Candidate]], back: Matrix, size: tuple[int, int]) -> tuple[Digit, ...]:
        """What stands in lines; back: (2, 3), from the regions' pixels to those of the original, of that width and
        height."""
        return tuple(self.digit(c, number, back, size) for number, line in enumerate(lines) for c in line)

    def digit(self, c: Candidate, line: int, back: Matrix, size: tuple[int, int]) -> Digit:
        """A candidate in a line; arguments as for `digits`."""
        label = self.labels[c.label] if c.is_digit(max(self.threshold, self.least)) else None
        return Digit(label, c.confidence, _box(c.region, back, size), line, c.glyph, c.mark)


def _box(region: Region, back: Matrix, size: tuple[int, int]) -> Box:
    """The box of a region's ink in pixels of the original of that width and height.

    back: (2, 3), from the region's pixels to those.
    """
    (across, tilted, right_by), (_, down, down_by) = back.tolist()
    if tilted == 0:
        left, right = _sides(region.x, region.width, across, size[0])
        top, bottom = _sides(region.y, region.height, down, size[1])
        spans = [(left * across + right_by, right * across + right_by), (top * down + down_by, bottom * down + down_by)]
    else:
        # The turned box would be larger than what it holds.
        places = back[:, :2] @ (corners_of(region) + 0.5).T + back[:, 2:]
        spans = list(zip(places.min(axis=1).tolist(), places.max(axis=1).tolist(), strict=True))
    (left, width), (top, height) = (_whole_pixels(*span, most) for span, most in zip(spans, size, strict=True))
    return left, top, width, height


def _whole_pixels(start: float, end: float, most: int) -> tuple[int, int]:
    """The first pixel of a span, and how many it has, at least one; most: of the picture."""
    first = min(max(math.floor(start), 0), most - 1)
    return first, max(1, min(max(math.ceil(end), 1), most) - first)


def _sides(start: int, length: int, scale: float, most: int) -> tuple[float, float]:
    """Where the ink of a region begins and ends, and a pixel of the original before and after it.

    The region is wider by one of its own pixels, but not beyond the frame. scale: pixels of the original for one of it.
    most: of the original.
    """
    inset = max(0.0, 1 - 1 / scale)
    end = start + length
    return start + inset * (start > 0), end - inset * (end * scale <= most - scale / 2)

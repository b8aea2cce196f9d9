"""Put digits drawn in strokes so wide that the closer look took them for paper among what it found."""

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.candidate import Candidate, lies_in
from edge.segment import Region, ink_within

Image = NDArray[np.uint8]

WIDE_SURE = 0.9  # confidence that makes a digit of such a stroke
WRITTEN = 0.25  # of its height: lower digits within are written in a shadow, higher ones are its pieces
WIDE_SAME = 0.7  # of its box: something as large was found by the closer look already; less is a piece of it


def with_wide(found: list[Candidate], wide: list[Candidate], threshold: float, bar: int | None) -> list[Candidate]:
    """The candidates with those drawn in strokes so wide that they were first taken for paper.

    A shadow is as dark and wide. What sets it apart: it is no digit, or there is writing in it, bars not counted, which
    the edges of such a stroke are, nor a single digit, which its corner may look like.

    bar: index of the label of the digit that is but a bar, None where there is no such label.
    """
    for other in wide:
        if other.refused or other.confidence < max(threshold, WIDE_SURE):
            continue
        inside = [k for k in found if lies_in(k.region, other.region)]
        written = [k for k in inside if k.is_digit(WIDE_SURE) and k.region.height < WRITTEN * other.region.height]
        if sum(k.label != bar for k in written) > 1:
            continue
        same = [k for k in inside if _share(k.region, other.region) > WIDE_SAME]
        if other.label != bar:  # a bar the closer look tells as well
            same = [k for k in same if k.is_digit(threshold)]
        if same:
            # The closer look may have broken a piece off.
            inside = [k for k in inside if not any(k is s for s in same) and _lies_on(k.region, other.region)]
            if inside and all(s.label == other.label or s.confidence < other.confidence for s in same):
                found = [k for k in found if not any(k is i for i in (*inside, *same))] + [other]
            continue
        found = [k for k in found if not any(k is i for i in inside)] + [other]
    return found


def _lies_on(region: Region, other: Region) -> bool:
    """Whether most of a region's ink lies on another's."""
    left, top = max(region.x, other.x), max(region.y, other.y)
    right = min(region.x + region.width, other.x + other.width)
    bottom = min(region.y + region.height, other.y + other.height)
    if right <= left or bottom <= top:
        return False
    own, theirs = (ink_within(r.mask)[top - r.y : bottom - r.y, left - r.x : right - r.x] for r in (region, other))
    return 2 * cv2.countNonZero(cv2.bitwise_and(own, theirs)) > cv2.countNonZero(ink_within(region.mask))


def _share(region: Region, other: Region) -> float:
    return region.width * region.height / (other.width * other.height)

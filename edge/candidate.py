"""A region of a page with what is thought of it on the way to a digit."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.segment import Region

Image = NDArray[np.uint8]
Shares = NDArray[np.float32]
Boxes = NDArray[np.float64]
Bools = NDArray[np.bool_]

BESIDE_GAP = 1.0  # heights between two digits of a line, at most
BESIDE_COMMON = 0.5  # of the lower one's height is at the height of the other
BESIDE_RATIO = 1.7  # of their heights, at most


@dataclass(frozen=True, slots=True)
class Candidate:
    """A region with what the classifier says of it: `shares` float32 (classes,), how likely each label is.

    `label`: index of the likeliest, and `confidence`, 0 to 1, how likely that is. `stroke`: how wide its strokes are,
    in pixels. `depth`: how deep its ink usually is, 0 to 255. `refused`: whether it is no digit, whatever the
    classifier says. `mark`: whether it is because it is a point, a comma, a dash or the like.
    """

    region: Region
    glyph: Image
    shares: Shares
    stroke: float
    depth: float = 0.0
    refused: bool = False
    mark: bool = False
    label: int = field(init=False)
    confidence: float = field(init=False)

    def __post_init__(self) -> None:
        best = int(self.shares.argmax())
        object.__setattr__(self, "label", best)
        object.__setattr__(self, "confidence", self.shares.item(best))

    def is_digit(self, threshold: float) -> bool:
        """Whether it is read as one."""
        return self.confidence >= threshold and not self.refused


def boxes_of(candidates: list[Candidate]) -> Boxes:
    """Those of their regions: (n, 4) as x, y, width, height."""
    boxes = [(c.region.x, c.region.y, c.region.width, c.region.height) for c in candidates]
    return np.asarray(boxes, np.float64).reshape(-1, 4)


def lies_in(region: Region, other: Region) -> bool:
    x, y = region.x + region.width / 2, region.y + region.height / 2
    return other.x <= x <= other.x + other.width and other.y <= y <= other.y + other.height


def are_beside(box: Boxes, boxes: Boxes, most: float = BESIDE_GAP) -> Bools:
    """bool (n,): which boxes, (n, 4) as x, y, width, height, are next to this one, (4,), in a line; itself as well.

    most: heights between two, at most.
    """
    x, y, width, height = box.tolist()
    left, top, widths, heights = boxes.T
    higher, lower = np.maximum(heights, height), np.minimum(heights, height)
    gap = np.maximum(left, x) - np.minimum(left + widths, x + width)
    common = np.minimum(top + heights, y + height) - np.maximum(top, y)
    beside = (gap <= most * higher) & (common >= BESIDE_COMMON * lower) & (higher <= BESIDE_RATIO * lower)
    return np.asarray(beside, np.bool_)


def between(boxes: Boxes, digits: Boxes) -> Bools:
    """bool (n,): which boxes, (n, 4) as x, y, width, height, have a digit, (m, 4), next to them on either side."""
    found = np.zeros(len(boxes), np.bool_)
    for k, box in enumerate(boxes):
        lefts = digits[are_beside(box, digits), 0]
        found[k] = bool((lefts < box[0]).any() and (lefts > box[0]).any())
    return found


def reached(first: Bools, beside: Bools) -> Bools:
    """bool (n,): the first ones, (n,), what is beside them, (n, n), what is beside that, and so on."""
    found = front = first
    while front.any():
        front = beside[front].any(axis=0) & ~found
        found = found | front
    return found


def groups(members: Bools, beside: Bools) -> Iterator[Bools]:
    """bool (n,), one by one: all that is reached from one of the members, (n,), until each was in a group; beside: as
    for `reached`."""
    left = members.copy()
    while left.any():
        group = reached(np.arange(len(left)) == left.argmax(), beside)
        left &= ~group
        yield group

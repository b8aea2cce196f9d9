"""A region of a page with what is thought of it on the way to a digit."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.segment import Region

Image = NDArray[np.uint8]
Shares = NDArray[np.float32]


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


def boxes_of(candidates: list[Candidate]) -> NDArray[np.float64]:
    """Those of their regions: (n, 4) as x, y, width, height."""
    boxes = [(c.region.x, c.region.y, c.region.width, c.region.height) for c in candidates]
    return np.asarray(boxes, np.float64).reshape(-1, 4)


def lies_in(region: Region, other: Region) -> bool:
    x, y = region.x + region.width / 2, region.y + region.height / 2
    return other.x <= x <= other.x + other.width and other.y <= y <= other.y + other.height

"""Tell a drawn triangle, square or pentagon from a 0."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.segment import ink_within

Image = NDArray[np.uint8]

# An outline is a polygon of so many corners at most where it strays from one no farther, in parts of the square root of
# its area. A circle has more, and so had all zeros of USPS and of the project's own pages, and all but two of
# MNIST's 6,903.
CORNERS, STRAYS = 5, 0.075


def is_polygon(mask: Image) -> bool:
    """Whether a region's outline is a few straight lines; mask: uint8 (h, w), its ink 255."""
    outlines, _ = cv2.findContours(ink_within(mask), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=cv2.contourArea, default=None)
    if outline is None or not (area := cv2.contourArea(outline)):
        return False
    return len(cv2.approxPolyDP(outline, STRAYS * math.sqrt(area), True)) <= CORNERS

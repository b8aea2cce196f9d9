"""Leave out the desk that a sheet of paper lies on: its grain is no writing, and costs as much to read."""

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.deskew import find_page
from edge.errors import PictureError
from edge.segment import as_image

Image = NDArray[np.uint8]

RIM = 2  # pixels from the frame's edge: there it is looked whether the paper ends before
DESK_PART = 0.5  # of that frame is so much darker than paper: a shadow or a wide stroke is not all around
OUTLINE_SIDE = 320  # pixels: longer side of the copy in which the outline is looked for
INSIDE = 0.01  # of the sheet's size: so near its edge lie its shadow and the outline's error


def find_sheet(grey: Image, depth: Image, deep: int) -> Image | None:
    """uint8 (h, w): 255 on a sheet that lies on a darker desk; None where none does, or its outline is not seen whole.

    grey: uint8 (h, w). depth: uint8 (h, w), how far each pixel lies below the paper, wide strokes and desks as well:
    only where that is more than `deep` around the frame an outline is looked for.
    """
    if min(grey.shape) <= 2 * RIM:
        return None
    border = np.concatenate([depth[RIM], depth[-1 - RIM], depth[:, RIM], depth[:, -1 - RIM]])
    if np.count_nonzero(border > deep) < DESK_PART * border.size:
        return None
    try:
        corners = find_page(grey, OUTLINE_SIDE)
    except PictureError:
        return None
    inside = np.zeros_like(grey)
    cv2.fillConvexPoly(inside, np.rint(corners).astype(np.int32), (255,))
    if cv2.mean(grey, inside)[0] <= cv2.mean(grey, cv2.bitwise_not(inside))[0]:
        return None
    margin = 1 + round(INSIDE * float(np.sqrt(cv2.countNonZero(inside))))
    kernel = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
    return as_image(cv2.erode(inside, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=(0,)))


def on_paper(image: Image, sheet: Image) -> Image:
    """A picture, uint8 (h, w) or (h, w, 3), with paper as the sheet mostly is where its desk was: there is no edge."""
    plain = np.empty_like(image)
    plain[:] = cv2.mean(image, sheet)[: image.shape[2]] if image.ndim == 3 else cv2.mean(image, sheet)[0]
    return as_image(cv2.copyTo(image, sheet, plain))

"""Leave out the desk that a sheet of paper lies on: its grain is no writing, and costs as much to read."""

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.deskew import find_page
from edge.errors import PictureError
from edge.segment import as_image, levels_at, mean_within

Image = NDArray[np.uint8]

BRIGHT_PART = 0.2  # of the frame is a sheet, at least: the level that so much of it reaches is paper
DESK_LEVEL = 0.7  # of that level: a desk is darker, and so is deep shade: around a patch of sunlight nothing is read
LIGHT_DESK_LEVEL = 0.9  # of that level: the same for a desk of light wood, which shade is not
WOOD_TONE = 0.93  # times the paper's share of blue to red: wood has less; what lies in the shade has as much, or more
DESK_PART = 0.5  # of the frame's edge is so dark: a shadow or a wide stroke is not all around
OUTLINE_SIDE = 320  # pixels: longer side of the copy in which the outline is looked for
INSIDE = 0.01  # of the sheet's size: so near its edge lie its shadow and the outline's error
FILL_SCALE = 8  # the frame's side over that of the copy by which paper is continued over the desk
FILL_REACH = 4  # that copy's longer side over the width over which paper is averaged
FILL_LEAST = 5  # of 255 parts: where less than this of the surroundings is paper, it is the sheet's mean


def find_sheet(grey: Image, coarse: Image, preview: Image | None = None) -> Image | None:
    """uint8 (h, w): 255 on a sheet that lies on a darker desk; None where none does, or its outline is not seen whole.

    grey: uint8 (h, w). coarse: uint8 (h', w'), a small copy that says whether the frame's edge is dark at all: only
    then an outline is looked for. preview: uint8 (h'', w'', 3) BGR, another, by which light wood is told from shade;
    None for a grey picture.
    """
    if min(coarse.shape) < 3:
        return None
    edge = _edge(coarse)
    most = DESK_LEVEL if preview is None else LIGHT_DESK_LEVEL
    if not _is_desk(edge, most * int(coarse.max())):  # most pages have none, and this is the cheaper question
        return None
    (paper,) = levels_at(coarse, (int((1 - BRIGHT_PART) * coarse.size),))
    level = DESK_LEVEL
    if not _is_desk(edge, DESK_LEVEL * paper):
        if preview is None or not _is_desk(edge, LIGHT_DESK_LEVEL * paper) or not _is_wood(preview, paper):
            return None
        level = LIGHT_DESK_LEVEL
    try:
        corners = find_page(grey, OUTLINE_SIDE)
    except PictureError:
        return None
    inside = np.zeros_like(grey)
    cv2.fillConvexPoly(inside, np.rint(corners).astype(np.int32), (255,))
    if mean_within(grey, inside) * level <= mean_within(grey, as_image(cv2.bitwise_not(inside))):
        return None
    margin = 1 + round(INSIDE * float(np.sqrt(cv2.countNonZero(inside))))
    kernel = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
    return as_image(cv2.erode(inside, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=(0,)))


def _edge(image: Image) -> Image:
    """The pixels along the frame's edge, uint8 (n,) or (n, 3)."""
    return np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])


def _is_desk(edge: Image, level: float) -> bool:
    """Whether most of the frame's edge, uint8 (n,), is darker than that."""
    return np.count_nonzero(edge < level) >= DESK_PART * edge.size


def _is_wood(preview: Image, paper: int) -> bool:
    """Whether the frame's edge is browner than what is as bright as the paper."""
    green = cv2.extractChannel(preview, 1)
    sheet = cv2.compare(green, np.full_like(green, paper), cv2.CMP_GE)
    if not cv2.countNonZero(sheet):
        return False
    blue, _, red, _ = cv2.mean(preview, sheet)
    desk_blue, _, desk_red, _ = cv2.mean(_edge(preview)[:, None])
    return desk_blue * red < WOOD_TONE * blue * desk_red


def without_desk(image: Image, sheet: Image) -> Image:
    """A picture, uint8 (h, w) or (h, w, 3), whose sheet goes on where its desk was, in the light that falls nearby.

    sheet: uint8 (h, w), as `find_sheet` gives it.
    """
    height, width = sheet.shape
    size = (max(1, width // FILL_SCALE), max(1, height // FILL_SCALE))
    reach = max(size) // FILL_REACH | 1
    # Paper alone counts: a cell that lies partly on the desk is as bright as its part of the sheet.
    share = cv2.resize(sheet, size, interpolation=cv2.INTER_AREA)
    lit = cv2.resize(cv2.copyTo(image, sheet, np.zeros_like(image)), size, interpolation=cv2.INTER_AREA)
    near = cv2.blur(share.astype(np.float32), (reach, reach)).reshape(*share.shape, *(1,) * (image.ndim - 2))
    total = cv2.blur(lit.astype(np.float32), (reach, reach))
    mean = cv2.mean(image, sheet)[: lit[0, 0].size]
    level = np.where(near > FILL_LEAST, 255 * total / np.maximum(near, FILL_LEAST), mean)
    paper = cv2.resize(np.rint(level.clip(0, 255)).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
    return as_image(cv2.copyTo(image, sheet, paper))


def plain_around(depth: Image, sheet: Image) -> Image:
    """The depth, uint8 (h, w), with as much as the sheet has on average where its desk was: no edge, and no writing."""
    plain = np.full_like(depth, round(mean_within(depth, sheet)))
    return as_image(cv2.copyTo(depth, sheet, plain))

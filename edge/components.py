"""Connected components of a page's ink, found without looking at the paper between them."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.segment import as_image

Image = NDArray[np.uint8]
Integers = NDArray[np.int32]

MAX_COMPONENTS = 20000  # more than this many are specks of noise, and no stroke can be told among them
HALVINGS = 2
CELL = 2**HALVINGS  # pixels: side of the cells in which it is first looked where there is ink
ROUNDED = 0.9  # of a cell's ink is left, at least, when its level is rounded
WINDOW_COST = 4000  # pixels: to put a window beside the others costs as much as to look through so many pixels


@dataclass(frozen=True, slots=True)
class Components:
    """Connected components of a page's ink.

    `boxes`: int32 (n, 4), x, y, width, height. `areas`: int32 (n,), pixels. `labels`: int32 (h, w), the component of
    each pixel, of the page or of parts of it that lie side by side. `numbers`: int32 (n,), each one's own there.
    `origins`: int32 (n, 2), x, y of the page where each one's part of the labels would begin at 0, 0.
    """

    boxes: Integers
    areas: Integers
    labels: Integers
    numbers: Integers
    origins: Integers

    def chosen(self, indices: Integers) -> "Components":
        """Some of them."""
        return Components(
            self.boxes[indices], self.areas[indices], self.labels, self.numbers[indices], self.origins[indices]
        )

    def draw(self, index: int, mask: Image, left: int, top: int) -> None:
        """Sets a component's pixels to 255 in a part of the page, uint8 (h, w), that begins at left, top."""
        own = self.mask(index)
        x, y = self.boxes[index, :2].tolist()
        mask[y - top : y - top + own.shape[0], x - left : x - left + own.shape[1]] |= own

    def mask(self, index: int) -> Image:
        """uint8 (h, w), of a component's box: 255 where its pixels are."""
        x, y, width, height = self.boxes[index].tolist()
        x0, y0 = self.origins[index].tolist()
        labels = self.labels[y - y0 : y - y0 + height, x - x0 : x - x0 + width]
        return pixels_of(labels, self.numbers.item(index))


def components_of(mask: Image, least: float) -> Components | None:
    """The components of at least `least` pixels, and some smaller ones; None where there are none, or too many.

    Statistics of every pixel of a page cost more than all the rest of reading it, and most of it is paper and specks.
    So a copy in cells of CELL pixels, with ink wherever there is any in a cell, tells first where a component can be.
    """
    height, width = mask.shape
    below, beside = -height % CELL, -width % CELL
    cells = cv2.copyMakeBorder(mask, 0, below, 0, beside, cv2.BORDER_CONSTANT, value=(0,)) if below or beside else mask
    for _ in range(HALVINGS):  # a single pixel of ink stays above 0
        cells = cv2.resize(cells, (cells.shape[1] // 2, cells.shape[0] // 2), interpolation=cv2.INTER_AREA)
    labels, stats = _labelled(as_image(cells))
    if not 0 < len(stats) <= MAX_COMPONENTS:
        return None
    inky = np.flatnonzero(cells.astype(np.bool_))
    ink = np.bincount(labels.ravel()[inky], cells.ravel()[inky])[1:] * (CELL * CELL / 255)
    kept = np.flatnonzero((ink >= ROUNDED * least) & (stats[:, 2:4].max(axis=1) * CELL >= least))
    if not kept.size:
        return None
    boxes = stats[kept, :4] * CELL
    starts = np.cumsum(boxes[:, 2] + 1) - boxes[:, 2] - 1
    size = int(boxes[:, 3].max()), int(starts[-1] + boxes[-1, 2])
    if WINDOW_COST * kept.size + size[0] * size[1] > mask.size:
        labels, found = _labelled(mask)
        origins = np.zeros((len(found), 2), np.int32)
    else:
        # Side by side in one strip, with a column of paper between two: one call for all of them.
        strip = np.zeros(size, np.uint8)
        for number, box, area, start in zip(
            (kept + 1).tolist(), boxes.tolist(), stats[kept, cv2.CC_STAT_AREA].tolist(), starts.tolist(), strict=True
        ):
            window = _window(mask, labels, number, box, area)
            strip[: window.shape[0], start : start + window.shape[1]] = window
        labels, found = _labelled(strip)
        home = np.searchsorted(starts, found[:, 0], side="right") - 1
        origins = boxes[home, :2]
        origins[:, 0] -= starts[home].astype(np.int32)
    if not 0 < len(found) <= MAX_COMPONENTS:
        return None
    found[:, :2] += origins
    numbers = np.arange(1, len(found) + 1, dtype=np.int32)
    return Components(found[:, :4], found[:, cv2.CC_STAT_AREA], labels, numbers, origins)


def _window(mask: Image, labels: Integers, number: int, box: list[int], area: int) -> Image:
    """The window of a box, x, y, width, height, in the mask, with nothing in it but the ink that lies in a component of
    the cells; area: in cells."""
    x, y, width, height = box
    inside = labels[y // CELL : (y + height) // CELL, x // CELL : (x + width) // CELL]
    window = mask[y : y + height, x : x + width]
    if cv2.countNonZero(inside) != area:
        enlarged = cv2.resize(pixels_of(inside, number), (width, height), interpolation=cv2.INTER_NEAREST)
        window = as_image(cv2.bitwise_and(window, enlarged[: window.shape[0], : window.shape[1]]))
    return window


def pixels_of(labels: Integers, number: int) -> Image:
    """uint8 (h, w): 255 where a component is, else 0."""
    return as_image(cv2.inRange(labels, (number,), (number,)))  # type: ignore[call-overload] # OpenCV takes scalars, too


def _labelled(mask: Image) -> tuple[Integers, Integers]:
    """The component of each pixel, int32 (h, w), 0 for paper; and of each component x, y, width, height and area."""
    # Of OpenCV's algorithms this one is the fastest where statistics are wanted, too.
    _, labels, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(mask, 8, cv2.CV_32S, cv2.CCL_GRANA)
    return np.asarray(labels, np.int32), np.asarray(stats, np.int32)[1:]

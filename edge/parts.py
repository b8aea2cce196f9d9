"""From the ink of a page to regions that could each be a digit: connected components, broken strokes joined."""

from dataclasses import dataclass
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.page import PageInk
from edge.segment import Region, as_image, mean_within

Image = NDArray[np.uint8]
Integers = NDArray[np.int32]

MAX_REGIONS = 1000  # more than this many on a page is texture; the largest are looked at
MAX_COMPONENTS = 20000  # more than this many are specks of noise, and no stroke can be told among them
HALVINGS = 2
CELL = 2**HALVINGS  # pixels: side of the cells in which it is first looked where there is ink
ROUNDED = 0.9  # of a cell's ink is left, at least, when its level is rounded
WINDOW_COST = 4000  # pixels: to put a window beside the others costs as much as to look through so many pixels

LEAST_HEIGHT = 0.9  # of the smallest height: a blurred edge may be a pixel short
LARGEST = 0.97  # of the frame, both ways: what is larger is not on the page, it is the page
MIN_FILL = 0.02  # of its box: less ink is a net of lines
BAR_PART = 0.45  # of the smallest height: a stroke this long may be the bar of a 5 that fell off
PART_HEIGHT = 0.62  # of a digit's height: what is lower may be a part of it
PART_GAP = 0.16  # of the digit's height: a part is no farther away
BAR_HEIGHT = 0.35  # of a digit's height: a lower part that is wider than high may be the bar of a 5
BAR_GAP = 0.25  # of the digit's height: such a bar to the right of its upper half is no farther away
PART_OVERLAP = 0.3  # of the part's width lies above or below the digit
JOINED_HEIGHT = 1.35  # of the digits' usual height: a digit with its parts is no higher
SOFTNESS = 0.4  # width of the ramp from paper to ink, in parts of the ink's depth
RAMP_PART = 0.42  # of the ink's usual depth: the middle of that ramp


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
        x, y, width, height = self.boxes[index].tolist()
        x0, y0 = self.origins[index].tolist()
        labels = self.labels[y - y0 : y - y0 + height, x - x0 : x - x0 + width]
        mask[y - top : y - top + height, x - left : x - left + width] |= _pixels_of(labels, self.numbers.item(index))


@dataclass(frozen=True, slots=True)
class Parts:
    """Regions on one page, as connected components (or several joined), in no order.

    `boxes`: int32 (n, 4), x, y, width, height of each region. `members`: the components of each.
    """

    ink: PageInk
    components: Components
    boxes: Integers
    members: list[list[int]]

    def region(self, index: int) -> tuple[Region, float]:
        """One region, a pixel wider to each side for the stroke's soft edge, and the usual depth of its ink."""
        x, y, width, height = self.boxes[index].tolist()
        x0, y0 = max(0, x - 1), max(0, y - 1)
        rows, columns = self.ink.mask.shape
        x1, y1 = min(columns, x + width + 1), min(rows, y + height + 1)
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        for member in self.members[index]:
            self.components.draw(member, mask, x0, y0)
        depth = self.ink.depth[y0:y1, x0:x1]
        typical = mean_within(depth, mask)
        threshold = self.ink.threshold.item((y0 + y1) // 2, (x0 + x1) // 2)
        middle = max(RAMP_PART * typical, min(threshold, typical / 2))
        width_of_ramp = SOFTNESS * typical
        gain = 255 / max(width_of_ramp, 1)
        ramp = cv2.addWeighted(depth, gain, depth, 0, -gain * max(0, round(middle - width_of_ramp / 2)))
        near = cv2.dilate(mask, _CROSS)
        return Region(x0, y0, x1 - x0, y1 - y0, as_image(cv2.bitwise_and(ramp, near))), typical


_CROSS = np.ones((3, 3), np.uint8)


def find_parts(ink: PageInk, mask: Image, smallest: float) -> Parts | None:
    """The regions of a page that are at least `smallest` pixels high, or just short of it; None where there are none.

    mask: uint8 (h, w), 255 where there is ink.
    """
    components = _components(mask, BAR_PART * smallest)
    if components is None:
        return None
    boxes, areas = components.boxes, components.areas
    longer = np.maximum(boxes[:, 2], boxes[:, 3])
    height, width = mask.shape
    wanted = (longer >= BAR_PART * smallest) & (areas >= longer)
    wanted &= (boxes[:, 2] < LARGEST * width) | (boxes[:, 3] < LARGEST * height)
    wanted &= areas > MIN_FILL * boxes[:, 2] * boxes[:, 3]
    numbers = np.flatnonzero(wanted)
    if numbers.size > MAX_REGIONS:
        numbers = numbers[np.argsort(-areas[numbers])[:MAX_REGIONS]]
    if not numbers.size:
        return None
    components = components.chosen(numbers)
    joined, members = _joined(components.boxes, smallest)
    high = joined[:, 3] >= smallest * LEAST_HEIGHT
    members = [members[index] for index in np.flatnonzero(high)]
    return Parts(ink, components, joined[high], members) if members else None


def _components(mask: Image, least: float) -> Components | None:
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
        enlarged = cv2.resize(_pixels_of(inside, number), (width, height), interpolation=cv2.INTER_NEAREST)
        window = as_image(cv2.bitwise_and(window, enlarged[: window.shape[0], : window.shape[1]]))
    return window


def _pixels_of(labels: Integers, number: int) -> Image:
    """uint8 (h, w): 255 where a component is, else 0."""
    return as_image(np.negative((labels == number).view(np.uint8)))


def _labelled(mask: Image) -> tuple[Integers, Integers]:
    """The component of each pixel, int32 (h, w), 0 for paper; and of each component x, y, width, height and area."""
    # Of OpenCV's algorithms this one is the fastest where statistics are wanted, too.
    _, labels, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(mask, 8, cv2.CV_32S, cv2.CCL_GRANA)
    return np.asarray(labels, np.int32), np.asarray(stats, np.int32)[1:]


def _joined(boxes: Integers, smallest: float) -> tuple[Integers, list[list[int]]]:
    """Boxes with the small parts that belong to them, and which those are."""
    members = [[k] for k in range(len(boxes))]
    usual = median([height for height in boxes[:, 3].tolist() if height >= smallest] or [0])
    if len(boxes) < 2 or usual == 0:
        return boxes, members
    joined = boxes.copy()
    home = np.arange(len(boxes))
    for k in np.argsort(boxes[:, 2] * boxes[:, 3]):
        x, y, w, h = joined[k].tolist()
        if h > PART_HEIGHT * usual:
            continue
        left, top, right, bottom = joined[:, 0], joined[:, 1], joined[:, 0] + joined[:, 2], joined[:, 1] + joined[:, 3]
        tall = np.maximum(joined[:, 3], PART_HEIGHT * usual)
        overlap = np.minimum(right, x + w) - np.maximum(left, x)
        gap_x = np.maximum(np.maximum(left - (x + w), x - right), 0)
        gap_y = np.maximum(np.maximum(top - (y + h), y - bottom), 0)
        union = np.maximum(bottom, y + h) - np.minimum(top, y)
        # The bar of a 5 ends beside the upper half of the rest; other parts lie above, below or within.
        bar = (h < BAR_HEIGHT * usual) & (w > h) & (y + h / 2 < top + tall / 2) & (gap_x <= BAR_GAP * tall)
        near = (overlap >= PART_OVERLAP * w) & (gap_x <= PART_GAP / 2 * tall)
        fits = (home == np.arange(len(boxes))) & (joined[:, 3] >= h) & (np.arange(len(boxes)) != k)
        fits &= (gap_y <= PART_GAP * tall) & (union <= JOINED_HEIGHT * usual) & (near | bar)
        if not fits.any():
            continue
        distance = np.where(fits, gap_x + gap_y - 0.01 * overlap, np.inf)
        other = int(np.argmin(distance))
        x0, y0 = min(x, int(left[other])), min(y, int(top[other]))
        joined[other] = (x0, y0, max(x + w, int(right[other])) - x0, max(y + h, int(bottom[other])) - y0)
        home[k] = other
        members[other] = members[other] + members[k]
        members[k] = []
    kept = [k for k in range(len(boxes)) if members[k]]
    return joined[kept], [members[k] for k in kept]

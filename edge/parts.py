"""From the ink of a page to regions that could each be a digit: connected components, broken strokes joined."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.page import PageInk
from edge.segment import Region, as_image

Image = NDArray[np.uint8]
Integers = NDArray[np.int32]

MAX_REGIONS = 1000  # more than this many on a page is texture; the largest are looked at
MAX_COMPONENTS = 20000  # more than this many are specks of noise, and no stroke can be told among them

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
class Parts:
    """Regions on one page, as connected components (or several joined), in no order.

    `labels`: int32 (h, w), the component of each pixel, 0 for paper. `boxes`: int32 (n, 4), x, y, width, height of each
    region. `members`: the components of each.
    """

    ink: PageInk
    labels: Integers
    boxes: Integers
    members: list[list[int]]

    def region(self, index: int) -> tuple[Region, float]:
        """One region, a pixel wider to each side for the stroke's soft edge, and the usual depth of its ink."""
        x, y, width, height = (int(v) for v in self.boxes[index])
        members = self.members[index]
        x0, y0 = max(0, x - 1), max(0, y - 1)
        x1, y1 = min(self.labels.shape[1], x + width + 1), min(self.labels.shape[0], y + height + 1)
        labels = self.labels[y0:y1, x0:x1]
        own = labels == members[0]
        for member in members[1:]:
            own |= labels == member
        depth = self.ink.depth[y0:y1, x0:x1]
        mask = own.view(np.uint8)
        typical = cv2.mean(depth, mask)[0]
        threshold = float(self.ink.threshold[(y0 + y1) // 2, (x0 + x1) // 2])
        middle = max(RAMP_PART * typical, min(threshold, typical / 2))
        width_of_ramp = SOFTNESS * typical
        ramp = cv2.convertScaleAbs(
            cv2.subtract(depth, np.full_like(depth, max(0, round(middle - width_of_ramp / 2)))),
            alpha=255 / max(width_of_ramp, 1),
        )
        near = cv2.dilate(mask * 255, _CROSS)
        return Region(x0, y0, x1 - x0, y1 - y0, as_image(cv2.bitwise_and(ramp, near))), typical


_CROSS = np.ones((3, 3), np.uint8)


def find_parts(ink: PageInk, mask: Image, smallest: float) -> Parts | None:
    """The regions of a page that are at least `smallest` pixels high, or just short of it; None where there are none.

    mask: uint8 (h, w), 255 where there is ink.
    """
    count, found, statistics, _ = cv2.connectedComponentsWithStatsWithAlgorithm(mask, 8, cv2.CV_32S, cv2.CCL_SPAGHETTI)
    labels, stats = np.asarray(found, np.int32), np.asarray(statistics, np.int32)[1:]
    if count < 2 or count > MAX_COMPONENTS:
        return None
    boxes, areas = stats[:, :4], stats[:, cv2.CC_STAT_AREA]
    longer = boxes[:, 2:].max(axis=1)
    height, width = mask.shape
    wanted = (longer >= BAR_PART * smallest) & (areas >= longer)
    wanted &= (boxes[:, 2] < LARGEST * width) | (boxes[:, 3] < LARGEST * height)
    wanted &= areas > MIN_FILL * boxes[:, 2] * boxes[:, 3]
    numbers = np.flatnonzero(wanted)
    if numbers.size > MAX_REGIONS:
        numbers = numbers[np.argsort(-areas[numbers])[:MAX_REGIONS]]
    if not numbers.size:
        return None
    joined, members = _joined(boxes[numbers], smallest)
    high = joined[:, 3] >= smallest * LEAST_HEIGHT
    members = [[int(numbers[k]) + 1 for k in members[index]] for index in np.flatnonzero(high)]
    return Parts(ink, labels, joined[high], members) if members else None


def _joined(boxes: Integers, smallest: float) -> tuple[Integers, list[list[int]]]:
    """Boxes with the small parts that belong to them, and which those are."""
    members = [[k] for k in range(len(boxes))]
    heights = boxes[:, 3]
    usual = float(np.median(heights[heights >= smallest])) if (heights >= smallest).any() else 0.0
    if len(boxes) < 2 or usual == 0:
        return boxes, members
    joined = boxes.copy()
    home = np.arange(len(boxes))
    for k in np.argsort(boxes[:, 2] * boxes[:, 3]):
        x, y, w, h = (int(v) for v in joined[k])
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

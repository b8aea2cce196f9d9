"""From the ink of a page to regions that could each be a digit: connected components, broken strokes joined."""

from dataclasses import dataclass
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.components import Components, components_of
from edge.enclosures import enclosures
from edge.page import PageInk
from edge.segment import Region, as_image, mean_within
from edge.underlines import underlines

Image = NDArray[np.uint8]
Integers = NDArray[np.int32]

MAX_REGIONS = 1000  # more than this many on a page is texture; the largest are looked at
LEAST_HEIGHT = 0.9  # of the smallest height: a blurred edge may be a pixel short
LARGEST = 0.97  # of the frame, both ways: what is larger is not on the page, it is the page
MIN_FILL = 0.02  # of its box: less ink is a net of lines
BAR_PART = 0.45  # of the smallest height: a stroke this long may be the bar of a 5 that fell off
PART_HEIGHT = 0.62  # of a digit's height: what is lower may be a part of it
PART_GAP = 0.16  # of the digit's height: a part is no farther away
BAR_HEIGHT = 0.35  # of a digit's height: a lower part that is wider than high may be the bar of a 5
BAR_LENGTH, BAR_LEVEL = 0.2, 0.35  # of a digit's height: such a bar is longer, and so far below its top at most
EQUAL_FLAT, EQUAL_LENGTH = 2.0, 0.7  # two bars so many times as long as high, and so nearly as long as each other,
EQUAL_GAP = (0.08, 0.5)  # so many digit heights above one another, are no parts of digits, but an equals sign
BAR_GAP = 0.25  # of the digit's height: such a bar to the right of its upper half is no farther away
UNDERLINE = 3.0  # times as wide as high: a part below a digit may be a line drawn under it
FOOT, FOOT_GAP, FOOT_OUT = 0.8, 0.12, 0.1  # of the digit's height: width, gap and overhang of its own foot, at most
PART_OVERLAP = 0.3  # of the part's width lies above or below the digit
JOINED_HEIGHT = 1.35  # of the digits' usual height: a digit with its parts is no higher
SOFTNESS = 0.4  # width of the ramp from paper to ink, in parts of the ink's depth
RAMP_PART = 0.42  # of the ink's usual depth: the middle of that ramp


@dataclass(frozen=True, slots=True)
class Parts:
    """Regions on one page, as connected components (or several joined), in no order.

    `boxes`: int32 (n, 4), x, y, width, height of each region. `members`: the components of each. `around`: uint8
    (h, w), 255 on lines that are drawn around or under regions and belong to none; None where there are no such lines.
    """

    ink: PageInk
    components: Components
    boxes: Integers
    members: list[list[int]]
    around: Image | None = None

    @property
    def pieces_left(self) -> bool:
        """Whether some components belong to no region, being too low for one."""
        return len(self.components.boxes) > sum(map(len, self.members))

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


def find_parts(ink: PageInk, smallest: float, *, outlined: bool = False) -> Parts | None:
    """The regions of a page that are at least `smallest` pixels high, or just short of it; None where there are none.

    outlined: whether a digit may be seen by its outlines, the one of a 0 around the other.
    """
    mask = ink.mask
    components = components_of(mask, BAR_PART * smallest)
    around: Image | None = None
    for drawn, times in () if outlined else ((enclosures, 1), (underlines, 2)):  # some underline twice
        for _ in range(times):
            more = None if components is None else drawn(components, smallest, mask.shape)
            if more is None:
                break
            around = more if around is None else as_image(cv2.bitwise_or(around, more))
            components = components_of(as_image(cv2.subtract(mask, around)), BAR_PART * smallest)
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
        numbers = np.sort(numbers[np.argsort(-areas[numbers])[:MAX_REGIONS]])
    if not numbers.size:
        return None
    components = components.chosen(numbers)
    joined, members = _joined(components.boxes, smallest)
    high = joined[:, 3] >= smallest * LEAST_HEIGHT
    members = [members[index] for index in np.flatnonzero(high)]
    return Parts(ink, components, joined[high], members, around) if members else None


def _joined(boxes: Integers, smallest: float) -> tuple[Integers, list[list[int]]]:
    """Boxes with the small parts that belong to them, and which those are."""
    members = [[k] for k in range(len(boxes))]
    usual = median([height for height in boxes[:, 3].tolist() if height >= smallest] or [0])
    if len(boxes) < 2 or usual == 0:
        return boxes, members
    joined = boxes.copy()
    home = np.arange(len(boxes))
    lying = _pairs_of_bars(boxes, usual)
    for k in np.argsort(boxes[:, 2] * boxes[:, 3]):
        x, y, w, h = joined[k].tolist()
        if h > PART_HEIGHT * usual or lying[k]:
            continue
        left, top, right, bottom = joined[:, 0], joined[:, 1], joined[:, 0] + joined[:, 2], joined[:, 1] + joined[:, 3]
        tall = np.maximum(joined[:, 3], PART_HEIGHT * usual)
        overlap = np.minimum(right, x + w) - np.maximum(left, x)
        gap_x = np.maximum(np.maximum(left - (x + w), x - right), 0)
        gap_y = np.maximum(np.maximum(top - (y + h), y - bottom), 0)
        union = np.maximum(bottom, y + h) - np.minimum(top, y)
        # The bar of a 5 ends beside the upper part of the rest; other parts lie above, below or within.
        bar = (
            (h < BAR_HEIGHT * usual)
            & (w > max(h, BAR_LENGTH * usual))
            & (y + h / 2 < top + BAR_LEVEL * tall)
            & (gap_x <= BAR_GAP * tall)
        )
        near = (overlap >= PART_OVERLAP * w) & (gap_x <= PART_GAP / 2 * tall)
        if w > UNDERLINE * h:
            # A line under a digit is none of its strokes; the foot of a 1 or a 2 reaches no farther than the rest.
            near &= (y < bottom) | (
                (gap_y <= FOOT_GAP * tall)
                & (w <= FOOT * tall)
                & (np.maximum(left - x, x + w - right) <= FOOT_OUT * tall)
            )
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


def _pairs_of_bars(boxes: Integers, usual: float) -> NDArray[np.bool_]:
    """bool (n,): which boxes, (n, 4) as x, y, width, height, are a bar of an equals sign; usual: a digit's height."""
    found = np.zeros(len(boxes), np.bool_)
    bars = np.flatnonzero((boxes[:, 2] >= EQUAL_FLAT * boxes[:, 3]) & (boxes[:, 3] < BAR_HEIGHT * usual))
    if len(bars) < 2:
        return found
    left, top, width, height = boxes[bars].T
    common = np.minimum(left + width, (left + width)[:, None]) - np.maximum(left, left[:, None])
    gap = top - (top + height)[:, None]
    pairs = (common >= EQUAL_LENGTH * np.maximum(width, width[:, None])) & (width < usual)
    pairs &= (gap >= EQUAL_GAP[0] * usual) & (gap <= EQUAL_GAP[1] * usual)
    found[bars] = pairs.any(axis=0) | pairs.any(axis=1)
    return found

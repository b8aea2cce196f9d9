"""Find the ink of a page: paper, polarity, the channel that shows it, and how deep it must be at each place."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.components import pixels_of
from edge.segment import as_image, median_level, odd, without_noise
from edge.sheet import find_sheet, plain_around, without_desk

Image = NDArray[np.uint8]

FINE_COPY = 300  # pixels: longer side of the copy on which the paper's level is judged, at least
GLANCE_COPY = 150  # the same for a page that is looked at for large digits alone
FINE_REACH = 16  # the picture's longer side over the width of the closing that bridges strokes
DARKEST_PAPER = 64  # grey levels: in a darker channel noise would pass for ink
COARSE_COPY = 80  # pixels: longer side of the copy on which wide strokes and colours are judged, at least
PAPER_REACH = 5  # that copy's longer side over the width of the closing there
WIDE_DEPTH = 50  # of 255: what the closer look takes for paper though it is darker by this may be a wide stroke
WIDE_CELLS = 6  # pixels of that copy, at least
HALF = 128  # stands for the paper's own level where a channel is compared with grey
DARKEST_LIGHT = 20  # grey levels: less light than this is taken for this much
POLARITY_REACH = 16  # the copy's longer side over the width of the surroundings by which polarity is judged
UNCLEAR = 0.1  # of all that strays, more to one side than to the other: less does not tell the polarity
UNCLEAR_REACH = 12  # the copy's longer side over the width of the surroundings by which it is judged then
INKY = 0.06  # of the light: what strays by less is noise

PAPER_SCALE = 8  # pixels: side of the cells in which thresholds are set
MIN_DEPTH = 9  # of 255 parts of the paper's level: less contrast is not ink
FLOOR_CELLS = 17  # side of the square of cells whose usual depth is the paper's own; OpenCV's median is fast from 17 on
FLOOR_LIMIT, FLOOR_ROOM = 3, 3  # times the page's usual depth, and so much more: paper is no rougher anywhere
FLOOR_GAIN = 3.0  # ink is deeper than the paper's usual depth by this factor
LOCAL_PART = 0.36  # of the deepest ink nearby: shallower is blur, or the texture of the paper
NEARBY = 5  # cells, to either side

DEEP = 0.998  # of the pixels are shallower than what counts as the ink's depth
GROUND_PLAIN = 16  # of 255: what usually strays by more is no sheet of paper with colours on it
GROUND_CELLS = 12  # pixels of the coarse copy: a smaller patch of colour is no ground to write on
GROUND_INK, GROUND_WRITTEN = 45, 3  # of 255, and pixels of that copy: so much of the ink on it stands out by its grey
COLOUR_GAIN = 1.5  # a colour channel is looked at where ink is deeper in it by this than in grey
EDGE_REACH = 2  # pixels around ink: its soft edge is no paper


@dataclass(frozen=True, slots=True)
class PageInk:
    """The ink of a page.

    `depth`: uint8 (h, w), how far each pixel lies below the paper, in 255ths of the paper's level. `threshold`: uint8
    (h, w), the depth above which it is ink. `mask`: uint8 (h, w), 255 where there is ink.
    """

    depth: Image
    threshold: Image
    mask: Image


def page_depth(
    grey: Image, preview: Image | None, colour: Callable[[], Image], side: int = FINE_COPY
) -> tuple[Image, Image | None]:
    """How far each pixel lies below the paper, uint8 (h, w), in 255ths of the paper's level; light ink is turned dark.

    The second one shows strokes so wide that the first takes them for paper, and with them shadows; None where there
    is no such thing. Around a sheet that lies on a darker desk there is paper.

    grey: uint8 (h, w). preview: uint8 (h', w', 3) BGR, a small copy by which it is judged whether grey is enough; None
    for a grey picture. colour: gives uint8 (h, w, 3) BGR, called only where it is not. side: pixels, FINE_COPY or
    GLANCE_COPY.
    """
    fine, coarse = _copies(grey, side)
    sheet = find_sheet(grey, coarse, preview)
    if sheet is not None:
        grey = without_desk(grey, sheet)
        fine, coarse = _copies(grey, side)
        if preview is not None:
            small = cv2.resize(sheet, preview.shape[1::-1], interpolation=cv2.INTER_NEAREST)
            preview = without_desk(preview, as_image(small))
    depth, wide = _depth_of(grey, fine, coarse, side)
    if preview is not None and _hides_in_grey(preview):
        frame = colour() if sheet is None else without_desk(colour(), sheet)
        depth = as_image(cv2.max(depth, _depth_in_colour(frame, grey)))
    if sheet is not None:
        depth = plain_around(depth, sheet)
        wide = None if wide is None else as_image(cv2.bitwise_and(wide, sheet))
    return depth, wide


def floor_of(depth: Image) -> Image:
    """The depth that paper, its texture and the camera's noise reach at each place: uint8, one for each cell."""
    return _floor(_cells(_halved(depth)))


def mask_above(depth: Image, floor: Image) -> Image:
    """uint8 (h, w): 255 where the depth is above a floor given in cells."""
    return as_image(cv2.compare(depth, enlarged(floor, PAPER_SCALE, depth.shape), cv2.CMP_GT))


def ink_of_page(depth: Image, floor: Image | None = None) -> PageInk:
    """What is ink: deeper than paper reaches, and than a part of the deepest nearby.

    floor: what `floor_of` gives for this depth, where it is known already.
    """
    half = _halved(depth)
    if floor is None:
        floor = _floor(_cells(half))
    peak = cv2.dilate(half, _CELL)
    deepest = np.ascontiguousarray(peak[:: PAPER_SCALE // 2, :: PAPER_SCALE // 2])
    around = cv2.blur(cv2.dilate(deepest, _NEARBY), (NEARBY, NEARBY))
    least = cv2.max(as_image(cv2.convertScaleAbs(around, alpha=LOCAL_PART)), floor)
    threshold = enlarged(as_image(least), PAPER_SCALE, depth.shape)
    return PageInk(depth, threshold, as_image(cv2.compare(depth, threshold, cv2.CMP_GT)))


_CELL = np.ones((PAPER_SCALE // 2 + 1, PAPER_SCALE // 2 + 1), np.uint8)
_NEARBY = np.ones((2 * NEARBY + 1, 2 * NEARBY + 1), np.uint8)


def _halved(depth: Image) -> Image:
    """At half the size, so that whole cells lie in it."""
    return reduced(_padded(depth, PAPER_SCALE), 2)


def _cells(half: Image) -> Image:
    size = tuple(2 * side // PAPER_SCALE for side in half.shape[1::-1])
    return as_image(cv2.resize(half, size, interpolation=cv2.INTER_AREA))


def _floor(cells: Image) -> Image:
    return as_image(cv2.convertScaleAbs(_usual(cells), alpha=FLOOR_GAIN, beta=MIN_DEPTH))


def _usual(cells: Image) -> Image:
    """What is usual around each cell."""
    # A digit as large as the surroundings does not pass for their texture.
    most = FLOOR_LIMIT * int(median_level(cells)) + FLOOR_ROOM
    return as_image(cv2.medianBlur(cv2.min(cells, np.full_like(cells, min(most, 255))), FLOOR_CELLS))


def _hides_in_grey(preview: Image) -> bool:
    """Whether somewhere ink stands out of the paper much more by its colour than by its grey."""
    small = reduced(preview, scale_to(preview, COARSE_COPY))
    grey = as_image(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY))
    reach = _reach(small, PAPER_REACH)
    by_colour, by_grey = _strayed(small, grey, as_image(cv2.blur(small, (reach, reach))))
    hidden = cv2.subtract(by_colour, cv2.convertScaleAbs(by_grey, alpha=COLOUR_GAIN))
    deep = as_image(cv2.compare(hidden, np.full_like(grey, MIN_DEPTH), cv2.CMP_GT))
    least = grey.size - int(DEEP * (grey.size - 1))
    if cv2.countNonZero(deep) < least:
        return False
    if median_level(by_grey) > GROUND_PLAIN:
        return True
    return cv2.countNonZero(_without_grounds(deep, by_grey, reach)) >= least


def _without_grounds(coloured: Image, by_grey: Image, reach: int) -> Image:
    """What is coloured, uint8 (h, w), without patches on which ink stands out by its grey: paper that a highlighter
    went over, or a note that was stuck on it.

    reach: pixels, the side of the surroundings with which colours were compared: so far shines a patch.
    """
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(coloured, connectivity=8, ltype=cv2.CV_32S)
    numbers, stats = np.asarray(labels, np.int32), np.asarray(statistics)
    written = cv2.compare(by_grey, np.full_like(by_grey, GROUND_INK), cv2.CMP_GT)
    grounds = np.zeros_like(coloured)
    for k in (np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] >= GROUND_CELLS) + 1).tolist():
        x, y, w, h = stats[k, :4].tolist()
        own = pixels_of(numbers[y : y + h, x : x + w], k)
        whole = cv2.morphologyEx(own, cv2.MORPH_CLOSE, _GROUND, borderType=cv2.BORDER_CONSTANT, borderValue=(0,))
        if cv2.countNonZero(cv2.bitwise_and(written[y : y + h, x : x + w], whole)) >= GROUND_WRITTEN:
            window = grounds[y : y + h, x : x + w]
            np.maximum(window, own, out=window)
    # Beside such ink the level it is compared with is its own in part.
    left = cv2.subtract(coloured, cv2.dilate(written, _GROUND))
    return as_image(cv2.subtract(left, cv2.dilate(grounds, np.ones((reach, reach), np.uint8))))


_GROUND = np.ones((5, 5), np.uint8)


def _copies(grey: Image, side: int = FINE_COPY) -> tuple[Image, Image]:
    """A copy of at least that many pixels, its noise taken out, and of that one of at least COARSE_COPY."""
    fine = without_noise(reduced(grey, scale_to(grey, side)))
    return fine, reduced(fine, scale_to(fine, COARSE_COPY))


def _depth_of(grey: Image, fine: Image, coarse: Image, side: int) -> tuple[Image, Image | None]:
    longer = max(grey.shape)
    scale, coarser = scale_to(grey, side), scale_to(fine, COARSE_COPY)
    if _is_chalk(reduced(fine, 2)):
        grey, fine, coarse = _inverse(grey), _inverse(fine), _inverse(coarse)
    paper = _paper(fine, round(longer / FINE_REACH / scale) | 1)
    depth = _depth(grey, enlarged(paper, scale, grey.shape))
    wide = _paper(coarse, _reach(coarse, PAPER_REACH))
    lost = cv2.subtract(wide, reduced(paper, coarser))
    missing = cv2.compare(as_image(cv2.divide(lost, wide, scale=255)), np.full_like(wide, WIDE_DEPTH), cv2.CMP_GT)
    if cv2.countNonZero(missing) < WIDE_CELLS:
        return depth, None
    return depth, _depth(grey, enlarged(wide, scale * coarser, grey.shape))


def _depth_in_colour(frame: Image, grey: Image) -> Image:
    """How much the colour strays from the paper's, in 255ths of it.

    The paper's colour is a median: in one channel some ink may be darker than the paper and other ink lighter. So noise
    strays, too, to whichever side: what is usual nearby is no ink.
    """
    scale = scale_to(frame, COARSE_COPY)
    coarse = reduced(frame, scale)
    around = _reach(coarse, PAPER_REACH)
    paper = enlarged(as_image(cv2.medianBlur(coarse, around)), scale, grey.shape)
    strayed, _ = _strayed(frame, grey, paper)
    usual = enlarged(_usual(_cells(_halved(strayed))), PAPER_SCALE, grey.shape)
    return as_image(cv2.subtract(strayed, usual))


def _strayed(frame: Image, grey: Image, paper: Image) -> tuple[Image, Image]:
    """How much colour and grey stray from the paper's, in 255ths of it, to either side.

    Light falls alike on all channels: what a shadow takes of the grey is taken off the colours first.
    """
    light = cv2.divide(grey, cv2.cvtColor(paper, cv2.COLOR_BGR2GRAY), scale=HALF)
    strayed: Image = np.zeros_like(grey)
    for channel, level in zip(cv2.split(frame), cv2.split(paper), strict=True):
        least, expected = level, light
        if cv2.minMaxLoc(level)[0] < DARKEST_PAPER:
            # In a dark channel a grey level would count for much: there it is compared with less of the paper's.
            least = cv2.max(level, np.full_like(grey, DARKEST_PAPER))
            expected = _part(as_image(light), as_image(cv2.divide(level, least, scale=255)))
        strayed = as_image(cv2.max(strayed, cv2.absdiff(cv2.divide(channel, least, scale=HALF), expected)))
    by_grey = cv2.absdiff(light, np.full_like(light, HALF))
    return tuple(as_image(cv2.convertScaleAbs(part, alpha=255 / HALF)) for part in (strayed, by_grey))  # type: ignore[return-value]


def scale_to(image: Image, side: int) -> int:
    """The power of two by which an image may be reduced, its longer side not below `side`."""
    return 1 << max(0, (max(image.shape[:2]) // side).bit_length() - 1)


def reduced(image: Image, scale: int) -> Image:
    """An image at a part of its size, padded where that does not come out even; scale: a power of two.

    In halves, as OpenCV averages squares of two pixels ten times as fast as any others.
    """
    image = _padded(image, scale)
    for _ in range(scale.bit_length() - 1):
        size = (image.shape[1] // 2, image.shape[0] // 2)
        image = as_image(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    return image


def _padded(image: Image, scale: int) -> Image:
    """An image whose sides are multiples of the scale."""
    below, beside = -image.shape[0] % scale, -image.shape[1] % scale
    if not below and not beside:
        return image
    return as_image(cv2.copyMakeBorder(image, 0, below, 0, beside, cv2.BORDER_REPLICATE))


def enlarged(small: Image, scale: int, shape: tuple[int, ...]) -> Image:
    """What was reduced by that scale, at its own size: of that shape."""
    size = (small.shape[1] * scale, small.shape[0] * scale)
    return as_image(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)[: shape[0], : shape[1]])


def _paper(small: Image, reach: int) -> Image:
    """The paper's level in a picture with dark ink: what a closing wider than the strokes leaves."""
    kernel = np.ones((reach, reach), np.uint8)
    return as_image(cv2.morphologyEx(small, cv2.MORPH_CLOSE, kernel, borderType=cv2.BORDER_REPLICATE))


def _is_chalk(small: Image) -> bool:
    """Whether the ink is lighter than the page: paper is the larger part, so ink is what strays farther from the mean.

    That is the sign of the third moment. The edge of a shadow strays as far to both sides; where nothing strays much
    more to one, what strays from the median is weighed, which goes along such an edge.
    """
    reach = _reach(small, POLARITY_REACH)
    strayed = _strayed_by(small, as_image(cv2.blur(small, (reach, reach))))
    squared = strayed * strayed
    lopsided = float(squared.dot(strayed))
    if abs(lopsided) >= UNCLEAR * float(squared.dot(abs(strayed))):
        return lopsided > 0
    strayed = _strayed_by(small, as_image(cv2.medianBlur(small, _reach(small, UNCLEAR_REACH))))
    return float(strayed[strayed > INKY].sum()) > -float(strayed[strayed < -INKY].sum())


def _reach(image: Image, part: int) -> int:
    """Pixels: that part of an image's longer side, as the size of a window."""
    return odd(max(image.shape[:2]) // part)


def _strayed_by(small: Image, around: Image) -> NDArray[np.float32]:
    """By how much each pixel is lighter than what is around it, in parts of the light that falls there: a bright page
    strays by more grey levels than its shadows. float32 (h * w,)."""
    level = around.astype(np.float32)
    return np.asarray((small - level) / np.maximum(level, DARKEST_LIGHT), np.float32).ravel()


def _depth(grey: Image, paper: Image) -> Image:
    below = cv2.subtract(paper, grey)
    return as_image(cv2.divide(below, paper, dst=below, scale=255))


def _part(image: Image, share: Image) -> Image:
    """An image times 255ths, rounded. On ARM, OpenCV's own scaled product is cut off instead."""
    return as_image(cv2.convertScaleAbs(cv2.multiply(image, share, dtype=cv2.CV_16U), alpha=1 / 255))


def _inverse(grey: Image) -> Image:
    return as_image(cv2.bitwise_not(grey))


def with_soft_edge(ink: Image) -> Image:
    """A mask of ink, uint8 (h, w), with what around it is no paper either."""
    return as_image(cv2.dilate(ink, _EDGE))


_EDGE = np.ones((2 * EDGE_REACH + 1, 2 * EDGE_REACH + 1), np.uint8)

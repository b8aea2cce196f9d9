"""Find the ink of a page: paper, polarity, the channel that shows it, and how deep it must be at each place."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

PAPER_SCALE = 8  # the paper's level is judged on a copy reduced by this
SMALLEST_COPY = 24  # pixels: or by less, so that the copy's shorter side keeps this
PAPER_REACH = 5  # the copy's longer side over the width of the closing that bridges strokes
MEDIAN_REACH = 2  # the copy's longer side over the width of the median by which polarity is judged
MEDIAN_LIMIT = 255  # pixels: OpenCV's widest
PAPER_SMOOTH = 3  # pixels of the copy: width of the median that takes the noise out of it

MIN_DEPTH = 9  # of 255 parts of the paper's level: less contrast is not ink
NOISE_SIGMAS = 4.5  # ink is deeper than this many standard deviations of the paper's noise
LOCAL_PART = 0.36  # of the deepest ink nearby: shallower is blur, or the texture of the paper
NEARBY = 5  # pixels of the copy, to either side

SAMPLE = 4  # every so manieth row and column stands for the page in statistics
DEEP = 0.998  # of the pixels are shallower than what counts as the ink's depth
COLOUR_GAIN = 1.6  # a colour channel is looked at where ink is deeper in it by this than in grey


@dataclass(frozen=True, slots=True)
class PageInk:
    """The ink of a page.

    `depth`: uint8 (h, w), how far each pixel lies below the paper, in 255ths of the paper's level. `threshold`: uint8
    (h, w), the depth above which it is ink. `noise`: depth that the paper itself reaches, 0 to 255.
    """

    depth: Image
    threshold: Image
    noise: int

    @property
    def mask(self) -> Image:
        """uint8 (h, w): 255 where there is ink."""
        return _image(cv2.compare(self.depth, self.threshold, cv2.CMP_GT))


def page_ink(grey: Image, preview: Image | None, colour: Callable[[], Image]) -> PageInk | None:
    """The ink of a page, dark on light or light on dark; None for an empty one.

    grey: uint8 (h, w). preview: uint8 (h', w', 3) BGR, a small copy by which it is judged whether grey is enough; None
    for a grey picture. colour: gives uint8 (h, w, 3) BGR, called only where it is not.
    """
    if preview is None or not _hides_in_grey(preview):
        return _ink(grey)
    found = [ink for ink in (_ink(_image(channel)) for channel in cv2.split(colour())) if ink is not None]
    plain = _ink(grey)
    if plain is not None:
        found.append(plain)
    if not found:
        return None
    # Each pixel in the channel where it is deepest beyond what that channel asks for.
    best = found[0]
    for other in found[1:]:
        mine = cv2.subtract(best.depth, best.threshold)
        theirs = cv2.subtract(other.depth, other.threshold)
        take = cv2.compare(theirs, mine, cv2.CMP_GT)
        depth, threshold = best.depth.copy(), best.threshold.copy()
        cv2.copyTo(other.depth, take, depth)
        cv2.copyTo(other.threshold, take, threshold)
        best = PageInk(depth, threshold, max(best.noise, other.noise))
    return best


def _hides_in_grey(preview: Image) -> bool:
    """Whether ink stands out of the paper much more in one colour channel than in grey."""
    in_grey = _contrast(_image(cv2.cvtColor(preview, cv2.COLOR_BGR2GRAY)))
    in_channels = max(_contrast(_image(channel)) for channel in cv2.split(preview))
    return in_channels > COLOUR_GAIN * in_grey and in_channels - in_grey > MIN_DEPTH / 2


def _contrast(small: Image) -> float:
    """Depth of the ink in a small copy, of either polarity."""
    depth = max(_deepest(_depth(small, _paper(small))), _deepest(_depth(_inverse(small), _paper(_inverse(small)))))
    return float(depth)


def _ink(grey: Image) -> PageInk | None:
    height, width = grey.shape
    scale = max(1, min(PAPER_SCALE, min(height, width) // SMALLEST_COPY))
    size = (-(-width // scale), -(-height // scale))
    small = _image(cv2.resize(grey, size, interpolation=cv2.INTER_AREA))
    if _is_chalk(small):
        grey, small = _inverse(grey), _inverse(small)
    depth = _depth(grey, _image(cv2.resize(_paper(small), (width, height), interpolation=cv2.INTER_LINEAR)))
    sample = np.bincount(depth[::SAMPLE, ::SAMPLE].ravel(), minlength=256).cumsum() / depth[::SAMPLE, ::SAMPLE].size
    middle, upper = (int(v) for v in np.searchsorted(sample, (0.5, 0.84)))
    noise = max(MIN_DEPTH, round(middle + NOISE_SIGMAS * (upper - middle)))
    cell = np.ones((scale + 1, scale + 1), np.uint8)
    nearby = np.ones((2 * NEARBY + 1, 2 * NEARBY + 1), np.uint8)
    deepest = cv2.dilate(depth, cell)[scale // 2 :: scale, scale // 2 :: scale]
    if int(deepest.max(initial=0)) <= noise:
        return None
    around = cv2.blur(cv2.dilate(deepest, nearby), (NEARBY, NEARBY))
    least = cv2.max(_image(cv2.convertScaleAbs(around, alpha=LOCAL_PART)), np.full_like(around, min(noise, 254)))
    threshold = _image(cv2.resize(least, (width, height), interpolation=cv2.INTER_LINEAR))
    return PageInk(depth, threshold, noise)


def _paper(small: Image) -> Image:
    """The paper's level on a small copy of a picture with dark ink: what a closing wider than the strokes leaves."""
    reach = max(3, max(small.shape) // PAPER_REACH | 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    quiet = cv2.medianBlur(small, PAPER_SMOOTH)
    return _image(cv2.morphologyEx(quiet, cv2.MORPH_CLOSE, kernel, borderType=cv2.BORDER_REPLICATE))


def _is_chalk(small: Image) -> bool:
    """Whether the ink is lighter than the page: most of a page is paper, so ink is what is farthest from its middle."""
    around = cv2.medianBlur(small, min(MEDIAN_LIMIT, max(3, max(small.shape) // MEDIAN_REACH | 1)))
    sizes = cv2.subtract(around, small), cv2.subtract(small, around)
    return _deepest(_image(sizes[1])) > _deepest(_image(sizes[0]))


def _deepest(depth: Image) -> int:
    return int(np.partition(depth, int(DEEP * (depth.size - 1)), axis=None)[int(DEEP * (depth.size - 1))])


def _depth(grey: Image, paper: Image) -> Image:
    return _image(cv2.divide(cv2.subtract(paper, grey), paper, scale=255))


def _inverse(grey: Image) -> Image:
    return _image(cv2.bitwise_not(grey))


def _image(array: object) -> Image:
    return np.asarray(array, dtype=np.uint8)

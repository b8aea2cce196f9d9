"""How sharp a frame is, for a person who turns a lens."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.reading import Box

Image = NDArray[np.uint8]

WINDOW = (640, 480)  # width and height, pixels: no more than this of the frame is looked at
MIDDLE = 0.5  # of the frame's width and height, where there is no digit to look at
MARGIN = 4  # pixels around the digits
SMOOTH = 0.8  # pixels, standard deviation: noise is finer than that, edges in focus are not
STEEPEST = 0.995  # of the pixels are less steep than what counts as the steepest edge
EXTREMES = (0.005, 0.995)  # of the pixels are darker than the darkest and the brightest level
NOISE_CONTRAST = 24.0  # grey levels: added to the contrast, so that an empty, noisy frame is not sharp
FULL = 0.25  # of the contrast, from one pixel to the next: no lens and pen reach more
SOBEL_SCALE = 1 / 8  # makes Sobel's 3x3 kernel a difference from one pixel to the next


def sharpness(frame: Image, boxes: Sequence[Box] = ()) -> float:
    """0 to 1, judged by the digits in `boxes`, or by the frame's middle.

    frame: uint8 (height, width) grey or (height, width, 3) BGR.
    The steepest edges, by Sobel, in parts of the contrast: so neither light nor the number of digits matters. The
    variance of the Laplacian, the usual measure, rises again with blur where there is noise.
    """
    x, y, width, height = _area(frame.shape[1], frame.shape[0], boxes)
    part = frame[y : y + height, x : x + width]
    grey = part if part.ndim == 2 else cv2.cvtColor(part, cv2.COLOR_BGR2GRAY)
    smooth = cv2.GaussianBlur(grey, (0, 0), SMOOTH)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=SOBEL_SCALE)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=SOBEL_SCALE)
    steepest = float(np.quantile(cv2.magnitude(across, down), STEEPEST))
    darkest, brightest = np.quantile(smooth, EXTREMES)
    return min(1.0, steepest / (float(brightest - darkest) + NOISE_CONTRAST) / FULL)


def _area(width: int, height: int, boxes: Sequence[Box]) -> Box:
    """x, y, width, height of the part that is looked at."""
    if not boxes:
        part_width, part_height = max(1, round(width * MIDDLE)), max(1, round(height * MIDDLE))
        left, top = (width - part_width) // 2, (height - part_height) // 2
        right, bottom = left + part_width, top + part_height
        middle = width / 2, height / 2
    else:
        left, top = (max(0, min(box[axis] for box in boxes) - MARGIN) for axis in (0, 1))
        right, bottom = (
            min(side, max(box[axis] + box[axis + 2] for box in boxes) + MARGIN)
            for axis, side in ((0, width), (1, height))
        )
        # Between far digits may be nothing: the window goes around the one that is most in the middle.
        centres = [(x + w / 2, y + h / 2) for x, y, w, h in boxes]
        middle = min(centres, key=lambda c: abs(2 * c[0] - left - right) + abs(2 * c[1] - top - bottom))
    x, part_width = _window(left, right, middle[0], WINDOW[0])
    y, part_height = _window(top, bottom, middle[1], WINDOW[1])
    return x, y, part_width, part_height


def _window(start: int, end: int, middle: float, longest: int) -> tuple[int, int]:
    """Start and length of at most `longest` pixels around the middle."""
    length = max(1, min(end - start, longest))
    return max(start, min(end - length, round(middle - length / 2))), length

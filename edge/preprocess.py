"""Bring ink to the network's frame, the way MNIST was made.

A glyph is uint8 (28, 28), ink bright on 0: the digit fits a 20-pixel box with its proportions kept, and its centre of
mass lies in the middle (LeCun, Cortes, Burges: the MNIST database).
"""

import cv2
import numpy as np

from edge.segment import FRAME_SIDE, Image, Region, find_digit, ink_within, stroke_width

__all__ = ["FRAME_SIDE", "GLYPH_SIZE", "PREPROCESSING_VERSION", "is_glyph", "single_glyph", "to_glyph"]

PREPROCESSING_VERSION = 1  # kept in the model file: a model is fed as it was trained
GLYPH_SIZE = 28  # pixels
BOX_SIZE = 20  # pixels: longer side of the digit inside a glyph
CENTRE = (GLYPH_SIZE - 1) / 2  # 13.5 in pixel centres

MIN_STROKE = 1.9  # pixels in the glyph: a finer pen is drawn as wide as this, MNIST's own are 2 to 4
SUPERSAMPLING = 4  # large ink is first brought to this many times the glyph's resolution

FRAME_BOX = (
    16,
    BOX_SIZE,
)  # pixels: a glyph's longer side may be less, its outermost pixels can have rounded to 0
FRAME_OFF_CENTRE = 1.0  # pixels: MNIST's own centres of mass lie within this of the middle
FRAME_FADED = 2  # pixels: so many of a glyph's outermost rows or columns can have rounded to 0
FRAME_PEAK = 200  # grey levels: fainter ink is normalised


def single_glyph(frame: Image) -> Image | None:
    """The glyph, uint8 (28, 28), of the one digit in a frame; None where nothing in it could be a digit.

    frame: uint8 (height, width, 3) BGR or (height, width) grey. One that already is a glyph passes through untouched.
    """
    if frame.shape[0] == GLYPH_SIZE and is_glyph(frame):
        return frame if frame.ndim == 2 else np.ascontiguousarray(frame[:, :, 0])
    region = find_digit(frame)
    return None if region is None else to_glyph(region)


def is_glyph(frame: Image) -> bool:
    """Whether a frame already is in MNIST's frame: 28x28, bright ink in a 20-pixel box, mass in the middle."""
    if frame.shape[:2] != (GLYPH_SIZE, GLYPH_SIZE):
        return False
    grey = frame if frame.ndim == 2 else frame[:, :, 0]
    if frame.ndim == 3 and (frame != grey[:, :, None]).any():
        return False
    x, y, width, height = cv2.boundingRect(grey)
    if not FRAME_BOX[0] <= max(width, height) <= FRAME_BOX[1]:
        return False
    moments = cv2.moments(grey)
    off_x = moments["m10"] / moments["m00"] - CENTRE
    off_y = moments["m01"] / moments["m00"] - CENTRE
    if not (_is_centred(off_x, x, width) and _is_centred(off_y, y, height)):
        return False
    return int(grey.max()) >= FRAME_PEAK


def _is_centred(off: float, start: int, length: int) -> bool:
    """Whether ink lies in the middle, or as near as the frame lets it: all of a lopsided digit stays inside."""
    if abs(off) <= FRAME_OFF_CENTRE:
        return True
    return start <= FRAME_FADED if off > 0 else start + length >= GLYPH_SIZE - FRAME_FADED


def to_glyph(region: Region) -> Image:
    """The glyph, uint8 (28, 28), of a region's ink."""
    return glyph_and_stroke(region)[0]


def glyph_and_stroke(region: Region) -> tuple[Image, float]:
    """The glyph, uint8 (28, 28), of a region's ink, and the mean width of its strokes in pixels of the region."""
    # No pen is so fine that it would fade so soon, and to widen strokes at the size of a whole page takes long.
    mask, scale = region.mask, 1.0
    if max(mask.shape) > FRAME_SIDE:
        scale = FRAME_SIDE / max(mask.shape)
        mask = _shrink(mask, scale)
    mask, binary = _trimmed(mask)
    longer = max(mask.shape)
    stroke = stroke_width(binary)
    mask = _with_min_stroke(mask, binary, MIN_STROKE / (BOX_SIZE / longer) - stroke)
    if longer > SUPERSAMPLING * BOX_SIZE * 2:
        # A fine pen would fade in a reduced picture, so its strokes were widened at full resolution.
        mask = _shrink(mask, SUPERSAMPLING * BOX_SIZE / max(mask.shape))
    return _centred(_shrink(mask, BOX_SIZE / max(mask.shape))), stroke / scale


def _trimmed(mask: Image) -> tuple[Image, Image]:
    """The part of a mask that holds ink, all of it where none does; and where there is ink in it, 255, else 0."""
    binary = ink_within(mask)
    x, y, width, height = cv2.boundingRect(binary)
    if width == 0:
        return mask, binary
    return mask[y : y + height, x : x + width], binary[y : y + height, x : x + width]


def _with_min_stroke(mask: Image, binary: Image, missing: float) -> Image:
    """The mask with its strokes wider by what is missing, if anything; padded where they grew over its edge.

    binary: where there is ink in the mask, as `_trimmed` gives it.
    """
    if missing <= 0:
        return mask
    grow = missing / 2
    pad = int(np.ceil(grow)) + 1
    padded = cv2.copyMakeBorder(binary, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=(0,))
    distance = cv2.distanceTransform(cv2.bitwise_not(padded), cv2.DIST_L2, 3)
    grown: Image = np.clip((grow + 1 - distance) * 255, 0, 255).astype(np.uint8)
    return _trimmed(grown)[0]


def _shrink(mask: Image, scale: float) -> Image:
    size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR), np.uint8)


def _centred(digit: Image) -> Image:
    """The digit, at most 20 pixels a side, on a black glyph with its centre of mass in the middle."""
    peak = int(digit.max())
    if 0 < peak < 255:
        digit = np.asarray(cv2.convertScaleAbs(digit, alpha=255 / peak), np.uint8)
    height, width = digit.shape
    moments = cv2.moments(digit)
    mass = moments["m00"] or 1.0
    left = round(CENTRE - moments["m10"] / mass)
    top = round(CENTRE - moments["m01"] / mass)
    left, top = min(max(left, 0), GLYPH_SIZE - width), min(max(top, 0), GLYPH_SIZE - height)
    glyph = np.zeros((GLYPH_SIZE, GLYPH_SIZE), np.uint8)
    glyph[top : top + height, left : left + width] = digit
    return glyph

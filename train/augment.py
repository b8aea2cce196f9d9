"""Digits as the device will see them: written anew at a higher resolution, put on paper, and segmented by `edge`.

A training sample is a glyph. Part of them keep MNIST's own frame with a light affine jitter, since a picture that
already is a glyph passes through the device untouched; the rest are rendered as a small picture of a digit (another
hand, another pen, another scanner) and come back through `edge.preprocess.single_glyph`, with every mark that a real
segmentation leaves on them.

Elastic distortion after Simard, Steinkraus, Platt, "Best Practices for Convolutional Neural Networks" (2003).
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.preprocess import BOX_SIZE, GLYPH_SIZE, single_glyph
from edge.segment import stroke_width

Image = NDArray[np.uint8]

LIGHT_PART = 0.45  # of the samples keep MNIST's frame
LIGHT_ROTATION = 12.0  # degrees, to either side
LIGHT_SCALE = 0.10  # of the size, to either side
LIGHT_SHEAR = 0.15
LIGHT_SHIFT = 1.6  # pixels: the centre of mass is rounded to a whole pixel and moves with the ink

ROTATION = 16.0  # degrees, to either side
SHEAR = 0.32
ASPECT = 0.22  # standard deviation of the logarithm of width over height
ELASTIC_KNOTS = (3, 6)  # control points a side
ELASTIC_SHIFT = 0.9  # pixels of the glyph, standard deviation at the knots
DIGIT_HEIGHT = (24, 64)  # pixels of the canvas the digit is drawn on
MARGIN = (1.04, 2.0)  # canvas over digit
PEN_WIDER = 1.1  # pixels of the glyph added on each side of a stroke, at most
MARKER_WIDER = 2.0  # the same for a marker or a brush
MARKER_PART = 0.04  # of the digits are written with one
PEN_FINER = 0.6  # pixels taken from each side, at most
PEN_FINEST = 1.1  # pixels of the glyph: a stroke is not made finer than this
PAPER = (110, 255)  # grey levels
CONTRAST = (0.15, 1.0)  # of the paper's level
SHADING = 0.35  # of the light lost in a corner, at most; never more than the ink takes
NOISE = 9.0  # grey levels, standard deviation at most
BLUR = 1.1  # pixels of the glyph, standard deviation at most
LOW_RESOLUTION = (11, 24)  # pixels: digit heights of a poor camera or scanner
SCAN_SIZE = (14, 18)  # pixels: sides of a tight scan such as a postal reader cuts
BLOT_FILL = 0.78  # of its box: a glyph with more ink
BLOT_SIDE = 11  # pixels: and with both sides longer is a blot, not a bold digit

_NOISE = np.random.default_rng(0).standard_normal((512, 512)).astype(np.float32)


def render(images: Image, seed: int | list[int], *, light_part: float = LIGHT_PART) -> Image:
    """New samples, uint8 (n, 28, 28), of the digits in `images`, uint8 (n, 28, 28); the same for the same seed.

    light_part: the part of them, 0 to 1, that keeps MNIST's frame.
    """
    rng = np.random.default_rng(seed)
    rendered = np.empty_like(images)
    for k, (image, light) in enumerate(zip(images, rng.random(len(images)) < light_part, strict=True)):
        rendered[k] = jittered(image, rng) if light else rewritten(image, rng)
    return rendered


def rewritten(image: Image, rng: np.random.Generator) -> Image:
    """One digit, drawn and photographed anew, as the device's preprocessing brings it back: uint8 (28, 28)."""
    glyph = single_glyph(photographed(image, rng))
    return jittered(image, rng) if glyph is None or _is_blot(glyph) else glyph


def _is_blot(glyph: Image) -> bool:
    """Whether the segmentation took the paper for ink, so that nothing of the digit is left to learn from."""
    _, _, width, height = cv2.boundingRect(glyph)
    return min(width, height) > BLOT_SIDE and cv2.mean(glyph)[0] / 255 * glyph.size > BLOT_FILL * width * height


def photographed(image: Image, rng: np.random.Generator) -> Image:
    """A small grey picture, uint8 (height, width), of the digit in a glyph: another hand, pen and paper."""
    ink = redrawn(image, rng)
    if rng.random() < 0.2:
        return _scanned(ink, rng)
    for mark, chance in _MARKS:
        if rng.random() < chance:
            ink = mark(ink, rng)
    picture = _on_paper(ink, rng)
    if rng.random() < 0.1:
        quality = int(rng.integers(25, 80))
        picture = cv2.imdecode(
            cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE
        )
    return picture


def jittered(image: Image, rng: np.random.Generator) -> Image:
    """The glyph with a small affine jitter, still in MNIST's frame."""
    if rng.random() < 0.15:
        return image
    angle, shear = (
        np.radians(rng.uniform(-LIGHT_ROTATION, LIGHT_ROTATION)),
        rng.uniform(-LIGHT_SHEAR, LIGHT_SHEAR),
    )
    sx, sy = 1 + rng.uniform(-LIGHT_SCALE, LIGHT_SCALE, 2)
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ [
        [sx, shear],
        [0, sy],
    ]
    centre = np.full(2, (GLYPH_SIZE - 1) / 2)
    shift = centre - linear @ centre + rng.uniform(-LIGHT_SHIFT, LIGHT_SHIFT, 2)
    return cv2.warpAffine(image, np.column_stack([linear, shift]), (GLYPH_SIZE, GLYPH_SIZE), flags=cv2.INTER_LINEAR)


def redrawn(image: Image, rng: np.random.Generator) -> Image:
    """The digit's ink, uint8 (side, side), at a higher resolution: another slant, another hand, another pen."""
    height = int(rng.integers(*DIGIT_HEIGHT))
    side = int(height * rng.uniform(*MARGIN)) + 2
    unit = height / BOX_SIZE  # canvas pixels a glyph pixel
    angle = np.radians(rng.uniform(-ROTATION, ROTATION))
    aspect = np.exp(rng.normal(0, ASPECT) / 2)
    shear = rng.uniform(-SHEAR, SHEAR)
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ [
        [1 / aspect, shear],
        [0, aspect],
    ]
    linear /= unit
    room = max(side - height, 0) / 2
    centre = side / 2 + rng.uniform(-room, room, 2) * 0.8
    axis = np.arange(side, dtype=np.float32)
    x, y = axis[None, :] - np.float32(centre[0]), axis[:, None] - np.float32(centre[1])
    linear32 = linear.astype(np.float32)
    middle = np.float32((GLYPH_SIZE - 1) / 2)
    map_x = linear32[0, 0] * x + linear32[0, 1] * y + middle
    map_y = linear32[1, 0] * x + linear32[1, 1] * y + middle
    if rng.random() < 0.8:
        knots = int(rng.integers(*ELASTIC_KNOTS, endpoint=True))
        strength = ELASTIC_SHIFT * rng.random()
        bend = rng.normal(0, strength, (knots, knots, 2)).astype(np.float32)
        bend = cv2.resize(bend, (side, side), interpolation=cv2.INTER_CUBIC)
        map_x, map_y = map_x + bend[:, :, 0], map_y + bend[:, :, 1]
    ink = cv2.remap(image, map_x, map_y, cv2.INTER_CUBIC)
    ink = sharpened(ink, rng.uniform(80, 170), rng.uniform(1.5, 5))
    return _other_pen(ink, unit, rng)


def sharpened(ink: Image, threshold: float, slope: float) -> Image:
    """The ink with its edges at a grey level, so many times as steep."""
    levels = np.arange(256, dtype=np.float32)
    return cv2.LUT(ink, np.clip((levels - threshold) * slope + 127, 0, 255).astype(np.uint8))


def _other_pen(ink: Image, unit: float, rng: np.random.Generator) -> Image:
    """The strokes a little wider or finer, never broken by it."""
    choice = rng.random()
    if choice < 0.4:
        return ink
    if choice < 0.7:
        widest = MARKER_WIDER if choice < 0.4 + MARKER_PART else PEN_WIDER
        change, verb = rng.random() * widest, cv2.dilate
    else:
        width = stroke_width(cv2.threshold(ink, 127, 255, cv2.THRESH_BINARY)[1]) / unit
        change, verb = min(rng.random() * PEN_FINER, (width - PEN_FINEST) / 2), cv2.erode
    size = round(2 * change * unit) + 1
    return ink if size < 2 else verb(ink, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))


def _scanned(ink: Image, rng: np.random.Generator) -> Image:
    """A tight, small scan, stretched to a square as postal readers do, often in pure black and white."""
    x, y, width, height = cv2.boundingRect(cv2.threshold(ink, 127, 255, cv2.THRESH_BINARY)[1])
    if width == 0:
        return ink
    crop = ink[y : y + height, x : x + width]
    side = int(rng.integers(*SCAN_SIZE, endpoint=True))
    aspect = width / height
    if rng.random() < 0.6 and aspect > 0.45:
        aspect = aspect ** rng.uniform(0, 0.8)  # towards a square
    size = (max(3, min(side, round(side * aspect))), max(3, min(side, round(side / aspect))))
    crop = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    if rng.random() < 0.4:
        crop = cv2.threshold(crop, rng.uniform(70, 150), 255, cv2.THRESH_BINARY)[1]
    left, top = (side - size[0]) // 2, (side - size[1]) // 2
    return cv2.copyMakeBorder(
        crop, top, side - size[1] - top, left, side - size[0] - left, cv2.BORDER_CONSTANT, value=0
    )


def _specks(ink: Image, rng: np.random.Generator) -> Image:
    ink = ink.copy()
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.integers(0, len(ink), 2)
        cv2.circle(ink, (int(x), int(y)), int(rng.integers(0, 2)), int(rng.integers(100, 256)), -1)
    return ink


def _line(ink: Image, rng: np.random.Generator) -> Image:
    """A ruled line, or the border of a form's box."""
    ink = ink.copy()
    side = len(ink)
    at = int(rng.integers(0, side // 7 + 1))
    at = at if rng.random() < 0.5 else side - 1 - at
    ends = ((0, at), (side, at)) if rng.random() < 0.5 else ((at, 0), (at, side))
    cv2.line(ink, *ends, int(rng.integers(70, 256)), 1)
    return ink


def _neighbour(ink: Image, rng: np.random.Generator) -> Image:
    """A piece of the next digit at the picture's edge."""
    ink = ink.copy()
    side = len(ink)
    strip = max(1, side // 14)
    piece = np.roll(ink, int(rng.integers(side)), axis=0)[:, side // 2 : side // 2 + strip]
    edge = slice(0, strip) if rng.random() < 0.5 else slice(side - strip, side)
    ink[:, edge] = np.maximum(ink[:, edge], piece)
    return ink


def _cut(ink: Image, rng: np.random.Generator) -> Image:
    """A crop that shaves the digit's edge."""
    x, y, width, height = cv2.boundingRect(cv2.threshold(ink, 127, 255, cv2.THRESH_BINARY)[1])
    shave = rng.integers(0, max(2, len(ink) // 20), 4)
    crop = ink[y + shave[0] : y + height - shave[1], x + shave[2] : x + width - shave[3]]
    return ink if min(crop.shape) < 8 else np.ascontiguousarray(crop)


def _dry_pen(ink: Image, rng: np.random.Generator) -> Image:
    """Ink that thins out in places."""
    size = (ink.shape[1], ink.shape[0])
    field = cv2.resize(rng.uniform(0.35, 1.25, (6, 6)).astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    field = np.clip(field + 0.15 * _noise(ink.shape, rng), 0, 1)
    return (ink * field).astype(np.uint8)


_MARKS: tuple[tuple[Callable[[Image, np.random.Generator], Image], float], ...] = (
    (_dry_pen, 0.15),
    (_specks, 0.08),
    (_line, 0.06),
    (_neighbour, 0.05),
    (_cut, 0.06),
)  # each with its chance


def _on_paper(ink: Image, rng: np.random.Generator) -> Image:
    """The picture of the ink on paper, light and camera included; dark on light, or chalk on a board."""
    if rng.random() < 0.4:
        height = rng.uniform(*LOW_RESOLUTION)
        scale = min(1.0, height * 1.5 / len(ink))
        size = (max(8, round(ink.shape[1] * scale)), max(8, round(ink.shape[0] * scale)))
        ink = cv2.resize(ink, size, interpolation=cv2.INTER_AREA)
    paper = rng.uniform(*PAPER)
    depth = paper * rng.uniform(*CONTRAST) / 255
    picture = paper - depth * ink.astype(np.float32)
    if rng.random() < 0.4:
        corners = 1 - rng.uniform(0, min(SHADING, depth * 255 / paper), (2, 2)).astype(np.float32)
        picture *= cv2.resize(corners, (ink.shape[1], ink.shape[0]), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        sigma = rng.uniform(0.3, BLUR) * max(ink.shape) / GLYPH_SIZE / 1.5
        picture = cv2.GaussianBlur(picture, (0, 0), max(sigma, 0.3), borderType=cv2.BORDER_REPLICATE)
    if rng.random() < 0.5:
        picture += rng.uniform(0, NOISE) * min(1.0, depth * 2) * _noise(ink.shape, rng)
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    return cv2.bitwise_not(picture) if rng.random() < 0.35 else picture


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """A window of one fixed field of unit normal noise: drawing so many numbers anew costs more than the rest."""
    top, left = (int(rng.integers(0, _NOISE.shape[k] - shape[k])) for k in (0, 1))
    return _NOISE[top : top + shape[0], left : left + shape[1]]

"""A camera that is none: it looks at a sheet with a number written by hand, which goes up by one every few seconds.

For demonstrations and tests. It needs no hardware, no data set and no font: the digits are drawn from strokes. What it
shows depends on its seed and the moment alone.
"""

import time
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.capture import WAIT_SECONDS, Frame

Image = NDArray[np.uint8]
Points = tuple[tuple[float, float], ...]

DIGITS = 6  # of the number: at one step in 5 seconds it takes 58 days to come round
STEP_SECONDS = 5.0  # from one number to the next

# Colours are blue, green, red, 0 to 255. A darker desk, or a shadow on it, has edges that the reader looks at twice:
# reading would take twice as long.
PAPER = (222.0, 234.0, 240.0)
DESK = (164.0, 187.0, 205.0)
INK = (104.0, 52.0, 34.0)

CARD = (0.92, 0.86)  # width and height of the sheet, parts of the picture's
TILT = -1.2  # degrees by which the sheet lies askew, clockwise
CORNER = 0.03  # radius of the sheet's corners, part of the picture's height
DARKEST = 0.68  # light in the corner farthest from the lamp, part of that at the lamp
LAMP = (0.32, 0.22)  # where the light falls, parts of the picture
STREAKS = 2.0  # grey levels, standard deviation: of the desk's wood
STREAK_LENGTH, STREAK_WIDTH = 0.08, 0.0025  # parts of the picture's width and height
GRAIN = 1.6  # grey levels, standard deviation: of the paper itself
NOISE = 2.2  # grey levels, standard deviation: of the camera, new in every frame
NOISE_PEAK = 8  # grey levels: no noise beyond
NOISE_MARGIN = 64  # pixels: the noise lies in so many places, a new one in every frame

DIGIT_HEIGHT = 0.27  # part of the picture's height
LONGEST_ROW = 0.78  # part of the picture's width, for all digits
PITCH = 0.86  # from a digit to the next, part of its height
ROW = 1.4  # height of the row, part of a digit's
WIDTH = 0.56  # of a digit, part of its height
PEN = 0.075  # part of a digit's height
PRESSURE = 0.16  # by which the pen's width varies along a stroke
JITTER = 0.022  # of a stroke's points, part of a digit's size, standard deviation
SHIFT = 0.02  # of a digit on the row, part of its height, standard deviation
SLANT = 0.05  # of a digit, standard deviation, width for height
SMOOTH_STEPS = 10  # points drawn between two of a stroke's
SUPERSAMPLING = 2
FRACTION_BITS = 4  # of the coordinates that OpenCV draws at
INK_PATCHY = 0.12  # by which the ink is lighter in places
PATCH = 8  # pixels: size of such a place

# A digit's hands: each a tuple of strokes, each through points in a box of 1 by 1, x to the right and y down.
HANDS: dict[str, tuple[tuple[Points, ...], ...]] = {
    "0": (
        (
            (
                (0.56, 0.02),
                (0.2, 0.16),
                (0.06, 0.52),
                (0.22, 0.9),
                (0.56, 0.98),
                (0.88, 0.76),
                (0.93, 0.38),
                (0.7, 0.05),
                (0.5, 0.03),
            ),
        ),
        (((0.48, 0.0), (0.1, 0.3), (0.12, 0.76), (0.5, 1.0), (0.88, 0.72), (0.86, 0.24), (0.46, 0.01)),),
        (
            (
                (0.66, 0.06),
                (0.36, 0.02),
                (0.1, 0.4),
                (0.16, 0.84),
                (0.5, 0.99),
                (0.84, 0.8),
                (0.92, 0.4),
                (0.74, 0.1),
                (0.6, 0.04),
            ),
        ),
    ),
    # No stroke alone, nor one with a short flag: the reader takes one in a hundred of those for two.
    "1": (
        (((0.26, 0.26), (0.44, 0.14), (0.58, 0.0)), ((0.58, 0.0), (0.55, 0.5), (0.52, 1.0))),
        (((0.26, 0.2), (0.52, 0.0)), ((0.52, 0.0), (0.52, 0.5), (0.52, 1.0)), ((0.16, 1.0), (0.5, 0.99), (0.9, 0.98))),
    ),
    "2": (
        (
            ((0.1, 0.26), (0.3, 0.04), (0.66, 0.02), (0.84, 0.24), (0.64, 0.54), (0.3, 0.82), (0.08, 0.98)),
            ((0.08, 0.98), (0.5, 0.95), (0.94, 0.97)),
        ),
        (
            ((0.14, 0.2), (0.46, 0.0), (0.82, 0.16), (0.76, 0.44), (0.4, 0.74), (0.06, 0.96)),
            ((0.06, 0.96), (0.48, 0.98), (0.92, 0.93)),
        ),
    ),
    "3": (
        (
            ((0.14, 0.12), (0.44, 0.0), (0.78, 0.12), (0.72, 0.36), (0.38, 0.46)),
            ((0.38, 0.46), (0.76, 0.54), (0.86, 0.78), (0.56, 0.98), (0.1, 0.9)),
        ),
        (
            ((0.16, 0.08), (0.5, 0.01), (0.8, 0.2), (0.62, 0.42), (0.42, 0.47)),
            ((0.42, 0.47), (0.82, 0.6), (0.8, 0.88), (0.42, 1.0), (0.08, 0.86)),
        ),
    ),
    "4": (
        (
            ((0.42, 0.02), (0.26, 0.36), (0.06, 0.64)),
            ((0.06, 0.64), (0.5, 0.62), (0.96, 0.6)),
            ((0.7, 0.34), (0.68, 0.66), (0.64, 1.0)),
        ),
        (
            ((0.22, 0.04), (0.14, 0.3), (0.12, 0.54)),
            ((0.12, 0.54), (0.5, 0.54), (0.9, 0.5)),
            ((0.76, 0.02), (0.72, 0.5), (0.68, 1.0)),
        ),
    ),
    "5": (
        (
            ((0.24, 0.04), (0.2, 0.24), (0.16, 0.44)),
            ((0.16, 0.44), (0.5, 0.36), (0.82, 0.54), (0.8, 0.84), (0.46, 0.99), (0.08, 0.9)),
            ((0.24, 0.04), (0.56, 0.03), (0.88, 0.02)),
        ),
        (
            ((0.86, 0.03), (0.54, 0.02), (0.28, 0.04)),
            ((0.28, 0.04), (0.22, 0.26), (0.2, 0.42)),
            ((0.2, 0.42), (0.6, 0.4), (0.86, 0.66), (0.66, 0.94), (0.12, 0.94)),
        ),
    ),
    "6": (
        (
            (
                (0.7, 0.0),
                (0.36, 0.24),
                (0.12, 0.58),
                (0.18, 0.88),
                (0.5, 1.0),
                (0.82, 0.84),
                (0.78, 0.6),
                (0.48, 0.52),
                (0.16, 0.68),
            ),
        ),
        (
            (
                (0.78, 0.04),
                (0.42, 0.12),
                (0.14, 0.46),
                (0.14, 0.82),
                (0.46, 0.99),
                (0.8, 0.86),
                (0.8, 0.64),
                (0.5, 0.54),
                (0.15, 0.74),
            ),
        ),
    ),
    "7": (
        (((0.08, 0.06), (0.5, 0.05), (0.9, 0.03)), ((0.9, 0.03), (0.62, 0.46), (0.42, 1.0))),
        (((0.1, 0.03), (0.48, 0.06), (0.88, 0.04)), ((0.88, 0.04), (0.66, 0.36), (0.5, 0.7), (0.44, 0.99))),
    ),
    "8": (
        (
            (
                (0.8, 0.16),
                (0.5, 0.0),
                (0.2, 0.16),
                (0.36, 0.4),
                (0.7, 0.58),
                (0.84, 0.82),
                (0.5, 1.0),
                (0.16, 0.84),
                (0.28, 0.58),
                (0.66, 0.38),
                (0.82, 0.18),
                (0.72, 0.06),
            ),
        ),
        (
            (
                (0.5, 0.0),
                (0.2, 0.18),
                (0.46, 0.44),
                (0.82, 0.72),
                (0.5, 1.0),
                (0.16, 0.74),
                (0.5, 0.46),
                (0.8, 0.2),
                (0.52, 0.0),
            ),
        ),
    ),
    "9": (
        (
            ((0.82, 0.18), (0.5, 0.01), (0.16, 0.18), (0.22, 0.44), (0.54, 0.48), (0.8, 0.22)),
            ((0.82, 0.16), (0.8, 0.56), (0.68, 1.0)),
        ),
        (
            (
                (0.78, 0.14),
                (0.46, 0.0),
                (0.14, 0.22),
                (0.26, 0.48),
                (0.6, 0.44),
                (0.8, 0.16),
                (0.78, 0.56),
                (0.64, 0.99),
            ),
        ),
    ),
}


class Synthetic:
    """The camera as a source; its pictures are uint8 (height, width, 3) BGR, drawn when they are loaded."""

    name = "synthetic"
    live = True

    def __init__(self, size: tuple[int, int] = (1280, 720), rate: float = 10.0, seed: int = 0) -> None:
        """size: width and height in pixels. rate: frames a second."""
        self._sheet = Sheet(size, seed)
        self._pause = 1 / rate
        self._next = 0.0
        self._sequence = 0

    def open(self) -> None:
        self._next = time.monotonic()

    def read(self) -> Frame | None:
        wait = self._next - time.monotonic()
        if wait > 0:
            time.sleep(min(wait, WAIT_SECONDS))
            if wait > WAIT_SECONDS:
                return None
        self._next = max(self._next + self._pause, time.monotonic())
        moment = time.time()
        frame = Frame(lambda: self._sheet.picture(moment), moment, self._sequence)
        self._sequence += 1
        return frame

    def close(self) -> None:
        pass


def text_at(moment: float, seed: int = 0) -> str:
    """The number on the sheet. moment: seconds since 1970."""
    number = seed + int(moment // STEP_SECONDS)
    return f"{number % 10**DIGITS:0{DIGITS}}"


class Sheet:
    """The sheet of paper, as the camera sees it."""

    def __init__(self, size: tuple[int, int], seed: int = 0) -> None:
        """size: width and height in pixels."""
        self._width, self._height = size
        self._seed = seed
        rng = np.random.default_rng(seed)
        self._light = _light(self._width, self._height)
        self._blank = _blank(self._width, self._height, self._light, rng)
        rng_patches = rng.uniform(1 - INK_PATCHY, 1, (self._height // PATCH, self._width // PATCH))
        self._patchy = cv2.resize(rng_patches.astype(np.float32), (self._width, self._height))
        self._noise = _noise(self._width + NOISE_MARGIN, self._height + NOISE_MARGIN, rng)
        self._written = lru_cache(maxsize=2)(self._write)

    def picture(self, moment: float) -> Image:
        """What the camera sees, uint8 (height, width, 3) BGR. moment: seconds since 1970."""
        return self.showing(text_at(moment, self._seed), moment)

    def showing(self, text: str, moment: float = 0.0) -> Image:
        """The same with another number on the sheet."""
        rng = np.random.default_rng([self._seed, int(moment * 1e6)])
        left, top = rng.integers(0, NOISE_MARGIN, 2)
        noise = self._noise[top : top + self._height, left : left + self._width]
        return np.asarray(cv2.add(self._written(text), noise), np.uint8)

    def _write(self, text: str) -> Image:
        """The sheet with a text on it, darker by NOISE_PEAK."""
        top, ink = self._ink(text)
        written = self._blank.copy()
        row = written[top : top + len(ink)]
        light = self._light[top : top + len(ink)]
        colour = np.array(INK, np.float32) * light[..., None] - NOISE_PEAK
        row[:] = np.clip(np.rint(row + (colour - row) * ink[..., None]), 0, 255)
        return written

    def _ink(self, text: str) -> tuple[int, NDArray[np.float32]]:
        """Where the row with the digits begins, and how much ink there is, float32 (rows, width), 0 to 1."""
        height = min(DIGIT_HEIGHT * self._height, LONGEST_ROW * self._width / (len(text) * PITCH))
        rows = round(ROW * height)
        mask = np.zeros((rows * SUPERSAMPLING, self._width * SUPERSAMPLING), np.uint8)
        start = np.array([(self._width - height * (PITCH * (len(text) - 1) + WIDTH)) / 2, (rows - height) / 2])
        for place, digit in enumerate(text):
            # A digit that stays as it was is not written anew.
            rng = np.random.default_rng([self._seed, place, int(text[: place + 1])])
            corner = start + np.array([place * PITCH * height, 0.0]) + rng.normal(0, SHIFT * height, 2)
            hand = HANDS[digit][int(rng.integers(len(HANDS[digit])))]
            _draw(mask, hand, corner * SUPERSAMPLING, height * SUPERSAMPLING, rng)
        ink = cv2.resize(mask, (self._width, rows), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        return (self._height - rows) // 2, ink * self._patchy[:rows]


def _draw(
    mask: Image, hand: tuple[Points, ...], corner: NDArray[np.float64], height: float, rng: np.random.Generator
) -> None:
    """Draws a digit into uint8 (height, width); corner: its upper left, in pixels."""
    pen = PEN * height * rng.uniform(0.92, 1.08)
    slant = rng.normal(0, SLANT)
    moved = {point: np.array(point) + rng.normal(0, JITTER, 2) for stroke in hand for point in stroke}
    for stroke in hand:
        line = _smooth(np.array([moved[point] for point in stroke]))
        line[:, 0] = line[:, 0] * WIDTH + slant * (0.5 - line[:, 1])
        points = np.rint((corner + line * height) * (1 << FRACTION_BITS)).astype(int)
        phase = rng.uniform(0, 2 * np.pi)
        for step in range(len(points) - 1):
            width = pen * (1 + PRESSURE * np.sin(phase + step * 2 / SMOOTH_STEPS))
            cv2.line(
                mask,
                points[step].tolist(),
                points[step + 1].tolist(),
                [255],
                max(1, round(width)),
                cv2.LINE_AA,
                FRACTION_BITS,
            )


def _smooth(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points along a Catmull-Rom curve through the given ones, float64 (n, 2)."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, SMOOTH_STEPS, endpoint=False)[:, None]
    pieces = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False)
    ]
    return np.concatenate([*pieces, points[-1:]])


def _light(width: int, height: int) -> NDArray[np.float32]:
    """How bright it is, float32 (height, width), DARKEST to 1."""
    x = (np.arange(width, dtype=np.float32) / width - LAMP[0])[None]
    y = ((np.arange(height, dtype=np.float32) / height - LAMP[1]) * height / width)[:, None]
    distance = x**2 + y**2
    return np.asarray(1 - (1 - DARKEST) * distance / distance.max(), np.float32)


def _blank(width: int, height: int, light: NDArray[np.float32], rng: np.random.Generator) -> Image:
    """The sheet on the desk with nothing on it, uint8 (height, width, 3), darker by NOISE_PEAK."""
    card = _card(width, height)
    paper = GRAIN * _speckle(rng, width, height, 1.0, 1.0)
    wood = STREAKS * _speckle(rng, width, height, STREAK_LENGTH * width, STREAK_WIDTH * height)
    blank = np.empty((height, width, 3), np.uint8)
    for channel in range(3):
        desk = DESK[channel] + wood
        blank[..., channel] = np.clip((desk + (PAPER[channel] + paper - desk) * card) * light - NOISE_PEAK, 0, 255)
    return blank


def _speckle(rng: np.random.Generator, width: int, height: int, across: float, down: float) -> NDArray[np.float32]:
    """Noise of mean 0 and deviation 1, float32 (height, width), smooth over so many pixels across and down."""
    noise = cv2.GaussianBlur(rng.standard_normal((height, width), np.float32), (0, 0), across, sigmaY=down)
    return np.asarray(noise / noise.std(), np.float32)


def _card(width: int, height: int) -> NDArray[np.float32]:
    """Where the sheet lies, float32 (height, width), 0 to 1."""
    card = np.zeros((height, width), np.float32)
    radius = round(CORNER * height)
    across, down = (round(side * part / 2) for side, part in zip((width, height), CARD, strict=True))
    left, top, right, bottom = width // 2 - across, height // 2 - down, width // 2 + across, height // 2 + down
    cv2.rectangle(card, (left + radius, top + radius), (right - radius, bottom - radius), 1, -1)
    cv2.rectangle(card, (left + radius, top + radius), (right - radius, bottom - radius), 1, 2 * radius, cv2.LINE_AA)
    askew = cv2.getRotationMatrix2D((width / 2, height / 2), -TILT, 1)
    return np.asarray(cv2.warpAffine(card, askew, (width, height)), np.float32)


def _noise(width: int, height: int, rng: np.random.Generator) -> Image:
    """uint8 (height, width, 3), around NOISE_PEAK; the same in all colours for the most part, as a camera's is."""
    grey = rng.normal(NOISE_PEAK, NOISE, (height, width, 1))
    noise = grey + rng.normal(0, NOISE / 3, (height, width, 3))
    return np.asarray(np.clip(np.rint(noise), 0, 2 * NOISE_PEAK), np.uint8)

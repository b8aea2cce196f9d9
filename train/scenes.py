"""Synthetic pages with exact truth: what `make evaluate` reads. Never used for training.

    python -m train.scenes --kind hard --count 12 --out sheet.png

The digits are those of MNIST's test half. A page is planned upright (lines, digits, ruling, cells, words), every
stroke is stamped into one map of ink at the page's own rotation, and the map is laid on paper under light: texture,
gradient, shadow, blur, noise, JPEG. One seed makes one page, the same on each run.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from edge.arguments import Parser, count, seed
from train.data import DATA_FOLDER, DataError, fetch_mnist, read_idx
from train.fonts import font_files, lacks

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Box = tuple[int, int, int, int]
Kind = Literal["normal", "hard", "blank", "signs"]
KINDS: tuple[Kind, ...] = get_args(Kind)

WIDTHS = (768, 1280)  # pixels, of a page that lies; one in five stands
ASPECTS = (0.70, 0.76)
PORTRAIT_PART = 0.2
MARGIN = 10  # pixels of paper around all that is written

DIGIT_HEIGHTS = (24, 90)  # pixels
SMALL_HEIGHTS = (14, 22)  # pixels, on the pages of many small digits
SMALL_PART = 0.1
SINGLE_PART = 0.05  # of the pages hold one large digit
SINGLE_HEIGHTS = (0.3, 0.7)  # of the frame's height
LINE_DIGITS = (3, 8)
MOST_LINES = 8
PITCHES = (1.55, 2.6)  # from baseline to baseline, in digit heights
SPACINGS = (0.15, 0.8)  # of paper between two digits, in digit heights
SHRINK = 0.8  # writing that does not fit is tried again so much smaller
HEIGHT_JITTER = 0.07  # a digit's height strays so far from its line's, both ways
BASELINE_JITTER = 0.04  # of the digit's height
WIDEST = 1.1  # a digit is no wider than this, in digit heights
OVERLAPS = (0.02, 0.05)  # in digit heights: how deep touching inks run into each other; at least a pixel
LONGEST_TOUCH = 0.3  # of their height: touching digits share no more rows of ink
TOUCH_TRIES = 8
DEEPEST_TOUCH = 0.25  # of the narrower digit's width: boxes of touching digits overlap by less

ROTATIONS: dict[Kind, float] = {"normal": 5.0, "hard": 15.0, "blank": 15.0, "signs": 5.0}  # degrees, both ways
LEAST_CONTRAST: dict[Kind, float] = {"normal": 0.35, "hard": 0.15, "blank": 0.15, "signs": 0.35}
TOUCHING: dict[Kind, float] = {"normal": 0.1, "hard": 0.3, "blank": 0.0, "signs": 0.0}  # of the neighbouring pairs
RULED_PART = 1 / 3
SHADOW_PART: dict[Kind, float] = {"normal": 0.0, "hard": 0.5, "blank": 0.4, "signs": 0.0}
BOXED_PART = 0.25  # of the hard pages have boxes drawn around digits or numbers
WORDS_PART = 0.45  # of the hard pages have letters too
CHALK_PART = 0.12  # of the hard pages are blackboards
SMALL_CONTRAST = 7.0  # pixels of height times contrast: a digit has at least so much, or nobody reads it
COLOUR_PART = 0.1  # of the hard pages are told by colour more than by grey
CONTRAST_MARGIN = 1.1  # a page is made with so much more contrast than the least, for what blur and JPEG take

FAINT = 0.3  # contrast below which a page is called faint
COLOUR_GAIN = 1.5  # a page is called coloured where a channel shows the ink so much better than grey

GLYPH_SCALE = 8  # MNIST's pixels are enlarged so much before the edge of a stroke is drawn
STROKE_LEVELS = (0.38, 0.62)  # of full ink: where that edge lies, so how bold the pen is
WHOLE = 0.85  # steps by which the edge is lowered where it tears a stroke
SAME_EXTENT = 0.88  # of both sides of a digit's box are left, or the edge is lowered
SPECK = 0.02  # of a digit's ink: a smaller piece is dirt
OVERSAMPLING = 2  # glyphs are stamped from masks this much larger
INK = 0.5  # of full coverage: truth boxes hold this much and more

PAPERS = (  # BGR
    (243, 246, 248), (248, 248, 248), (235, 240, 242), (240, 240, 236), (225, 236, 244), (228, 228, 228),
    (215, 222, 228), (205, 232, 246), (170, 226, 245), (190, 235, 205), (235, 222, 200), (205, 205, 240),
    (196, 206, 212), (150, 190, 215),
)  # fmt: skip
PENS = (  # BGR: black, blue, blue-black, red, green, pencil
    (32, 30, 30), (140, 52, 28), (95, 45, 30), (40, 35, 190), (60, 110, 30), (95, 92, 92), (30, 25, 25),
)  # fmt: skip
PENCIL = (95, 92, 92)
COLOUR_PAIRS = (  # BGR paper and ink: much the same grey, far apart in one channel
    ((205, 190, 150), (120, 165, 225)), ((150, 205, 190), (225, 165, 150)), ((175, 195, 240), (235, 195, 165)),
    ((120, 215, 235), (150, 215, 150)),
)  # fmt: skip
BOARDS = ((48, 60, 44), (40, 40, 40), (70, 62, 50), (58, 72, 50))  # BGR
CHALKS = ((235, 238, 240), (170, 225, 235), (225, 205, 190), (190, 190, 235))  # BGR

RULES = ((205, 150, 110), (160, 160, 160), (140, 140, 220))  # BGR
RULE_STRENGTHS = (0.15, 0.55)  # of that colour on the paper
FAINT_RULES = 0.6  # of the strength, under writing that is small, or told by its colour
PRINTED_BOXES = ((60, 60, 60), (190, 120, 60), (70, 60, 200))  # BGR
BOX_STRENGTHS = (0.5, 0.95)
SAME_PEN_PART = 0.4  # of the pages with boxes have them drawn with the pen of the digits
DARK_PAPER = 100  # grey level below which a page is a board

FINE_TEXTURE, FINE_GRAINS = (0.002, 0.012), (1, 3)  # of the paper's level; pixels
COARSE_TEXTURE, COARSE_GRAINS = (0.0, 0.012), (8, 40)
LIGHT_FALLS = (0.0, 0.35)  # of the light, from one side of the page to the other
VIGNETTES = (0.0, 0.3)
SHADOW_DEPTHS = (0.25, 0.55)  # of the light
SHARP_SHADOWS, SOFT_SHADOWS = (0.8, 2.5), (15.0, 60.0)  # pixels: deviation of their edges' blur
EXPOSURES = (0.85, 1.02)
BLURS: dict[Kind, tuple[float, float]] = {
    "normal": (0.3, 0.8),
    "hard": (0.3, 1.5),
    "blank": (0.3, 1.5),
    "signs": (0.3, 0.8),
}  # pixels
LEAST_BLUR, MOST_BLUR = 0.3, 0.035  # pixels; of the digits' height
NOISES = (0.5, 5.0)  # grey levels, standard deviation
MOST_NOISE = 0.08  # of the step from paper to ink
COLOUR_NOISE = 0.4  # of the noise again, in each channel for itself
QUALITIES = (60, 95)  # per cent, of the JPEG

# Letters that nobody takes for a digit, alone or in a hand's way of writing them.
LETTERS = "acdefhkmnprtuvwxACEFHKMNPRTUVWX"
WORDS = (
    "Name", "name", "rent", "Rent", "tax", "Tax", "water", "Water", "paper", "Market", "cake", "tea", "nut", "Fee",
    "Uhr", "Haven", "exact", "Kunde", "Preuve", "carte", "Rate", "Mark", "Frau", "Herr", "An", "am", "Ware", "net",
)  # fmt: skip
WORD_PART = 0.6  # of what stands there are words, the rest letters by chance
# What stands beside numbers on a page of signs, and the strokes of what no font holds, in heights of a digit.
SIGNS_BEFORE = ("$", "€", "£", "#", "tick", "box", "ticked", "crossed")
SIGNS_BETWEEN = ("+", "×", "÷", "=", ".", ",", "-")
SIGNS_BEHIND = ("%", "%", "€", "$", "tick", "kg", "cm", "km", "m", "h", "Uhr", "kW", "EUR")
BEFORE_PART, BETWEEN_PART = 0.35, 0.35  # of the numbers; behind stands one on all that have neither, and so many others
BEHIND_PART = 0.4
SIGNED_DIGITS = (2, 5)
SIGN_HEIGHTS = (0.85, 1.05)  # of the digits'
SIGN_JITTER = 0.03
BOX_STROKE = ((0, -0.78), (0.74, -0.8), (0.75, -0.04), (0.02, -0.02), (0, -0.8))
DRAWN_SIGNS: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {
    "tick": (((0, -0.38), (0.08, -0.3), (0.22, 0), (0.35, -0.35), (0.72, -0.98)),),
    "box": (BOX_STROKE,),
    "ticked": (BOX_STROKE, ((0.15, -0.45), (0.33, -0.15), (0.85, -0.95))),
    "crossed": (BOX_STROKE, ((0.1, -0.7), (0.66, -0.1)), ((0.65, -0.72), (0.1, -0.1))),
}
FONT_TRIAL = 100  # pixels: font size at which the height of capitals is measured

SHEET_COLUMNS = 3
SHEET_WIDTH = 640  # pixels of one page


class SceneDigit(NamedTuple):
    """One digit's truth. `box`: x, y, width, height in the frame, tight around its ink. `line`: index in `lines`."""

    label: str
    box: Box
    line: int


@dataclass(frozen=True, slots=True)
class Scene:
    """A page and all that is written on it."""

    seed: int
    kind: Kind
    frame: Image
    """uint8 (height, width, 3) BGR."""
    lines: tuple[str, ...]
    """The numbers in reading order."""
    digits: tuple[SceneDigit, ...]
    """Line by line, from the left."""
    distractors: tuple[Box, ...]
    """Boxes of letters and drawings, which are not digits."""
    rotation: float
    """Degrees, clockwise."""
    contrast: float
    """Of the ink: 1 - the darker's level over the lighter's, in grey or in the channel that shows it best."""
    touching: int
    """Pairs of neighbours that touch."""
    conditions: tuple[str, ...]
    """What is special about this page, in a word or two each."""


@cache
def _test_digits() -> tuple[Image, Image]:
    """MNIST's test half: uint8 (10000, 28, 28) and their classes (10000,). Raises DataError."""
    fetch_mnist()
    return (
        read_idx(DATA_FOLDER / "t10k-images-idx3-ubyte"),
        read_idx(DATA_FOLDER / "t10k-labels-idx1-ubyte"),
    )


@dataclass(frozen=True, slots=True)
class Mark:
    """Something to be stamped: its ink as float32 (height, width), OVERSAMPLING times the page's size."""

    mask: Floats
    x: float
    y: float
    label: str | None = None
    line: int = -1

    @property
    def width(self) -> float:
        return self.mask.shape[1] / OVERSAMPLING

    @property
    def height(self) -> float:
        return self.mask.shape[0] / OVERSAMPLING


@dataclass
class Plan:
    """An upright page: coordinates in pixels from its middle. Strokes: points (n, 2), thickness in pixels, strength."""

    width: int
    height: int
    angle: float
    marks: list[Mark] = field(default_factory=list)
    rules: list[tuple[NDArray[np.float64], float]] = field(default_factory=list)
    boxes: list[tuple[NDArray[np.float64], float]] = field(default_factory=list)
    drawings: list[tuple[NDArray[np.float64], float]] = field(default_factory=list)
    touching: int = 0

    def placed(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (n, 2) of the page as they lie in the frame."""
        radians = np.deg2rad(self.angle)
        cos, sin = np.cos(radians), np.sin(radians)
        return np.asarray(points, float) @ np.array([[cos, sin], [-sin, cos]]) + (self.width / 2, self.height / 2)

    def room(self, top: float, bottom: float) -> tuple[float, float] | None:
        """From where to where a line between these heights lies wholly inside the frame."""
        xs = np.arange(-self.width, self.width, 2.0)
        inside = np.ones(len(xs), bool)
        for y in (top, bottom):
            p = self.placed(np.stack([xs, np.full(len(xs), y)], 1))
            inside &= (p > MARGIN).all(1) & (p[:, 0] < self.width - MARGIN) & (p[:, 1] < self.height - MARGIN)
        return (float(xs[inside][0]), float(xs[inside][-1])) if inside.sum() > 1 else None


def scene(seed: int, kind: Kind) -> Scene:
    """The page of this seed and kind. Raises DataError where MNIST cannot be had."""
    rng = np.random.default_rng([seed, KINDS.index(kind), 0x5CE])
    width = int(rng.integers(*WIDTHS, endpoint=True))
    height = round(width * rng.uniform(*ASPECTS))
    if rng.random() < PORTRAIT_PART:
        width, height = height, width
    plan = Plan(width, height, rng.uniform(-ROTATIONS[kind], ROTATIONS[kind]))
    size = _digit_height(rng, height)
    ruled = rng.random() < RULED_PART
    pitch = size * rng.uniform(*PITCHES)
    if kind == "signs":
        size = min(size, DIGIT_HEIGHTS[1])
    if kind != "blank":
        lettered = kind == "hard" and rng.random() < WORDS_PART
        while not any(mark.label for mark in plan.marks):
            plan.marks.clear()
            plan.boxes.clear()
            _write_numbers(plan, rng, kind, size, pitch, lettered=lettered)
            if not any(mark.label for mark in plan.marks):
                size, pitch = SHRINK * size, SHRINK * pitch
    else:
        _write_nothing(plan, rng, size)
    if ruled:
        _rule(plan, rng, size, pitch)
    return _photograph(plan, rng, seed, kind, size)


def photograph(seed: int, size: tuple[int, int], digit_height: float, lines: Sequence[int]) -> Scene:
    """A plain page of a given size, to time its reading: `lines` of so many digits each, none touching.

    size: width and height in pixels. digit_height: pixels, give or take HEIGHT_JITTER. Raises ValueError where they do
    not fit, and DataError.
    """
    rng = np.random.default_rng([seed, 0xF070])
    plan = Plan(*size, rng.uniform(-2, 2))
    pitch = (size[1] - 2 * MARGIN) / (len(lines) + 0.5)
    for row, digits in enumerate(lines):
        baseline = (row + 1 - (len(lines) + 0.5) / 2) * pitch
        room = plan.room(baseline - 1.3 * digit_height, baseline + 0.3 * digit_height)
        step = 1.5 * digit_height
        if room is None or room[1] - room[0] < digits * step or pitch < 1.5 * digit_height:
            raise ValueError(f"{digits} digits {digit_height:.0f} pixels high do not fit {size}")
        start = room[0] + (room[1] - room[0] - digits * step) / 2
        for k in range(digits):
            mark = _digit(rng, 0.0, baseline, digit_height, float(np.mean(STROKE_LEVELS)), row)
            plan.marks.append(_moved(mark, start + k * step))
    return _photograph(plan, rng, seed, "normal", digit_height)


def _digit_height(rng: np.random.Generator, height: int) -> float:
    choice = rng.random()
    if choice < SINGLE_PART:
        return float(height * rng.uniform(*SINGLE_HEIGHTS))
    return float(rng.uniform(*(SMALL_HEIGHTS if choice < SINGLE_PART + SMALL_PART else DIGIT_HEIGHTS)))


# Writing ------------------------------------------------------------------------------------------------------------


def _digit_mask(index: int, height: float, level: float) -> Floats:
    """The ink of one MNIST picture, smooth at OVERSAMPLING times the height: float32 (h, w) 0 to 1, cut tight."""
    glyph = _test_digits()[0][index].astype(np.float32) / 255
    large = cv2.resize(glyph, None, fx=GLYPH_SCALE, fy=GLYPH_SCALE, interpolation=cv2.INTER_CUBIC)
    large = cv2.GaussianBlur(large, (0, 0), GLYPH_SCALE * 0.45)
    large /= max(1.0, float(large.max()))
    whole = _pieces(large > STROKE_LEVELS[0] * WHOLE)
    ink = _pieces(large > level)
    # A bold edge would tear thin strokes that are one in the picture, or lose them: then it lies lower.
    while level > STROKE_LEVELS[0] * WHOLE and not _same_shape(ink, whole):
        level *= WHOLE
        ink = _pieces(large > level)
    x, y, w, h = cv2.boundingRect(ink)
    scale = OVERSAMPLING * min(height / h, WIDEST * height / w)
    size = (max(2, round(w * scale)), max(3, round(h * scale)))
    shrinks = scale < 1
    cut = ink[y : y + h, x : x + w].astype(np.float32)
    return np.clip(cv2.resize(cut, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), 0, 1)


def _pieces(ink: NDArray[np.bool_]) -> Image:
    """The ink as uint8 (h, w), 0 or 1, without specks."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats(ink.astype(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    return np.take(areas >= max(1.0, SPECK * areas.sum()), parts).astype(np.uint8)


def _same_shape(ink: Image, whole: Image) -> bool:
    """Whether a thinner ink has no more pieces than the whole one, and nearly its extent."""
    thinner = (*cv2.boundingRect(ink)[2:],)
    full = (*cv2.boundingRect(whole)[2:],)
    return cv2.connectedComponents(ink)[0] <= cv2.connectedComponents(whole)[0] and all(
        side >= SAME_EXTENT * long for side, long in zip(thinner, full, strict=True)
    )


def _touch(left: Mark, right: Mark, overlap: float) -> float | None:
    """Where `right` has to stand so that its ink runs into that of `left`.

    None where their inks never meet, or only along so much of their height that nobody could tell them apart.
    """
    shift = round((right.y - left.y) * OVERSAMPLING)
    ends = _reach(left.mask)
    starts = right.mask.shape[1] - _reach(right.mask[:, ::-1])
    gaps = [
        starts[row] - ends[row + shift]
        for row in range(len(starts))
        if 0 <= row + shift < len(ends) and ends[row + shift] > 0 and starts[row] < right.mask.shape[1]
    ]
    deep = np.asarray(gaps) - min(gaps, default=0) <= overlap * OVERSAMPLING
    if not gaps or deep.sum() > LONGEST_TOUCH * max(len(left.mask), len(right.mask)):
        return None
    return left.x + (-min(gaps)) / OVERSAMPLING - overlap


def _reach(mask: Floats) -> NDArray[np.int64]:
    """For each row the column after its last ink; 0 without ink."""
    ink = mask > INK
    return np.where(ink.any(1), ink.shape[1] - ink[:, ::-1].argmax(1), 0)


def _write_numbers(
    plan: Plan, rng: np.random.Generator, kind: Kind, size: float, pitch: float, *, lettered: bool
) -> None:
    boxed = rng.choice(["cells", "frame", ""], p=[BOXED_PART / 2, BOXED_PART / 2, 1 - BOXED_PART])
    if kind != "hard" or size > DIGIT_HEIGHTS[1]:
        boxed = ""
    pitch = max(pitch, 2.2 * size) if boxed else pitch
    level = rng.uniform(*STROKE_LEVELS)
    single = size > DIGIT_HEIGHTS[1]
    half = plan.height / 2 - MARGIN
    fitting = max(1, int((2 * half - size) // pitch))
    lines = 1 if single else int(rng.integers(1, min(MOST_LINES, fitting), endpoint=True))
    top = -half + size + max(0.0, 2 * half - size - (lines - 1) * pitch) * rng.uniform(0.1, 0.9)
    box_width = max(1.0, size * rng.uniform(0.02, 0.05))
    left_edge = rng.uniform(0.0, 0.5)
    row = 0
    for number in range(lines):
        baseline = top + number * pitch + rng.normal() * 0.03 * size
        room = plan.room(baseline - 1.3 * size, baseline + 0.3 * size)
        if room is None or room[1] - room[0] < (1.2 * size if single else 4 * size):
            continue
        if single:
            mark = _digit(rng, 0.0, baseline, size, level, row)
            free = room[1] - room[0] - mark.width
            if free > 0:
                plan.marks.append(_moved(mark, room[0] + free * rng.random()))
                row += 1
            continue
        words = lettered and rng.random() < 0.5
        if words and rng.random() < 0.4:
            _write_word(plan, rng, room[0], baseline, size, room[1])
            continue
        start = room[0]
        if words:
            start = _write_word(plan, rng, room[0], baseline, size, room[0] + 0.5 * (room[1] - room[0]))
            start += size * rng.uniform(1.5, 2.5)
        if kind == "signs":
            row += _write_signed(plan, rng, (start, room[1]), baseline, size, level, row, left_edge)
            continue
        row += _write_number(plan, rng, kind, (start, room[1]), baseline, size, level, row, boxed, left_edge, box_width)
    if lettered:
        _scatter(plan, rng, size)


def _digit(rng: np.random.Generator, x: float, baseline: float, size: float, level: float, line: int) -> Mark:
    _, labels = _test_digits()
    index = int(rng.integers(len(labels)))
    height = size * (1 + rng.uniform(-HEIGHT_JITTER, HEIGHT_JITTER))
    mask = _digit_mask(index, height, level + rng.uniform(-0.03, 0.03))
    y = baseline + size * rng.uniform(-BASELINE_JITTER, BASELINE_JITTER) - mask.shape[0] / OVERSAMPLING
    return Mark(mask, x, y, str(labels[index]), line)


def _moved(mark: Mark, x: float) -> Mark:
    return Mark(mark.mask, x, mark.y, mark.label, mark.line)


def _write_number(
    plan: Plan,
    rng: np.random.Generator,
    kind: Kind,
    room: tuple[float, float],
    baseline: float,
    size: float,
    level: float,
    line: int,
    boxed: str,
    left_edge: float,
    box_width: float,
) -> int:
    """Writes one line of digits, the longest that fits of what was meant; 1 if it could, else 0."""
    meant = int(rng.integers(*LINE_DIGITS, endpoint=True))
    spacing = rng.uniform(SPACINGS[0] + 0.05, 0.5)
    cell = size * rng.uniform(1.15, 1.4)
    # Two touch, never three in a row; and none in cells of their own.
    share = TOUCHING[kind] / (1 - BOXED_PART / 2 * (kind == "hard"))
    attempts, touched = share / (1 - share), rng.random() < share
    marks: list[Mark] = []
    for k in range(meant):
        mark = _digit(rng, 0.0, baseline, size, level, line)
        if boxed == "cells":
            mark = _moved(mark, k * cell + (cell - mark.width) * rng.uniform(0.35, 0.65))
        elif marks:
            meet = None
            if not touched and rng.random() < attempts:
                # Some pairs meet only deep inside one another, where nobody could tell them apart: another digit then.
                for _ in range(TOUCH_TRIES):
                    meet = _touch(marks[-1], mark, max(1.0, size * rng.uniform(*OVERLAPS)))
                    deepest = marks[-1].x + marks[-1].width - DEEPEST_TOUCH * min(mark.width, marks[-1].width)
                    if meet is not None and meet > deepest:
                        break
                    meet, mark = None, _digit(rng, 0.0, baseline, size, level, line)
            if meet is None:
                gap = np.clip(spacing + rng.normal() * 0.08, *SPACINGS) * size
                touched, meet = False, marks[-1].x + marks[-1].width + gap
            else:
                touched = True
            mark = _moved(mark, meet)
        marks.append(mark)
    while len(marks) >= LINE_DIGITS[0]:
        extent = max(m.x + m.width for m in marks)
        if boxed == "cells":
            extent = len(marks) * cell
        pad = 0.35 * size if boxed else 0.0
        free = room[1] - room[0] - extent - 2 * pad
        if free >= 0:
            break
        marks.pop()
    else:
        return 0
    start = room[0] + pad + free * min(1.0, left_edge + rng.uniform(0, 0.1))
    plan.marks += [_moved(m, m.x + start) for m in marks]
    plan.touching += sum(b.x < a.x + a.width + SPACINGS[0] * size * 0.5 for a, b in pairwise(marks))
    top, bottom = baseline - size * rng.uniform(1.15, 1.3), baseline + size * rng.uniform(0.15, 0.25)
    if boxed == "cells":
        for k in range(len(marks)):
            plan.boxes.append((_rectangle(start + k * cell, top, start + (k + 1) * cell, bottom), box_width))
    elif boxed == "frame":
        plan.boxes.append((_rectangle(start - pad, top, start + extent + pad, bottom), box_width))
    return 1


def _write_signed(
    plan: Plan,
    rng: np.random.Generator,
    room: tuple[float, float],
    baseline: float,
    size: float,
    level: float,
    line: int,
    left_edge: float,
) -> int:
    """Writes a number with signs before, within or behind it, if it fits; 1 if it did, else 0."""
    meant = int(rng.integers(*SIGNED_DIGITS, endpoint=True))
    before, between = rng.random() < BEFORE_PART, rng.random() < BETWEEN_PART
    behind = not (before or between) or rng.random() < BEHIND_PART
    gap_after = int(rng.integers(1, meant)) if between else -1
    spacing = rng.uniform(SPACINGS[0] + 0.05, 0.5)
    marks: list[Mark] = []

    def sign(names: Sequence[str]) -> Mark:
        return _sign(rng, names[int(rng.integers(len(names)))], baseline, size * rng.uniform(*SIGN_HEIGHTS))

    if before:
        marks.append(sign(SIGNS_BEFORE))
    for k in range(meant):
        if k == gap_after:
            marks.append(sign(SIGNS_BETWEEN))
        marks.append(_digit(rng, 0.0, baseline, size, level, line))
    if behind:
        marks.append(sign(SIGNS_BEHIND))
    at = 0.0
    for k, mark in enumerate(marks):
        marks[k] = _moved(mark, at)
        at += mark.width + np.clip(spacing + rng.normal() * 0.08, *SPACINGS) * size
    free = room[1] - room[0] - max(m.x + m.width for m in marks)
    if free < 0:
        return 0
    start = room[0] + free * min(1.0, left_edge + rng.uniform(0, 0.1))
    plan.marks += [_moved(m, m.x + start) for m in marks]
    return 1


def _sign(rng: np.random.Generator, name: str, baseline: float, size: float) -> Mark:
    """A sign beside digits `size` pixels high: in some handwriting font that has it, or drawn."""
    if name in DRAWN_SIGNS:
        scale, pen = OVERSAMPLING * size, max(2, round(OVERSAMPLING * size * rng.uniform(0.06, 0.14)))
        strokes = [np.array(s) + rng.normal(0, SIGN_JITTER, (len(s), 2)) for s in DRAWN_SIGNS[name]]
        canvas = np.zeros((round(2 * scale), round(2 * scale)), np.uint8)
        points = [np.rint((s * scale + (0.4 * scale, 1.5 * scale)) * 16).astype(np.int32) for s in strokes]
        cv2.polylines(canvas, points, False, 255, pen, cv2.LINE_AA, 4)
        x, y, w, h = cv2.boundingRect(canvas)
        mask = canvas[y : y + h, x : x + w].astype(np.float32) / 255
        return Mark(mask, 0.0, baseline + (y - 1.5 * scale) / OVERSAMPLING)
    mask, above = _letters(rng, name, size)
    return Mark(mask, 0.0, baseline - above / OVERSAMPLING)


def _rectangle(left: float, top: float, right: float, bottom: float) -> NDArray[np.float64]:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], float)


@cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_font_files()[name]), size)


@cache
def _font_files() -> dict[str, Path]:
    return font_files("test")


def _letters(rng: np.random.Generator, text: str, size: float) -> tuple[Floats, float]:
    """A text's ink in some handwriting font that has its characters, capitals `size` pixels high on the page; and how
    far above the text's baseline its top is, in pixels of the mask. Raises DataError."""
    names = sorted(_font_files())
    name = names[rng.integers(len(names))]
    while any(lacks(_font(name, FONT_TRIAL), character) for character in text):
        name = names[rng.integers(len(names))]
    _, top, _, bottom = _font(name, FONT_TRIAL).getbbox("H")
    font = _font(name, max(6, round(FONT_TRIAL * OVERSAMPLING * size / (bottom - top))))
    left, top, right, bottom = font.getbbox(text)
    room = 2 * OVERSAMPLING  # some fonts draw a little outside their own boxes
    canvas = PillowImage.new("L", (int(right - left) + 2 * room, int(bottom - top) + 2 * room))
    ImageDraw.Draw(canvas).text((room - left, room - top), text, fill=255, font=font)
    ink = np.asarray(canvas)
    x, y, w, h = cv2.boundingRect(ink)
    # Text is drawn from the top of the font's ascent.
    above = font.getmetrics()[0] - (top - room + y)
    return ink[y : y + h, x : x + w].astype(np.float32) / 255, float(above)


def _write_word(plan: Plan, rng: np.random.Generator, x: float, baseline: float, size: float, end: float) -> float:
    """Writes a word of letters from x on, if it fits; says where it ends."""
    if rng.random() < WORD_PART:
        letters = str(rng.choice(WORDS))
    else:
        letters = "".join(rng.choice(list(LETTERS), int(rng.integers(2, 8))))
    size *= rng.uniform(0.7, 1.0)
    mask, _ = _letters(rng, letters, size)
    mark = Mark(mask, x, baseline - mask.shape[0] / OVERSAMPLING)
    if x + mark.width > end:
        return x
    plan.marks.append(mark)
    return x + mark.width


def _scatter(plan: Plan, rng: np.random.Generator, size: float) -> None:
    """A few letters where nothing is written yet."""
    for _ in range(int(rng.integers(0, 6))):
        mask, _ = _letters(rng, str(rng.choice(list(LETTERS))), size * rng.uniform(0.7, 1.1))
        y = rng.uniform(-0.5, 0.4) * plan.height
        room = plan.room(y, y + mask.shape[0] / OVERSAMPLING)
        if room is None or room[1] - room[0] < mask.shape[1]:
            continue
        mark = Mark(mask, rng.uniform(room[0], room[1] - mask.shape[1] / OVERSAMPLING), y)
        clear = 1.2 * size
        if all(
            mark.x > m.x + m.width + clear or m.x > mark.x + mark.width + clear
            or mark.y > m.y + m.height + 0.5 * clear or m.y > mark.y + mark.height + 0.5 * clear
            for m in plan.marks
        ):  # fmt: skip
            plan.marks.append(mark)


def _write_nothing(plan: Plan, rng: np.random.Generator, size: float) -> None:
    """Words, letters and drawings, or an empty page."""
    size = min(size, DIGIT_HEIGHTS[1])
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(1, 6))):
            y = rng.uniform(-0.4, 0.4) * plan.height
            room = plan.room(y - 1.2 * size, y + 0.3 * size)
            if room is not None:
                _write_word(plan, rng, room[0] + rng.uniform(0, 0.5) * (room[1] - room[0]), y, size, room[1])
        _scatter(plan, rng, size)
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(1, 7))):
            middle = rng.uniform(-0.35, 0.35, 2) * (plan.width, plan.height)
            plan.drawings.append((_drawing(rng, size * rng.uniform(0.7, 4)) + middle, size * rng.uniform(0.05, 0.12)))


def _drawing(rng: np.random.Generator, size: float) -> NDArray[np.float64]:
    """Points of a scribble, a polygon, a spiral or a wave around the origin."""
    kind = rng.choice(["scribble", "polygon", "spiral", "wave"])
    t = np.linspace(0, 1, 80)[:, None]
    if kind == "scribble":
        waypoints = rng.uniform(-0.5, 0.5, (int(rng.integers(6, 14)), 2)) * size
        curve = np.stack([np.interp(t[:, 0] * (len(waypoints) - 1), range(len(waypoints)), w) for w in waypoints.T], 1)
        return np.asarray(cv2.GaussianBlur(curve, (1, 9), 1.5))
    if kind == "polygon":
        corners = int(rng.integers(3, 7))
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        points = np.stack([np.cos(angles), np.sin(angles)], 1) * size / 2 * rng.uniform(0.7, 1.3, (corners, 1))
        return np.concatenate([points, points[:1]])
    if kind == "spiral":
        turn = t * 2 * np.pi * rng.uniform(2.5, 4)
        return np.concatenate([np.cos(turn), np.sin(turn)], 1) * t * size / 2
    return np.concatenate([(t - 0.5) * 2 * size, np.sin(t * rng.uniform(15, 40)) * size * 0.15], 1)


def _rule(plan: Plan, rng: np.random.Generator, size: float, pitch: float) -> None:
    """Ruled lines at the pitch of the writing, or squares."""
    squared = rng.random() < 0.5
    step = max(10.0, min(size, DIGIT_HEIGHTS[1]) * rng.uniform(0.55, 1.2) if squared else min(pitch, 160))
    reach = max(plan.width, plan.height)
    thick = max(1.0, plan.width / 900 * rng.uniform(0.7, 1.6))
    baselines = [m.y + m.height for m in plan.marks if m.label is not None]
    first = (baselines[0] + rng.uniform(-0.1, 0.2) * size) if baselines else rng.uniform(0, step)
    for k in range(-int(reach // step) - 1, int(reach // step) + 2):
        at = first + k * step
        plan.rules.append((np.array([(-reach, at), (reach, at)], float), thick))
        if squared:
            plan.rules.append((np.array([(at, -reach), (at, reach)], float), thick))


# Photographing ------------------------------------------------------------------------------------------------------


def _stamp(plan: Plan, ink: Floats, mark: Mark) -> Box | None:
    """Lays a mark into the map of ink; the box of what it put there."""
    w, h = mark.width, mark.height
    corners = plan.placed(
        np.array([(mark.x, mark.y), (mark.x + w, mark.y), (mark.x, mark.y + h), (mark.x + w, mark.y + h)])
    )
    left, top = np.floor(corners.min(0)).astype(int) - 2
    right, bottom = np.ceil(corners.max(0)).astype(int) + 2
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, plan.width), min(bottom, plan.height)
    if left >= right or top >= bottom:
        return None
    source = np.array([(0, 0), (mark.mask.shape[1], 0), (0, mark.mask.shape[0])], np.float32)
    move = cv2.getAffineTransform(source, (corners[:3] - (left, top)).astype(np.float32))
    patch = cv2.warpAffine(mark.mask, move, (int(right - left), int(bottom - top)), flags=cv2.INTER_LINEAR)
    view = ink[top:bottom, left:right]
    np.maximum(view, patch, out=view)
    x, y, w, h = cv2.boundingRect((patch >= INK).astype(np.uint8))
    return (int(left + x), int(top + y), int(w), int(h)) if w and h else None


def _strokes(plan: Plan, strokes: Sequence[tuple[NDArray[np.float64], float]]) -> tuple[Floats, list[Box]]:
    """A map of drawn strokes, float32 (height, width), and a box for each."""
    canvas = np.zeros((plan.height, plan.width), np.uint8)
    boxes = []
    for points, thick in strokes:
        placed = np.round(plan.placed(points) * 16).astype(np.int32)
        cv2.polylines(canvas, [placed], False, 255, max(1, round(thick)), cv2.LINE_AA, 4)
        low, high = np.clip(placed / 16, 0, (plan.width, plan.height))[[0, 0]], None
        inside = np.clip(plan.placed(points), 0, (plan.width - 1, plan.height - 1))
        low, high = np.floor(inside.min(0)).astype(int), np.ceil(inside.max(0)).astype(int)
        boxes.append((int(low[0]), int(low[1]), int(high[0] - low[0]) + 1, int(high[1] - low[1]) + 1))
    return canvas.astype(np.float32) / 255, boxes


def _contrast(paper: NDArray[np.float64], ink: NDArray[np.float64], *, channels: bool) -> float:
    """1 - the darker over the lighter, in grey, or in the best of grey and the channels."""
    grey = np.array([0.114, 0.587, 0.299])
    levels = [(paper @ grey, ink @ grey)]
    if channels:
        levels += list(zip(paper, ink, strict=True))
    return max(1 - min(pair) / max(*pair, 1.0) for pair in levels)


def _colours(
    rng: np.random.Generator, kind: Kind, size: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, bool]:
    """Paper and ink as BGR, their contrast, and whether the ink has grain (pencil, chalk)."""
    least = max(LEAST_CONTRAST[kind] * CONTRAST_MARGIN, min(0.6, SMALL_CONTRAST / size))
    channels = kind in ("hard", "blank")
    # Thin strokes lose their colour in a JPEG, and chalk is no pen for small writing.
    choice = rng.random() if channels and size >= DIGIT_HEIGHTS[0] else 1.0
    if choice < CHALK_PART:
        paper, ink = (
            np.array(BOARDS[rng.integers(len(BOARDS))], float),
            np.array(CHALKS[rng.integers(len(CHALKS))], float),
        )
        ink = paper + (ink - paper) * rng.uniform(0.6, 1)
        return paper, ink, _contrast(paper, ink, channels=channels), True
    if choice < CHALK_PART + COLOUR_PART:
        pair = COLOUR_PAIRS[rng.integers(len(COLOUR_PAIRS))]
        paper, ink = (np.array(c, float) for c in pair)
        return paper, ink, _contrast(paper, ink, channels=channels), False
    while True:
        paper = np.array(PAPERS[rng.integers(len(PAPERS))], float) * rng.uniform(0.85, 1)
        pen = PENS[rng.integers(len(PENS))]
        strength = rng.uniform(0.15, 1) if channels else rng.uniform(0.5, 1)
        ink = paper + (np.array(pen, float) - paper) * strength
        contrast = _contrast(paper, ink, channels=channels)
        if contrast >= least:
            return paper, ink, contrast, pen == PENCIL


def _smooth_noise(rng: np.random.Generator, height: int, width: int, cell: float) -> Floats:
    """Noise of deviation 1 whose grains are `cell` pixels wide: float32 (height, width)."""
    small = (max(2, int(height / cell) + 2), max(2, int(width / cell) + 2))
    noise = rng.standard_normal(small, dtype=np.float32)
    return np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def _light(plan: Plan, rng: np.random.Generator, *, shadowed: bool) -> Floats:
    """How much light falls on each pixel: float32 (height, width), 1 at the brightest."""
    y = np.linspace(-0.5, 0.5, plan.height, dtype=np.float32)[:, None]
    x = np.linspace(-0.5, 0.5, plan.width, dtype=np.float32)
    direction = rng.uniform(0, 2 * np.pi)
    fall, vignette = np.float32(rng.uniform(*LIGHT_FALLS)), np.float32(rng.uniform(*VIGNETTES))
    across = fall / np.float32(np.sqrt(2)) * np.array([np.cos(direction), np.sin(direction)], np.float32)
    light = (1 - fall / 2 - across[0] * x - vignette * x * x) - (across[1] * y + vignette * y * y)
    if shadowed:
        depth = rng.uniform(*SHADOW_DEPTHS)
        edge = rng.uniform(*(SHARP_SHADOWS if rng.random() < 0.5 else SOFT_SHADOWS))
        middle = rng.uniform(-0.3, 0.3, 2) * (plan.width, plan.height)
        corners = int(rng.integers(3, 7))
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        shape = np.stack([np.cos(angles), np.sin(angles)], 1) * rng.uniform(0.3, 0.9, (corners, 1)) * plan.width
        shape += middle + np.array([plan.width / 2, plan.height / 2])
        # A soft edge needs no more than a quarter of the pixels.
        part = 4 if edge > SHARP_SHADOWS[1] else 1
        shade = np.zeros((-(-plan.height // part), -(-plan.width // part)), np.float32)
        cv2.fillPoly(shade, [np.round(shape / part).astype(np.int32)], 1.0)
        shade = cv2.GaussianBlur(shade, (0, 0), edge / part)
        if part > 1:
            shade = cv2.resize(shade, (plan.width, plan.height), interpolation=cv2.INTER_LINEAR)
        light *= 1 - np.float32(depth) * shade
    return np.asarray(light, np.float32)


def _photograph(plan: Plan, rng: np.random.Generator, seed: int, kind: Kind, size: float) -> Scene:
    """The planned page on paper, under light, through a lens, as JPEG."""
    height, width = plan.height, plan.width
    paper, pen, contrast, grainy = _colours(rng, kind, size)
    coloured = contrast > COLOUR_GAIN * _contrast(paper, pen, channels=False)
    ink: Floats = np.zeros((height, width), np.float32)
    digits, distractors = [], []
    for mark in plan.marks:
        box = _stamp(plan, ink, mark)
        if box is not None and mark.label is not None:
            digits.append(SceneDigit(mark.label, box, mark.line))
        elif box is not None:
            distractors.append(box)
    if plan.drawings:
        drawn, boxes = _strokes(plan, plan.drawings)
        np.maximum(ink, drawn, out=ink)
        distractors += boxes
    if grainy:
        ink *= np.clip(0.92 + 0.2 * _smooth_noise(rng, height, width, float(np.clip(size / 40, 1, 2.5))), 0.6, 1)

    texture = 1 + rng.uniform(*FINE_TEXTURE) * _smooth_noise(rng, height, width, rng.uniform(*FINE_GRAINS))
    texture += rng.uniform(*COARSE_TEXTURE) * _smooth_noise(rng, height, width, rng.uniform(*COARSE_GRAINS))
    layers = []
    if plan.rules:
        colour = paper * 1.5 if paper.mean() < DARK_PAPER else np.minimum(RULES[rng.integers(len(RULES))], paper)
        strength = rng.uniform(*RULE_STRENGTHS) * min(1.0, 2.2 * contrast)
        if size < DIGIT_HEIGHTS[0] or coloured:
            strength *= FAINT_RULES
        layers.append((_strokes(plan, plan.rules)[0] * np.float32(strength), colour))
    if plan.boxes:
        own = rng.random() < SAME_PEN_PART
        colour = pen if own else np.array(PRINTED_BOXES[rng.integers(len(PRINTED_BOXES))], float)
        layers.append((_strokes(plan, plan.boxes)[0] * np.float32(rng.uniform(*BOX_STRENGTHS)), colour))
    layers.append((ink, pen))
    shadowed = bool(rng.random() < SHADOW_PART[kind])
    light = _light(plan, rng, shadowed=shadowed) * np.float32(rng.uniform(*EXPOSURES))

    blur = min(rng.uniform(*BLURS[kind]), MOST_BLUR * size)
    step = contrast * float(max(paper.mean(), pen.mean()))  # grey levels from paper to ink
    noise = min(rng.uniform(*NOISES), MOST_NOISE * step)
    grain = noise * rng.standard_normal((height, width), dtype=np.float32)
    planes = []
    for channel in range(3):
        # A plane at a time: in one piece in memory it is done twice as fast.
        plane = texture * np.float32(paper[channel])
        for cover, colour in layers:
            plane += cover * (np.float32(colour[channel]) - plane)
        plane *= light
        if blur > LEAST_BLUR:
            plane = np.asarray(cv2.GaussianBlur(plane, (0, 0), blur), np.float32)
        plane += grain
        plane += COLOUR_NOISE * noise * _smooth_noise(rng, height, width, 2)
        planes.append(np.clip(plane, 0, 255).astype(np.uint8))
    quality = int(rng.integers(*QUALITIES, endpoint=True))
    _, coded = cv2.imencode(".jpg", cv2.merge(planes), [cv2.IMWRITE_JPEG_QUALITY, quality])
    frame = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)

    rows = range(max((digit.line for digit in digits), default=-1) + 1)
    conditions = {
        "ruled": plan.rules, "boxed": plan.boxes, "letters or drawings": distractors, "touching": plan.touching,
        "small": size < DIGIT_HEIGHTS[0], "large": size > DIGIT_HEIGHTS[1], "faint": contrast < FAINT,
        "light on dark": paper.mean() < pen.mean(), "shadow": shadowed, "colour": coloured,
    }  # fmt: skip
    return Scene(
        seed,
        kind,
        frame,
        tuple("".join(digit.label for digit in digits if digit.line == row) for row in rows),
        tuple(digits),
        tuple(distractors),
        plan.angle,
        contrast,
        plan.touching,
        tuple(name for name, holds in conditions.items() if holds),
    )


# Contact sheets -----------------------------------------------------------------------------------------------------


def contact_sheet(pictures: Sequence[Image], columns: int = SHEET_COLUMNS) -> Image:
    """Pictures side by side, each SHEET_WIDTH wide: uint8 (height, width, 3)."""
    tiles = []
    for picture in pictures:
        scale = SHEET_WIDTH / picture.shape[1]
        tiles.append(cv2.resize(picture, (SHEET_WIDTH, round(picture.shape[0] * scale)), interpolation=cv2.INTER_AREA))
    rows = []
    for start in range(0, len(tiles), columns):
        row = tiles[start : start + columns]
        tall = max(tile.shape[0] for tile in row)
        sheet = np.full((tall + 4, columns * (SHEET_WIDTH + 4), 3), 128, np.uint8)
        for column, tile in enumerate(row):
            left = column * (SHEET_WIDTH + 4)
            sheet[: tile.shape[0], left : left + SHEET_WIDTH] = tile
        rows.append(sheet)
    return np.vstack(rows)


def save_sheet(path: Path, pictures: Sequence[Image]) -> None:
    """Writes a contact sheet, its folder too. Raises DataError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        saved = cv2.imwrite(str(path), contact_sheet(pictures))
    except (OSError, cv2.error):
        saved = False
    if not saved:
        raise DataError(f"{path} cannot be written; name a .png or .jpg file")


def main(argv: Sequence[str] | None = None) -> int:
    """Writes a contact sheet of some pages, their truth in green."""
    parser = Parser(prog="python -m train.scenes", description="Draws synthetic pages side by side, with their truth.")
    parser.add_argument("--kind", choices=KINDS, default="hard")
    parser.add_argument("--count", type=count, default=12, help="how many pages (12)")
    parser.add_argument("--seed", type=seed, default=0, help="of the first page (0)")
    parser.add_argument("--plain", action="store_true", help="the pages alone, without boxes and labels")
    parser.add_argument("--out", type=Path, required=True, help="the picture to write")
    args: argparse.Namespace = parser.parse_args(argv)
    try:
        pictures = []
        for number in range(args.seed, args.seed + args.count):
            page = scene(number, args.kind)
            picture = page.frame.copy()
            for digit in [] if args.plain else page.digits:
                x, y, w, h = digit.box
                cv2.rectangle(picture, (x - 1, y - 1), (x + w, y + h), (0, 160, 0), 1)
                cv2.putText(
                    picture, digit.label, (x, y - 3), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 130, 0), 1, cv2.LINE_AA
                )
            pictures.append(picture)
    except DataError as error:
        print(f"train.scenes: {error}", file=sys.stderr)
        return 1
    try:
        save_sheet(args.out, pictures)
    except DataError as error:
        print(f"train.scenes: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Draws the sample pictures of this folder: digits as pen strokes, on paper, board and screen.

    python samples/make.py [FOLDER]

Needs NumPy and OpenCV alone. Every stroke is written out below; no picture comes from a data set. Seeded: each
run draws the same. `answers.csv` says what is in each picture, an empty label where there is no digit; those in `pages`
hold several lines, a space apart in `pages/answers.csv`.
"""

import csv
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

Point = tuple[float, float]
Stroke = Sequence[Point]

FOLDER = Path(__file__).parent
ANSWERS = "answers.csv"
HEIGHT = 1.5  # of the box the strokes are written in; its width is 1, y points down
SMOOTHNESS = 24  # points drawn between two points of a stroke
SUPERSAMPLING = 4  # strokes are drawn this much larger, then averaged down
JPEG_QUALITY = 78  # per cent
ORIENTATION_TAG = 0x0112  # EXIF 2.3, table 4
ROTATED_RIGHT = 6  # "row 0 is the right side": the phone was held upright, the sensor lies on its side

# A point given twice is a corner. The pen leaves the paper between the strokes of a digit.
HANDS: dict[str, list[Stroke]] = {
    "0": [[(0.60, 0.06), (0.34, 0.03), (0.12, 0.32), (0.05, 0.78), (0.17, 1.24), (0.46, 1.45), (0.78, 1.28),
           (0.93, 0.84), (0.87, 0.38), (0.66, 0.10), (0.44, 0.05), (0.36, 0.14)]],
    "1": [[(0.20, 0.44), (0.40, 0.24), (0.56, 0.02), (0.56, 0.02), (0.55, 0.50), (0.51, 1.00), (0.50, 1.48)]],
    "2": [[(0.10, 0.36), (0.24, 0.09), (0.54, 0.00), (0.82, 0.17), (0.83, 0.48), (0.62, 0.86), (0.34, 1.18),
           (0.06, 1.43), (0.06, 1.43), (0.40, 1.38), (0.70, 1.42), (0.98, 1.38)]],
    "2 looped": [[(0.10, 0.30), (0.34, 0.04), (0.70, 0.08), (0.84, 0.42), (0.64, 0.88), (0.32, 1.28),
                  (0.12, 1.40), (0.07, 1.25), (0.26, 1.17), (0.52, 1.32), (0.78, 1.43), (1.04, 1.27)]],
    "3": [[(0.12, 0.20), (0.35, 0.02), (0.70, 0.06), (0.81, 0.33), (0.62, 0.60), (0.34, 0.70), (0.34, 0.70),
           (0.70, 0.74), (0.91, 1.02), (0.75, 1.36), (0.40, 1.48), (0.05, 1.30)]],
    "4": [[(0.58, 0.02), (0.38, 0.42), (0.05, 0.92), (0.05, 0.92), (0.50, 0.88), (0.98, 0.84)],
          [(0.70, 0.52), (0.68, 1.00), (0.66, 1.50)]],
    "4 open": [[(0.17, 0.05), (0.10, 0.45), (0.12, 0.80), (0.12, 0.80), (0.50, 0.78), (0.94, 0.70)],
               [(0.80, 0.08), (0.75, 0.70), (0.68, 1.48)]],
    "5": [[(0.26, 0.08), (0.21, 0.35), (0.16, 0.64), (0.16, 0.64), (0.42, 0.53), (0.74, 0.61), (0.90, 0.92),
           (0.77, 1.30), (0.42, 1.47), (0.05, 1.33)],
          [(0.25, 0.09), (0.55, 0.06), (0.92, 0.00)]],
    "6": [[(0.74, 0.02), (0.44, 0.24), (0.17, 0.68), (0.09, 1.08), (0.27, 1.41), (0.60, 1.45), (0.83, 1.20),
           (0.75, 0.92), (0.49, 0.84), (0.24, 0.97), (0.13, 1.16)]],
    "7": [[(0.06, 0.10), (0.40, 0.11), (0.92, 0.05), (0.92, 0.05), (0.70, 0.52), (0.50, 1.00), (0.39, 1.48)]],
    "7 crossed": [[(0.05, 0.20), (0.12, 0.09), (0.12, 0.09), (0.45, 0.13), (0.94, 0.05), (0.94, 0.05),
                   (0.72, 0.50), (0.50, 1.00), (0.40, 1.48)],
                  [(0.30, 0.79), (0.58, 0.76), (0.88, 0.70)]],
    "8": [[(0.80, 0.24), (0.58, 0.02), (0.25, 0.11), (0.21, 0.42), (0.50, 0.66), (0.81, 0.98), (0.73, 1.36),
           (0.41, 1.46), (0.12, 1.26), (0.19, 0.95), (0.50, 0.68), (0.77, 0.44), (0.81, 0.20)]],
    "9": [[(0.84, 0.27), (0.60, 0.03), (0.26, 0.14), (0.12, 0.46), (0.30, 0.74), (0.62, 0.68), (0.82, 0.40),
           (0.87, 0.14), (0.87, 0.14), (0.83, 0.60), (0.75, 1.05), (0.62, 1.48)]],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pen:
    """What a pen leaves on the page."""

    width: float
    """Of the line, as a part of the digit's height."""
    pressure: float = 0.15
    """How much the width comes and goes along a stroke, 0 to 1."""
    grain: float = 0.0
    """How much of the paper's tooth stays bare, 0 (felt tip) to 1 (dry chalk)."""
    tooth: float = 1.0
    """Size of that grain in pixels of the picture."""
    tremor: float = 0.006
    """How far the hand strays, as a part of the digit's height."""


BALLPOINT = Pen(width=0.045, pressure=0.25, grain=0.12, tooth=0.8)
BALLPOINT_BOLD = Pen(width=0.062, pressure=0.2, grain=0.06, tooth=0.8)
FOUNTAIN_PEN = Pen(width=0.06, pressure=0.5)
MARKER = Pen(width=0.12, pressure=0.08)
PENCIL = Pen(width=0.05, pressure=0.3, grain=0.55, tooth=0.9)
CHALK = Pen(width=0.10, pressure=0.2, grain=0.75, tooth=1.4, tremor=0.009)
MOUSE = Pen(width=0.065, pressure=0.0, tremor=0.014)


def spline(points: Stroke) -> np.ndarray:
    """Catmull-Rom curve through the points of one stroke, broken at its corners: float (n, 2)."""
    pieces, piece = [], [points[0]]
    for point in points[1:]:
        if point == piece[-1]:
            pieces.append(piece)
            piece = [point]
        else:
            piece.append(point)
    pieces.append(piece)
    t = np.linspace(0, 1, SMOOTHNESS, endpoint=False)[:, None]
    curve = []
    for piece in pieces:
        p = np.array([piece[0], *piece, piece[-1]])
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False):
            curve.append(
                0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
            )
        curve.append(np.array([piece[-1]]))
    return np.concatenate(curve)


def smooth_noise(rng: np.random.Generator, size: tuple[int, int], scale: float) -> np.ndarray:
    """Random float32 (height, width), about -1 to 1, with features of about `scale` pixels."""
    height, width = size
    small = rng.standard_normal((max(3, round(height / scale) + 2), max(3, round(width / scale) + 2)))
    noise = cv2.resize(small.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return noise / max(float(np.abs(noise).max()), 1e-6)


def write(
    rng: np.random.Generator,
    hand: str,
    pen: Pen,
    size: tuple[int, int],
    *,
    height: float,
    centre: Point = (0.5, 0.5),
    slant: float = 0.0,
    turn: float = 0.0,
) -> np.ndarray:
    """Writes one digit of `HANDS` on a sheet of (height, width) pixels: float32 ink there, 0 to 1.

    `height` and `centre` are parts of the sheet, `slant` is a shear, `turn` is in degrees.
    """
    scale = SUPERSAMPLING if max(size) <= 640 else 2
    rows, columns = size[0] * scale, size[1] * scale
    unit = height * rows / HEIGHT  # pixels of one unit of the strokes' box
    turned = np.deg2rad(turn)
    shape = np.array([[np.cos(turned), -np.sin(turned)], [np.sin(turned), np.cos(turned)]]) @ [
        [1, -slant],
        [0, 1],
    ]
    ink = np.zeros((rows, columns), np.uint8)
    for stroke in HANDS[hand]:
        path = (spline(stroke) - (0.5, HEIGHT / 2)) @ shape.T * unit
        # The hand wavers slowly along the stroke; the pen presses more and less, and starts and ends thinner.
        waver = np.stack([smooth_noise(rng, (1, len(path)), 20)[0] for _ in "xy"], axis=1)
        path = path + waver * pen.tremor * HEIGHT * unit + (centre[0] * columns, centre[1] * rows)
        along = np.linspace(0, 1, len(path))
        taper = np.clip(np.minimum(along, 1 - along) * 12 + 1 - pen.pressure, 0, 1)
        press = 1 - pen.pressure * (0.5 + 0.5 * smooth_noise(rng, (1, len(path)), 30)[0])
        radius = pen.width * HEIGHT * unit / 2 * taper * press
        for (x0, y0), (x1, y1), r0, r1 in zip(path, path[1:], radius, radius[1:], strict=False):
            for part in np.arange(0, 1, max(min(r0 / 3 / (np.hypot(x1 - x0, y1 - y0) + 1e-6), 1), 0.05)):
                x, y, r = x0 + (x1 - x0) * part, y0 + (y1 - y0) * part, r0 + (r1 - r0) * part
                cv2.circle(ink, (round(x * 16), round(y * 16)), max(round(r * 16), 8), 255, -1, cv2.LINE_AA, 4)
    ink = cv2.resize(ink, (size[1], size[0]), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    if pen.grain:
        tooth = smooth_noise(rng, size, pen.tooth) + 0.4 * smooth_noise(rng, size, pen.tooth * 3)
        tooth = (tooth - tooth.mean()) / tooth.std()
        # The rim of a stroke touches the paper's peaks only.
        ink = ink * np.clip(1 - pen.grain * np.clip(0.45 + 0.5 * tooth + 0.6 * (1 - ink), 0, 1), 0, 1)
    return ink


def sheet(
    rng: np.random.Generator,
    size: tuple[int, int],
    colour: Sequence[float],
    *,
    light: float = 0.1,
    grain: float = 2.5,
) -> np.ndarray:
    """An empty sheet: float32 (height, width, 3) BGR, 0 to 255, of a `colour`, lit unevenly, with `grain`."""
    rows, columns = size
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    slope = (x / columns - 0.5) * np.cos(angle) + (y / rows - 0.5) * np.sin(angle)
    lit = 1 + light * (slope + 0.2 * smooth_noise(rng, size, max(size) / 2))
    paper = np.array(colour, np.float32) * lit[..., None]
    return paper + grain * rng.standard_normal((*size, 1)).astype(np.float32)


def rule(paper: np.ndarray, step: float, colour: Sequence[float], *, offset: Point, columns: bool) -> np.ndarray:
    """Prints thin lines every `step` pixels: rows, and columns too for squared paper."""
    lines = np.zeros(paper.shape[:2], np.float32)
    rows = [(y, True) for y in np.arange(offset[1], paper.shape[0], step)]
    for at, across in rows + [(x, False) for x in np.arange(offset[0], paper.shape[1], step) if columns]:
        ends = ((0, at), (paper.shape[1], at)) if across else ((at, 0), (at, paper.shape[0]))
        a, b = [(round(x * 16), round(y * 16)) for x, y in ends]
        cv2.line(lines, a, b, 1.0, 1, cv2.LINE_8, 4)
    lines = cv2.GaussianBlur(lines, (0, 0), 0.6)[..., None] * 0.8
    return paper * (1 - lines) + np.array(colour, np.float32) * lines


def put(paper: np.ndarray, ink: np.ndarray, colour: Sequence[float], strength: float = 0.95) -> np.ndarray:
    """Lays ink of a colour on the paper."""
    cover = (ink * strength)[..., None]
    return paper * (1 - cover) + np.array(colour, np.float32) * cover


def pixels(picture: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def note(rng: np.random.Generator) -> np.ndarray:
    """A 0 in blue ballpoint on a yellow note."""
    paper = sheet(rng, (220, 220), (128, 226, 248), light=0.10, grain=1.5)
    ink = write(rng, "0", BALLPOINT, (220, 220), height=0.55, centre=(0.47, 0.52), slant=0.12)
    return pixels(put(paper, ink, (130, 50, 24)))


def pencil(rng: np.random.Generator) -> np.ndarray:
    """A 1 in pencil on white paper, the lamp to one side."""
    paper = sheet(rng, (320, 240), (200, 208, 210), light=0.35)
    ink = write(rng, "1", PENCIL, (320, 240), height=0.45, centre=(0.42, 0.5), slant=0.18)
    return pixels(put(paper, ink, (74, 70, 68)))


def marker(rng: np.random.Generator) -> np.ndarray:
    """A 2 in black marker, half in the shadow of the hand."""
    size = (300, 360)
    paper = sheet(rng, size, (212, 222, 226), light=0.15)
    shadow = np.zeros(size, np.float32)
    cv2.fillPoly(shadow, [np.array([(180, 300), (250, 130), (360, 60), (360, 300)])], 1.0)
    paper *= 1 - 0.38 * cv2.GaussianBlur(shadow, (0, 0), 16)[..., None]
    ink = write(rng, "2 looped", MARKER, size, height=0.6, centre=(0.5, 0.5), turn=-4)
    return pixels(put(paper, ink, (38, 32, 30)))


def chalk(rng: np.random.Generator) -> np.ndarray:
    """A 3 in chalk on a board wiped, not washed."""
    size = (360, 320)
    board = sheet(rng, size, (62, 74, 52), light=0.25, grain=3)
    wiped = cv2.GaussianBlur(smooth_noise(rng, size, 26), (0, 0), sigmaX=30, sigmaY=3)
    board += 60 * np.clip(wiped, 0, 1)[..., None]
    ink = write(rng, "3", CHALK, size, height=0.55, centre=(0.52, 0.48), turn=3)
    return pixels(put(board, ink, (232, 236, 236), 0.9))


def squared(rng: np.random.Generator) -> np.ndarray:
    """A 4 in blue pen, cut out of a page of squared paper."""
    size = (150, 150)
    paper = rule(
        sheet(rng, size, (240, 244, 242), light=0.06, grain=1.5),
        38,
        (214, 190, 160),
        offset=(17, 23),
        columns=True,
    )
    ink = write(rng, "4", FOUNTAIN_PEN, size, height=0.58, centre=(0.5, 0.53), slant=0.06)
    return pixels(put(paper, ink, (120, 44, 22)))


def phone(rng: np.random.Generator) -> np.ndarray:
    """A 5 photographed by a phone that lay on its side."""
    size = (1200, 900)
    paper = sheet(rng, size, (176, 200, 212), light=0.45, grain=0)
    ink = write(
        rng,
        "5",
        Pen(width=0.075, pressure=0.2, grain=0.1, tooth=3),
        size,
        height=0.26,
        centre=(0.46, 0.55),
        turn=5,
    )
    picture = put(paper, ink, (52, 40, 40))
    y, x = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float32)
    corner = np.hypot(x / size[1] - 0.5, y / size[0] - 0.5)
    picture = cv2.GaussianBlur(picture, (0, 0), 1.6) * (1 - 0.45 * corner**2)[..., None]
    return pixels(picture + 2.0 * rng.standard_normal((*size, 1)))


def transparent(rng: np.random.Generator) -> np.ndarray:
    """A 6 in red, its paper made transparent."""
    ink = write(rng, "6", MARKER, (200, 160), height=0.72, slant=0.08)
    colour = np.full((200, 160, 3), (48, 40, 200), np.uint8)
    return np.dstack([colour, pixels(ink * 255)])


def ruled(rng: np.random.Generator) -> np.ndarray:
    """A crossed 7 in fountain pen, standing on a printed line."""
    size = (260, 260)
    paper = rule(
        sheet(rng, size, (226, 238, 240), light=0.12, grain=2),
        92,
        (206, 176, 150),
        offset=(0, 20),
        columns=False,
    )
    ink = write(rng, "7 crossed", FOUNTAIN_PEN, size, height=0.42, centre=(0.5, 0.5), slant=0.15)
    return pixels(put(paper, ink, (66, 34, 30)))


def scan(rng: np.random.Generator) -> np.ndarray:
    """An 8 scanned in black and white, 16 by 16 pixels."""
    ink = write(rng, "8", Pen(width=0.105, pressure=0.1), (16, 16), height=0.84, slant=0.05)
    return np.where(ink > 0.45, 0, 255).astype(np.uint8)


def screen(rng: np.random.Generator) -> np.ndarray:
    """A 9 drawn with the mouse, white on black."""
    return pixels(255 * write(rng, "9", MOUSE, (240, 240), height=0.62, centre=(0.55, 0.45)))


def faint(rng: np.random.Generator) -> np.ndarray:
    """A small open 4 in faint pencil, off the middle."""
    size = (420, 560)
    paper = sheet(rng, size, (206, 216, 222), light=0.2, grain=2)
    ink = write(rng, "4 open", PENCIL, size, height=0.2, centre=(0.3, 0.62), slant=0.1)
    return pixels(put(paper, ink, (96, 96, 98), 0.75))


def envelope(rng: np.random.Generator) -> np.ndarray:
    """A 7 in green felt tip on brown wrapping paper."""
    size = (240, 300)
    paper = sheet(rng, size, (112, 152, 188), light=0.15, grain=2)
    fibres = cv2.GaussianBlur(rng.standard_normal(size).astype(np.float32), (0, 0), sigmaX=5, sigmaY=0.6)
    paper += 21 * fibres[..., None]
    ink = write(rng, "7", Pen(width=0.085, pressure=0.1), size, height=0.55, centre=(0.52, 0.5), turn=-3, slant=0.05)
    return pixels(put(paper, ink, (44, 84, 20)))


def blank(rng: np.random.Generator) -> np.ndarray:
    """An empty page by a window."""
    return pixels(sheet(rng, (320, 240), (196, 206, 210), light=0.4))


def write_line(
    rng: np.random.Generator, ink: np.ndarray, text: str, pen: Pen, at: Point, height: float, *, slant: float = 0.1
) -> None:
    """Writes a line of digits into the ink of a page: from `at`, its lower left corner, `height` pixels high."""
    x, foot = at
    for digit in text:
        hand = {"7": "7 crossed", "4": "4 open"}.get(digit, digit) if rng.random() < 0.6 else digit
        tall = height * rng.uniform(0.92, 1.06)
        size = (round(tall * 1.5), round(tall * 1.3))
        own = write(rng, hand, pen, size, height=tall / size[0], slant=slant, turn=float(rng.uniform(-4, 4)))
        columns = np.flatnonzero(own.max(axis=0) > 0.05)
        own = own[:, columns[0] : columns[-1] + 1]
        top, left = round(foot - (size[0] + tall) / 2 + rng.uniform(-0.05, 0.05) * height), round(x)
        place = ink[top : top + own.shape[0], left : left + own.shape[1]]
        np.maximum(place, own[: place.shape[0], : place.shape[1]], out=place)
        x += own.shape[1] + height * rng.uniform(0.16, 0.34)


def desk(rng: np.random.Generator, size: tuple[int, int], colour: Sequence[float]) -> np.ndarray:
    """A wooden desk: float32 (height, width, 3)."""
    grain = cv2.GaussianBlur(rng.standard_normal(size).astype(np.float32), (0, 0), sigmaX=90, sigmaY=1.6)
    rings = cv2.GaussianBlur(rng.standard_normal(size).astype(np.float32), (0, 0), sigmaX=200, sigmaY=14)
    wood = 1 + 0.16 * grain / np.abs(grain).max() + 0.18 * rings / np.abs(rings).max()
    return np.array(colour, np.float32) * wood[..., None]


def photograph(
    rng: np.random.Generator, paper: np.ndarray, table: np.ndarray, corners: Sequence[Point], *, light: float
) -> np.ndarray:
    """The paper on the table, seen from one side: its corners lie where said, as parts of the picture, clockwise."""
    rows, columns = table.shape[:2]
    height, width = paper.shape[:2]
    onto = np.array(corners, np.float32) * (columns, rows)
    view = cv2.getPerspectiveTransform(
        np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32), onto.astype(np.float32)
    )
    cover = cv2.warpPerspective(np.ones((height, width), np.float32), view, (columns, rows), flags=cv2.INTER_AREA)
    # The sheet stands off the table a little, and shades it.
    shade = cv2.GaussianBlur(np.roll(cover, (7, 9), (0, 1)), (0, 0), 7)
    picture = table * (1 - 0.45 * shade)[..., None]
    laid = cv2.warpPerspective(paper, view, (columns, rows), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    picture = picture * (1 - cover)[..., None] + laid * cover[..., None]
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    lit = 1 + light * (
        0.5 - 0.7 * x / columns - 0.3 * y / rows + 0.15 * smooth_noise(rng, (rows, columns), columns / 2)
    )
    picture = cv2.GaussianBlur(picture * lit[..., None], (0, 0), 0.9)
    return pixels(picture + 2.0 * rng.standard_normal((rows, columns, 1)).astype(np.float32))


def numbers(rng: np.random.Generator) -> np.ndarray:
    """5550172 90436 28 641907 35, in blue pen on a ruled sheet that lies on a desk."""
    size = (1000, 800)
    paper = rule(
        sheet(rng, size, (228, 236, 238), light=0.05, grain=1.5), 92, (214, 188, 158), offset=(0, 100), columns=False
    )
    cv2.line(paper, (118, 0), (118, size[0]), (150, 150, 226), 2, cv2.LINE_AA)
    ink = np.zeros(size, np.float32)
    lines = (("5550172", 150), ("90436", 165), ("28", 330), ("641907", 158), ("35", 420))
    for row, (text, left) in enumerate(lines):
        write_line(rng, ink, text, BALLPOINT_BOLD, (left, 278 + 138 * row + rng.uniform(-3, 3)), 70)
    paper = put(paper, ink, (136, 58, 30), 0.92)
    corners = [(0.15, 0.07), (0.93, 0.03), (0.97, 0.90), (0.09, 0.95)]
    return photograph(rng, paper, desk(rng, (1000, 900), (66, 96, 132)), corners, light=0.7)


FORM = (1.0, 1.414)  # width and height of the form's page
FORM_FIELDS = {  # printed name: (what is written in, box x, y, width, height in parts of the page's width)
    "Meter no.": ("4051738", 0.08, 0.24, 0.62, 0.11),
    "Reading": ("29406", 0.08, 0.46, 0.46, 0.11),
    "Date": ("170326", 0.08, 0.68, 0.54, 0.11),
    "Persons": ("3", 0.74, 0.68, 0.18, 0.11),
}


def form(rng: np.random.Generator) -> np.ndarray:
    """4051738 29406 170326 3, in the boxes of a printed form, photographed askew."""
    unit = 700  # pixels: width of the page
    size = (round(FORM[1] * unit), unit)
    paper = sheet(rng, size, (236, 238, 238), light=0.04, grain=1.2)
    font, black = cv2.FONT_HERSHEY_DUPLEX, (52, 46, 44)
    cv2.putText(paper, "Water meter", (54, 96), font, 1.7, black, 3, cv2.LINE_AA)
    ink = np.zeros(size, np.float32)
    for name, (text, x, y, w, h) in FORM_FIELDS.items():
        left, top, right, bottom = (round(unit * side) for side in (x, y, x + w, y + h))
        cv2.putText(paper, name, (left, top - 14), font, 0.8, black, 1, cv2.LINE_AA)
        cv2.rectangle(paper, (left, top), (right, bottom), black, 2, cv2.LINE_AA)
        write_line(rng, ink, text, BALLPOINT_BOLD, (left + 16, bottom - 13), 51)
    paper = put(paper, ink, (120, 44, 26), 0.92)
    corners = [(0.19, 0.09), (0.86, 0.05), (0.95, 0.92), (0.08, 0.88)]
    return photograph(rng, paper, desk(rng, (1120, 900), (58, 70, 84)), corners, light=0.5)


PAGES: dict[str, Callable[[np.random.Generator], np.ndarray]] = {"form.jpg": form, "numbers.jpg": numbers}

SAMPLES: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "0-note.png": note,
    "1-pencil.jpg": pencil,
    "2-marker.jpg": marker,
    "3-chalk.jpg": chalk,
    "4-faint.jpg": faint,
    "4-squared.png": squared,
    "5-phone.jpg": phone,
    "6-transparent.png": transparent,
    "7-envelope.jpg": envelope,
    "7-ruled.jpg": ruled,
    "8-scan.png": scan,
    "9-screen.png": screen,
    "blank.jpg": blank,
}


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """The JPEG with an EXIF block that holds the orientation alone, where cameras put it: after SOI."""
    entry = b"".join(
        value.to_bytes(size, "big") for value, size in ((ORIENTATION_TAG, 2), (3, 2), (1, 4), (orientation, 2))
    )
    tiff = b"MM\0*" + (8).to_bytes(4, "big") + (1).to_bytes(2, "big") + entry + b"\0\0" + bytes(4)
    block = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + jpeg[2:]


def encode(name: str, picture: np.ndarray) -> bytes:
    """The picture as the bytes of its file."""
    draw = SAMPLES.get(name)
    if name.endswith(".png"):
        # A scan is one bit a pixel, as scanners write it.
        options = [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_BILEVEL, int(draw is scan)]
        return cv2.imencode(".png", picture, options)[1].tobytes()
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    if draw is not phone:
        return cv2.imencode(".jpg", picture, options)[1].tobytes()
    lying = cv2.rotate(picture, cv2.ROTATE_90_COUNTERCLOCKWISE)
    return with_orientation(cv2.imencode(".jpg", lying, options)[1].tobytes(), ROTATED_RIGHT)


def main(folder: Path = FOLDER) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ANSWERS, "w", encoding="utf-8", newline="") as file:
        answers = csv.writer(file, lineterminator="\n")
        answers.writerow(["file", "label", "picture"])
        for number, (name, draw) in enumerate(SAMPLES.items()):
            (folder / name).write_bytes(encode(name, draw(np.random.default_rng(number))))
            label = name[0] if name[0].isdigit() else ""
            answers.writerow([name, label, (draw.__doc__ or "").rstrip(".")])
    pages = folder / "pages"
    pages.mkdir(exist_ok=True)
    with open(pages / ANSWERS, "w", encoding="utf-8", newline="") as file:
        answers = csv.writer(file, lineterminator="\n")
        answers.writerow(["file", "text", "fields", "picture"])
        for number, (name, draw) in enumerate(PAGES.items(), len(SAMPLES)):
            (pages / name).write_bytes(encode(name, draw(np.random.default_rng(number))))
            text, _, where = (draw.__doc__ or "").rstrip(".").partition(", ")
            fields = Path(name).with_suffix(".toml")
            answers.writerow([name, text, fields if (FOLDER / "pages" / fields).exists() else "", "Numbers " + where])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))

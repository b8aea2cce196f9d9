"""What is no digit, for the network to refuse: letters, symbols, drawings, pieces of photographs, merged or cut digits.

Every negative is a glyph made as MNIST's were, and goes through the same rendering as the digits: nothing but its form
tells it from one. Forms that are a digit to some hand (a bar, a ring) are left out, for nobody could tell them apart.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.preprocess import BOX_SIZE, GLYPH_SIZE, to_glyph
from edge.segment import Region, find_digit
from train.strokes import smooth

Image = NDArray[np.uint8]
Glyphs = NDArray[np.uint8]
Draw = Callable[[np.random.Generator], "Image | None"]

CANVAS = 160  # pixels: side of a drawing before it becomes a glyph
PEN = (10, 26)  # pixels of the canvas
BAR_ASPECT = 2.1  # of the box: a solid stroke longer than this is a 1 to some hand
BAR_FILL = 0.55  # of the tightest rotated box
STROKE_ASPECT = 3.0  # a form longer than this is one, however it fills its box
RING_HOLE = 0.12  # of the box: one hole larger than this,
RING_CONVEX = 0.88  # in a form that fills so much of its convex hull, is a 0
FIELD_SIDE = 192  # pixels: a field of noise from which blots are cut
PHOTO_SIDE = (48, 360)  # pixels: sides of a window into a photograph
WINDOW_SIDE = 192  # pixels: to which it is brought
BLOB_SIDE = (14, 130)  # pixels of the window: longer sides of what is cut out
OWN_REPEATS = 8
TRIES = 40  # for one negative of a kind


@dataclass(frozen=True, slots=True)
class Negatives:
    """Glyphs uint8 (n, 28, 28) that are no digits, and what they are."""

    train: Glyphs
    validation: Glyphs
    validation_kinds: tuple[str, ...]
    kinds: dict[str, int]
    """How many of each kind there are to train on."""
    sources: tuple[str, ...]
    """Packages that letters and photographs were taken from."""


def make_negatives(
    digits: Image,
    labels: NDArray[np.integer],
    count: int,
    validation_count: int,
    seed: int,
    *,
    fetched: bool = True,
    own: Glyphs | None = None,
) -> Negatives:
    """Negatives, merged and cut ones made of `digits` uint8 (n, 28, 28) with values `labels` (n,).

    own: glyphs uint8 (n, 28, 28) to train on beside them, each OWN_REPEATS times. fetched: with the letters of
    handwriting fonts and pieces of photographs, which are fetched where they are missing; without them,
    printed letters and drawings have to do. Raises train.data.DataError.
    """
    half = len(digits) // 2
    first, kinds = _split(digits[:half], labels[:half], count, [seed, 3], "train", fetched)
    second, _ = _split(digits[half:], labels[half:], validation_count, [seed, 4], "validation", fetched)
    names = sorted(kinds)
    order = np.random.default_rng([seed, 5]).permutation(len(first))
    glyphs = np.stack([glyph for glyph, _ in first])[order]
    tally = {name: sum(kind == name for _, kind in first) for name in names}
    if own is not None:
        glyphs = np.concatenate([glyphs, np.tile(own, (OWN_REPEATS, 1, 1))])
        tally["own"] = len(own)
    sources = ()
    if fetched:
        from train.fonts import NPM_VERSION
        from train.photographs import WHEEL

        sources = (f"npm @fontsource/* {NPM_VERSION}", f"PyPI {WHEEL}")
    return Negatives(
        glyphs, np.stack([glyph for glyph, _ in second]), tuple(kind for _, kind in second), tally, sources
    )


def _split(
    digits: Image, labels: NDArray[np.integer], count: int, seed: list[int], split: str, fetched: bool
) -> tuple[list[tuple[Image, str]], dict[str, float]]:
    from train.letters import LETTERS, LOOK_ALIKES, SYMBOLS, drawn_text, opened, printed_fonts

    printed = printed_fonts()
    hands = printed
    pictures: list[Image] = []
    if fetched:
        from train.fonts import font_files
        from train.photographs import photographs

        hands = opened(font_files(split).values())
        pictures = photographs(split)

    def letters(fonts: list, characters: str) -> Draw:  # type: ignore[type-arg]
        return lambda rng: drawn_text(_any(characters, rng), _any(fonts, rng))

    def words(rng: np.random.Generator) -> Image | None:
        text = "".join(_any(LETTERS + LOOK_ALIKES.lower(), rng) for _ in range(int(rng.integers(2, 5))))
        return drawn_text(text, _any(hands, rng))

    shares: dict[str, tuple[float, Draw]] = {
        "letters": (0.34, letters(hands, LETTERS)),
        "printed letters": (0.07, letters(printed, LETTERS)),
        "symbols": (0.09, letters(hands + printed, SYMBOLS)),
        "words": (0.04, words),
        "merged digits": (0.07, lambda rng: _merged(digits, labels, rng)),
        "cut digits": (0.06, lambda rng: _cut_between(digits, labels, rng)),
        "figures": (0.08, _figure),
        "scribbles": (0.05, _scribble),
        "blots": (0.05, _blot),
        "silhouettes": (0.03, _silhouette),
        "textures": (0.02, _texture),
    }
    if pictures:
        shares["photographs"] = (0.14, lambda rng: _piece(pictures, rng))
    total = sum(share for share, _ in shares.values())
    made: list[tuple[Image, str]] = []
    for k, (kind, (share, draw)) in enumerate(shares.items()):
        rng = np.random.default_rng([*seed, k])
        made += [(_drawn(draw, kind, rng), kind) for _ in range(max(1, round(count * share / total)))]
    return made, {kind: share for kind, (share, _) in shares.items()}


def _any(items, rng: np.random.Generator):  # type: ignore[no-untyped-def]
    return items[int(rng.integers(len(items)))]


def _drawn(draw: Draw, kind: str, rng: np.random.Generator) -> Image:
    for _ in range(TRIES):
        glyph = draw(rng)
        if glyph is not None and (kind in _NEVER_DIGITS or not is_digit_like(glyph)):
            return glyph
    raise RuntimeError(f"no {kind} came out that is not like a digit")


_NEVER_DIGITS = ("letters", "printed letters", "words", "merged digits")


def is_digit_like(glyph: Image) -> bool:
    """Whether a glyph, uint8 (28, 28), is but a bar or a ring: a 1 or a 0 to some hand."""
    ink = cv2.threshold(glyph, 100, 255, cv2.THRESH_BINARY)[1]
    contours, hierarchy = cv2.findContours(ink, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return True
    outer = [k for k in range(len(contours)) if hierarchy[0][k][3] < 0]
    largest = max(outer, key=lambda k: len(contours[k]))
    box = cv2.minAreaRect(contours[largest])
    sides = sorted(side + 1 for side in box[1])
    horizontal = cv2.boundingRect(contours[largest])
    filled = cv2.countNonZero(ink) / (sides[0] * sides[1])
    aspect = sides[1] / sides[0]
    if len(outer) == 1 and (aspect > STROKE_ASPECT or (aspect > BAR_ASPECT and filled > BAR_FILL)):
        return horizontal[3] > horizontal[2] * 0.6  # a level bar is a minus
    holes = [cv2.contourArea(contours[k]) for k in range(len(contours)) if hierarchy[0][k][3] >= 0]
    large = [hole for hole in holes if hole > RING_HOLE * sides[0] * sides[1]]
    if len(outer) == 1 and len(large) == 1:
        hull = cv2.contourArea(cv2.convexHull(contours[largest]))
        return cv2.contourArea(contours[largest]) > RING_CONVEX * hull and large[0] > 0.5 * sum(holes)
    return False


def _as_glyph(ink: Image) -> Image | None:
    x, y, width, height = cv2.boundingRect(cv2.threshold(ink, 60, 255, cv2.THRESH_BINARY)[1])
    if max(width, height) < 8:
        return None
    return to_glyph(Region(x, y, width, height, np.ascontiguousarray(ink[y : y + height, x : x + width])))


# Of digits ----------------------------------------------------------------------------------------------------------


def _ink_of(glyph: Image) -> Image:
    x, y, width, height = cv2.boundingRect(glyph)
    return glyph[y : y + height, x : x + width]


def _side_by_side(inks: list[Image], rng: np.random.Generator, gap: tuple[int, int]) -> tuple[Image, list[int]]:
    """The inks in a row, three times as large, and where each begins."""
    height = max(ink.shape[0] for ink in inks) + 4
    row = np.zeros((height, sum(ink.shape[1] for ink in inks) + 24), np.uint8)
    left, starts = 4, []
    for ink in inks:
        top = int(rng.integers(0, height - ink.shape[0] + 1))
        area = row[top : top + ink.shape[0], left : left + ink.shape[1]]
        np.maximum(area, ink, out=area)
        starts.append(left)
        left = max(left + 2, left + ink.shape[1] + int(rng.integers(*gap)))
    return cv2.resize(row, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC), [3 * start for start in starts]


def _merged(digits: Image, labels: NDArray[np.integer], rng: np.random.Generator) -> Image | None:
    """Two or three whole digits in one box, as where a segmentation missed the gap."""
    chosen = rng.integers(0, len(digits), 2 if rng.random() < 0.75 else 3)
    # 1 and another stroke may be one digit: a 4, an 11 that is an H.
    if (labels[chosen] == 1).sum() > 0 and rng.random() < 0.8:
        return None
    row, _ = _side_by_side([_ink_of(digits[k]) for k in chosen], rng, (-3, 2))
    return _as_glyph(row)


def _cut_between(digits: Image, labels: NDArray[np.integer], rng: np.random.Generator) -> Image | None:
    """The end of one digit and the beginning of the next, as where a segmentation cut in the wrong places."""
    chosen = rng.integers(0, len(digits), 2)
    if (labels[chosen] == 1).any():
        return None
    inks = [_ink_of(digits[k]) for k in chosen]
    if min(ink.shape[1] for ink in inks) < 9:
        return None
    row, starts = _side_by_side(inks, rng, (-1, 2))
    first = starts[0] + 3 * int(inks[0].shape[1] * rng.uniform(0.4, 0.65))
    last = starts[1] + 3 * int(inks[1].shape[1] * rng.uniform(0.35, 0.6))
    if last - first < 15:
        return None
    return _as_glyph(np.ascontiguousarray(row[:, first:last]))


# Drawn --------------------------------------------------------------------------------------------------------------


def _lines(strokes: list[NDArray[np.float64]], rng: np.random.Generator) -> Image | None:
    """The glyph of strokes, each (points, 2) in a unit box."""
    canvas = np.zeros((CANVAS + 60, CANVAS + 60), np.uint8)
    pen = int(rng.integers(*PEN))
    stretch = np.exp(rng.normal(0, 0.15, 2))
    for stroke in strokes:
        points = np.rint((stroke * stretch / stretch.max() * CANVAS + 30) * 16).astype(np.int32)
        cv2.polylines(canvas, [points], False, 255, pen, cv2.LINE_AA, 4)
    return _as_glyph(canvas)


def _star(points: int, inner: float, turn: float) -> NDArray[np.float64]:
    angles = turn + np.arange(2 * points + 1) * np.pi / points
    radii = np.where(np.arange(2 * points + 1) % 2 == 0, 0.5, 0.5 * inner)
    return 0.5 + np.column_stack([radii * np.cos(angles), radii * np.sin(angles)])


def _polygon(points: list[tuple[float, float]]) -> NDArray[np.float64]:
    return np.asarray(points, np.float64)


def _figure(rng: np.random.Generator) -> Image | None:
    """A sign or a small drawing: a box, a cross, an arrow, a house, a face, waves, parallels."""
    kind = int(rng.integers(16))
    jitter = rng.normal(0, 0.03, (40, 2))
    t = np.linspace(0, 1, 40)
    circle = 0.5 + 0.5 * np.column_stack([np.cos(2 * np.pi * t), np.sin(2 * np.pi * t)])
    box = _polygon([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)])
    diagonals = [_polygon([(0, 0), (1, 1)]), _polygon([(1, 0), (0, 1)])]
    upright = [_polygon([(0.5, 0), (0.5, 1)]), _polygon([(0, 0.5), (1, 0.5)])]
    if kind == 0:
        strokes = diagonals
    elif kind == 1:
        strokes = upright
    elif kind == 2:
        strokes = [box, *diagonals[: int(rng.integers(0, 3))]]
    elif kind == 3:
        strokes = [_polygon([(0.5, 0), (1, 1), (0, 1), (0.5, 0)])]
    elif kind == 4:
        strokes = [_polygon([(0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5), (0.5, 0)])]
    elif kind == 5:
        strokes = [_star(int(rng.integers(4, 8)), rng.uniform(0.3, 0.6), rng.uniform(0, 1))]
    elif kind == 6:  # an arrow
        tip = rng.uniform(0.2, 0.4)
        strokes = [_polygon([(0, 0.5), (1, 0.5)]), _polygon([(1 - tip, 0.5 - tip), (1, 0.5), (1 - tip, 0.5 + tip)])]
        turn = np.pi / 2 * int(rng.integers(4))
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        strokes = [(stroke - 0.5) @ rotation + 0.5 for stroke in strokes]
    elif kind == 7:  # a house
        strokes = [
            _polygon([(0.1, 1), (0.1, 0.45), (0.9, 0.45), (0.9, 1), (0.1, 1)]),
            _polygon([(0, 0.5), (0.5, 0), (1, 0.5)]),
        ]
    elif kind == 8:  # a face
        eye = circle * 0.08
        left, right = eye + np.array((0.28, 0.3)), eye + np.array((0.62, 0.3))
        strokes = [circle, left, right, _polygon([(0.28, 0.65), (0.5, 0.75), (0.72, 0.65)])]
    elif kind == 9:  # waves and zigzags
        turns = rng.integers(3, 7)
        height = rng.uniform(0.15, 0.5)
        wave = np.sin(2 * np.pi * turns / 2 * t) if rng.random() < 0.5 else 4 * np.abs(turns / 2 * t % 1 - 0.5) - 1
        strokes = [np.column_stack([t, 0.5 + height * wave])]
        if rng.random() < 0.4:
            strokes = [stroke[:, ::-1] for stroke in strokes]
    elif kind == 10:  # parallels
        count = int(rng.integers(2, 6))
        strokes = [_polygon([(0, v), (1, v)]) for v in np.linspace(0, 1, count)]
        if rng.random() < 0.4 and count > 2:
            strokes = [stroke[:, ::-1] for stroke in strokes]
    elif kind == 11:  # a grid, a hash
        lines = np.linspace(0.2, 0.8, int(rng.integers(2, 4)))
        strokes = [_polygon([(0, v), (1, v)]) for v in lines] + [_polygon([(v, 0), (v, 1)]) for v in lines]
    elif kind == 12:  # a heart
        heart = np.column_stack(
            [np.sin(2 * np.pi * t) ** 3, -(13 * np.cos(2 * np.pi * t) - 5 * np.cos(4 * np.pi * t)) / 16]
        )
        strokes = [0.5 + heart / 2.2]
    elif kind == 13:  # a flower, an asterisk
        arms = int(rng.integers(3, 6))
        angles = rng.uniform(0, np.pi) + np.arange(arms) * np.pi / arms
        strokes = [
            _polygon([(0.5 - np.cos(a) / 2, 0.5 - np.sin(a) / 2), (0.5 + np.cos(a) / 2, 0.5 + np.sin(a) / 2)])
            for a in angles
        ]
    elif kind == 14:  # a spiral of more turns than a digit has
        turns = rng.uniform(2, 3.5)
        angle = 2 * np.pi * turns * t
        strokes = [0.5 + 0.5 * t[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])]
    else:  # corners
        corner = [(0, 0), (0, 1), (1, 1)]
        strokes = [_polygon(corner)] if rng.random() < 0.5 else [_polygon([(0, 1), (0, 0), (1, 0), (1, 1)])]
    return _lines([stroke + jitter[: len(stroke)] * (len(stroke) < 12) for stroke in strokes], rng)


def _scribble(rng: np.random.Generator) -> Image | None:
    """Strokes that mean nothing: too many turns for a digit, or several that cross."""
    if rng.random() < 0.5:
        return _lines([smooth(rng.random((int(rng.integers(7, 14)), 2)))], rng)
    return _lines([smooth(rng.random((int(rng.integers(2, 5)), 2))) for _ in range(int(rng.integers(3, 6)))], rng)


def _field(rng: np.random.Generator, power: float) -> NDArray[np.float32]:
    """Noise (FIELD_SIDE, FIELD_SIDE) whose spectrum falls as natural pictures' does; mean 0, deviation 1."""
    frequencies = np.fft.fftfreq(FIELD_SIDE)
    radius = np.hypot(frequencies[:, None], frequencies[None, : FIELD_SIDE // 2 + 1])
    radius[0, 0] = 1
    spectrum = (rng.normal(size=radius.shape) + 1j * rng.normal(size=radius.shape)) / radius**power
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, (FIELD_SIDE, FIELD_SIDE))
    return (field / field.std()).astype(np.float32)


def _blot(rng: np.random.Generator) -> Image | None:
    """A component of thresholded noise, as a segmentation cuts it from leaves, cloth or bark."""
    field = _field(rng, rng.uniform(0.8, 2.2))
    if rng.random() < 0.4:
        field = -np.abs(field)  # ridges: bent lines of one width
    level = float(np.quantile(field, rng.uniform(0.5, 0.93)))
    return _component((field > level).astype(np.uint8), rng)


def _component(mask: Image, rng: np.random.Generator) -> Image | None:
    """The glyph of one connected component of a mask of 0 and 1."""
    count, found, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    sides = stats[1:, 2:4].max(axis=1) if count > 1 else np.zeros(0)
    fitting = np.flatnonzero((sides >= BLOB_SIDE[0]) & (sides <= BLOB_SIDE[1]) & (stats[1:, 4] >= 40)) + 1
    if not len(fitting):
        return None
    k = int(_any(fitting, rng))
    x, y, width, height, _ = (int(v) for v in stats[k])
    own = np.asarray(found[y : y + height, x : x + width] == k, np.uint8) * np.uint8(255)
    padded = cv2.GaussianBlur(cv2.copyMakeBorder(own, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=0), (0, 0), 0.6)
    return _as_glyph(padded)


def _silhouette(rng: np.random.Generator) -> Image | None:
    """A solid form, shaded: clothing, a bag, a shoe, a leaf; mirrored as most made things are, or not."""
    rows = np.sort(rng.random(int(rng.integers(4, 9))))
    rows[0], rows[-1] = 0, 1
    left, right = (rng.uniform(0.15, 0.5, len(rows)) for _ in range(2))
    right = left if rng.random() < 0.7 else right
    outline = np.concatenate([np.column_stack([0.5 - left, rows]), np.column_stack([0.5 + right, rows])[::-1]])
    canvas = np.zeros((CANVAS + 20, CANVAS + 20), np.uint8)
    cv2.fillPoly(canvas, [np.rint(outline * CANVAS + 10).astype(np.int32)], 255, cv2.LINE_AA)
    if rng.random() < 0.5:  # a gap between legs, handles, straps
        width = rng.uniform(0.04, 0.12)
        top, bottom = np.sort(rng.random(2))
        cv2.rectangle(
            canvas,
            (int((0.5 - width) * CANVAS) + 10, int(top * CANVAS) + 10),
            (int((0.5 + width) * CANVAS) + 10, int(bottom * CANVAS) + 30),
            0,
            -1,
        )
    if rng.random() < 0.5:
        canvas = np.rot90(canvas).copy()
    glyph = _as_glyph(canvas)
    if glyph is None or rng.random() < 0.4:
        return glyph
    shade = cv2.resize(rng.uniform(0.25, 1, (5, 5)).astype(np.float32), (GLYPH_SIZE, GLYPH_SIZE))
    shade += 0.15 * rng.normal(size=shade.shape).astype(np.float32)
    return (glyph * np.clip(shade, 0, 1)).astype(np.uint8)


def _texture(rng: np.random.Generator) -> Image | None:
    """Noise, stripes, checks or dots that fill the box."""
    kind = int(rng.integers(4))
    side = BOX_SIZE * 4
    y, x = np.mgrid[:side, :side]
    angle, period = rng.uniform(0, np.pi), rng.uniform(10, 30)
    across = x * np.cos(angle) + y * np.sin(angle)
    along = -x * np.sin(angle) + y * np.cos(angle)
    if kind == 0:
        canvas = (rng.random((BOX_SIZE, BOX_SIZE)) < rng.uniform(0.15, 0.6)).repeat(4, 0).repeat(4, 1)
    elif kind == 1:
        canvas = np.sin(2 * np.pi * across / period) > rng.uniform(-0.5, 0.6)
    elif kind == 2:
        canvas = (np.sin(2 * np.pi * across / period) > 0) ^ (np.sin(2 * np.pi * along / period) > 0)
    else:
        canvas = np.sin(2 * np.pi * across / period) * np.sin(2 * np.pi * along / period) > rng.uniform(0.2, 0.7)
    return _as_glyph(np.asarray(canvas, np.uint8) * np.uint8(255))


# Of photographs -----------------------------------------------------------------------------------------------------


def _piece(pictures: list[Image], rng: np.random.Generator) -> Image | None:
    """A region that a segmentation takes for ink in a window of a photograph."""
    picture = _any(pictures, rng)
    side = int(rng.integers(PHOTO_SIDE[0], min(PHOTO_SIDE[1], *picture.shape)))
    top, left = (int(rng.integers(0, picture.shape[k] - side + 1)) for k in (0, 1))
    window = picture[top : top + side, left : left + side]
    turn = int(rng.integers(8))
    window = np.ascontiguousarray(np.rot90(window[:, ::-1] if turn > 3 else window, turn % 4))
    if rng.random() < 0.15:
        region = find_digit(window)
        return None if region is None else to_glyph(region)
    window = cv2.resize(window, (WINDOW_SIDE, WINDOW_SIDE), interpolation=cv2.INTER_AREA)
    window = cv2.GaussianBlur(window, (0, 0), rng.uniform(0.6, 2.5)).astype(np.float32)
    if rng.random() < 0.5:
        window = -window
    reach = rng.uniform(6, 40)
    depth = cv2.GaussianBlur(window, (0, 0), reach) - window
    level = max(4.0, float(np.quantile(depth, rng.uniform(0.7, 0.95))))
    return _component((depth > level).astype(np.uint8), rng)

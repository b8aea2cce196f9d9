"""Straighten a photographed form: by the page's own outline on its desk, or by four corner marks printed on it.

A corner quad is float64 (4, 2): x, y in pixels of the frame of the upper left, upper right, lower right and lower left
corner. A page is taken to lie at most 45 degrees from upright.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import PictureError
from edge.reading import Box

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]
Contour = NDArray[Any]

OUTLINE_SIDE = 640  # pixels: longer side of the copy in which a page's outline is looked for
MARK_SIDE = 1600  # pixels: the same for marks, which are smaller

MIN_PAGE = 0.15  # of the frame: a smaller page is something else
CORNER_ANGLES = (45.0, 135.0)  # degrees inside a page's corners
MAX_SIDE_RATIO = 2.5  # between opposite sides: more is no perspective that a page is photographed in
OUTSIDE = 0.15  # of the frame's longer side: so far beyond the frame may a corner lie

BORDER = 3  # pixels: a contour this near the frame's edge was cut off there
BRIDGES = (1 / 30, 1 / 80)  # of the copy's longer side: writing is closed over, and bridges to the desk are cut
SIMPLER = 0.01  # of a contour's length: how far its straight sides may stray
SAMPLES = 48  # points along a side at which its contrast is looked at
SAMPLED = (0.04, 0.96)  # part of each side that is looked at: corners are round or turned up
STEP_REACH = 0.02  # of the page's size: so far inside and outside is looked
MIN_STEP = 10.0  # grey levels between page and desk
STEP_PART = 0.3  # of the typical step around the page: each point's own is at least this
SIDE_AGREES = 0.75  # of a side's points show such a step
SIDE_SEEN = 0.5  # of a side lies in the frame
REFINEMENTS = (0.02, 0.008)  # of the page's size: how far a side is moved to its steepest step, in each round
LINES_TRIED = 7  # straight edges of each direction of which any two may be the page's sides

PAGE_RIM = 0.008  # of a straightened page's shorter side: too near its edge to be written on

MAX_STRETCH = 1.5  # of a page's shape by the view: more, and it is another page, or a part of it

MARK_SIZES = (9, 1 / 8)  # pixels, and part of the copy's shorter side: the least and the largest mark
MARK_WINDOW = 1 / 7  # of the copy's shorter side: what is darker than its surroundings of this size is dark
MARK_DARKER = 18  # grey levels
MARK_CONTRAST = 0.25  # of its surroundings' level: a mark is darker by this
MARK_SOLIDITY = 0.9  # of its convex hull: filled, without dents
MARKS_TRIED = 20  # candidates of which any four may be the marks
MARK_ANGLES = (55.0, 125.0)  # degrees inside the quad between the marks' centres
MARKS_ALIKE = 1.9  # between the largest and the smallest mark's area, once straightened
MARK_ASPECT = 1.35  # of a straightened mark's longer side to its shorter
SQUARE_FILL, DISC_FILL = 0.86, 0.70  # of its box: a straightened square, and a disc, cover at least this
MIN_MARKED = 0.08  # of the frame: the quad between the marks

NOT_THE_FORM = "what was found is not of the form's shape: is all of the page in the picture, upright?"
NO_PAGE = "no page found: its whole outline must be in the picture, on a desk that is darker or brighter"
NO_MARKS = "the four corner marks were not found: each must be in the picture, filled and dark"


@dataclass(frozen=True, slots=True)
class Straightened:
    """A page as if scanned. `frame`: its picture; `to_picture`: float64 (3, 3), its pixels to the photograph's."""

    frame: Image
    to_picture: Floats


def straighten(frame: Image, corners: Floats, aspect: float | None = None) -> Straightened:
    """The page between four corners, upright and at about the size that it has in the frame.

    aspect: its width over its height, where that is known; else the sides' lengths tell, which a steep view distorts.
    Raises PictureError for what is shaped quite otherwise: half a page, or one that lies on its side.
    """
    top, right, bottom, left = (float(np.hypot(*side)) for side in np.roll(corners, -1, axis=0) - corners)
    width, height = max(top, bottom), max(left, right)
    if aspect is not None:
        if not 1 / MAX_STRETCH <= (top + bottom) / (left + right) / aspect <= MAX_STRETCH:
            raise PictureError(NOT_THE_FORM)
        width, height = max(width, height * aspect), max(height, width / aspect)
    # Not more pixels than the photograph has: a page that reaches beyond it gains nothing from them.
    scale = min(1.0, float(np.sqrt(frame.shape[0] * frame.shape[1] / (width * height))))
    columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
    page = np.array([(0, 0), (columns, 0), (columns, rows), (0, rows)], np.float32) - 0.5
    to_picture = np.asarray(cv2.getPerspectiveTransform(page, corners.astype(np.float32)), np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpPerspective(frame, to_picture, (columns, rows), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return Straightened(_without_rim(np.asarray(warped, np.uint8)), to_picture)


def _without_rim(page: Image) -> Image:
    """The page with its rim painted over: a sliver of the desk there, or its shadow, is no stroke."""
    rim = round(PAGE_RIM * min(page.shape[:2]))
    inner = page[rim : page.shape[0] - rim, rim : page.shape[1] - rim]
    return np.asarray(cv2.copyMakeBorder(inner, rim, rim, rim, rim, cv2.BORDER_REPLICATE), np.uint8)


def mapped_box(matrix: Floats, box: tuple[float, float, float, float], width: int, height: int) -> Box:
    """The upright box around a mapped one, in whole pixels inside a picture of this width and height."""
    x, y, w, h = box
    corners = np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h)], np.float64) - 0.5
    mapped = _mapped(matrix, corners) + 0.5
    left, top = np.clip(np.floor(mapped.min(axis=0) + 1e-6), 0, (width - 1, height - 1)).astype(int).tolist()
    right, bottom = np.clip(np.ceil(mapped.max(axis=0) - 1e-6), 1, (width, height)).astype(int).tolist()
    return left, top, max(1, right - left), max(1, bottom - top)


def _mapped(matrix: Floats, points: Floats) -> Floats:
    return np.asarray(cv2.perspectiveTransform(points.reshape(-1, 1, 2), matrix), np.float64).reshape(-1, 2)


# The page's outline


def find_page(frame: Image, side: int = OUTLINE_SIDE) -> Floats:
    """The corner quad of a bright page on a darker desk, or of a dark page on a brighter one.

    A corner may lie a little outside the frame as long as most of both its sides is seen. Raises PictureError where
    no quad has a step in brightness or colour all around.

    side: pixels, longer side of the copy in which it is looked for: a smaller one is faster, and its corners are less
    exact.
    """
    copy, scale = _reduced(frame, side)
    best: tuple[float, Floats] | None = None
    for plane in _planes(copy):
        quads = [_clockwise(quad) for quad in _quads_by_area(plane) + _quads_by_edges(plane)]
        if not quads:
            continue
        stacked = np.stack(quads)
        stacked = stacked[_are_page_shaped(stacked, plane.shape, CORNER_ANGLES, MIN_PAGE)]
        # The largest counts: the part of a page that a shadow leaves bright has an outline, too.
        for quad in sorted(stacked, key=_area, reverse=True):
            if best is not None and _area(quad) <= best[0]:
                break
            if (found := _judged(plane, quad)) is not None and (best is None or found[0] > best[0]):
                best = found
    if best is None:
        raise PictureError(NO_PAGE)
    return _upright((best[1] + 0.5) * scale - 0.5)


def _planes(frame: Image) -> list[Image]:
    """Grey, and where there is colour the two colour differences: a white page on light wood differs in those alone."""
    if frame.ndim == 2:
        return [np.asarray(cv2.GaussianBlur(frame, (5, 5), 0), np.uint8)]
    lightness, *colours = cv2.split(cv2.GaussianBlur(cv2.cvtColor(frame, cv2.COLOR_BGR2LAB), (5, 5), 0))
    return [np.asarray(plane, np.uint8) for plane in (lightness, *colours)]


def _quads_by_area(plane: Image) -> list[Floats]:
    """Quads around large areas of one side of Otsu's threshold."""
    bridge, gap = (max(3, int(part * max(plane.shape)) | 1) for part in BRIDGES)
    _, bright = cv2.threshold(plane, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    quads = []
    for mask in (bright, cv2.bitwise_not(bright)):
        filled = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((bridge, bridge), np.uint8))
        apart = cv2.morphologyEx(filled, cv2.MORPH_OPEN, np.ones((gap, gap), np.uint8))
        contours, _ = cv2.findContours(apart, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for contour in sorted(contours, key=cv2.contourArea, reverse=True)[:2]:
            if cv2.contourArea(contour) >= MIN_PAGE * plane.size:
                quad = _quad_around(contour, plane.shape)
                if quad is not None:
                    quads.append(quad)
    return quads


def _quad_around(contour: Contour, shape: tuple[int, ...]) -> Floats | None:
    """The quad whose sides are the four longest straight parts of a contour's hull, without the frame's own edges."""
    hull = cv2.convexHull(np.asarray(contour))
    outline = cv2.approxPolyDP(hull, SIMPLER * cv2.arcLength(hull, True), True).reshape(-1, 2).astype(np.float64)
    limit = np.array([shape[1] - 1 - BORDER, shape[0] - 1 - BORDER])
    sides = []
    for a, b in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        cut_off = ((a <= BORDER) & (b <= BORDER)) | ((a >= limit) & (b >= limit))
        if not cut_off.any():
            sides.append((a, b))
    if len(sides) < 4:
        return None
    longest = sorted(sorted(range(len(sides)), key=lambda k: -float(np.hypot(*(sides[k][1] - sides[k][0]))))[:4])
    quad = np.asarray(_crossings(np.array([[sides[k] for k in longest]]))[0], np.float64)
    return quad if np.isfinite(quad).all() else None


def _crossings(sides: Floats) -> Floats:
    """Where each of four lines meets the next, (n, 4, 2), for lines through two points each, (n, 4, 2, 2), in order.

    Lines that run side by side meet far away or nowhere (infinity, or not a number).
    """
    along = sides[..., 1, :] - sides[..., 0, :]
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    offset = (across * sides[..., 0, :]).sum(axis=-1)
    (a, b), (c, d) = ((m[..., 0], m[..., 1]) for m in (across, np.roll(across, -1, axis=-2)))
    e, f = offset, np.roll(offset, -1, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        crossings = np.stack([e * d - b * f, a * f - e * c], axis=-1) / (a * d - b * c)[..., None]
    return np.asarray(crossings, np.float64)


def _quads_by_edges(plane: Image) -> list[Floats]:
    """Quads of any two lying and two standing straight edges: for a page whose brightness changes across it."""
    longer = max(plane.shape)
    slopes = cv2.magnitude(cv2.Sobel(plane, cv2.CV_32F, 1, 0), cv2.Sobel(plane, cv2.CV_32F, 0, 1))
    median = float(np.median(np.asarray(slopes)[::4, ::4]))
    edges = cv2.Canny(plane, 40 + 2 * median, 80 + 4 * median)
    found = cv2.HoughLinesP(edges, 1, np.pi / 180, longer // 12, minLineLength=longer // 10, maxLineGap=longer // 25)
    if found is None:
        return []
    segments = found.reshape(-1, 4).astype(np.float64)
    segments = segments[_are_steps(plane, segments)]
    length = np.hypot(segments[:, 2] - segments[:, 0], segments[:, 3] - segments[:, 1])
    lying = abs(segments[:, 2] - segments[:, 0]) >= abs(segments[:, 3] - segments[:, 1])
    families = []
    for direction in (lying, ~lying):
        kept: list[Floats] = []
        for k in sorted(np.flatnonzero(direction), key=lambda k: -length[k]):
            a, b = segments[k, :2], segments[k, 2:]
            if all(max(_distance(p, q, a), _distance(p, q, b)) > longer / 60 for p, q in kept):
                kept.append(np.stack([a, b]))
            if len(kept) == LINES_TRIED:
                break
        families.append(kept)
    chosen = [
        (first, third, second, fourth)
        for first, second in itertools.combinations(families[0], 2)
        for third, fourth in itertools.combinations(families[1], 2)
    ]
    return list(_crossings(np.array(chosen))) if chosen else []


def _are_steps(plane: Image, segments: Floats) -> NDArray[np.bool_]:
    """Which segments x, y, x, y (n, 4) part a brighter area from a darker one; ruled and written lines do not."""
    a, b = segments[:, None, :2], segments[:, None, 2:]
    along = (b - a) / np.maximum(np.hypot(b[..., 0] - a[..., 0], b[..., 1] - a[..., 1]), 1e-9)[..., None]
    aside = STEP_REACH * max(plane.shape) * np.stack([-along[..., 1], along[..., 0]], axis=-1)
    points = a + (b - a) * np.linspace(*SAMPLED, SAMPLES)[:, None]
    steps = _sampled(plane, points + aside)[0] - _sampled(plane, points - aside)[0]
    return np.asarray(np.abs(np.median(steps, axis=1)) >= MIN_STEP, np.bool_)


def _distance(a: Floats, b: Floats, point: Floats) -> float:
    """Of a point from the line through a and b."""
    along = b - a
    return abs(float(along[0] * (point[1] - a[1]) - along[1] * (point[0] - a[0]))) / max(float(np.hypot(*along)), 1e-9)


def _judged(plane: Image, quad: Floats) -> tuple[float, Floats] | None:
    """The quad moved onto its steps in brightness, with its area; None where it is not a page's outline."""
    if _polarity(plane, quad) == 0:
        return None
    for reach in REFINEMENTS:
        refined = _refined(plane, quad, reach)
        if refined is not None:
            quad = refined
    if not _are_page_shaped(quad[None], plane.shape, CORNER_ANGLES, MIN_PAGE)[0] or _polarity(plane, quad) == 0:
        return None
    return _area(quad), quad


def _polarity(plane: Image, quad: Floats) -> int:
    """1 for a page brighter than what is around it, -1 for a darker one, 0 where some side shows no step."""
    reach = max(3.0, STEP_REACH * float(np.sqrt(abs(_area(quad)))))
    steps = []
    for a, b in _sides(quad):
        points, inward = _along(a, b)
        inside, seen_inside = _sampled(plane, points + reach * inward)
        outside, seen_outside = _sampled(plane, points - reach * inward)
        seen = seen_inside & seen_outside
        if seen.mean() < SIDE_SEEN:
            return 0
        steps.append((inside - outside)[seen])
    typical = float(np.median(np.concatenate(steps)))
    least = max(MIN_STEP, STEP_PART * abs(typical))
    sign = 1 if typical > 0 else -1
    return sign if all((sign * side >= least).mean() >= SIDE_AGREES for side in steps) else 0


def _refined(plane: Image, quad: Floats, reach: float) -> Floats | None:
    """The quad with each side laid through the steepest steps near it."""
    radius = max(3, round(reach * float(np.sqrt(abs(_area(quad))))))
    offsets = np.arange(-radius, radius + 1, dtype=np.float64)
    sign = _polarity(plane, quad)
    moved = []
    for a, b in _sides(quad):
        points, inward = _along(a, b)
        profile, seen = _sampled(plane, points[:, None] + offsets[:, None] * inward)
        steps = sign * (profile[:, 2:] - profile[:, :-2])
        usable = seen.all(axis=1) & (steps.max(axis=1) >= MIN_STEP / 2)
        if usable.sum() < SAMPLES * SIDE_SEEN / 2:
            return None
        at = points + offsets[1:-1][steps.argmax(axis=1)][:, None] * inward
        vx, vy, x, y = cv2.fitLine(at[usable].astype(np.float32), cv2.DIST_WELSCH, 0, 0.01, 0.01).ravel().tolist()
        moved.append(((x, y), (x + vx, y + vy)))
    # Lines run from corner to corner, so each meets the one before it at its first corner.
    return np.roll(_crossings(np.array([moved]))[0], 1, axis=0)


def _along(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Points along a side of a clockwise quad, and the unit vector into it."""
    parts = np.linspace(*SAMPLED, SAMPLES)[:, None]
    along = (b - a) / max(float(np.hypot(*(b - a))), 1e-9)
    return a + (b - a) * parts, np.array([-along[1], along[0]])


def _sampled(plane: Image, points: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Levels at points (..., 2), and which of them lie in the frame."""
    height, width = plane.shape
    seen = (points >= 0).all(axis=-1) & (points[..., 0] <= width - 1) & (points[..., 1] <= height - 1)
    at = np.rint(np.clip(points, 0, (width - 1, height - 1))).astype(int)
    return plane[at[..., 1], at[..., 0]].astype(np.float64), seen


# Corner marks


def find_marks(frame: Image) -> Floats:
    """The quad between the centres of four dark corner marks, squares or discs of one size. Raises PictureError."""
    copy, scale = _reduced(frame, MARK_SIDE)
    grey = copy if copy.ndim == 2 else np.asarray(cv2.cvtColor(copy, cv2.COLOR_BGR2GRAY), np.uint8)
    outlines = _mark_outlines(grey)
    if len(outlines) >= 4:
        centres = np.stack([_centre(outline) for outline in outlines])
        chosen = np.array(list(itertools.combinations(range(len(outlines)), 4)))
        chosen = np.take_along_axis(chosen, _around(centres[chosen]), axis=1)
        shaped = _are_page_shaped(centres[chosen], grey.shape, MARK_ANGLES, MIN_MARKED)
        for corners in sorted(chosen[shaped].tolist(), key=lambda corners: -_area(centres[corners])):
            if _are_marks(centres[corners], [outlines[k] for k in corners]):
                return _upright((centres[corners] + 0.5) * scale - 0.5)
    raise PictureError(NO_MARKS)


def _mark_outlines(grey: Image) -> list[Floats]:
    """Outlines (n, 2) of dark filled shapes about as wide as high, the largest first."""
    shorter = min(grey.shape)
    smallest, largest = MARK_SIZES[0], MARK_SIZES[1] * shorter
    quiet = np.asarray(cv2.GaussianBlur(grey, (3, 3), 0), np.uint8)
    window = max(3, int(MARK_WINDOW * shorter) | 1)
    kind = cv2.THRESH_BINARY_INV
    dark = np.asarray(
        cv2.adaptiveThreshold(quiet, 255, cv2.ADAPTIVE_THRESH_MEAN_C, kind, window, MARK_DARKER), np.uint8
    )
    contours, _ = cv2.findContours(dark, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    found = []
    for contour in contours:
        x, y, w, h = cv2.boundingRect(contour)
        if not (smallest <= min(w, h) and max(w, h) <= largest and max(w, h) <= 2.5 * min(w, h)):
            continue
        if x <= 1 or y <= 1 or x + w >= grey.shape[1] - 1 or y + h >= grey.shape[0] - 1:
            continue
        hull = cv2.convexHull(contour)
        around = cv2.contourArea(hull)
        if around <= 0 or np.count_nonzero(_inside(contour, dark, x, y, w, h)) < MARK_SOLIDITY * (around + w + h):
            continue
        margin = max(2, min(w, h) // 4)
        top, left = max(0, y - margin), max(0, x - margin)
        paper = float(np.percentile(quiet[top : y + h + margin, left : x + w + margin], 90))
        middle = float(np.median(quiet[y + h // 4 : y + h - h // 4, x + w // 4 : x + w - w // 4]))
        if paper - middle >= MARK_CONTRAST * paper:
            found.append((around, hull.reshape(-1, 2).astype(np.float64)))
    found.sort(key=lambda pair: -pair[0])
    return [outline for _, outline in found[:MARKS_TRIED]]


def _inside(contour: Contour, dark: Image, x: int, y: int, w: int, h: int) -> Image:
    """What is dark within an outer contour; nothing for the contour of a hole."""
    if cv2.contourArea(contour, oriented=True) > 0:  # holes run the other way round
        return np.zeros((1, 1), np.uint8)
    own = np.zeros((h, w), np.uint8)
    cv2.drawContours(own, [contour], -1, (255,), cv2.FILLED, offset=(-x, -y))
    return np.asarray(cv2.bitwise_and(own, dark[y : y + h, x : x + w]), np.uint8)


def _centre(outline: Floats) -> Floats:
    moments = cv2.moments(outline.astype(np.float32))
    return np.array([moments["m10"], moments["m01"]]) / moments["m00"]


def _are_marks(quad: Floats, outlines: list[Floats]) -> bool:
    """Whether four shapes at a quad's corners are squares, or discs, of one size on the straightened page."""
    top, right, bottom, left = (float(np.hypot(*side)) for side in np.roll(quad, -1, axis=0) - quad)
    width, height = (top + bottom) / 2, (left + right) / 2
    page = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    to_page = np.asarray(cv2.getPerspectiveTransform(quad.astype(np.float32), page), np.float64)
    areas, fills = [], []
    for outline in outlines:
        shape = _mapped(to_page, outline)
        w, h = (np.ptp(shape, axis=0) + 1).tolist()  # a contour runs through the centres of its pixels
        if max(w, h) > MARK_ASPECT * min(w, h):
            return False
        area = abs(_area(shape)) + w + h
        areas.append(area)
        fills.append(area / (w * h))
    if max(areas) > MARKS_ALIKE * min(areas):
        return False
    return bool(min(fills) >= (SQUARE_FILL if np.mean(fills) >= (1 + np.pi / 4) / 2 else DISC_FILL))


# Quads


def _reduced(frame: Image, side: int) -> tuple[Image, float]:
    """The frame with at most this longer side, and how many of the frame's pixels one of its own is."""
    longer = max(frame.shape[:2])
    if longer <= side:
        return frame, 1.0
    size = (max(1, round(frame.shape[1] * side / longer)), max(1, round(frame.shape[0] * side / longer)))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8), longer / side


def _area(quad: Floats) -> float:
    """Of a polygon (n, 2); positive where it runs clockwise as seen, y pointing down."""
    x, y = quad[:, 0], quad[:, 1]
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2


def _sides(quad: Floats) -> list[tuple[Floats, Floats]]:
    return list(zip(quad, np.roll(quad, -1, axis=0), strict=True))


def _clockwise(quad: Floats) -> Floats:
    return quad if _area(quad) > 0 else quad[::-1]


def _upright(quad: Floats) -> Floats:
    """A clockwise quad, begun at its upper left corner: so that its first side runs to the right."""
    quad = _clockwise(quad)
    turned = [np.roll(quad, -k, axis=0) for k in range(4)]
    return max(turned, key=lambda q: float(q[1, 0] - q[0, 0] + q[2, 0] - q[3, 0]))


def _around(points: Floats) -> NDArray[np.intp]:
    """The order (n, 4) in which four points each, (n, 4, 2), lie clockwise around their middle, y pointing down."""
    away = points - points.mean(axis=1, keepdims=True)
    return np.argsort(np.arctan2(away[..., 1], away[..., 0]), axis=1)


def _are_page_shaped(
    quads: Floats, shape: tuple[int, ...], angles: tuple[float, float], least: float
) -> NDArray[np.bool_]:
    """Which clockwise quads (n, 4, 2) are convex, large, in the frame or nearly, and no more than a view distorts."""
    quads = np.nan_to_num(quads, nan=-1e9, posinf=1e9, neginf=-1e9)
    sides = np.roll(quads, -1, axis=1) - quads
    before = np.roll(sides, 1, axis=1)
    turns = sides[..., 1] * before[..., 0] - sides[..., 0] * before[..., 1]
    lengths = np.maximum(np.hypot(sides[..., 0], sides[..., 1]), 1e-9)
    cosines = -(sides * before).sum(axis=2) / (lengths * np.roll(lengths, 1, axis=1))
    inside = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    opposite = np.maximum(lengths[:, :2], lengths[:, 2:]) / np.minimum(lengths[:, :2], lengths[:, 2:])
    x, y = quads[..., 0], quads[..., 1]
    areas = (x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1)).sum(axis=1) / 2
    margin = OUTSIDE * max(shape[:2])
    fits = (turns > 0).all(axis=1) & (inside >= angles[0]).all(axis=1) & (inside <= angles[1]).all(axis=1)
    fits &= (opposite <= MAX_SIDE_RATIO).all(axis=1) & (areas >= least * shape[0] * shape[1])
    fits &= (quads >= -margin).all(axis=(1, 2)) & (quads <= (shape[1] + margin, shape[0] + margin)).all(axis=(1, 2))
    return np.asarray(fits, np.bool_)

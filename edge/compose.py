"""Put what was found on a page in lines, with a place for whatever stands between the digits of a number."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.candidate import Boxes, Candidate, boxes_of, lies_in
from edge.lines import are_divided, arrange, borders_of, turned
from edge.marks import hanging, is_barcode, is_empty_box, is_face, mark_between, minus_before, passing, raised
from edge.parts import Parts
from edge.rules import NO_RULES, Rules
from edge.segment import Region, as_image

Image = NDArray[np.uint8]

LINE_HEIGHT = (0.45, 1.9)  # of the heights of the digits beside it: a refused region in a line
MARK_HEIGHT = 2.5  # the same of a slash, at most
LINE_SHIFT = 0.6  # of their height: its middle is no farther off
END_GAP = 0.45  # heights: a refused region this near a line's first or last digit is its beginning or end
END_GAP_LIKELY = 0.9  # the same of one that could be a digit
END_HEIGHT = (0.7, 1.4)  # of the line's digits: the height of such a region


def in_lines(
    found: list[Candidate],
    parts: Parts | None,
    candidate: Callable[[Region, float], Candidate],
    threshold: float,
    bar: int | None,
    ring: int | None,
    rules: Rules = NO_RULES,
) -> tuple[list[list[Candidate]], list[Candidate]]:
    """The candidates in lines, with what was refused and other marks between digits; and what was refused elsewhere.

    bar, ring: indices of the labels of the digits that are but a bar and a ring, None where there is no such label.
    rules: (n, 2, 2), the ends of standing lines: some are the borders of columns.
    """
    accepted = [c for c in found if c.is_digit(threshold)]
    refused = [c for c in found if not c.is_digit(threshold)]
    if not accepted:
        return [], refused
    boxes = boxes_of(accepted)
    rings = np.array([c.label == ring for c in accepted])
    marks = hanging(boxes) | raised(boxes, rings)
    for k in np.flatnonzero(rings & ~marks).tolist():
        region = accepted[k].region
        marks[k] = is_empty_box(region.mask) or (parts is not None and is_face(parts.ink.mask, region))
    if marks.any():
        refused += [_as_mark(c) for c, mark in zip(accepted, marks, strict=True) if mark]
        accepted = [c for c, mark in zip(accepted, marks, strict=True) if not mark]
        boxes = boxes[~marks]
    ink = None if parts is None else _written_ink(parts)
    borders = borders_of(boxes, rules)
    lines, tilt = arrange(boxes, borders)
    written: list[list[Candidate]] = []
    for line in lines:
        members = [accepted[k] for k in line]
        bars = np.array([c.label == bar for c in members])
        if bars.any() and len(members) > 1:
            level = turned(boxes[line], tilt)
            if is_barcode(level, bars):
                refused += [_as_mark(c) for c in members]
                continue
            passes = passing(level, bars)
            if passes.any():
                members = [_as_mark(c) if p else c for c, p in zip(members, passes, strict=True)]
        written.append(members)
    lines_with = written
    if refused:
        spots = _spots(refused, tilt)
        lines_with = [_with_refused(members, refused, spots, tilt, threshold, borders) for members in written]
    if ink is not None:
        lines_with = [_with_marks(members, ink, candidate) for members in lines_with]
    chosen = {id(c) for members in lines_with for c in members}
    return lines_with, [c for c in refused if id(c) not in chosen]


def _as_mark(c: Candidate) -> Candidate:
    return replace(c, refused=True, mark=True)


def _written_ink(parts: Parts) -> tuple[Image, Image]:
    """Where there is ink that was not drawn around or under anything, and how deep it is: uint8 (h, w)."""
    mask = parts.ink.mask
    return (mask if parts.around is None else as_image(cv2.subtract(mask, parts.around))), parts.ink.depth


def _with_marks(
    members: list[Candidate], ink: tuple[Image, Image], candidate: Callable[[Region, float], Candidate]
) -> list[Candidate]:
    """A line with the marks between two digits that are no regions: dashes, points, commas; and the minus before it."""
    marks = [None if members[0].refused else minus_before(*ink, members[0])]
    marks += [
        None if left.refused or right.refused else mark_between(*ink, left, right) for left, right in pairwise(members)
    ]
    if not any(marks):
        return members
    marked = []
    for c, mark in zip(members, marks, strict=True):
        if mark is not None:
            marked.append(_as_mark(candidate(*mark)))
        marked.append(c)
    return marked


def _spots(candidates: list[Candidate], tilt: float) -> Boxes:
    """Where candidates are on the levelled page: (n, 4), x and y of their middles, width, height."""
    boxes = boxes_of(candidates)
    level = turned(boxes, tilt)
    level[:, :2] += boxes[:, 2:] / 2
    return level


def _with_refused(
    members: list[Candidate], refused: list[Candidate], spots: Boxes, tilt: float, threshold: float, borders: Rules
) -> list[Candidate]:
    """A line with the refused regions that lie between its digits, or close to its ends in its column.

    spots: (n, 4), of the refused ones, as `_spots` gives them.
    """
    places = _spots(members, tilt)
    height = float(np.median(places[:, 3]))
    added = []
    room = LINE_SHIFT * height
    near = abs(spots[:, 1] - np.clip(spots[:, 1], places[:, 1].min(), places[:, 1].max())) <= room
    for number in np.flatnonzero(near).tolist():
        c = refused[number]
        x, y, w, h = spots[number].tolist()
        k = int(np.searchsorted(places[:, 0], x))
        if k == 0 or k == len(members):
            end = places[0] if k == 0 else places[-1]
            reach = END_GAP if c.mark or c.confidence < threshold else END_GAP_LIKELY
            if abs(x - end[0]) - (w + end[2]) / 2 > reach * height or not END_HEIGHT[0] <= h / height <= END_HEIGHT[1]:
                continue
            if len(borders) and are_divided(boxes_of([members[0], c]), borders):
                continue
            level = end[1]
        else:
            level = (places[k - 1, 1] + places[k, 1]) / 2
        highest = MARK_HEIGHT if c.mark else LINE_HEIGHT[1]
        if abs(y - level) > room or not LINE_HEIGHT[0] * height <= h <= highest * height:
            continue
        if not any(lies_in(member.region, c.region) for member in members):  # else it is what is left of a box
            added.append(c)
    if not added:
        return members
    everything = [*members, *added]
    return [everything[k] for k in np.argsort(_spots(everything, tilt)[:, 0], kind="stable").tolist()]

"""`make evaluate`: how well whole pages are read, on synthetic scenes and on photographs without any writing.

A benchmark: nothing here is trained on. Pages come from `train.scenes`, read through `DigitReader.read` as a user's.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.arguments import Parser, count, seed
from edge.errors import EdgeDigitsError
from edge.reader import DigitReader
from edge.reading import REFUSED as REFUSED_TEXT
from edge.reading import Box, Reading
from train.data import DataError
from train.photos import PACKAGES, photos
from train.scenes import KINDS, Kind, Scene, save_sheet, scene

Image = NDArray[np.uint8]

DEFAULT_COUNT = 200  # pages of each kind
PHOTOS = "photos"  # beside the kinds of scenes
DEFAULT_OUT = Path("build") / "evaluate"
MATCH_IOU = 0.5  # boxes that share this much of their union are the same digit
BOX_SLACK = 1  # pixels: where an edge lies is known to a pixel, and a 1 may be three pixels wide
LINE_REACH = 0.75  # digit heights: what lies farther from every digit of a line is not in its place
WORST_PAGES = 12  # of each kind on the contact sheet

PHOTO_SIDE = 1280  # pixels: a photograph is drawn with this longer side at most

RIGHT, WRONG, REFUSED, EXTRA, MISSED = (0, 140, 0), (0, 0, 230), (0, 150, 255), (200, 0, 200), (230, 120, 0)  # BGR


# Matching -----------------------------------------------------------------------------------------------------------


def iou(one: Box, other: Box) -> float:
    """Intersection over union of two boxes x, y, width, height, each grown by BOX_SLACK."""
    left, top = max(one[0], other[0]) - BOX_SLACK, max(one[1], other[1]) - BOX_SLACK
    right = min(one[0] + one[2], other[0] + other[2]) + BOX_SLACK
    bottom = min(one[1] + one[3], other[1] + other[3]) + BOX_SLACK
    shared = max(0, right - left) * max(0, bottom - top)
    areas = [(box[2] + 2 * BOX_SLACK) * (box[3] + 2 * BOX_SLACK) for box in (one, other)]
    return shared / (sum(areas) - shared)


def match_boxes(truth: Sequence[Box], found: Sequence[Box]) -> dict[int, int]:
    """Which of `found` each of `truth` is, one to one, the best pairs first; pairs below MATCH_IOU are none."""
    pairs = [(iou(t, f), i, j) for i, t in enumerate(truth) for j, f in enumerate(found)]
    matched: dict[int, int] = {}
    taken: set[int] = set()
    for shared, i, j in sorted(pairs, key=lambda pair: -pair[0]):
        if shared < MATCH_IOU:
            break
        if i not in matched and j not in taken:
            matched[i] = j
            taken.add(j)
    return matched


def match_lines(page: Scene, reading: Reading) -> list[list[str]]:
    """What was read in the place of each true line: the texts of all lines most of whose characters lie there.

    A character lies in the line of the nearest true digit, if that is within LINE_REACH of its height.
    """
    there: list[list[str]] = [[] for _ in page.lines]
    if not page.digits:
        return there
    centres = np.array([(x + w / 2, y + h / 2) for _, (x, y, w, h), _ in page.digits])
    halves = np.array([(w / 2, h / 2) for _, (_, _, w, h), _ in page.digits])
    heights = np.array([_line_height(page, digit.line) for digit in page.digits])
    votes: list[Counter[int]] = [Counter() for _ in reading.lines]
    for digit in reading.digits:
        x, y, w, h = digit.box
        # How far the character's centre is outside each true box, in heights of that line's digits.
        outside = np.maximum(0, abs(centres - (x + w / 2, y + h / 2)) - halves)
        distance = np.hypot(*outside.T) / heights
        # Of several boxes that hold it, the one with the nearest centre.
        distance += 1e-6 * np.hypot(*(centres - (x + w / 2, y + h / 2)).T)
        nearest = int(distance.argmin())
        votes[digit.line][page.digits[nearest].line if distance[nearest] <= LINE_REACH else -1] += 1
    for text, vote in zip(reading.lines, votes, strict=True):
        line, most = vote.most_common(1)[0]
        if line >= 0 and 2 * most >= vote.total():
            there[line].append(text)
    return there


def _line_height(page: Scene, line: int) -> float:
    return float(np.median([digit.box[3] for digit in page.digits if digit.line == line]))


# Scoring ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PageScore:
    """How one page was read. All but `seconds` are counts."""

    seed: int
    kind: Kind
    conditions: tuple[str, ...]
    lines: int
    exact: int
    """Lines read exactly, as one line in their place."""
    digits: int
    found: int
    """Digits in whose place there is a box, whatever its label."""
    answered: int
    """Labels given."""
    right: int
    """Of those, in the place of a digit and its label."""
    causes: tuple[str, ...]
    """One for each line that was not read exactly."""
    seconds: float
    """Processor time of reading."""

    @property
    def badness(self) -> float:
        """How much there is to look at on this page."""
        return self.lines - self.exact + 0.5 * (self.answered - self.right) + 0.1 * (self.digits - self.found)


def score(page: Scene, reading: Reading, seconds: float = 0.0) -> PageScore:
    """Compares a reading of a page with its truth."""
    matched = match_boxes([digit.box for digit in page.digits], [digit.box for digit in reading.digits])
    right = sum(page.digits[i].label == reading.digits[j].label for i, j in matched.items())
    texts = match_lines(page, reading)
    if page.kind == "signs":  # a sign is none of the digits, and may be told
        texts = [[text.replace(REFUSED_TEXT, "") for text in there] for there in texts]
    exact = [text in there for text, there in zip(page.lines, texts, strict=True)]
    return PageScore(
        page.seed,
        page.kind,
        page.conditions,
        len(page.lines),
        sum(exact),
        len(page.digits),
        len(matched),
        sum(digit.label is not None for digit in reading.digits),
        right,
        tuple(_cause(page, reading, matched, line, texts[line]) for line, good in enumerate(exact) if not good),
        seconds,
    )


def _cause(page: Scene, reading: Reading, matched: dict[int, int], line: int, texts: list[str]) -> str:
    """Why a line was not read exactly: the first thing that went wrong on the road."""
    members = [i for i, digit in enumerate(page.digits) if digit.line == line]
    if not texts:
        return "nothing found there"
    if not all(i in matched for i in members):
        return "digits missed, merged or cut"
    if len({reading.digits[matched[i]].line for i in members}) > 1:
        return "line torn apart"
    labels = [reading.digits[matched[i]].label for i in members]
    if None in labels:
        return "digit refused"
    if labels != [page.digits[i].label for i in members]:
        return "wrong label"
    return "more than the digits in it"


@cache
def _reader(model: str | None) -> DigitReader:
    cv2.setNumThreads(1)
    return DigitReader(model)


def read_page(number: int, kind: Kind, model: str | None = None) -> tuple[Scene, Reading, PageScore]:
    """Draws a page and reads it."""
    reader = _reader(model)
    page = scene(number, kind)
    start = time.process_time()
    reading = reader.read(page.frame)
    return page, reading, score(page, reading, time.process_time() - start)


def _page_score(task: tuple[int, Kind], model: str | None) -> PageScore:
    return read_page(*task, model)[2]


@dataclass(frozen=True, slots=True)
class Summary:
    """How the pages of one kind were read. Rates are parts of 1."""

    pages: int
    lines: int
    lines_exact: float | None
    """Lines read exactly; None where there are none."""
    digits: int
    segmentation_recall: float | None
    """Digits found whatever their label."""
    precision: float | None
    """Answers that are a digit in its place with its label; None where nothing was answered."""
    false_digits_per_page: float
    """Answers where there is no such digit, or another."""
    milliseconds_per_page: float
    """Processor time, decoding left out; for information."""


def summary(scores: Sequence[PageScore]) -> Summary:
    """Of the pages of one kind."""

    def total(value: Callable[[PageScore], float]) -> float:
        return sum(value(s) for s in scores)

    lines, digits, answered = (int(total(v)) for v in (lambda s: s.lines, lambda s: s.digits, lambda s: s.answered))
    right = total(lambda s: s.right)
    return Summary(
        len(scores),
        lines,
        total(lambda s: s.exact) / lines if lines else None,
        digits,
        total(lambda s: s.found) / digits if digits else None,
        right / answered if answered else None,
        (answered - right) / len(scores),
        1000 * total(lambda s: s.seconds) / len(scores),
    )


def evaluate(
    kinds: Sequence[Kind], pages: int, first: int = 0, *, model: str | None = None, jobs: int = 1
) -> dict[Kind, list[PageScore]]:
    """Reads `pages` pages of each kind, from seed `first` on, in `jobs` processes. Raises DataError, ModelError."""
    tasks = [(number, kind) for kind in kinds for number in range(first, first + pages)]
    work = partial(_page_score, model=model)
    if jobs == 1:
        scores: Iterable[PageScore] = map(work, tasks)
    else:
        with ProcessPoolExecutor(jobs) as pool:
            scores = list(pool.map(work, tasks, chunksize=4))
    scored = list(scores)
    return {kind: [s for s in scored if s.kind == kind] for kind in kinds}


# Photographs without writing ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PhotoSummary:
    """What was read in photographs in which there is nothing to read."""

    pictures: int
    packages: tuple[str, ...]
    """The Debian packages they come from."""
    false_digits_per_picture: float
    pictures_with_false_digits: int


def read_photos(model: str | None = None) -> tuple[PhotoSummary, list[tuple[Path, Reading]]]:
    """Reads every photograph; the sum, and the readings with false digits, the worst first. Raises DataError."""
    reader = _reader(model)
    readings = [(path, reader.read(path)) for path in photos()]
    false = [(path, reading) for path, reading in readings if _answered(reading)]
    total = sum(_answered(reading) for _, reading in false)
    return (
        PhotoSummary(len(readings), tuple(PACKAGES), total / len(readings), len(false)),
        sorted(false, key=lambda pair: -_answered(pair[1])),
    )


def _answered(reading: Reading) -> int:
    return sum(digit.label is not None for digit in reading.digits)


def _drawn_photo(path: Path, reading: Reading) -> Image:
    picture = np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR), np.uint8)
    scale = min(1.0, PHOTO_SIDE / max(picture.shape[:2]))
    picture = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    for digit in reading.digits:
        x, y, w, h = (round(side * scale) for side in digit.box)
        _box(picture, (x, y, w, h), REFUSED if digit.label is None else EXTRA, digit.text)
    return picture


# Telling ------------------------------------------------------------------------------------------------------------


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}"


def _report(kind: str, s: Summary) -> str:
    false = f"false digits a page {s.false_digits_per_page:.3f}; {s.milliseconds_per_page:.1f} ms a page"
    if s.lines_exact is None:
        return f"{kind:<6}  {s.pages} pages: {false}"
    return (
        f"{kind:<6}  {s.pages} pages, {s.lines} lines, {s.digits} digits: lines exact {_percent(s.lines_exact)}, "
        f"segmentation recall {_percent(s.segmentation_recall)}, digit precision {_percent(s.precision)}, {false}"
    )


def _details(results: dict[Kind, list[PageScore]]) -> Iterator[str]:
    """Where the lines were lost: by cause, and by what is special about the page."""
    for kind, scores in results.items():
        causes = Counter(cause for s in scores for cause in s.causes)
        if causes:
            yield f"{kind}: lines lost: " + ", ".join(f"{cause} {n}" for cause, n in causes.most_common())
        for condition in sorted({c for s in scores for c in s.conditions}):
            some = [s for s in scores if condition in s.conditions]
            s = summary(some)
            if s.lines:
                yield f"{kind}: {condition:<20} {s.lines:5d} lines, exact {_percent(s.lines_exact)}"
            else:
                yield f"{kind}: {condition:<20} {s.pages:5d} pages, false digits a page {s.false_digits_per_page:.3f}"


def drawn(page: Scene, reading: Reading) -> Image:
    """The page with what was read: right green, wrong red, refused orange, not a digit purple; missed blue."""
    picture = page.frame.copy()
    matched = match_boxes([digit.box for digit in page.digits], [digit.box for digit in reading.digits])
    truth = {j: page.digits[i].label for i, j in matched.items()}
    for i, missed in enumerate(page.digits):
        if i not in matched:
            _box(picture, missed.box, MISSED, missed.label, below=True)
    for j, digit in enumerate(reading.digits):
        if digit.label is None:
            colour = REFUSED
        elif j not in truth:
            colour = EXTRA
        else:
            colour = RIGHT if truth[j] == digit.label else WRONG
        _box(picture, digit.box, colour, digit.text)
        if colour is WRONG:
            _box(picture, digit.box, MISSED, truth[j], below=True)
    texts = match_lines(page, reading)
    lost = " ".join(text for text, there in zip(page.lines, texts, strict=True) if text not in there)
    caption = f"{page.kind} {page.seed}: {', '.join(page.conditions)}" + (f" | lost: {lost}" if lost else "")
    scale = picture.shape[1] / 1100
    cv2.rectangle(picture, (0, 0), (picture.shape[1], round(22 * scale)), (255, 255, 255), -1)
    cv2.putText(
        picture, caption, (4, round(16 * scale)), cv2.FONT_HERSHEY_SIMPLEX, 0.5 * scale, (0, 0, 0), 1, cv2.LINE_AA
    )
    return picture


def _box(picture: Image, box: Box, colour: tuple[int, int, int], text: str, *, below: bool = False) -> None:
    x, y, w, h = box
    cv2.rectangle(picture, (x - 2, y - 2), (x + w + 1, y + h + 1), colour, 1)
    at = (x, y + h + 17) if below else (x, y - 4)
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, 2, cv2.LINE_AA)


def worst_pages(scores: Iterable[PageScore], model: str | None = None, most: int = WORST_PAGES) -> list[Image]:
    """The pages with the most to look at, drawn; those without a mistake are left out."""
    worst = sorted((s for s in scores if s.badness > 0), key=lambda s: -s.badness)[:most]
    return [drawn(*read_page(s.seed, s.kind, model)[:2]) for s in worst]


def _write_sheet(path: Path, pictures: Sequence[Image]) -> None:
    if not pictures:
        path.unlink(missing_ok=True)
        return
    save_sheet(path, pictures)
    print(f"worst pages: {path}")


def record(results: dict[str, Any], models: Path = Path("models")) -> None:
    """Keeps the results in metrics.json under `scenes`; those of other runs that are not in `results` stay."""
    path = models / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics.setdefault("scenes", {}).update(results)
    path.write_text(json.dumps(metrics, indent=2) + "\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Reads the pages, prints the numbers, writes a contact sheet of the worst."""
    parser = Parser(prog="python -m train.evaluate", description="Reads pages whose truth is known and says how well.")
    parser.add_argument("--count", type=count, default=DEFAULT_COUNT, help=f"pages of each kind ({DEFAULT_COUNT})")
    parser.add_argument(
        "--kind", choices=[*KINDS, PHOTOS], action="append", help="only these; may be given again (default: all)"
    )
    parser.add_argument("--seed", type=seed, default=0, help="of the first page (0)")
    parser.add_argument("--model", help="the .tflite file (default: the one that ships)")
    parser.add_argument("--jobs", type=count, default=1, help="processes (1)")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help=f"folder of the contact sheets ({DEFAULT_OUT})")
    parser.add_argument("--details", action="store_true", help="also say where lines were lost")
    parser.add_argument("--speed", action="store_true", help="measure time, memory and the smallest digits instead")
    parser.add_argument("--record", action="store_true", help="keep the results in models/metrics.json")
    options = parser.parse_args(argv)
    try:
        results = _measure_speed(options) if options.speed else _measure(options)
        if options.record:
            record(results)
    except EdgeDigitsError as error:
        print(f"train.evaluate: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    wanted = options.kind or [*KINDS, PHOTOS]
    kinds: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind in wanted)
    scores = evaluate(kinds, options.count, options.seed, model=options.model, jobs=options.jobs)
    results: dict[str, Any] = {"seed": options.seed} if kinds else {}
    for kind in kinds:
        results[kind] = asdict(summary(scores[kind]))
        print(_report(kind, summary(scores[kind])), flush=True)
    if PHOTOS in wanted:
        try:
            found, false = read_photos(options.model)
        except DataError as error:
            print(f"{PHOTOS}  skipped: {error}")
        else:
            results[PHOTOS] = asdict(found)
            print(
                f"{PHOTOS}  {found.pictures} without writing: false digits a picture "
                f"{found.false_digits_per_picture:.3f}, in {found.pictures_with_false_digits} pictures"
            )
            _write_sheet(options.out / f"worst-{PHOTOS}.png", [_drawn_photo(*pair) for pair in false[:WORST_PAGES]])
    if options.details:
        for line in _details(scores):
            print(line)
    for kind in kinds:
        _write_sheet(options.out / f"worst-{kind}.png", worst_pages(scores[kind], options.model))
    return results


def _measure_speed(options: argparse.Namespace) -> dict[str, Any]:
    from train.speed import measure_speed

    found = measure_speed(options.model)
    print("\n".join(found.lines()))
    return {"speed": asdict(found)}


if __name__ == "__main__":
    raise SystemExit(main())

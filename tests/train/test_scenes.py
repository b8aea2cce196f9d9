from itertools import pairwise

import cv2
import numpy as np
import pytest

from train import scenes
from train.data import DataError
from train.fonts import font_files
from train.scenes import (
    DIGIT_HEIGHTS,
    LEAST_CONTRAST,
    LINE_DIGITS,
    ROTATIONS,
    SIGNED_DIGITS,
    Kind,
    Scene,
    main,
    photograph,
    scene,
)

PAGES = 30  # of each kind
MEASURED = 0.7  # of the contrast a page is made with is left, measured in the picture after blur, noise and JPEG
WRITTEN: tuple[Kind, ...] = ("normal", "hard")


@pytest.fixture(scope="module")
def pages(mnist) -> dict[Kind, list[Scene]]:
    try:
        font_files("test")
    except DataError as error:
        pytest.skip(f"the fonts cannot be had: {error}")
    return {kind: [scene(number, kind) for number in range(PAGES)] for kind in scenes.KINDS}


def contrast_measured(page: Scene) -> float:
    """The median over its digits of 1 - darker over lighter, ink against the paper around it, in the best channel."""
    found = []
    planes = [*cv2.split(page.frame), cv2.cvtColor(page.frame, cv2.COLOR_BGR2GRAY)]
    for digit in page.digits:
        x, y, w, h = digit.box
        per_plane = []
        for plane in planes:
            inside = plane[y : y + h, x : x + w].astype(float)
            left, top = max(0, x - 3), max(0, y - 3)
            around = plane[top : y + h + 3, left : x + w + 3].astype(float)
            paper = np.median(np.concatenate([around[0], around[-1], around[:, 0], around[:, -1]]))
            # The part of the box that is farthest from the paper is ink, a good tenth of it in every digit.
            ink = paper + np.sign(np.mean(inside) - paper) * np.quantile(abs(inside - paper), 0.9)
            per_plane.append(1 - min(paper, ink) / max(paper, ink))
        found.append(max(per_plane))
    return float(np.median(found))


@pytest.mark.parametrize("kind", scenes.KINDS)
def test_one_seed_makes_one_page(pages, kind):
    again = scene(3, kind)
    first = pages[kind][3]
    assert np.array_equal(again.frame, first.frame)
    assert (again.lines, again.digits, again.distractors) == (first.lines, first.digits, first.distractors)
    assert not np.array_equal(scene(4, kind).frame.shape, first.frame.shape) or not np.array_equal(
        scene(4, kind).frame, first.frame
    )


@pytest.mark.parametrize("kind", WRITTEN)
def test_truth_agrees_with_itself(pages, kind):
    for page in pages[kind]:
        assert page.frame.dtype == np.uint8 and page.frame.ndim == 3
        height, width = page.frame.shape[:2]
        assert min(height, width) >= 500 and max(height, width) <= 1280
        spelled = ["".join(d.label for d in page.digits if d.line == k) for k in range(len(page.lines))]
        assert tuple(spelled) == page.lines
        for digit in page.digits:
            x, y, w, h = digit.box
            assert x >= 0 and y >= 0 and x + w <= width and y + h <= height and w >= 2 and h >= 8
        for line in range(len(page.lines)):
            lefts = [d.box[0] + d.box[2] / 2 for d in page.digits if d.line == line]
            assert all(a < b for a, b in pairwise(lefts))


@pytest.mark.parametrize("kind", WRITTEN)
def test_lines_have_three_to_eight_digits_unless_there_is_one_large_one(pages, kind):
    for page in pages[kind]:
        if "large" in page.conditions:
            assert len(page.digits) == 1 and page.digits[0].box[3] > DIGIT_HEIGHTS[1] / 2
        else:
            assert all(LINE_DIGITS[0] <= len(line) <= LINE_DIGITS[1] for line in page.lines)


@pytest.mark.parametrize("kind", WRITTEN)
def test_boxes_are_tight_around_ink(pages, kind):
    """Each of a box's four sides touches ink: the outermost row or column inside differs from the paper outside."""
    reached, sides = 0, 0
    for page in pages[kind]:
        smooth = cv2.GaussianBlur(page.frame, (0, 0), 0.8).astype(float)
        for digit in page.digits:
            x, y, w, h = digit.box
            if min(x, y) < 6 or y + h > smooth.shape[0] - 6 or x + w > smooth.shape[1] - 6:
                continue
            around = smooth[y - 5 : y + h + 5, x - 5 : x + w + 5]
            paper = np.median(around.reshape(-1, 3), axis=0)
            ink = abs(around - paper).max(axis=2)[5:-5, 5:-5]
            most = np.quantile(ink, 0.9)
            for side in (ink[:2], ink[-2:], ink[:, :2], ink[:, -2:]):
                sides += 1
                reached += side.max() > 0.35 * most
    assert sides > 500
    assert reached / sides > 0.95


@pytest.mark.parametrize("kind", WRITTEN)
def test_contrast_and_rotation_keep_their_limits(pages, kind):
    for page in pages[kind]:
        assert abs(page.rotation) <= ROTATIONS[kind]
        assert page.contrast >= LEAST_CONTRAST[kind]
        assert contrast_measured(page) >= MEASURED * LEAST_CONTRAST[kind], (page.seed, page.contrast)
    assert max(abs(page.rotation) for page in pages[kind]) > 0.7 * ROTATIONS[kind]


def test_rotation_is_what_the_lines_show(pages):
    """The baseline through a long line's digits runs at the page's rotation."""
    errors = []
    for page in pages["hard"]:
        for line in range(len(page.lines)):
            boxes = [d.box for d in page.digits if d.line == line]
            if len(boxes) >= 6:
                xs = [x + w / 2 for x, _, w, _ in boxes]
                ys = [y + h for _, y, _, h in boxes]
                slope = np.polyfit(xs, ys, 1)[0]
                errors.append(np.rad2deg(np.arctan(slope)) - page.rotation)
    assert len(errors) > 10
    assert np.median(np.abs(errors)) < 1.5


@pytest.mark.parametrize(("kind", "least", "most"), [("normal", 0.06, 0.15), ("hard", 0.25, 0.37)])
def test_share_of_touching_pairs(pages, kind, least, most):
    pairs = sum(len(line) - 1 for page in pages[kind] for line in page.lines)
    assert least <= sum(page.touching for page in pages[kind]) / pairs <= most


def test_normal_pages_hold_nothing_but_numbers_and_ruling(pages):
    assert {name for page in pages["normal"] for name in page.conditions} <= {"ruled", "touching", "small", "large"}
    assert not any(page.distractors for page in pages["normal"])
    ruled = np.mean(["ruled" in page.conditions for page in pages["normal"]])
    assert 0.15 <= ruled <= 0.55


def test_hard_pages_show_every_difficulty(pages):
    more = (scene(number, "hard") for number in range(PAGES, 2 * PAGES))
    seen = {name for page in (*pages["hard"], *more) for name in page.conditions}
    expected = {
        "boxed",
        "colour",
        "faint",
        "letters or drawings",
        "light on dark",
        "ruled",
        "shadow",
        "small",
        "touching",
    }
    assert expected <= seen


def test_on_pages_of_signs_one_stands_beside_every_number(pages):
    for page in pages["signs"]:
        heights = [max(d.box[3] for d in page.digits if d.line == k) for k in range(len(page.lines))]
        assert all(SIGNED_DIGITS[0] <= len(line) <= SIGNED_DIGITS[1] for line in page.lines)
        for line, height in enumerate(heights):
            boxes = [d.box for d in page.digits if d.line == line]
            near = [
                (x, y, w, h)
                for x, y, w, h in page.distractors
                for left, top, wide, high in boxes
                if max(x - left - wide, left - x - w) < 1.2 * height and abs(y + h / 2 - top - high / 2) < height
            ]
            assert near, (page.seed, page.lines[line])


def test_blank_pages_hold_no_digit(pages):
    assert all(not page.digits and not page.lines for page in pages["blank"])
    assert any(page.distractors for page in pages["blank"])


def test_only_test_digits_are_drawn(mnist, monkeypatch):
    """The pages see no file but those of the test half."""
    opened = []
    read = scenes.read_idx
    monkeypatch.setattr(scenes, "read_idx", lambda path: opened.append(path.name) or read(path))
    scenes._test_digits.cache_clear()
    scene(0, "normal")
    assert sorted(opened) == ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]


def test_photograph_holds_what_was_asked_for(mnist):
    page = photograph(1, (768, 560), 60, (3, 5))
    assert page.frame.shape == (560, 768, 3)
    assert [len(line) for line in page.lines] == [3, 5]
    assert 40 <= np.median([d.box[3] for d in page.digits]) <= 75
    with pytest.raises(ValueError, match="do not fit"):
        photograph(1, (200, 100), 60, (8, 8))


def test_contact_sheet_from_the_command_line(pages, tmp_path, capsys):
    out = tmp_path / "sheets" / "hard.png"
    assert main(["--kind", "hard", "--count", "4", "--out", str(out)]) == 0
    sheet = cv2.imread(str(out))
    assert sheet.shape[1] >= 1900 and sheet.std() > 10
    assert main(["--count", "1", "--out", str(tmp_path / "nowhere.unknown")]) == 1
    assert "cannot be written" in capsys.readouterr().err

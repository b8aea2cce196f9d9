import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from edge.reading import Box, Digit, Reading
from train import evaluate, speed
from train.data import DataError
from train.evaluate import PageScore, iou, main, match_boxes, match_lines, read_photos, record, score, summary
from train.fonts import font_files
from train.photos import PACKAGES, PHOTOS_LIST, WITH_WRITING, listed, photos
from train.scenes import Scene, SceneDigit, scene

GLYPH = np.zeros((28, 28), np.uint8)
SIZE = 40  # pixels, a digit's height on the pages below
STEP = 50  # pixels from digit to digit


def at(line: int, place: int) -> Box:
    """The box of a digit on a page that is tilted by 4 degrees, as the pages of the benchmark are."""
    return (40 + place * STEP, 40 + line * 80 + round(place * STEP * 0.07), 25, SIZE)


def page_of(*lines: str) -> Scene:
    digits = tuple(SceneDigit(c, at(k, n), k) for k, line in enumerate(lines) for n, c in enumerate(line))
    frame = np.full((60 + 80 * len(lines), 600, 3), 240, np.uint8)
    return Scene(0, "normal", frame, lines, digits, (), 4.0, 0.8, 0, ())


def reading_of(*lines: list[tuple[str | None, Box]]) -> Reading:
    digits = [Digit(label, 0.9, box, k, GLYPH) for k, line in enumerate(lines) for label, box in line]
    return Reading(600, 400, tuple(digits))


def read_as(text: str, line: int) -> list[tuple[str | None, Box]]:
    return [(None if c == "?" else c, at(line, place)) for place, c in enumerate(text) if c != " "]


PAGE = page_of("123", "4567", "890")


def test_overlap_is_one_for_the_same_box_and_none_apart():
    assert iou((10, 10, 20, 30), (10, 10, 20, 30)) == 1
    assert iou((10, 10, 20, 30), (100, 10, 20, 30)) == 0
    assert iou((0, 0, 20, 30), (10, 0, 20, 30)) == pytest.approx(12 * 32 / (32 * 32), abs=0.01)


def test_a_thin_one_may_be_off_by_a_pixel():
    assert iou((10, 10, 3, 40), (11, 10, 3, 41)) >= evaluate.MATCH_IOU


def test_boxes_match_one_to_one_the_best_first():
    truth = [(0, 0, 20, 40), (15, 0, 20, 40)]
    assert match_boxes(truth, [(14, 0, 20, 40), (1, 0, 20, 40)]) == {0: 1, 1: 0}
    assert match_boxes(truth, [(0, 0, 36, 40)]) in ({0: 0}, {1: 0})
    assert match_boxes(truth, []) == {}


def test_all_read_exactly():
    result = score(PAGE, reading_of(read_as("123", 0), read_as("4567", 1), read_as("890", 2)))
    assert (result.lines, result.exact, result.digits, result.found) == (3, 3, 10, 10)
    assert (result.answered, result.right, result.causes) == (10, 10, ())


def test_a_false_line_between_shifts_no_other():
    stray = [("1", (300, 45 + 80, 20, 40))]
    result = score(PAGE, reading_of(read_as("123", 0), stray, read_as("4567", 1), read_as("890", 2)))
    assert result.exact == 3
    assert result.answered - result.right == 1


def test_a_missing_line_costs_itself_alone():
    result = score(PAGE, reading_of(read_as("123", 0), read_as("890", 2)))
    assert (result.exact, result.found) == (2, 6)
    assert result.causes == ("nothing found there",)


def test_the_right_text_in_another_place_does_not_count():
    shifted = [(label, (x, y + 300, w, h)) for label, (x, y, w, h) in read_as("123", 0)]
    result = score(page_of("123"), reading_of(shifted))
    assert (result.exact, result.found, result.right, result.answered) == (0, 0, 0, 3)
    assert score(page_of("123", "123"), reading_of(read_as("123", 1))).exact == 1


def test_boxes_moved_a_little_still_count():
    moved = [(label, (x + 4, y - 5, w, h)) for label, (x, y, w, h) in read_as("123", 0)]
    assert (score(page_of("123"), reading_of(moved)).exact, score(page_of("123"), reading_of(moved)).found) == (1, 3)


def test_two_lines_run_together_are_both_lost():
    page = page_of("123", "456")
    result = score(page, reading_of([*read_as("123", 0), *read_as("456", 1)]))
    assert result.exact == 0 and result.found == 6


def test_a_line_torn_in_two_is_lost():
    whole = read_as("4567", 0)
    result = score(page_of("4567"), reading_of(whole[:2], whole[2:]))
    assert (result.exact, result.found, result.causes) == (0, 4, ("line torn apart",))


def test_merged_digits_are_not_found():
    x, y, w, h = at(0, 1)
    result = score(page_of("1234"), reading_of([*read_as("1", 0), ("0", (x, y, STEP + w, h)), ("4", at(0, 3))]))
    assert (result.exact, result.found, result.right) == (0, 2, 2)
    assert result.causes == ("digits missed, merged or cut",)


def test_refused_digits_are_found_but_not_answered():
    result = score(page_of("123"), reading_of(read_as("1?3", 0)))
    assert (result.exact, result.found, result.answered, result.right) == (0, 3, 2, 2)
    assert result.causes == ("digit refused",)


def test_wrong_labels_and_additions_are_told_apart():
    assert score(page_of("123"), reading_of(read_as("173", 0))).causes == ("wrong label",)
    longer = score(page_of("123"), reading_of([*read_as("123", 0), ("7", at(0, 3))]))
    assert (longer.exact, longer.causes) == (0, ("more than the digits in it",))
    assert longer.answered - longer.right == 1


def test_lines_of_a_tilted_page_find_their_place():
    """At the right end a line lies where the next one begins at the left."""
    lines = ["12345678", "87654321"]
    steep = tuple(
        SceneDigit(c, (40 + n * STEP, 40 + k * 80 + n * 12, 25, SIZE), k)
        for k, t in enumerate(lines)
        for n, c in enumerate(t)
    )
    page = replace(page_of(*lines), digits=steep)
    found = reading_of(*[[(d.label, d.box) for d in steep if d.line == k] for k in (0, 1)])
    assert match_lines(page, found) == [["12345678"], ["87654321"]]


def test_beside_digits_a_sign_may_be_told_and_be_no_digit():
    page = replace(page_of("123"), kind="signs")
    for text, exact in (("123?", 1), ("1?23", 1), ("123", 1), ("1234", 0), ("12?", 0)):
        assert score(page, reading_of(read_as(text, 0))).exact == exact, text
    assert score(page_of("123"), reading_of(read_as("123?", 0))).exact == 0


def test_blank_pages_count_every_answer():
    blank = replace(page_of("1"), kind="blank", lines=(), digits=())
    result = score(blank, reading_of([("7", (10, 10, 20, 40)), (None, (40, 10, 20, 40))]))
    assert (result.lines, result.answered, result.right) == (0, 1, 0)
    numbers = summary([result, replace(result, answered=0)])
    assert numbers.lines_exact is None and numbers.precision == 0 and numbers.false_digits_per_page == 0.5


def test_summary_adds_up():
    one = PageScore(0, "hard", (), 2, 1, 10, 9, 9, 8, ("wrong label",), 0.01)
    two = PageScore(1, "hard", (), 2, 2, 10, 10, 11, 10, (), 0.03)
    numbers = summary([one, two])
    assert (numbers.pages, numbers.lines, numbers.digits) == (2, 4, 20)
    assert numbers.lines_exact == 0.75 and numbers.segmentation_recall == 0.95 and numbers.precision == 0.9
    assert numbers.false_digits_per_page == 1 and numbers.milliseconds_per_page == pytest.approx(20)


@pytest.fixture(scope="module")
def fonts(mnist):
    try:
        return font_files("test")
    except DataError as error:
        pytest.skip(f"the fonts cannot be had: {error}")


def test_run_prints_the_numbers_and_draws_the_worst(fonts, tmp_path, capsys):
    assert main(["--count", "1", "--kind", "normal", "--kind", "hard", "--kind", "blank", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said[:3]] == ["normal", "hard", "blank"]
    assert "lines exact" in said[0] and "segmentation recall" in said[1] and "false digits a page" in said[2]
    for line in said[3:]:
        assert line.startswith("worst pages: ")
        assert cv2.imread(line.removeprefix("worst pages: ")) is not None


def test_processes_change_no_number(fonts):
    alone, shared = (evaluate.evaluate(("normal",), 3, 5, jobs=jobs)["normal"] for jobs in (1, 2))
    assert [replace(s, seconds=0) for s in alone] == [replace(s, seconds=0) for s in shared]
    assert [s.seed for s in alone] == [5, 6, 7]


def test_a_perfect_reader_loses_nothing_on_real_pages(fonts):
    """The truth of a page, given back as a reading, is exact: the matching itself costs no line."""
    for kind in ("normal", "hard"):
        for number in range(12):
            page = scene(number, kind)
            digits = tuple(Digit(d.label, 1.0, d.box, d.line, GLYPH) for d in page.digits)
            result = score(page, Reading(*page.frame.shape[1::-1], digits))
            assert (result.exact, result.found, result.right) == (result.lines, result.digits, result.digits)


def test_records_stay_beside_each_other(tmp_path):
    (tmp_path / "metrics.json").write_text('{"training": {"seed": 1}, "scenes": {"speed": {"large_photo": 3}}}')
    record({"normal": {"pages": 2}}, tmp_path)
    kept = json.loads((tmp_path / "metrics.json").read_text())
    assert kept == {"training": {"seed": 1}, "scenes": {"speed": {"large_photo": 3}, "normal": {"pages": 2}}}


def test_photographs_that_cannot_be_fetched_are_one_clear_line(mnist, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(evaluate, "photos", lambda: photos(tmp_path / "photos"))
    assert main(["--kind", "photos", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("photos  skipped: ") and "apt-get" in said and said.count("\n") == 1


def test_false_digits_in_photographs_are_counted(tmp_path, monkeypatch):
    """A picture with digits on it stands for a photograph in which digits were seen."""
    files = []
    for name, text in (("empty.png", ""), ("seen.png", "1234")):
        frame = np.full((300, 500, 3), 235, np.uint8)
        cv2.putText(frame, text, (40, 180), cv2.FONT_HERSHEY_SIMPLEX, 3, (30, 30, 30), 8, cv2.LINE_AA)
        cv2.imwrite(str(tmp_path / name), frame)
        files.append(tmp_path / name)
    monkeypatch.setattr(evaluate, "photos", lambda: files)
    found, false = read_photos()
    assert found.pictures == 2 and found.pictures_with_false_digits == 1
    assert found.false_digits_per_picture == sum(d.label is not None for d in false[0][1].digits) / 2 > 0
    assert [path.name for path, _ in false] == ["seen.png"]


def test_list_of_photographs_is_long_pinned_and_without_writing():
    pictures = listed()
    assert len(pictures) >= 50
    assert len({photo.sha256 for photo in pictures}) == len({(p.package, p.name) for p in pictures}) == len(pictures)
    assert {photo.package for photo in pictures} == set(PACKAGES)
    assert not {photo.name for photo in pictures} & set(WITH_WRITING)
    assert all(len(photo.sha256) == 64 for photo in pictures) and PHOTOS_LIST.is_file()


def test_a_damaged_photograph_is_fetched_again(tmp_path, monkeypatch):
    """Packages that hold another picture under the name are refused, and nothing is kept of them."""
    monkeypatch.setattr("train.photos._run", lambda command, folder: None)
    with pytest.raises(DataError, match="apt-get did not bring"):
        photos(tmp_path, say=lambda line: None)
    assert not list(tmp_path.rglob("*.*"))


def test_memory_of_reading_is_that_of_the_device_alone(tmp_path):
    """Not of the test that starts it, which holds far more."""
    held = np.ones(300_000_000, np.uint8)
    picture = tmp_path / "page.png"
    cv2.imwrite(str(picture), np.full((200, 300), 230, np.uint8))
    assert 20 < speed._resident(picture, None) < 200
    assert held.any()


def test_picture_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "page.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="edge-digits read failed"):
        speed._resident(tmp_path / "page.png", None)

"""Glyphs are kept in a folder for each label, to be corrected and trained on."""

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.crops import write_crops
from edge.decode import decode
from edge.errors import PictureError, UsageError
from edge.preprocess import is_glyph, single_glyph, to_glyph
from edge.reading import Digit, Reading
from edge.save import Folder
from edge.segment import Region
from tests.edge.helpers import MODEL, Run, digit, glyph, page

Runner = Callable[..., Run]


def reading(*digits: tuple[str | None, float, int, np.ndarray]) -> Reading:
    return Reading(
        100, 100, tuple(Digit(label, sure, (0, 0, 9, 9), line, glyph) for label, sure, line, glyph in digits)
    )


def kept(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_each_glyph_lies_in_the_folder_of_its_label(tmp_path: Path) -> None:
    seven, one = glyph("7"), glyph("1")
    said = reading(("7", 0.99, 0, seven), ("1", 0.5, 0, one), (None, 0.2, 1, one), ("1", 0.9, 1, one))
    write_crops(Folder(tmp_path), "scans/page 3.jpg", said)
    names = kept(tmp_path)
    assert [name.rsplit("-", 1)[0] for name in names] == [
        "1/page 3-1-01", "7/page 3-0-00", "none/page 3-1-00", "unsure/1/page 3-0-01",
    ]  # fmt: skip
    assert (cv2.imread(str(tmp_path / names[1]), cv2.IMREAD_UNCHANGED) == seven).all()


def test_a_rerun_writes_the_same_files(tmp_path: Path) -> None:
    said = reading(("7", 0.99, 0, glyph("7")), ("7", 0.4, 0, glyph("1")))
    for _ in range(2):
        write_crops(Folder(tmp_path), "a.png", said)
        assert len(kept(tmp_path)) == 2


@pytest.mark.parametrize("to", ["1", "none", "unsure/4", "a folder of mine"])
def test_what_was_sorted_stays_sorted(to: str, tmp_path: Path) -> None:
    said = reading(("7", 0.99, 0, glyph("1")))
    write_crops(Folder(tmp_path), "a.png", said)
    (name,) = kept(tmp_path)
    (tmp_path / to).mkdir(parents=True)
    (tmp_path / name).rename(tmp_path / to / os.path.basename(name))
    write_crops(Folder(tmp_path), "a.png", said)
    assert kept(tmp_path) == [f"{to}/{os.path.basename(name)}"]


def test_pictures_of_one_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    for path, text in (("a/page.png", "7"), ("b/page.png", "1"), ("b/page.jpg", "3")):
        write_crops(Folder(tmp_path), path, reading(("7", 0.99, 0, glyph(text))))
    assert len(kept(tmp_path)) == 3


@pytest.mark.parametrize("label", ["/", "..", ".", "a/b", "\0", "x" * 300, "ä÷", "7"])
def test_any_label_has_a_folder_inside(label: str, tmp_path: Path) -> None:
    folder = tmp_path / "crops"
    write_crops(Folder(folder), "a.png", reading((label, 0.99, 0, glyph("7"))))
    (name,) = kept(folder)
    assert name.count("/") == 1
    assert kept(tmp_path) == [f"crops/{name}"]


@pytest.mark.parametrize("path", ["x" * 255 + ".png", os.fsdecode(b"\xff\xfe.png"), ".hidden.png", "é" * 120 + ".png"])
def test_any_picture_name_will_do(path: str, tmp_path: Path) -> None:
    write_crops(Folder(tmp_path), path, reading(("7", 0.99, 0, glyph("7"))))
    (name,) = kept(tmp_path)
    assert decode(tmp_path / name).shape == (28, 28)
    assert not os.path.basename(name).startswith(".")


def test_a_folder_that_cannot_be_one_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file; name a folder"):
        Folder(tmp_path / "file")
    with pytest.raises(UsageError, match="cannot be written there"):
        Folder(tmp_path / "file" / "below")


def test_a_file_that_cannot_be_written_is_the_pictures_error(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    (tmp_path / "7").write_text("in the way")
    with pytest.raises(PictureError, match="cannot be written"):
        write_crops(folder, "a.png", reading(("7", 0.99, 0, glyph("7"))))


# A glyph that is kept and read again, by `edge-digits classify` or by training, is the very same glyph.


def odd_glyphs() -> list[np.ndarray]:
    """Glyphs of what segmentation hands over: digits, and pieces as lopsided, thin, small and large as they come."""
    rng = np.random.default_rng(11)
    glyphs = [glyph(text) for text in "0123456789"]
    for _ in range(600):
        height, width = rng.integers(1, 200, 2)
        mask = np.zeros((height, width), np.uint8)
        for _ in range(rng.integers(1, 5)):
            a, b = (tuple(int(v) for v in rng.integers(0, (width, height))) for _ in range(2))
            cv2.line(mask, a, b, 255, int(rng.integers(1, max(2, min(height, width) // 4))), cv2.LINE_AA)
        if rng.random() < 0.5:
            mask[: height // 3 + 1, : width // 3 + 1] = 255  # most of the ink in one corner
        if (mask > 127).any():
            glyphs.append(to_glyph(Region(0, 0, int(width), int(height), mask)))
    return glyphs


def test_a_kept_glyph_is_read_back_untouched(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    glyphs = odd_glyphs()
    assert len(glyphs) > 500
    for number, made in enumerate(glyphs):
        write_crops(folder, f"{number}.png", reading(("7", 0.99, 0, made)))
    for path in (tmp_path / "7").iterdir():
        number = int(path.name.split("-")[0])
        frame = decode(path)
        assert is_glyph(frame), number
        back = single_glyph(frame)
        assert back is not None
        assert (back == glyphs[number]).all(), number


def test_crops_of_the_command_are_the_readings_glyphs(run: Runner, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "page.png"), page("5550172", "4903"))
    done = run("read", tmp_path / "page.png", "--crops", tmp_path / "crops")
    assert done.status == 0, done.stderr
    labels = sorted(name.split("/")[-2] for name in kept(tmp_path / "crops"))
    assert labels == sorted(label["label"] for label in done.records[0]["digits"])
    again = run("classify", tmp_path / "crops")
    read = [record["label"] for record in again.records]
    assert read == [record["path"].split("/")[-2] for record in again.records]


def test_many_processes_write_into_one_folder(run: Runner, tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    for n in range(60):
        (pages / f"{n:02d}").mkdir(parents=True)
        cv2.imwrite(str(pages / f"{n:02d}" / "page.png"), page(f"{n:03d}7"))
    done = run("read", pages, "--crops", tmp_path / "crops", "--jobs", "4", "--model", MODEL)
    assert done.status == 0
    digits = sum(len(record["digits"]) for record in done.records)
    assert digits >= 200
    # Two pages share a glyph only where label, place and every pixel are the same.
    distinct = {path.name for path in (tmp_path / "crops").rglob("*.png")}
    assert len(distinct) == len(list((tmp_path / "crops").rglob("*.png")))
    assert not list((tmp_path / "crops").rglob(".*"))
    again = run("read", pages, "--crops", tmp_path / "crops", "--jobs", "1", "--model", MODEL)
    assert again.records == done.records
    assert {path.name for path in (tmp_path / "crops").rglob("*.png")} == distinct


def test_one_digit_a_picture_works_too(run: Runner, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "seven.png"), digit("7"))
    run("read", tmp_path / "seven.png", "--crops", tmp_path / "crops")
    assert [name.split("/")[0] for name in kept(tmp_path / "crops")] == ["7"]

"""The sample pictures: made here, small, as `answers.csv` says."""

import csv
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

SAMPLES = Path(__file__).parents[2] / "samples"
LARGEST = 400_000  # bytes, all pictures of one digit together
LARGEST_PAGES = 150_000  # bytes, all pages together
DRIFT = 1.5  # grey levels, on average: what another NumPy or OpenCV may round otherwise


def listed() -> dict[str, str]:
    with open(SAMPLES / "answers.csv", encoding="utf-8", newline="") as file:
        return {row["file"]: row["label"] for row in csv.DictReader(file)}


def pages() -> dict[str, dict[str, str]]:
    with open(SAMPLES / "pages" / "answers.csv", encoding="utf-8", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def test_every_picture_has_its_answer_and_every_digit_a_picture():
    pictures = {path.name for path in SAMPLES.iterdir() if path.suffix in {".png", ".jpg"}}
    assert pictures == set(listed())
    assert set(listed().values()) == set("0123456789") | {""}
    assert {path.name for path in (SAMPLES / "pages").iterdir() if path.suffix in {".png", ".jpg"}} == set(pages())


def test_pictures_are_small():
    assert sum((SAMPLES / name).stat().st_size for name in listed()) < LARGEST
    assert sum((SAMPLES / "pages" / name).stat().st_size for name in pages()) < LARGEST_PAGES


def test_script_draws_the_committed_pictures(run, tmp_path):
    run(sys.executable, SAMPLES / "make.py", tmp_path)
    for name in ("answers.csv", "pages/answers.csv"):
        assert (tmp_path / name).read_text() == (SAMPLES / name).read_text()
    for name in [*listed(), *(f"pages/{name}" for name in pages())]:
        fresh, kept = (cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED) for folder in (tmp_path, SAMPLES))
        assert fresh.shape == kept.shape, name
        assert np.abs(fresh.astype(float) - kept).mean() < DRIFT, name


def test_the_pages_are_read_as_it_is_written_in_them(run):
    for name, truth in pages().items():
        form = ["--fields", SAMPLES / "pages" / truth["fields"]] if truth["fields"] else []
        said = json.loads(run(sys.executable, "-m", "edge", "read", SAMPLES / "pages" / name, *form).stdout)
        found = [field["value"] for field in said["fields"]] if form else said["lines"]
        assert " ".join(map(str, found)) == truth["text"], name


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("5-phone.jpg", (1200, 900)),
        ("6-transparent.png", (200, 160, 4)),
        ("8-scan.png", (16, 16)),
        ("1-pencil.jpg", (320, 240, 3)),
    ],
)
def test_pictures_are_of_the_kinds_that_they_stand_for(name, shape):
    path = SAMPLES / name
    if name == "5-phone.jpg":
        lying = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
        assert lying.shape == shape[::-1]  # on disk it lies on its side
        assert cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).shape == shape
    else:
        assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape == shape

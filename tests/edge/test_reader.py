"""One picture becomes a label, or a reason why not."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge import DigitReader, PictureError, UsageError
from tests.edge.helpers import MODEL, digit, glyph, pack


@pytest.fixture(autouse=True)
def _no_warning_about_a_bare_model() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*says nothing about itself")
        yield


@pytest.mark.parametrize("text", ["1", "2", "3", "5", "7"])
def test_a_digit_in_a_file_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "digit.png"
    cv2.imwrite(str(path), digit(text))
    said = DigitReader().classify(path)
    assert said.label == text
    assert said.confidence == said.top[0].confidence > 0.5
    assert said.reason is None


def test_a_path_and_its_frame_say_the_same(picture: Path) -> None:
    reader = DigitReader()
    assert reader.classify(str(picture)) == reader.classify(digit("7"))


def test_candidates_come_best_first_as_many_as_asked() -> None:
    said = DigitReader(top_k=4).classify(digit("7"))
    assert len(said.top) == 4
    assert [c.confidence for c in said.top] == sorted((c.confidence for c in said.top), reverse=True)
    everything = DigitReader(top_k=1000).classify(digit("7"))
    assert sorted(c.label for c in everything.top) == list("0123456789")
    assert 0.9 < sum(c.confidence for c in everything.top) <= 1 + 1e-4  # the rest is the class that is no digit


def test_a_blank_picture_holds_no_digit() -> None:
    said = DigitReader().classify(np.full((100, 100), 255, np.uint8))
    assert (said.label, said.confidence, said.top, said.reason) == (None, 0.0, (), "no digit found")


def test_too_little_confidence_is_refused_but_told() -> None:
    said = DigitReader(min_confidence=1.0).classify(np.rot90(digit("4")))
    assert said.label is None
    assert said.reason in ("confidence below 1", f"not a digit (confidence {said.confidence:.2f})")
    assert said.top
    assert said.confidence == said.top[0].confidence < 1


def test_the_models_own_threshold_holds_until_another_is_asked_for(tmp_path: Path) -> None:
    strict = pack(MODEL, tmp_path / "strict.tflite", rejection_threshold=0.9999999, temperature=20.0)
    assert DigitReader(strict).classify(digit("7")).reason == "confidence below 1"
    assert DigitReader(strict, min_confidence=0.0).classify(digit("7")).label is not None


def test_labels_are_the_models(tmp_path: Path) -> None:
    model = pack(MODEL, tmp_path / "letters.tflite", labels=list("abcdefghijk"))
    assert DigitReader(model).classify(digit("7")).label == "h"


def test_what_the_model_calls_none_is_refused_and_never_a_candidate(tmp_path: Path) -> None:
    labels = ["0", "1", "2", "3", "4", "5", "6", "none", "8", "9", "7"]
    reader = DigitReader(
        pack(MODEL, tmp_path / "none.tflite", labels=labels, none="none", rejection_threshold=0.5), top_k=1000
    )
    said = reader.classify(digit("7"))
    assert said.label is None and said.confidence < 0.5
    assert said.reason == f"not a digit (confidence {said.confidence:.2f})"
    assert sorted(c.label for c in said.top) == list("0123456789")
    assert said.confidence == said.top[0].confidence
    assert reader.classify(digit("3")).label == "3"


def test_below_the_threshold_a_digit_is_unsure_rather_than_none(tmp_path: Path) -> None:
    labels = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "none"]
    strict = pack(MODEL, tmp_path / "s.tflite", labels=labels, none="none", rejection_threshold=1.0, temperature=5.0)
    assert DigitReader(strict).classify(digit("7")).reason == "confidence below 1"


def test_without_a_threshold_every_picture_gets_a_digit(tmp_path: Path) -> None:
    labels = ["0", "1", "2", "3", "4", "5", "6", "none", "8", "9", "7"]
    model = pack(MODEL, tmp_path / "none.tflite", labels=labels, none="none")
    assert DigitReader(model, min_confidence=0).classify(digit("7")).label in set("01234567890")


@pytest.mark.parametrize("text", ["÷", "K", "M", "="])
def test_the_model_that_ships_refuses_what_is_no_digit(text: str) -> None:
    picture = np.full((200, 200), 230, np.uint8)
    if text in "KM":
        cv2.putText(picture, text, (50, 145), cv2.FONT_HERSHEY_SIMPLEX, 4, 30, 12, cv2.LINE_AA)
    else:
        for row in (100,) if text == "÷" else (80, 120):
            cv2.line(picture, (50, row), (150, row), 30, 12, cv2.LINE_AA)
        for row in (60, 140) if text == "÷" else ():
            cv2.circle(picture, (100, row), 10, 30, -1, cv2.LINE_AA)
    said = DigitReader().classify(picture)
    assert said.label is None
    assert said.reason is not None and said.reason.startswith("not a digit (confidence 0.")


def test_glyphs_without_a_digit_keep_their_place() -> None:
    said = DigitReader().judge_glyphs([None, glyph("7"), None, glyph("1")])
    assert [one.label for one in said] == [None, "7", None, "1"]


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (np.zeros((5, 5, 4), np.uint8), "uint8 (5, 5, 4)"),
        (np.zeros((5, 5), np.float32), "float32 (5, 5)"),
        (np.zeros(5, np.uint8), "uint8 (5)"),
        (np.zeros((0, 5), np.uint8), "uint8 (0, 5)"),
        (cv2.UMat(np.zeros((5, 5), np.uint8)), "UMat"),
        ([[0, 255], [255, 0]], "list"),
        (b"a.png", "bytes"),
        (None, "NoneType"),
        (5, "int"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_neither_a_path_nor_a_frame_is_refused(picture: Any, said: str, reader: DigitReader) -> None:
    for take in (reader.classify, reader.read):
        with pytest.raises(ValueError, match="a picture is a path or a frame, uint8") as error:
            take(picture)
        assert str(error.value).endswith(f", not {said}")


def test_a_file_that_cannot_be_read_raises(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="no such file"):
        DigitReader().classify(tmp_path / "missing.png")


def test_settings_out_of_range_are_usage_errors() -> None:
    for wrong in (
        {"top_k": 0},
        {"min_confidence": 1.5},
        {"min_confidence": float("nan")},
        {"threads": 0},
        {"threads": 65},
    ):
        with pytest.raises(UsageError):
            DigitReader(**wrong)  # type: ignore[arg-type]

"""The synthetic camera: what it shows is read right, cheap to draw, and depends on seed and moment alone."""

import time

import numpy as np
import pytest

from edge import DigitReader
from edge.capture import opened
from edge.daemon.synthetic import DIGITS, STEP_SECONDS, Sheet, Synthetic, text_at

MOMENT = 1_764_065_195.0  # seconds since 1970
FRAME_MILLISECONDS = 2.0  # processor time, at 1280x720


@pytest.fixture(scope="module")
def reader() -> DigitReader:
    return DigitReader()


@pytest.mark.parametrize("size", [(1280, 720), (640, 480)])
def test_its_numbers_are_read_right(reader: DigitReader, size: tuple[int, int]) -> None:
    sheet = Sheet(size)
    wrong = []
    for number in range(40):
        moment = MOMENT + number * 104_729
        read = reader.read(sheet.picture(moment)).text
        if read != text_at(moment):
            wrong.append((text_at(moment), read))
    assert len(wrong) <= 1, wrong


def test_the_number_goes_up_by_one_and_comes_round() -> None:
    start = (MOMENT // STEP_SECONDS) * STEP_SECONDS
    assert int(text_at(start + STEP_SECONDS)) == int(text_at(start)) + 1
    assert text_at(start) == text_at(start + STEP_SECONDS - 0.01) == text_at(start + STEP_SECONDS * 10**DIGITS)
    assert text_at(0.0) == "0" * DIGITS
    assert text_at(start, seed=3) == f"{int(text_at(start)) + 3:06}"


def test_a_picture_depends_on_seed_and_moment_alone_and_no_two_are_the_same() -> None:
    sheet = Sheet((320, 240), seed=1)
    first = sheet.picture(MOMENT)
    assert first.shape == (240, 320, 3) and first.dtype == np.uint8
    sheet.picture(MOMENT + 60)
    assert np.array_equal(first, Sheet((320, 240), seed=1).picture(MOMENT))
    assert not np.array_equal(first, sheet.picture(MOMENT + 0.1))
    assert not np.array_equal(first, Sheet((320, 240), seed=2).picture(MOMENT))


def test_a_frame_costs_little() -> None:
    sheet = Sheet((1280, 720))
    sheet.picture(MOMENT)
    costs = []
    for frame in range(50):
        start = time.thread_time()
        sheet.picture(MOMENT + frame / 100)
        costs.append((time.thread_time() - start) * 1000)
    assert sorted(costs)[25] < FRAME_MILLISECONDS


def test_it_keeps_its_rate_and_draws_when_asked_only() -> None:
    with opened(Synthetic((320, 240), rate=20)) as source:
        start = time.monotonic()
        frames = []
        while len(frames) < 8:
            frame = source.read()
            frames += [frame] if frame is not None else []
        assert time.monotonic() - start >= 7 / 20 - 0.02
    assert [frame.sequence for frame in frames] == list(range(8))
    assert np.array_equal(frames[0].load(), Sheet((320, 240)).picture(frames[0].time))


def test_a_slow_one_says_that_there_is_nothing_yet() -> None:
    with opened(Synthetic((320, 240), rate=0.5)) as source:
        assert source.read() is not None
        start = time.monotonic()
        assert source.read() is None
        assert time.monotonic() - start < 1

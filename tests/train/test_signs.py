"""Signs beside numbers: each is drawn whole, in its place, and never the same twice."""

import cv2
import numpy as np
import pytest

from train import line_images
from train.data import DataError
from train.fonts import font_files
from train.signs import FORMS, MARKS, SIGN_SIZE, drawn_sign
from train.words import printed_digits

SEED = 4
TIMES = 12  # each sign is drawn
INK = 127  # grey levels
OFF = 0.45  # of a digit's height: pen and jitter


@pytest.mark.parametrize("name", [*FORMS, *MARKS])
def test_a_sign_is_cut_tight_as_high_as_it_should_be_and_drawn_anew_each_time(name: str) -> None:
    rng = np.random.default_rng(SEED)
    drawn = [drawn_sign(rng, (name,)) for _ in range(TIMES)]
    form = FORMS.get(name) or MARKS[name]
    for sign in drawn:
        assert sign.name == name and sign.foot == form.foot
        height, width = sign.ink.shape
        x, y, w, h = cv2.boundingRect(sign.ink)
        assert (x, y, w, h) == (0, 0, width, height)
        assert sign.ink.max() > INK
        assert abs(height - SIGN_SIZE * form.height) <= OFF * SIGN_SIZE
    assert len({sign.ink.tobytes() for sign in drawn}) == TIMES
    assert np.array_equal(drawn[0].ink, drawn_sign(np.random.default_rng(SEED), (name,)).ink)


def test_lines_hold_ink_outside_their_digits_where_they_hold_signs(mnist, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        font_files("train")
    except DataError as error:
        pytest.skip(f"the fonts cannot be had: {error}")
    from train.data import load

    data = load()
    for part in ("WORD", "ONLY_WORDS", "SYMBOL", "NEIGHBOUR", "RULED", "SQUARED", "CELLS", "FRAME", "SCRIBBLE", "RING"):
        monkeypatch.setattr(line_images, f"{part}_PART", 0.0)
    stock = line_images._Stock(data.train_images, data.train_labels, [], [], printed_digits("train"))
    outside = {}
    for signs in (0.0, 1.0):
        monkeypatch.setattr(line_images, "SIGNS_PART", signs)
        count = 0
        for k in range(40):
            line = line_images._Line(np.random.default_rng(k), stock)
            _, placed = line.drawn()
            left = line.ink.copy()
            for digit in placed:
                x0, y0, x1, y1 = (
                    round(v * line_images.SCALE) for v in (digit.left, digit.top, digit.right, digit.bottom)
                )
                left[max(0, y0 - 2) : y1 + 2, max(0, x0 - 2) : x1 + 2] = 0
            count += bool((left > INK).any())
        outside[signs] = count
    assert outside[0.0] == 0
    assert outside[1.0] >= 28

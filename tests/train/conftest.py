from pathlib import Path

import cv2
import numpy as np
import pytest

from train.strokes import drawn_digits


@pytest.fixture(scope="session")
def digits_npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set as Keras ships them: 1,200 drawn digits to train on, 200 to test."""
    path = tmp_path_factory.mktemp("data") / "drawn.npz"
    x_train, y_train = drawn_digits(1200, 1)
    x_test, y_test = drawn_digits(200, 2)
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return path


@pytest.fixture(scope="session")
def shapes_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes that are no digits, one folder each: pictures of several sizes, formats and polarities."""
    folder = tmp_path_factory.mktemp("shapes")
    rng = np.random.default_rng(4)
    for name in ("circle", "cross", "triangle"):
        (folder / name).mkdir()
        for k in range(60):
            side = int(rng.integers(40, 200))
            low, high = int(side * rng.uniform(0.15, 0.25)), int(side * rng.uniform(0.75, 0.85))
            picture = np.full((side, side, 3), 245, np.uint8)
            pen, ink = max(2, side // 14), (60, 30, 20)
            if name == "circle":
                cv2.circle(picture, (side // 2, side // 2), (high - low) // 2, ink, pen)
            elif name == "cross":
                cv2.line(picture, (low, low), (high, high), ink, pen)
                cv2.line(picture, (low, high), (high, low), ink, pen)
            else:
                points = np.array([[low, high], [high, high], [side // 2, low]])
                cv2.polylines(picture, [points], True, ink, pen)
            picture = 255 - picture if k % 3 == 0 else picture
            cv2.imwrite(str(folder / name / f"{k:02d}.{('png', 'jpg', 'bmp')[k % 3]}"), picture)
    return folder

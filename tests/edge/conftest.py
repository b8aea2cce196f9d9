"""What the edge's tests share: the command run for real, and small models of every kind."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge import DigitReader
from tests.edge.helpers import ROOT, Run, digit

COMMAND_SECONDS = 60  # no command of these tests takes longer, however busy the machine is


@pytest.fixture(scope="session")
def reader() -> DigitReader:
    """With the model that ships, as users have it."""
    return DigitReader()


@pytest.fixture
def run() -> Callable[..., Run]:
    """Runs `edge-digits` in a process of its own."""

    def start(*arguments: str | os.PathLike[str], stdin: bytes = b"", python: Sequence[str] = (), **more: Any) -> Run:
        command = [*(python or (sys.executable, "-m", "edge")), *map(os.fspath, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **more.pop("env", {})}
        done = subprocess.run(
            command, input=stdin, capture_output=True, timeout=COMMAND_SECONDS, env=environment, check=False, **more
        )
        return Run(done.returncode, done.stdout, done.stderr.decode(errors="replace"))

    return start


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A file that shows a seven."""
    path = tmp_path / "seven.png"
    cv2.imwrite(str(path), digit("7"))
    return path


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Converts a small untrained Keras model: make_model(shape=(28, 28, 1), classes=5, ...) -> path of a .tflite."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    tf = pytest.importorskip("tensorflow", reason="TensorFlow makes the models of these tests")
    keras = tf.keras
    folder = tmp_path_factory.mktemp("models")
    layers = keras.layers
    made: dict[Any, Path] = {}

    def make(
        shape: tuple[int, ...] = (28, 28, 1),
        classes: int = 5,
        softmax: bool = False,
        precision: str = "float32",
        dtype: str = "float32",
        batch: int | None = 1,
        outputs: int = 1,
        any_size: bool = False,
    ) -> Path:
        """precision: float32, float16, dynamic or int8; dtype: of input and output of an int8 model."""
        key = (shape, classes, softmax, precision, dtype, batch, outputs, any_size)
        if key in made:
            return made[key]
        keras.utils.set_random_seed(7)
        picture = layers.Input((None, None, shape[2]) if any_size else shape, batch_size=batch)
        x = picture
        if len(shape) == 1:
            x = layers.Reshape((28, 28, -1))(x)
        elif len(shape) == 2:
            x = layers.Reshape((*shape, 1))(x)
        x = layers.Conv2D(8, 5, strides=2, activation="relu")(x)
        x = layers.Conv2D(16, 3, strides=2, activation="relu")(x)
        x = layers.GlobalAveragePooling2D()(x)
        x = layers.Rescaling(20.0)(x)
        heads = [layers.Dense(classes, activation="softmax" if softmax else None)(x) for _ in range(outputs)]
        model = keras.Model(picture, heads)
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8":
            random = np.random.default_rng(3)
            size = (batch or 1, *(28 if side is None else side for side in shape))
            samples = [random.random(size, np.float32) for _ in range(20)] + [np.zeros(size, np.float32)]
            converter.representative_dataset = lambda: ([sample] for sample in samples)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.as_dtype(dtype)
        path = folder / f"{len(made)}.tflite"
        path.write_bytes(converter.convert())
        made[key] = path
        return path

    return make

"""Small models of small data, trained for a few seconds once for all tests here."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from train.data import Dataset

SEED = 7
TRAIN, HELD_OUT = 90, 40  # glyphs a class


def drawn(labels: str, count: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """`count` glyphs of each character, in a printed face with other places, sizes, slants and pens."""
    images, classes = [], []
    for index, character in enumerate(labels):
        for _ in range(count):
            large = np.zeros((112, 112), np.uint8)
            cv2.putText(
                large, character, (30, 84), cv2.FONT_HERSHEY_SIMPLEX, 2.8, 255, int(rng.integers(5, 13)), cv2.LINE_AA
            )
            move = np.float64([[rng.uniform(0.85, 1.1), rng.uniform(-0.2, 0.2), 0], [rng.uniform(-0.1, 0.1), 1, 0]])
            move[:, 2] = 56 - move[:, :2] @ (56, 56) + rng.uniform(-5, 5, 2)
            glyph = cv2.resize(cv2.warpAffine(large, move, (112, 112)), (28, 28), interpolation=cv2.INTER_AREA)
            noise = rng.normal(0, 12, glyph.shape) * (glyph > 0)
            images.append(np.clip(glyph + noise, 0, 255).astype(np.uint8))
            classes.append(index)
    order = rng.permutation(len(images))
    return np.stack(images)[order], np.asarray(classes, np.int64)[order]


def make_dataset(labels: str, name: str = "printed") -> Dataset:
    rng = np.random.default_rng(SEED)
    splits = [drawn(labels, count, rng) for count in (TRAIN, HELD_OUT, HELD_OUT)]
    digest = hashlib.sha256(splits[0][0].tobytes()).hexdigest()
    arrays = [array for split in splits for array in split]
    return Dataset(name, tuple(labels), *arrays, checksums={name: digest})


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """Ten classes, 0 to 9."""
    return make_dataset("0123456789")


@pytest.fixture(scope="session")
def letters() -> Dataset:
    """Three classes: nothing may assume ten digits."""
    return make_dataset("ABC", "letters")


@pytest.fixture(scope="session")
def npz(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ten classes as Keras ships data."""
    path = tmp_path_factory.mktemp("data") / "printed.npz"
    np.savez(
        path,
        x_train=np.concatenate([dataset.train_images, dataset.validation_images]),
        y_train=np.concatenate([dataset.train_labels, dataset.validation_labels]),
        x_test=dataset.test_images,
        y_test=dataset.test_labels,
    )
    return path


Trainer = Callable[..., Any]


@pytest.fixture(scope="session")
def trained() -> Trainer:
    """Trains a tutorial's network; `shape` is its input, `end` its last activation, `bounds` its input range."""
    from train.quiet import tensorflow

    tensorflow()
    import keras

    def train(
        data: Dataset,
        shape: tuple[int, ...] = (28, 28, 1),
        end: str | None = None,
        bounds: tuple[float, float] = (0.0, 1.0),
        epochs: int = 4,
        batch: int | None = None,
    ) -> Any:
        keras.utils.set_random_seed(SEED)
        images = data.train_images
        if shape[0] not in (28, 784):
            images = np.stack([cv2.resize(image, shape[:2]) for image in images])
        values = bounds[0] + images.astype(np.float32) * ((bounds[1] - bounds[0]) / 255)
        values = np.repeat(values[..., None], shape[-1], -1) if len(shape) == 3 else values.reshape(-1, *shape)
        layers: list[Any] = [keras.Input(shape, batch_size=batch)]
        if len(shape) == 3:
            # Normalised inside, so that one recipe learns from every input range.
            layers += [keras.layers.BatchNormalization(), keras.layers.Conv2D(8, 3, activation="relu")]
            layers += [keras.layers.MaxPooling2D(), keras.layers.Conv2D(16, 3, activation="relu")]
            layers += [keras.layers.MaxPooling2D()]
        layers += [keras.layers.Flatten(), keras.layers.Dense(len(data.labels), activation=end)]
        model = keras.Sequential(layers, name="printed")
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=end is None)
        model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
        model.fit(values, data.train_labels, batch_size=32, epochs=epochs, verbose=0)
        return model

    return train


@pytest.fixture(scope="session")
def logits_model(trained: Trainer, dataset: Dataset) -> Any:
    """A Keras model that ends in logits and takes 0 to 1."""
    return trained(dataset)


@pytest.fixture(scope="session")
def softmax_model(trained: Trainer, dataset: Dataset) -> Any:
    """A Keras model that ends in a softmax, as tutorials write them."""
    return trained(dataset, end="softmax")


@pytest.fixture(scope="session")
def keras_file(logits_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keras") / "digits.keras"
    logits_model.save(path)
    return path


@pytest.fixture(scope="session")
def h5_file(softmax_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("h5") / "best_model.h5"
    softmax_model.save(path)
    return path

"""Every kind of model file gives the scores that Keras gives; every other file gives one clear line."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.errors import ConversionError
from convert.source import Source, load
from train.data import Dataset
from train.quiet import quiet, tensorflow

UNIT = (0.0, 1.0)
CLOSE = 1e-4  # of a score: what another order of sums may change


def scores(source: Source, dataset: Dataset) -> np.ndarray:
    return source.scores(source.values(dataset.test_images, UNIT))


def expected(model: Any, dataset: Dataset) -> np.ndarray:
    shape = model.input_shape[1:]
    return model.predict(dataset.test_images.reshape(-1, *shape) / np.float32(255), verbose=0)


def test_a_keras_file_gives_what_keras_gives(keras_file: Path, logits_model: Any, dataset: Dataset) -> None:
    source = load(keras_file)
    assert (source.kind, source.height, source.width, source.channels, source.classes) == ("keras", 28, 28, 1, 10)
    np.testing.assert_allclose(scores(source, dataset), expected(logits_model, dataset), atol=CLOSE)


def test_an_h5_file_of_keras_3_gives_what_keras_gives(h5_file: Path, softmax_model: Any, dataset: Dataset) -> None:
    source = load(h5_file)
    assert source.kind == "h5"
    np.testing.assert_allclose(scores(source, dataset), expected(softmax_model, dataset), atol=CLOSE)


def write_old_h5(path: Path, weights: list[np.ndarray], *, listed: bool, dtypes: bool) -> None:
    """An .h5 file as Keras 2 and the Keras of TensorFlow 1 wrote it: Conv2D, MaxPooling2D, Flatten, Dense with softmax.

    listed: the layers stand in a bare list (before Keras 2.2.3). dtypes: layers and initializers have one (TensorFlow
    1). The optimizer is one that no Keras knows, and its state is nonsense.
    """
    import h5py

    def initializer(name: str, **config: Any) -> dict[str, Any]:
        return {"class_name": name, "config": {**config, **({"dtype": "float32"} if dtypes else {})}}

    uniform = initializer("GlorotUniform" if dtypes else "VarianceScaling", seed=None)
    if not dtypes:
        uniform["config"] |= {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform"}
    common = {"trainable": True, **({"dtype": "float32"} if dtypes else {})}
    weighted = common | {
        "use_bias": True,
        "kernel_initializer": uniform,
        "bias_initializer": initializer("Zeros"),
        "kernel_regularizer": None,
        "bias_regularizer": None,
        "activity_regularizer": None,
        "kernel_constraint": None,
        "bias_constraint": None,
    }
    convolution = {
        "name": "conv2d_1",
        "batch_input_shape": [None, 28, 28, 1],
        "dtype": "float32",
        "filters": 4,
        "kernel_size": [3, 3],
        "strides": [1, 1],
        "padding": "valid",
        "data_format": "channels_last",
        "dilation_rate": [1, 1],
        "activation": "relu",
    }
    pooling = {
        "name": "max_pooling2d_1",
        "pool_size": [2, 2],
        "padding": "valid",
        "strides": [2, 2],
        "data_format": "channels_last",
    }
    layers = [
        {"class_name": "Conv2D", "config": convolution | weighted},
        {"class_name": "MaxPooling2D", "config": common | pooling},
        {
            "class_name": "Dropout",
            "config": common | {"name": "dropout_1", "rate": 0.25, "noise_shape": None, "seed": None},
        },
        {"class_name": "Flatten", "config": common | {"name": "flatten_1", "data_format": "channels_last"}},
        {"class_name": "Dense", "config": weighted | {"name": "dense_1", "units": 10, "activation": "softmax"}},
    ]
    config = layers if listed else {"name": "sequential_1", "layers": layers}
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.2.4-tf" if dtypes else "2.2.2"
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": config}).encode()
        file.attrs["training_config"] = json.dumps(
            {
                "optimizer_config": {"class_name": "Forgotten", "config": {"lr": 0.1}},
                "loss": "gone",
                "metrics": ["acc", "old"],
            }
        ).encode()
        file.create_group("optimizer_weights").attrs["weight_names"] = [b"training/Forgotten/iterations:0"]
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [layer["config"]["name"].encode() for layer in layers]
        group.attrs["backend"], group.attrs["keras_version"] = b"tensorflow", b"2.2.4-tf" if dtypes else b"2.2.2"
        for layer in layers:
            name = layer["config"]["name"]
            inside = group.create_group(name)
            mine = {"conv2d_1": weights[:2], "dense_1": weights[2:]}.get(name, [])
            paths = [f"{name}/{kind}:0" for kind in ("kernel", "bias")][: len(mine)]
            inside.attrs["weight_names"] = [p.encode() for p in paths]
            for weight_path, array in zip(paths, mine, strict=True):
                inside[weight_path] = array


@pytest.mark.parametrize("listed", [False, True], ids=["named", "listed"])
@pytest.mark.parametrize("dtypes", [True, False], ids=["tensorflow-1", "keras-2"])
def test_an_h5_file_of_old_keras_gives_its_own_arithmetic(
    tmp_path: Path, dataset: Dataset, listed: bool, dtypes: bool
) -> None:
    rng = np.random.default_rng(3)
    sizes = ((3, 3, 1, 4), (4,), (13 * 13 * 4, 10), (10,))
    weights = [rng.normal(0, 0.1, size).astype(np.float32) for size in sizes]
    path = tmp_path / "best_model.h5"
    write_old_h5(path, weights, listed=listed, dtypes=dtypes)

    images = dataset.test_images[:20] / 255
    windows = np.lib.stride_tricks.sliding_window_view(images, (3, 3), (1, 2))
    features = np.maximum(np.einsum("nyxij,ijf->nyxf", windows, weights[0][:, :, 0]) + weights[1], 0)
    pooled = features.reshape(20, 13, 2, 13, 2, 4).max(axis=(2, 4)).reshape(20, -1)
    powers = np.exp(pooled @ weights[2] + weights[3])
    source = load(path)
    got = source.scores(source.values(dataset.test_images[:20], UNIT))
    np.testing.assert_allclose(got, powers / powers.sum(1, keepdims=True), atol=CLOSE)


def test_a_functional_model_of_old_keras_is_told_in_new_words(tmp_path: Path, dataset: Dataset) -> None:
    import h5py
    import keras

    picture = keras.Input((28, 28, 1), name="picture")
    normal = keras.layers.BatchNormalization(name="normal")(picture)
    scores_out = keras.layers.Dense(10, name="scores")(keras.layers.Flatten(name="flat")(normal))
    model = keras.Model(picture, scores_out, name="functional")
    path = tmp_path / "old.h5"
    model.save(path)

    def layer(kind: str, name: str, *after: str, **config: Any) -> dict[str, Any]:
        nodes = [[[other, 0, 0, {}] for other in after]] if after else []
        return {"class_name": kind, "config": {"name": name, **config}, "name": name, "inbound_nodes": nodes}

    ones, zeros = ({"class_name": kind, "config": {"dtype": "float32"}} for kind in ("Ones", "Zeros"))
    layers = [
        layer("InputLayer", "picture", batch_input_shape=[None, 28, 28, 1], dtype="float32", sparse=False),
        layer("BatchNormalizationV1", "normal", "picture", axis=[3], gamma_initializer=ones, beta_initializer=zeros),
        layer("Flatten", "flat", "normal"),
        layer("Dense", "scores", "flat", units=10, bias_initializer=zeros),
    ]
    ends = {"input_layers": [["picture", 0, 0]], "output_layers": [["scores", 0, 0]]}
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps(
            {"class_name": "Model", "config": {"name": "model_1", "layers": layers, **ends}}
        )
    np.testing.assert_allclose(scores(load(path), dataset), expected(model, dataset), atol=CLOSE)


def test_an_optimizer_that_nobody_knows_does_not_matter(
    tmp_path: Path, logits_model: Any, keras_file: Path, dataset: Dataset
) -> None:
    import zipfile

    path = tmp_path / "custom.keras"
    with zipfile.ZipFile(keras_file) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["compile_config"]["optimizer"] = {
                    "module": "gone",
                    "class_name": "Forgotten",
                    "config": {"lr": 1},
                }
                config["compile_config"]["metrics"] = [{"module": "gone", "class_name": "Lost", "config": {}}]
                content = json.dumps(config).encode()
            new.writestr(name, content)
    np.testing.assert_allclose(scores(load(path), dataset), expected(logits_model, dataset), atol=CLOSE)


def test_an_exported_saved_model_gives_what_keras_gives(tmp_path: Path, logits_model: Any, dataset: Dataset) -> None:
    with quiet():
        logits_model.export(tmp_path / "exported")
    source = load(tmp_path / "exported")
    assert source.kind == "saved_model"
    np.testing.assert_allclose(scores(source, dataset), expected(logits_model, dataset), atol=CLOSE)


def test_a_saved_model_of_plain_tensorflow_goes_through_its_signature(tmp_path: Path, dataset: Dataset) -> None:
    tf = tensorflow()
    weights = np.random.default_rng(0).normal(0, 0.1, (784, 10)).astype(np.float32)
    module = tf.Module()
    module.weights = tf.Variable(weights)
    spec = [tf.TensorSpec([None, 28, 28], tf.float32, name="pixels")]
    module.named = tf.function(lambda pixels: {"scores": tf.reshape(pixels, [-1, 784]) @ module.weights}, spec)
    module.other = tf.function(lambda pixels: {"scores": -tf.reshape(pixels, [-1, 784]) @ module.weights}, spec)
    with quiet():
        tf.saved_model.save(module, str(tmp_path / "plain"), signatures={"named": module.named, "other": module.other})
    wanted = dataset.test_images.reshape(-1, 784) / np.float32(255) @ weights
    np.testing.assert_allclose(scores(load(tmp_path / "plain", "named"), dataset), wanted, atol=CLOSE)
    np.testing.assert_allclose(scores(load(tmp_path / "plain", "other"), dataset), -wanted, atol=CLOSE)
    with pytest.raises(ConversionError, match=r"no signature 'serving_default' \(it has: named, other\).*--signature"):
        load(tmp_path / "plain")


@pytest.mark.parametrize("shape", [(28, 28), (784,)], ids=["28x28", "784"])
def test_pictures_without_channels_are_taken(
    tmp_path: Path, trained: Any, dataset: Dataset, shape: tuple[int, ...]
) -> None:
    model = trained(dataset, shape, epochs=1)
    model.save(tmp_path / "flat.keras")
    source = load(tmp_path / "flat.keras")
    assert (source.height, source.width, source.channels) == (28, 28, 1)
    np.testing.assert_allclose(scores(source, dataset), expected(model, dataset), atol=CLOSE)


def test_channels_first_are_taken(tmp_path: Path, dataset: Dataset) -> None:
    import keras

    model = keras.Sequential([keras.Input((1, 28, 28)), keras.layers.Flatten(), keras.layers.Dense(10)])
    model.save(tmp_path / "first.keras")
    np.testing.assert_allclose(scores(load(tmp_path / "first.keras"), dataset), expected(model, dataset), atol=CLOSE)


def test_other_files_are_refused_in_one_line(
    tmp_path: Path, keras_file: Path, h5_file: Path, logits_model: Any
) -> None:
    import keras

    (tmp_path / "text.keras").write_text("not a model")
    (tmp_path / "empty.h5").touch()
    (tmp_path / "cut.keras").write_bytes(keras_file.read_bytes()[:3000])
    (tmp_path / "cut.h5").write_bytes(h5_file.read_bytes()[:3000])
    (tmp_path / "ready.tflite").write_bytes(b"\x20\0\0\0TFL3" + bytes(64))
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "saved_model.pb").write_bytes(b"\xff" * 100)
    logits_model.save_weights(tmp_path / "model.weights.h5")
    picture = keras.Input((28, 28, 1))
    flat = keras.layers.Flatten()(picture)
    keras.Model(picture, [keras.layers.Dense(10)(flat), keras.layers.Dense(2)(flat)]).save(tmp_path / "two.keras")
    keras.Model(picture, keras.layers.Dense(1)(flat)).save(tmp_path / "one.keras")
    keras.Model(picture, keras.layers.Conv2D(4, 3)(picture)).save(tmp_path / "dense.keras")
    row = keras.Input((20,))
    keras.Model(row, keras.layers.Dense(3)(row)).save(tmp_path / "row.keras")
    whole = keras.Input((28, 28, 1), dtype="int32")
    keras.Model(whole, keras.layers.Dense(3)(keras.layers.Flatten()(whole))).save(tmp_path / "whole.keras")
    said = {
        "missing.keras": "no such file",
        "text.keras": "neither a .keras nor an .h5 model",
        "empty.h5": "neither a .keras nor an .h5 model",
        "cut.keras": "neither a .keras nor an .h5 model",
        "cut.h5": "cannot be loaded as a Keras model",
        "ready.tflite": "is a .tflite file already",
        "folder": "not a SavedModel",
        "broken": "cannot be loaded as a SavedModel",
        "model.weights.h5": "save the whole model",
        "two.keras": "1 inputs and 2 outputs",
        "one.keras": "needed: one score a class",
        "row.keras": "takes 20; needed: a picture",
        "whole.keras": "takes int32 pictures",
    }
    for name, message in said.items():
        with pytest.raises(ConversionError) as caught:
            load(tmp_path / name)
        assert message in str(caught.value) and name in str(caught.value), name
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 400, name
    shutil.rmtree(tmp_path / "folder")


def test_a_layer_that_nobody_knows_is_named(tmp_path: Path) -> None:
    import keras

    @keras.saving.register_keras_serializable("mine")
    class Peculiar(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    keras.Sequential([keras.Input((28, 28, 1)), Peculiar(), keras.layers.Flatten(), keras.layers.Dense(3)]).save(
        tmp_path / "peculiar.keras"
    )
    keras.saving.get_custom_objects().pop("mine>Peculiar")
    with pytest.raises(ConversionError, match="Peculiar"):
        load(tmp_path / "peculiar.keras")

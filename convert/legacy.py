"""Whole-model HDF5 files of older Keras, brought to what Keras 3 reads.

Keras 3 reads the .h5 files of late Keras 2. Those before it, of TensorFlow 1 and many tutorials, differ in small ways
that it stumbles over: a Sequential without an InputLayer or in a bare list, initializers with a dtype, `Model` for a
functional model, version numbers in class names, the axis of a batch normalisation in a list.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

CONFIG = "model_config"
COMPILED = ("training_config", "optimizer_weights")
RENAMED = {
    "Model": "Functional",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
}


def load_h5(path: Path) -> Any:
    """The Keras model in a whole-model HDF5 file. Raises what h5py and Keras raise."""
    import h5py
    import keras

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "model.h5"
        shutil.copyfile(path, copy)
        with h5py.File(copy, "r+") as file:
            text = file.attrs[CONFIG]
            config = modern(json.loads(text if isinstance(text, str) else text.decode()))
            # An attribute in its own place is limited to 64 KB; h5py moves a longer one out by itself only when new.
            del file.attrs[CONFIG]
            file.attrs[CONFIG] = json.dumps(config).encode()
            # Losses, metrics and optimizer state are of no use here and may be somebody's own.
            file.attrs.pop(COMPILED[0], None)
            file.pop(COMPILED[1], None)
        return keras.saving.load_model(copy, compile=False)


def modern(config: Any) -> Any:
    """A model's, a layer's or an initializer's configuration as Keras 3 takes it; works its way inwards."""
    if isinstance(config, list):
        return [modern(item) for item in config]
    if not isinstance(config, dict):
        return config
    inner = config.get("config")
    kind = config.get("class_name")
    if isinstance(kind, str) and isinstance(inner, list) and kind == "Sequential":
        config = config | {"config": {"name": "sequential", "layers": inner}}
    elif isinstance(kind, str) and isinstance(inner, dict):
        config = config | {"class_name": RENAMED.get(kind, kind) if kind != "Model" or "layers" in inner else kind}
    config = {key: modern(value) for key, value in config.items()}
    for key, value in config.items():
        if key.endswith("_initializer") and isinstance(value, dict) and isinstance(value.get("config"), dict):
            value["config"].pop("dtype", None)
    inner = config.get("config")
    if isinstance(inner, dict):
        if config.get("class_name") == "Sequential":
            inner["layers"] = _with_input(inner.get("layers", []))
        axis = inner.get("axis")
        if config.get("class_name") == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
            inner["axis"] = axis[0]
    return config


def _with_input(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The layers of a Sequential, the shape that the first one tells of in an InputLayer of its own."""
    if not layers or layers[0].get("class_name") == "InputLayer":
        return layers
    first = layers[0].get("config", {})
    shape = first.pop("batch_input_shape", None)
    if shape is None:
        return layers
    name = f"{first.get('name', 'layer')}_input"
    dtype = first.get("dtype") if isinstance(first.get("dtype"), str) else "float32"
    return [{"class_name": "InputLayer", "config": {"batch_shape": shape, "dtype": dtype, "name": name}}, *layers]

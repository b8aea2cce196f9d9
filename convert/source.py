"""The model to convert: a `.keras` file, a legacy `.h5` file or a SavedModel folder, behind one small face.

Whatever shape of picture a model asks for, (28, 28), (784,) or (1, 28, 28), the face takes (height, width, channels),
so that the device needs to know that form only.
"""

import hashlib
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError, reason
from convert.legacy import CONFIG, load_h5
from edge.preprocess import GLYPH_SIZE
from train.quiet import quiet, tensorflow

CHANNELS = (1, 3)
PIXEL_LEVELS = 256
SERVING_SIGNATURE = "serving_default"
PREDICTION_BATCH = 256  # pictures a call
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
INPUT_NAME = "image"
OUTPUT_NAME = "scores"


@dataclass(frozen=True)
class Source:
    """A loaded model that gives one score a class for each picture."""

    path: Path
    kind: str
    """`keras`, `h5` or `saved_model`."""
    sha256: str
    height: int
    width: int
    channels: int
    classes: int
    function: Callable[[Any], Any]
    """From float32 (n, height, width, channels) to float32 (n, classes), in TensorFlow's tensors."""
    batch: int | None
    """The number of pictures a call takes, None for any."""
    owner: Any
    """What keeps the variables of `function` alive."""

    def scores(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """The scores (n, classes) of images (n, height, width, channels), in the model's own range."""
        tf = tensorflow()
        step = self.batch or PREDICTION_BATCH
        call = tf.function(self.function, input_signature=[self.signature(self.batch)], autograph=False)
        with quiet():
            parts = [call(tf.constant(images[i : i + step])).numpy() for i in range(0, len(images), step)]
        return np.concatenate(parts) if parts else np.zeros((0, self.classes), np.float32)

    def values(self, glyphs: NDArray[np.uint8], input_range: tuple[float, float]) -> NDArray[np.float32]:
        """Glyphs, uint8 (n, 28, 28), as the model takes them: float32 (n, height, width, channels).

        Other sizes are resized to and channels repeated just as `edge.classifier` does it.
        """
        if (self.height, self.width) != (GLYPH_SIZE, GLYPH_SIZE):
            shrinking = self.height < GLYPH_SIZE or self.width < GLYPH_SIZE
            method = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
            size = (self.width, self.height)
            resized = [cv2.resize(glyph, size, interpolation=method) for glyph in glyphs]
            glyphs = np.array(resized, np.uint8).reshape(-1, self.height, self.width)
        low, high = input_range
        table = (low + np.arange(PIXEL_LEVELS) / (PIXEL_LEVELS - 1) * (high - low)).astype(np.float32)
        return np.repeat(table[glyphs][..., None], self.channels, axis=-1)

    def signature(self, batch: int | None) -> Any:
        """The tensor `function` takes, for `batch` pictures a call."""
        tf = tensorflow()
        return tf.TensorSpec([batch, self.height, self.width, self.channels], tf.float32, name=INPUT_NAME)


def load(path: str | Path, signature: str | None = None) -> Source:
    """The model at `path`. `signature` names one of a SavedModel's signatures. Raises ConversionError."""
    path = Path(path)
    if path.is_dir():
        return _load_saved_model(path, signature)
    if not path.exists():
        raise ConversionError(f"{path}: no such file; give a .keras or .h5 file or a SavedModel folder")
    try:
        with path.open("rb") as file:
            start = file.read(len(HDF5_MAGIC))
    except OSError as error:
        raise ConversionError(f"{path}: cannot be read: {error.strerror}") from None
    if start[4:8] == b"TFL3":
        raise ConversionError(f"{path}: is a .tflite file already; give the model it was made from")
    if start == HDF5_MAGIC:
        return _load_keras(path, "h5")
    if zipfile.is_zipfile(path):
        return _load_keras(path, "keras")
    raise ConversionError(f"{path}: neither a .keras nor an .h5 model, or it is damaged")


def _load_keras(path: Path, kind: str) -> Source:
    tf = tensorflow()
    with quiet():
        import h5py
        import keras

        try:
            if kind == "h5":
                with h5py.File(path, "r") as file:
                    if CONFIG not in file.attrs:
                        raise ConversionError(
                            f"{path}: holds weights without a model; save the whole model with model.save()"
                        )
                model = load_h5(path)
            else:
                # compile=False: losses, metrics and optimizer state are of no use here and may be custom.
                model = keras.saving.load_model(path, compile=False)
        except ConversionError:
            raise
        except Exception as error:  # a damaged or foreign file can fail in any of Keras's layers
            raise ConversionError(f"{path}: cannot be loaded as a Keras model: {reason(error)}") from None
        inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
        if not inputs or not outputs:
            raise ConversionError(f"{path}: its input shape is not known; build or call the model before saving it")
        if len(inputs) != 1 or len(outputs) != 1:
            raise ConversionError(
                f"{path}: has {len(inputs)} inputs and {len(outputs)} outputs; "
                "needed: one picture in, one score a class out"
            )

        def call(images: Any) -> Any:
            answer = model(images, training=False)
            while isinstance(answer, dict | list | tuple):
                answer = next(iter(answer.values() if isinstance(answer, dict) else answer))
            return answer

        dtype = tf.as_dtype(inputs[0].dtype)
        return _wrap(path, kind, _sha256(path), call, tuple(inputs[0].shape), dtype, model)


def _load_saved_model(path: Path, wanted: str | None) -> Source:
    if not (path / "saved_model.pb").is_file() and not (path / "saved_model.pbtxt").is_file():
        raise ConversionError(f"{path}: a folder, but not a SavedModel (it holds no saved_model.pb)")
    tf = tensorflow()
    with quiet():
        try:
            loaded = tf.saved_model.load(str(path))
        except Exception as error:  # a damaged or foreign folder can fail anywhere in TensorFlow
            raise ConversionError(f"{path}: cannot be loaded as a SavedModel: {reason(error)}") from None
        signatures = dict(loaded.signatures)
        names = ", ".join(sorted(signatures)) or "none"
        if wanted is None:
            wanted = (
                SERVING_SIGNATURE if SERVING_SIGNATURE in signatures or len(signatures) != 1 else next(iter(signatures))
            )
        if wanted not in signatures:
            raise ConversionError(f"{path}: has no signature {wanted!r} (it has: {names}); choose one with --signature")
        chosen = signatures[wanted]
        inputs = chosen.structured_input_signature[1]
        outputs = chosen.structured_outputs
        if len(inputs) != 1 or len(outputs) != 1:
            raise ConversionError(
                f"{path}: signature {wanted!r} has inputs ({', '.join(inputs)}) and outputs ({', '.join(outputs)}); "
                "needed: one picture in, one score a class out"
            )
        ((input_name, spec),) = inputs.items()
        (output_name,) = outputs

        def call(images: Any) -> Any:
            return chosen(**{input_name: images})[output_name]

        shape = tuple(spec.shape.as_list()) if spec.shape.rank is not None else ()
        return _wrap(path, "saved_model", _sha256(path), call, shape, spec.dtype, loaded)


def _wrap(
    path: Path,
    kind: str,
    sha256: str,
    call: Callable[[Any], Any],
    shape: tuple[int | None, ...],
    dtype: Any,
    owner: Any,
) -> Source:
    """Puts `call`, which takes a batch of the given shape, behind the face of Source."""
    tf = tensorflow()
    (height, width, channels), order = _picture_shape(path, shape)
    if not dtype.is_floating:
        raise ConversionError(f"{path}: takes {dtype.name} pictures; needed: floating-point numbers")
    batch = shape[0]
    if batch not in (None, 1):
        raise ConversionError(f"{path}: takes {batch} pictures a call; save it with a batch size of None or 1")

    def function(images: Any) -> Any:
        if order is not None:
            images = tf.transpose(images, order)
        if len(shape) != 4:
            images = tf.reshape(images, [-1, height * width] if len(shape) == 2 else [-1, height, width])
        scores = tf.convert_to_tensor(call(tf.cast(images, dtype)))
        if scores.shape.rank is not None and scores.shape.rank > 2:
            scores = tf.reshape(scores, [-1, math.prod(n or 0 for n in scores.shape[1:])])
        return tf.cast(scores, tf.float32)

    try:
        traced = tf.function(function, autograph=False).get_concrete_function(
            tf.TensorSpec([batch, height, width, channels], tf.float32, name=INPUT_NAME)
        )
        output = traced.structured_outputs.shape
    except Exception as error:  # the model's own code runs here
        raise ConversionError(f"{path}: fails on a picture of {width}×{height}×{channels}: {reason(error)}") from None
    if output.rank != 2 or not output[1] or output[1] < 2:
        raise ConversionError(f"{path}: gives {output.as_list()} for a batch; needed: one score a class, (n, classes)")
    return Source(path, kind, sha256, height, width, channels, int(output[1]), function, batch, owner)


def _picture_shape(
    path: Path, shape: tuple[int | None, ...]
) -> tuple[tuple[int, int, int], tuple[int, int, int, int] | None]:
    """(height, width, channels) of the pictures, and the transposition from that order to the model's, if any."""
    sizes = [GLYPH_SIZE if n is None else int(n) for n in shape[1:]]
    if len(shape) == 2 and shape[1] is not None and math.isqrt(sizes[0]) ** 2 == sizes[0] and sizes[0] > 1:
        return (math.isqrt(sizes[0]), math.isqrt(sizes[0]), 1), None
    if len(shape) == 3:
        return (sizes[0], sizes[1], 1), None
    if len(shape) == 4 and shape[3] in CHANNELS:
        return (sizes[0], sizes[1], sizes[2]), None
    if len(shape) == 4 and shape[1] in CHANNELS:
        return (sizes[1], sizes[2], sizes[0]), (0, 3, 1, 2)
    described = "×".join("?" if n is None else str(n) for n in shape[1:]) or "something unknown"
    raise ConversionError(f"{path}: takes {described}; needed: a picture, height×width×1 or height×width×3")


def _sha256(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files with their names."""
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        if file != path:
            digest.update(f"{file.relative_to(path).as_posix()}\0".encode(errors="surrogateescape"))
        digest.update(file.read_bytes())
    return digest.hexdigest()

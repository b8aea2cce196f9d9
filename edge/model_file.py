"""Read what a .tflite file says about itself, with the standard library alone.

TensorFlow Lite packs associated files into a model by appending a zip archive to it. Two of them matter here:
`labels.txt`, one label a line in output order, and `edge-digits.json`, what the device needs to feed the model and to
judge its answers.
"""

import hashlib
import io
import json
import math
import os
import stat
import struct
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edge.errors import ModelError

MODEL_NAME = "digits-int8.tflite"
PACKAGED_MODELS = Path(__file__).parent  # where a wheel holds them
CHECKOUT_MODELS = Path(__file__).parent.parent / "models"

LABELS_FILE = "labels.txt"
EDGE_FILE = "edge-digits.json"
EDGE_FORMAT = 1
PREPROCESSING_VERSION = 1  # of a model that does not say

TFLITE_IDENTIFIER = b"TFL3"  # FlatBuffers file identifier, bytes 4 to 8
MAX_MODEL_BYTES = 1 << 30
MAX_PACKED_BYTES = 1 << 20  # of one packed file: labels and settings are small, a zip bomb is not

Output = Literal["logits", "probabilities"]


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Which data a model was trained on."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a model file says about itself.

    `labels`: in output order, None where the file names none. `temperature`: logits are divided by it before the
    softmax. `rejection_threshold`: an answer with less confidence (0 to 1) is refused. `none`: the label that stands
    for whatever is none of the others, None where there is no such label. `input_range`: the values that
    pixel 0 and pixel 255 stand for. `output`: what the model ends in, None where the file does not say.
    `preprocessing`: version of the preprocessing that it was trained behind. `has_metadata`: whether the file holds
    `edge-digits.json`; without it all of these but `labels` are defaults.
    """

    path: Path
    size: int  # bytes
    sha256: str
    labels: tuple[str, ...] | None = None
    temperature: float = 1.0
    rejection_threshold: float = 0.0
    none: str | None = None
    input_range: tuple[float, float] = (0.0, 1.0)
    output: Output | None = None
    preprocessing: int = PREPROCESSING_VERSION
    training_data: TrainingData | None = None
    has_metadata: bool = False


def default_model(name: str = MODEL_NAME) -> Path:
    """A model that ships with the package. Raises ModelError where there is none."""
    for folder in (PACKAGED_MODELS, CHECKOUT_MODELS):
        if (folder / name).is_file():
            return folder / name
    raise ModelError(
        f"{CHECKOUT_MODELS / name}: no such model; make one with 'make train convert' or name one with --model"
    )


def read(path: str | os.PathLike[str]) -> ModelInfo:
    """What the model file at `path` says about itself; warns once where it says nothing. Raises ModelError."""
    return parse(path, load(path))


def load(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a .tflite file. Raises ModelError for anything that is not one."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"{path}: not a file; name a .tflite model")
        if status.st_size > MAX_MODEL_BYTES:
            raise ModelError(f"{path}: {status.st_size >> 20} MB is too large for a model")
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: {getattr(error, 'strerror', None) or error}; name a .tflite model") from None
    if not data:
        raise ModelError(f"{path}: the model file is empty; fetch or convert it again")
    if data[4:8] != TFLITE_IDENTIFIER:
        raise ModelError(f"{path}: not a TensorFlow Lite model; name a .tflite file")
    try:
        _check_structure(data)
    except (struct.error, ValueError):
        raise ModelError(f"{path}: the model file is damaged or cut short; fetch or convert it again") from None
    return data


def parse(path: str | os.PathLike[str], data: bytes) -> ModelInfo:
    """What the bytes of the model file at `path` say; warns where they say nothing. Raises ModelError."""
    packed = _packed_files(data)
    info = ModelInfo(
        path=Path(path),
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        labels=_labels(packed[LABELS_FILE]) if LABELS_FILE in packed else None,
    )
    if EDGE_FILE not in packed:
        warnings.warn(
            f"{path}: the model says nothing about itself; plain defaults are taken (pixels as 0 to 1, no calibration)",
            stacklevel=2,
        )
        return info
    try:
        return _described(info, json.loads(packed[EDGE_FILE]))
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ModelError(
            f"{path}: its {EDGE_FILE} is damaged ({type(error).__name__}: {error}); convert the model again"
        ) from None


# Fields of the tables Model, SubGraph, Tensor, Operator and Buffer in TensorFlow Lite's schema (schema.fbs, version 3).
MODEL_OPERATOR_CODES, MODEL_SUBGRAPHS, MODEL_BUFFERS = 1, 2, 4
SUBGRAPH_TENSORS, SUBGRAPH_INPUTS, SUBGRAPH_OUTPUTS, SUBGRAPH_OPERATORS = 0, 1, 2, 3
TENSOR_SHAPE, OPERATOR_INPUTS, OPERATOR_OUTPUTS, BUFFER_DATA = 0, 1, 2, 0


def _check_structure(data: bytes) -> None:
    """Raises struct.error or ValueError where an offset of the FlatBuffer leads out of the file.

    tflite-runtime follows such an offset and takes the process down.
    """
    model = _offset(data, 0)
    if not _tables(data, model, MODEL_OPERATOR_CODES):
        raise ValueError("no operators")
    for buffer in _tables(data, model, MODEL_BUFFERS):
        _vector(data, buffer, BUFFER_DATA, 1)
    for graph in _tables(data, model, MODEL_SUBGRAPHS):
        _vector(data, graph, SUBGRAPH_INPUTS, 4)
        _vector(data, graph, SUBGRAPH_OUTPUTS, 4)
        for tensor in _tables(data, graph, SUBGRAPH_TENSORS):
            _vector(data, tensor, TENSOR_SHAPE, 4)
        for operator in _tables(data, graph, SUBGRAPH_OPERATORS):
            _vector(data, operator, OPERATOR_INPUTS, 4)
            _vector(data, operator, OPERATOR_OUTPUTS, 4)


def _offset(data: bytes, position: int) -> int:
    """Where the offset stored at `position` leads."""
    return position + int(struct.unpack_from("<I", data, position)[0])


def _vector(data: bytes, table: int, field: int, item_bytes: int) -> tuple[int, int]:
    """Position and length of the vector in a field of a table; length 0 where the field is absent."""
    vtable = table - int(struct.unpack_from("<i", data, table)[0])
    if vtable < 0:
        raise ValueError("vtable before the file")
    entry = 4 + 2 * field
    if entry >= struct.unpack_from("<H", data, vtable)[0]:
        return 0, 0
    shift = int(struct.unpack_from("<H", data, vtable + entry)[0])
    if shift == 0:
        return 0, 0
    start = _offset(data, table + shift)
    length = int(struct.unpack_from("<I", data, start)[0])
    if start + 4 + length * item_bytes > len(data):
        raise ValueError("vector beyond the file")
    return start + 4, length


def _tables(data: bytes, table: int, field: int) -> list[int]:
    start, length = _vector(data, table, field, 4)
    return [_offset(data, start + 4 * index) for index in range(length)]


def _described(info: ModelInfo, said: dict[str, Any]) -> ModelInfo:
    if said["format"] != EDGE_FORMAT:
        raise ModelError(f"{info.path}: made for a newer edge-digits (format {said['format']}); update edge-digits")
    low, high = (float(value) for value in said["input_range"])
    temperature, threshold = float(said["temperature"]), float(said.get("rejection_threshold", 0.0))
    if not (temperature > 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature {temperature}")
    if not 0 <= threshold <= 1:
        raise ValueError(f"rejection_threshold {threshold}")
    if not (math.isfinite(low) and math.isfinite(high) and low != high):
        raise ValueError(f"input_range {low}, {high}")
    if said["output"] not in ("logits", "probabilities"):
        raise ValueError(f"output {said['output']!r}")
    none = said.get("none")
    if none is not None and (not isinstance(none, str) or none not in (info.labels or ())):
        raise ValueError(f"none {none!r}, which is not a label")
    data = said.get("training_data")
    return ModelInfo(
        path=info.path,
        size=info.size,
        sha256=info.sha256,
        labels=info.labels,
        temperature=temperature,
        rejection_threshold=threshold,
        none=none,
        input_range=(low, high),
        output=said["output"],
        preprocessing=int(said["preprocessing"]),
        training_data=TrainingData(str(data["name"]), str(data["sha256"])) if data else None,
        has_metadata=True,
    )


def _packed_files(data: bytes) -> dict[str, bytes]:
    """Contents of the files of interest packed behind the model; empty where there is no archive."""
    found = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                if entry.filename in (LABELS_FILE, EDGE_FILE) and entry.file_size <= MAX_PACKED_BYTES:
                    found[entry.filename] = archive.read(entry)
    except Exception:  # a damaged archive raises many kinds, and all mean: nothing is packed
        return {}
    return found


def _labels(packed: bytes) -> tuple[str, ...] | None:
    lines = packed.decode("utf-8", "replace").splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    return tuple(line.strip() for line in lines) or None

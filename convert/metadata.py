"""What a model file says about itself: TFLite's standard ModelMetadata, the labels, and what `edge` needs to know.

The standard part is a flatbuffer of its own inside the model; tables and field numbers are those of tflite-support's
metadata_schema.fbs, version 1.0.0. The two files are a zip archive after the model's last byte: readers of the model
stop before it, readers of the archive start from its end.
"""

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

import flatbuffers

from convert import graph
from edge.preprocess import PREPROCESSING_VERSION

FORMAT = 1  # of edge-digits.json
LABELS_FILE = "labels.txt"
EDGE_FILE = "edge-digits.json"
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest a zip archive can say: the same model gives the same bytes
ZIP_UNIX = 3  # "made by" of an archive member, on whatever system this runs
FILE_MODE = 0o644 << 16
HIGHEST_PIXEL = 255

FILE_IDENTIFIER = b"M001"
MIN_PARSER_VERSION = "1.0.0"
FIRST_SIZE = 1024  # bytes the builder starts with

# Members of the schema's enumerations and unions.
TENSOR_AXIS_LABELS = 2
COLOR_SPACE_RGB = 1
COLOR_SPACE_GRAYSCALE = 2
CONTENT_FEATURE = 1
CONTENT_IMAGE = 2
OPTIONS_NORMALIZATION = 1


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is to be written into one model file."""

    name: str
    description: str
    labels: tuple[str, ...]
    height: int
    width: int
    channels: int
    input_range: tuple[float, float]
    """The values that pixels 0 and 255 stand for in the source model."""
    output: str
    """`logits` or `probabilities`."""
    temperature: float
    rejection_threshold: float
    none: str | None
    """The label that stands for what is none of the others."""
    data_name: str
    data_sha256: str
    picture: str = "One character, its ink bright on black, as MNIST frames it."
    """What the input shows."""
    further: tuple[tuple[str, str], ...] = ()
    """Names and descriptions of the outputs after the first."""


def packed(content: bytes, card: ModelCard) -> bytes:
    """The model file `content` with everything in `card` inside. The same bytes for the same arguments."""
    buffer = io.BytesIO(graph.with_metadata(content, model_metadata(card)))
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        for name, text in ((LABELS_FILE, labels_text(card.labels)), (EDGE_FILE, edge_json(card))):
            member = zipfile.ZipInfo(name, ZIP_TIME)
            member.create_system, member.external_attr = ZIP_UNIX, FILE_MODE
            archive.writestr(member, text.encode())
    return buffer.getvalue()


def labels_text(labels: Sequence[str]) -> str:
    """One label a line, in the order of the model's outputs."""
    return "".join(f"{label}\n" for label in labels)


def edge_json(card: ModelCard) -> str:
    """edge-digits.json: what the device needs beyond the labels."""
    return json.dumps(
        {
            "format": FORMAT,
            "preprocessing": PREPROCESSING_VERSION,
            "input_range": list(card.input_range),
            "output": card.output,
            "temperature": card.temperature,
            "rejection_threshold": card.rejection_threshold,
            "none": card.none,
            "training_data": {"name": card.data_name, "sha256": card.data_sha256},
        },
        indent=2,
        ensure_ascii=False,
    )


def normalization(input_range: tuple[float, float]) -> tuple[float, float]:
    """Mean and standard deviation with which (pixel - mean) / std is the value the source model takes."""
    low, high = input_range
    std = HIGHEST_PIXEL / (high - low)
    return 0.0 - low * std, std  # not -0.0


def model_metadata(card: ModelCard) -> bytes:
    """The ModelMetadata flatbuffer."""
    b = flatbuffers.Builder(FIRST_SIZE)
    mean, std = normalization(card.input_range)
    image = _table(
        b,
        (0, "byte", COLOR_SPACE_GRAYSCALE if card.channels == 1 else COLOR_SPACE_RGB),
        (1, "table", _table(b, (0, "uint", card.width), (1, "uint", card.height))),
    )
    options = _table(b, (0, "table", _floats(b, [mean])), (1, "table", _floats(b, [std])))
    unit = _table(b, (0, "ubyte", OPTIONS_NORMALIZATION), (1, "table", options))
    picture = _table(
        b,
        (0, "table", b.CreateString("image")),
        (1, "table", b.CreateString(card.picture)),
        (3, "table", _table(b, (0, "ubyte", CONTENT_IMAGE), (1, "table", image))),
        (4, "table", _tables(b, [unit])),
        (5, "table", _stats(b, card.input_range)),
    )
    labels = _table(
        b,
        (0, "table", b.CreateString(LABELS_FILE)),
        (1, "table", b.CreateString("One label a line, in the order of the outputs.")),
        (2, "byte", TENSOR_AXIS_LABELS),
    )
    feature = _table(b)
    slots = [
        (0, "table", b.CreateString(card.output)),
        (
            1,
            "table",
            b.CreateString(
                "One score a class; softmax(score / temperature) is the probability."
                if card.output == "logits"
                else "The probability of each class."
            ),
        ),
        (3, "table", _table(b, (0, "ubyte", CONTENT_FEATURE), (1, "table", feature))),
        (6, "table", _tables(b, [labels])),
    ]
    if card.output == "probabilities":
        slots.append((5, "table", _stats(b, (0.0, 1.0))))
    outputs = [_table(b, *slots)]
    for name, description in card.further:
        content = _table(b, (0, "ubyte", CONTENT_FEATURE), (1, "table", _table(b)))
        outputs.append(
            _table(
                b,
                (0, "table", b.CreateString(name)),
                (1, "table", b.CreateString(description)),
                (3, "table", content),
            )
        )
    subgraph = _table(b, (2, "table", _tables(b, [picture])), (3, "table", _tables(b, outputs)))
    settings = _table(
        b,
        (0, "table", b.CreateString(EDGE_FILE)),
        (1, "table", b.CreateString("Preprocessing version, input range, temperature and thresholds for Edge Digits.")),
    )
    b.Finish(
        _table(
            b,
            (0, "table", b.CreateString(card.name)),
            (1, "table", b.CreateString(card.description)),
            (3, "table", _tables(b, [subgraph])),
            (6, "table", _tables(b, [settings])),
            (7, "table", b.CreateString(MIN_PARSER_VERSION)),
        ),
        file_identifier=FILE_IDENTIFIER,
    )
    return bytes(b.Output())


def _table(b: flatbuffers.Builder, *slots: tuple[int, str, int]) -> int:
    """Writes a table from (field number, kind, value or offset) and gives its offset."""
    add = {
        "byte": b.PrependInt8Slot,
        "ubyte": b.PrependUint8Slot,
        "uint": b.PrependUint32Slot,
        "table": b.PrependUOffsetTRelativeSlot,
    }
    b.StartObject(max((number for number, _, _ in slots), default=-1) + 1)
    for number, kind, value in slots:
        add[kind](number, value, 0)
    return int(b.EndObject())


def _tables(b: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    """A vector of tables, strings or other offsets."""
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return int(b.EndVector())


def _floats(b: flatbuffers.Builder, values: Sequence[float]) -> int:
    b.StartVector(4, len(values), 4)
    for value in reversed(values):
        b.PrependFloat32(value)
    return int(b.EndVector())


def _stats(b: flatbuffers.Builder, bounds: tuple[float, float]) -> int:
    low, high = bounds
    return _table(b, (0, "table", _floats(b, [high])), (1, "table", _floats(b, [low])))

"""Edits of a finished `.tflite` flatbuffer: take off the last activation, check the ends, add the metadata buffer.

Field names are those of TensorFlow Lite's own schema.fbs, through the object API that comes with TensorFlow.
"""

from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError
from train.quiet import tensorflow

FILE_IDENTIFIER = b"TFL3"
BUFFER_ALIGNMENT = 16  # bytes, `force_align` of Buffer.data in the schema
METADATA_BUFFER = "TFLITE_METADATA"
FIRST_SIZE = 1 << 20  # bytes the builder starts with
PIXELS = np.arange(256, dtype=np.float64)


class AlignedBuilder(flatbuffers.Builder):
    """A flatbuffers builder that keeps byte vectors where the runtimes need weights to lie.

    Python's object API knows nothing of `force_align`: without this, weights can end up at odd addresses.
    """

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:
        """As in the base class; bytes are aligned to 16."""
        return int(super().StartVector(elemSize, numElems, BUFFER_ALIGNMENT if elemSize == 1 else alignment))


@dataclass(frozen=True, slots=True)
class Ends:
    """The input and output tensor of a model."""

    input_shape: tuple[int, ...]
    input_type: str
    """`float32`, `uint8` or `int8`."""
    input_scale: float
    input_zero_point: int
    output_shape: tuple[int, ...]
    output_type: str
    last_operator: str
    """The builtin operator that computes the output before any DEQUANTIZE."""


def schema() -> Any:
    """TensorFlow Lite's schema as Python classes."""
    tensorflow()
    from tensorflow.lite.python import schema_py_generated

    return schema_py_generated


def unpack(content: bytes) -> Any:
    """The object tree of a .tflite file."""
    tables = schema()
    return tables.ModelT.InitFromPackedBuf(bytearray(content), 0)


def pack(model: Any) -> bytes:
    """The .tflite file of an object tree."""
    builder = AlignedBuilder(FIRST_SIZE)
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


def ends(content: bytes) -> Ends:
    """What goes in and what comes out of a .tflite file."""
    model = unpack(content)
    graph = model.subgraphs[0]
    first, last = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    quantization = first.quantization
    scaled = quantization is not None and quantization.scale is not None and len(quantization.scale)
    return Ends(
        tuple(int(n) for n in first.shape),
        _type_name(first),
        float(quantization.scale[0]) if scaled else 0.0,
        int(quantization.zeroPoint[0]) if scaled else 0,
        tuple(int(n) for n in last.shape),
        _type_name(last),
        _last_operator(model)[1],
    )


def without_last_activation(content: bytes) -> tuple[bytes, bool]:
    """The same model handing out the scores before a closing softmax or sigmoid, and whether there was one.

    Either activation keeps the order of the scores, so every answer stays as it was; but an int8 softmax can say
    nothing finer than 1/256, and a confidence wants the logits.
    """
    model = unpack(content)
    graph = model.subgraphs[0]
    position, name = _last_operator(model)
    if name not in ("SOFTMAX", "LOGISTIC"):
        return content, False
    activation = graph.operators[position]
    if name == "SOFTMAX" and getattr(activation.builtinOptions, "beta", 1.0) != 1.0:
        return content, False
    before, after = activation.inputs[0], activation.outputs[0]
    readers = [o for o in graph.operators if o.inputs is not None and after in o.inputs]
    kinds = {operator_name(model, o) for o in readers}
    if kinds - {"DEQUANTIZE"}:
        return content, False
    for reader in readers:
        reader.inputs = np.where(reader.inputs == after, before, reader.inputs)
    if not readers:
        graph.outputs = np.where(graph.outputs == after, before, graph.outputs)
        for signature in model.signatureDefs or []:
            for tensor in signature.outputs:
                if tensor.tensorIndex == after:
                    tensor.tensorIndex = int(before)
    del graph.operators[position]
    used = sorted({o.opcodeIndex for o in graph.operators})
    model.operatorCodes = [model.operatorCodes[k] for k in used]
    for operator in graph.operators:
        operator.opcodeIndex = used.index(operator.opcodeIndex)
    drop_tensor(model, int(after))
    return pack(model), True


def check_pixels(content: bytes, input_range: tuple[float, float]) -> None:
    """That each byte a device hands in stands for the value the source model takes, within half a step.

    Raises ConversionError.
    """
    found = ends(content)
    if found.input_type != "uint8" or found.output_type != "float32":
        raise ConversionError(f"int8 came out with {found.input_type} in and {found.output_type} out")
    low, high = input_range
    wanted = low + PIXELS * (high - low) / 255
    got = (PIXELS - found.input_zero_point) * found.input_scale
    # Single-precision scales leave a rounding of their own.
    if np.abs(got - wanted).max() > found.input_scale * (0.5 + 1e-3):
        raise ConversionError(
            f"int8 takes byte 0 for {got[0]:.4g} and byte 255 for {got[255]:.4g}, the model wants {low:g} and {high:g}"
        )


def with_metadata(content: bytes, metadata: bytes) -> bytes:
    """The model with `metadata`, a ModelMetadata flatbuffer, as the buffer the TFLite tools look for."""
    tables = schema()
    model = unpack(content)
    model.metadata = [m for m in model.metadata or [] if _text(m.name) != METADATA_BUFFER]
    buffer = tables.BufferT()
    buffer.data = np.frombuffer(metadata, np.uint8)
    model.buffers.append(buffer)
    entry = tables.MetadataT()
    entry.name, entry.buffer = METADATA_BUFFER, len(model.buffers) - 1
    model.metadata.append(entry)
    return pack(model)


def _last_operator(model: Any) -> tuple[int, str]:
    """Position and name of the operator that computes the output, looking past a DEQUANTIZE."""
    graph = model.subgraphs[0]
    tensor = graph.outputs[0]
    for _ in range(2):
        for position, operator in enumerate(graph.operators):
            if tensor in operator.outputs:
                name = operator_name(model, operator)
                if name != "DEQUANTIZE":
                    return position, name
                tensor = operator.inputs[0]
                break
    return -1, ""


def operator_name(model: Any, operator: Any) -> str:
    """The builtin name of an operator, such as FULLY_CONNECTED."""
    tables = schema()
    code = model.operatorCodes[operator.opcodeIndex]
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    return next((n for n, v in vars(tables.BuiltinOperator).items() if v == number and n.isupper()), "")


def drop_tensor(model: Any, index: int) -> None:
    """Takes a tensor that nothing uses any more out of the main graph."""
    graph = model.subgraphs[0]
    del graph.tensors[index]

    def moved(indices: NDArray[np.int32] | None) -> NDArray[np.int32] | None:
        return None if indices is None else np.where(indices > index, indices - 1, indices).astype(np.int32)

    graph.inputs, graph.outputs = moved(graph.inputs), moved(graph.outputs)
    for operator in graph.operators:
        operator.inputs, operator.outputs = moved(operator.inputs), moved(operator.outputs)
        operator.intermediates = moved(operator.intermediates)
    for signature in model.signatureDefs or []:
        for tensor in [*(signature.inputs or []), *(signature.outputs or [])]:
            tensor.tensorIndex -= tensor.tensorIndex > index


def _type_name(tensor: Any) -> str:
    tables = schema()
    return next(n for n, v in vars(tables.TensorType).items() if v == tensor.type and n.isupper()).lower()


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""

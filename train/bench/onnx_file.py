"""Our network as an ONNX file, so that ONNX Runtime and OpenCV run the very same one.

Written by hand, as the few messages it takes are less than a converter and its dependencies, which do not share an
environment with TensorFlow 2.19. Source: onnx.proto3 of ONNX, whose field numbers stand below; the encoding is that of
https://protobuf.dev/programming-guides/encoding.
"""

import struct
from collections.abc import Iterable, Sequence

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

IR_VERSION, OPERATOR_SET = 8, 13
FLOAT = 1  # TensorProto.DataType
ATTRIBUTE_INTS = 7  # AttributeProto.AttributeType
INPUT, OUTPUT = "glyph", "logits"
VARINT, BYTES = 0, 2  # wire types

Floats = NDArray[np.float32]


def onnx_of(model: keras.Model) -> bytes:
    """An ONNX file of a sequential network as `train.model.digit_network` makes it.

    Its input is float32 (1, 1, height, width), 0 to 1, its output logits float32 (1, classes). Batch normalization is
    part of the convolution before it. Raises ValueError for a layer that no such network has.
    """
    nodes: list[bytes] = []
    weights: list[bytes] = []
    height, width, channels = model.input_shape[1:]
    shape = (height, width, channels)  # what flows, without the batch
    flows = INPUT
    found = [layer for layer in model.layers if not isinstance(layer, (layers.InputLayer, layers.Dropout))]
    for number, layer in enumerate(found):
        after = found[number + 1] if number + 1 < len(found) else None
        gives = OUTPUT if after is None else f"{layer.name}:0"
        if isinstance(layer, layers.Conv2D):
            kernel, bias = _folded(layer, after)
            weights += [_tensor(f"{layer.name}:w", kernel), _tensor(f"{layer.name}:b", bias)]
            size = layer.kernel_size
            attributes = [_ints("kernel_shape", size), _ints("strides", layer.strides)]
            nodes.append(_node("Conv", [flows, f"{layer.name}:w", f"{layer.name}:b"], gives, attributes))
            shape = (*layer.compute_output_shape((None, *shape))[1:],)
        elif isinstance(layer, layers.BatchNormalization):
            continue  # it is in the convolution
        elif isinstance(layer, layers.ReLU):
            nodes.append(_node("Relu", [flows], gives))
        elif isinstance(layer, layers.MaxPooling2D):
            attributes = [_ints("kernel_shape", layer.pool_size), _ints("strides", layer.strides)]
            nodes.append(_node("MaxPool", [flows], gives, attributes))
            shape = (*layer.compute_output_shape((None, *shape))[1:],)
        elif isinstance(layer, layers.Flatten):
            nodes.append(_node("Flatten", [flows], gives))
        elif isinstance(layer, layers.Dense):
            kernel, bias = layer.get_weights()
            # Keras flattens with the channels last, ONNX with them first.
            kernel = kernel.reshape(*shape, -1).transpose(2, 0, 1, 3).reshape(len(kernel), -1)
            weights += [_tensor(f"{layer.name}:w", kernel), _tensor(f"{layer.name}:b", bias)]
            nodes.append(_node("Gemm", [flows, f"{layer.name}:w", f"{layer.name}:b"], gives))
        else:
            raise ValueError(f"{layer.name}: a {type(layer).__name__} is not written to ONNX")
        flows = gives
    graph = b"".join(
        [
            *(_bytes(1, node) for node in nodes),
            _bytes(2, model.name.encode()),
            *(_bytes(5, tensor) for tensor in weights),
            _bytes(11, _value(INPUT, (1, channels, height, width))),
            _bytes(12, _value(OUTPUT, (1, int(model.output_shape[-1])))),
        ]
    )
    return _int(1, IR_VERSION) + _bytes(2, b"edge-digits") + _bytes(8, _int(2, OPERATOR_SET)) + _bytes(7, graph)


def _folded(layer: layers.Conv2D, after: layers.Layer | None) -> tuple[Floats, Floats]:
    """Kernel (filters, channels, height, width) and bias of a convolution with the normalization that follows it."""
    if layer.padding != "valid" or layer.groups != 1 or layer.activation is not keras.activations.linear:
        raise ValueError(f"{layer.name}: padding, groups and activations are not written to ONNX")
    kernel, *rest = layer.get_weights()
    bias = rest[0] if rest else np.zeros(kernel.shape[-1], np.float32)
    if isinstance(after, layers.BatchNormalization):
        gamma, beta, mean, variance = after.get_weights()
        scale = gamma / np.sqrt(variance + after.epsilon)
        kernel, bias = kernel * scale, (bias - mean) * scale + beta
    return kernel.transpose(3, 2, 0, 1), bias


# Messages -----------------------------------------------------------------------------------------------------------


def _node(kind: str, takes: Sequence[str], gives: str, attributes: Iterable[bytes] = ()) -> bytes:
    """NodeProto."""
    named = [_bytes(1, name.encode()) for name in takes]
    return b"".join(
        [*named, _bytes(2, gives.encode()), _bytes(3, gives.encode()), _bytes(4, kind.encode())]
    ) + b"".join(_bytes(5, attribute) for attribute in attributes)


def _ints(name: str, values: Sequence[int]) -> bytes:
    """AttributeProto."""
    return _bytes(1, name.encode()) + b"".join(_int(8, value) for value in values) + _int(20, ATTRIBUTE_INTS)


def _tensor(name: str, values: NDArray[np.floating]) -> bytes:
    """TensorProto."""
    dimensions = b"".join(_int(1, size) for size in values.shape)
    return dimensions + _int(2, FLOAT) + _bytes(8, name.encode()) + _bytes(9, values.astype("<f4").tobytes())


def _value(name: str, shape: Sequence[int]) -> bytes:
    """ValueInfoProto of a TypeProto.Tensor."""
    dimensions = b"".join(_bytes(1, _int(1, size)) for size in shape)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, _int(1, FLOAT) + _bytes(2, dimensions)))


def _int(field: int, value: int) -> bytes:
    return _varint(field << 3 | VARINT) + _varint(value)


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return struct.pack(f"{len(parts) + 1}B", *parts, value)

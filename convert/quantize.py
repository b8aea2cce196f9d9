"""From a loaded model to the bytes of a `.tflite` file, in four kinds of numbers.

The batch is fixed to one picture: the graph stays free of shape arithmetic, so that LiteRT's XNNPACK takes all of it,
and on these small models a larger batch gains nothing (43 against 38 microseconds a glyph).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError, reason
from convert.source import OUTPUT_NAME, Source
from train.quiet import quiet, tensorflow

VARIANTS = ("float32", "float16", "dynamic", "int8")


def frozen(source: Source) -> Any:
    """The model's function of one picture, its variables made constants."""
    tf = tensorflow()
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    with quiet():
        function = tf.function(
            lambda image: {OUTPUT_NAME: source.function(image)}, input_signature=[source.signature(1)], autograph=False
        )
        return convert_variables_to_constants_v2(function.get_concrete_function())


def make(function: Any, variant: str, representative: NDArray[np.float32]) -> bytes:
    """The .tflite file of a frozen function.

    variant: one of VARIANTS. representative: images (n, height, width, channels) as the model takes them, to measure
    the range of each activation for int8. Raises ConversionError.
    """
    tf = tensorflow()
    with quiet():
        module = tf.Module()
        module.function = function
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
        if variant != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        # Weights of a dense layer with one scale each need FULLY_CONNECTED version 12, which tflite-runtime 2.14 lacks.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = variant == "dynamic"
        if variant == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if variant == "int8":
            converter.representative_dataset = lambda: _one_by_one(representative)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = tf.uint8
            converter.inference_output_type = tf.float32
        try:
            content = bytes(converter.convert())
        except Exception as error:  # the converter raises whatever its passes raise
            raise ConversionError(f"cannot be converted to {variant}: {reason(error)}") from None
    return content


def _one_by_one(images: NDArray[np.float32]) -> Iterator[list[NDArray[np.float32]]]:
    for image in images:
        yield [image[None]]

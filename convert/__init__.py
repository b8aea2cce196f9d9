"""A Keras model in, quantized `.tflite` files that explain themselves out.

from convert import convert

conversion = convert("models/digits.keras")     # MNIST unless other data are named
print(conversion.table)
"""

from convert.errors import ConversionError
from convert.pipeline import Conversion, convert

__all__ = ["Conversion", "ConversionError", "convert"]

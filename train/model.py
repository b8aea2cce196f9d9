"""The network: a small stack of 3x3 convolutions."""

from pathlib import Path

import keras
from keras import layers

from edge.preprocess import GLYPH_SIZE

# Glyphs carry 4 empty pixels on each side, so convolutions without padding lose nothing:
# 28 > 26 > 24, pooled to 12 > 10 > 8 > 6 > 4.
# Filters a layer. Each costs the most in the first two, at full resolution, and XNNPACK takes eight at once.
STUDENT_WIDTHS = (8, 16, 32, 48, 56, 64)  # 88k parameters, 3.5 million products
TEACHER_WIDTHS = (24, 36, 48, 72, 80, 112)  # 220k parameters
POOL_AFTER = 2  # layers at full resolution, then one 2x2 max pooling
DROPOUT = 0.3
BATCH_MOMENTUM = 0.95  # of the running means: they settle within one short epoch


def digit_network(classes: int, widths: tuple[int, ...] = STUDENT_WIDTHS, *, name: str = "digits") -> keras.Model:
    """Glyphs float32 (n, 28, 28, 1), 0 to 1, to logits float32 (n, classes)."""
    network = [layers.Input((GLYPH_SIZE, GLYPH_SIZE, 1), name="glyph")]
    for k, width in enumerate(widths):
        network += [
            layers.Conv2D(width, 3, use_bias=False),
            layers.BatchNormalization(momentum=BATCH_MOMENTUM),
            layers.ReLU(),
        ]
        if k + 1 == POOL_AFTER:
            network.append(layers.MaxPooling2D())
    network += [layers.Flatten(), layers.Dropout(DROPOUT), layers.Dense(classes, name="logits")]
    return keras.Sequential(network, name=name)


def save(model: keras.Model, path: Path) -> None:
    """Writes a network whole or not at all."""
    partial = path.with_name(f".{path.name}.partial.keras")
    model.save(partial)
    partial.replace(path)

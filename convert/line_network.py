"""`python -m convert.line_network`: the line network as an int8 `.tflite` file, compared with its source."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert import quantize
from convert.errors import ConversionError
from convert.metadata import ModelCard, packed
from edge.arguments import Parser
from edge.errors import EdgeDigitsError
from edge.line_network import COLUMN, DIGIT_HEIGHT, DIGITS, LINE_HEIGHT, MODEL_NAME, LineNetwork
from train.calibration import fit_temperature
from train.data import Dataset, load
from train.line_images import BLANK, TRAIN_WIDTH, Lines, draw_lines
from train.line_network import METRICS_NAME, as_input, decode_all, measure, validation_lines
from train.line_network import MODEL_NAME as SOURCE_NAME
from train.quiet import quiet, tensorflow

REPRESENTATIVE_LINES = 300  # of the training half
REPRESENTATIVE_SEED = 0x9E9
VALIDATION_LINES = 1500
BLANK_LABEL = "blank"
NEAR_COLUMNS = 6  # from a digit's middle: what may be taken for another
TEMPERATURE_DIGITS = 4  # significant, in the model file
ALLOWED_LOSS = 0.01  # of validation lines read exactly, that int8 may lose


def convert(folder: Path) -> dict[str, Any]:
    """Converts `folder/lines.keras` to `folder/lines-int8.tflite` and says how both read lines never trained on.

    Raises ConversionError, train.data.DataError.
    """
    source = folder / SOURCE_NAME
    if not source.is_file():  # said before the seconds that TensorFlow takes to load
        raise ConversionError(f"{source}: no such network; make it with 'python -m train.line_network'")
    tf = tensorflow()
    import keras

    data = load()
    lines = draw_lines(data.train_images, data.train_labels, REPRESENTATIVE_LINES, [REPRESENTATIVE_SEED], "train")
    validation = validation_lines(data, VALIDATION_LINES)
    with quiet():
        model = keras.models.load_model(source, compile=False)
    content = quantize.make(_frozen(tf, model, lines), "int8", as_input(lines.images))
    content = packed(content, _card(data, _temperature(model, validation)))
    target = folder / MODEL_NAME
    partial = target.with_name(f".{target.name}.partial")
    partial.write_bytes(content)
    try:
        found = {
            "keras": measure(decode_all(model, validation.images), validation),
            "int8": _measured(partial, validation.images, validation),
            "bytes": len(content),
            "lines": len(validation.images),
        }
        if found["int8"]["lines_exact"] < found["keras"]["lines_exact"] - ALLOWED_LOSS:
            raise ConversionError(
                f"int8 reads {found['int8']['lines_exact']:.2%} of the lines, its source "
                f"{found['keras']['lines_exact']:.2%}; train it longer"
            )
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return found


def _frozen(tf: Any, model: Any, lines: Lines) -> Any:
    """The network's function of one line, its variables made constants; the device gives it other widths."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    signature = [tf.TensorSpec((1, *lines.images.shape[1:], 1), tf.float32, name="line")]
    with quiet():
        function = tf.function(
            lambda line: dict(zip(("scores", "boxes"), model(line, training=False), strict=True)),
            input_signature=signature,
            autograph=False,
        )
        return convert_variables_to_constants_v2(function.get_concrete_function())


def _temperature(model: Any, lines: Lines) -> float:
    """By what the scores are divided, so that their softmax is as often right as it says: of columns that count."""
    scores = np.asarray(model.predict(as_input(lines.images), batch_size=100, verbose=0)[0])[:, 0]
    # Of blank columns only those between digits: the rest of the paper is no question.
    near = np.zeros(lines.classes.shape, bool)
    for shift in range(-NEAR_COLUMNS, NEAR_COLUMNS + 1):
        near |= np.roll(lines.classes != BLANK, shift, axis=1)
    counted = (lines.weights > 0) & near
    return float(f"{fit_temperature(scores[counted], lines.classes[counted]):.{TEMPERATURE_DIGITS}g}")


def _card(data: Dataset, temperature: float) -> ModelCard:
    return ModelCard(
        name="Edge Digits, lines",
        description="Says for every column of a line of writing which digit has its middle there, and its sides.",
        labels=(*(str(value) for value in range(DIGITS)), BLANK_LABEL),
        height=LINE_HEIGHT,
        width=TRAIN_WIDTH,
        channels=1,
        input_range=(0.0, 1.0),
        output="logits",
        temperature=temperature,
        rejection_threshold=0.0,
        none=BLANK_LABEL,
        data_name=data.name,
        data_sha256=data.checksum,
        picture=f"A line of writing of any width, ink bright on black, digits about {DIGIT_HEIGHT} pixels high.",
        further=(
            (
                "boxes",
                f"For every column of {COLUMN} pixels: from its middle to the digit's left and right side, from the "
                f"top to its top and bottom, in {DIGIT_HEIGHT} pixels.",
            ),
        ),
    )


def _measured(path: Path, images: NDArray[np.uint8], truth: Lines) -> dict[str, float]:
    network = LineNetwork(path)
    return measure([network.read(image) for image in images], truth)


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status: 0 done, 1 the network or the data are at fault."""
    parser = Parser(prog="python -m convert.line_network", description="Quantizes the network that reads whole lines.")
    parser.add_argument("--out", type=Path, default=Path("models"), help="folder of lines.keras (models)")
    options = parser.parse_args(argv)
    try:
        found = convert(options.out)
        path = options.out / METRICS_NAME
        record = json.loads(path.read_text()) if path.is_file() else {}
        path.write_text(json.dumps(record | {"conversion": found}, indent=2) + "\n")
    except (EdgeDigitsError, OSError) as error:
        print(f"convert.line_network: {error}", file=sys.stderr)
        return 1
    for name in ("keras", "int8"):
        row = found[name]
        print(
            f"{name:<6} lines exact {row['lines_exact']:.2%}, found {row['recall']:.2%}, right {row['precision']:.2%}"
        )
    print(f"{options.out / MODEL_NAME}: {found['bytes'] / 1000:.1f} KB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

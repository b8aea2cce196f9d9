"""The command line: `python -m convert MODEL`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from convert.errors import ConversionError, reason
from convert.pipeline import INPUT_RANGES, convert
from convert.quantize import VARIANTS
from edge.arguments import Parser, seed
from edge.errors import EdgeDigitsError, UsageError

FAILED = 1
INTERRUPTED = 130
RANGE_FLAG = "--input-range"

EXAMPLES = """\
examples:
  python -m convert                                   models/digits.keras, as trained here
  python -m convert best_model.h5 --data mnist --input-range 0-255
  python -m convert saved_model/ --data letters/ --labels letters.txt
"""


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    options = Parser(
        prog="python -m convert",
        description="Converts a Keras model to .tflite files for the device and compares each with it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument(
        "model",
        nargs="?",
        type=Path,
        default=Path("models/digits.keras"),
        metavar="MODEL",
        help=".keras or .h5 file, or SavedModel folder (default: %(default)s)",
    )
    options.add_argument(
        "--data",
        metavar="SRC",
        help="the data it was trained on: 'mnist', a folder of classes, an .npz file or a folder of IDX files "
        "(default: what it was trained on here, else MNIST)",
    )
    options.add_argument(
        RANGE_FLAG,
        choices=list(INPUT_RANGES),
        help="the values pixels were given to it as (default: as trained here, else the best on validation data)",
    )
    options.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="its classes in the order of its outputs, one a line (default: the data's)",
    )
    options.add_argument("--out", type=Path, default=Path("models"), metavar="FOLDER", help="(default: %(default)s)")
    options.add_argument("--name", help="the first part of the files' names (default: the model's)")
    options.add_argument(
        "--variants", default=",".join(VARIANTS), metavar="LIST", help="which to make (default: %(default)s)"
    )
    options.add_argument("--signature", metavar="NAME", help="of a SavedModel with several")
    options.add_argument("--seed", type=seed, default=0, metavar="N", help="chooses the samples (default: %(default)s)")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; gives its exit status."""
    given = parser().parse_args(_joined(sys.argv[1:] if arguments is None else arguments))
    try:
        convert(
            given.model,
            given.data,
            out=given.out,
            name=given.name,
            input_range=given.input_range,
            labels=_read_labels(given.labels) if given.labels else None,
            variants=[v.strip() for v in given.variants.split(",") if v.strip()],
            signature=given.signature,
            seed=given.seed,
            say=lambda line: print(line, flush=True),
        )
    except EdgeDigitsError as error:
        print(f"convert: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else FAILED
    except KeyboardInterrupt:
        print("convert: interrupted, nothing was written", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        return FAILED
    return 0


def _joined(arguments: Sequence[str]) -> list[str]:
    """Lets `--input-range -1-1` be written: to argparse a value with a dash in front looks like another option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] == RANGE_FLAG:
            joined[-1] = f"{RANGE_FLAG}={argument}"
        else:
            joined.append(argument)
    return joined


def _read_labels(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConversionError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConversionError(f"{path}: not a text file: {reason(error)}") from None

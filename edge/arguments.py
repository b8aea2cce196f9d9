"""Command lines: what every command of this project says about a wrong one, in one line, and how it ends; the numbers
they take, and the options that those of `edge-digits` share."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

ALL_ANSWERED, SOME_FAILED, WRONG_COMMAND_LINE = 0, 1, 2  # exit statuses
RUNTIME_NAMES = ("litert", "tflite")
MAX_SEED = 2**32 - 1  # what NumPy's and TensorFlow's generators take


class Parser(argparse.ArgumentParser):
    """A parser that answers a mistake with one line instead of the usage and a line.

    fill: adds its arguments, when the command line turns out to be for it. A command does not wait for the modules of
    the others.
    """

    def __init__(self, *arguments: Any, fill: "Callable[[Parser], None] | None" = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._fill = fill

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        if self._fill is not None:
            fill, self._fill = self._fill, None
            fill(self)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        program = self.prog.removeprefix("python -m ").split()[0]
        self.exit(WRONG_COMMAND_LINE, f"{program}: {' '.join(message.split())}; see {self.prog} --help\n")


def count(text: str) -> int:
    """A whole number from 1 on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


def share(text: str) -> float:
    """A number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def seed(text: str) -> int:
    """What a random generator starts from: a whole number from 0 to 2^32 - 1."""
    value = int(text)
    if not 0 <= value <= MAX_SEED:
        raise argparse.ArgumentTypeError(f"{value} is not between 0 and {MAX_SEED}")
    return value


# As argparse names them in its errors.
count.__name__ = seed.__name__ = "whole number"
share.__name__ = "number"


# Options that commands share -----------------------------------------------------------------------------------------


def add_pictures(parser: Parser) -> None:
    """Adds PATH..., --format, --jobs, --threads."""
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="a picture, a folder (searched with its subfolders), or - for paths on standard input, one a line",
    )
    parser.add_argument(
        "--format",
        choices=("table", "jsonl", "csv"),
        help="default: a table on a terminal, one JSON object a line into a pipe or a file",
    )
    parser.add_argument(
        "--jobs",
        type=count,
        metavar="N",
        help="processes to use (default: one a core while memory lasts; at most four a core)",
    )
    parser.add_argument(
        "--threads", type=count, default=1, metavar="N", help="threads of the runtime, a process (default: 1)"
    )


def add_page(parser: Parser) -> None:
    """Adds --fields, --full-resolution."""
    parser.add_argument(
        "--fields", metavar="FILE", help="a TOML file that names boxes on a form: what stands in each (docs/fields.md)"
    )
    parser.add_argument(
        "--full-resolution",
        action="store_true",
        help="look for digits lower than 1/150 of the picture's longer side, too; slower",
    )


def add_refusal(parser: Parser) -> None:
    """Adds --min-confidence."""
    parser.add_argument(
        "--min-confidence",
        type=share,
        metavar="X",
        help="refuse answers with less confidence, 0 to 1 (default: the model's own threshold)",
    )


def add_model(parser: Parser) -> None:
    """Adds --model, --runtime."""
    parser.add_argument("--model", metavar="FILE", help="a .tflite model instead of the one that ships")
    parser.add_argument(
        "--runtime",
        choices=RUNTIME_NAMES,
        help="which runtime to use (default: EDGE_DIGITS_RUNTIME, else litert where it is installed)",
    )

"""The command `edge-digits`: what it takes, and how it ends."""

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from edge import bench, commands, watch
from edge.arguments import WRONG_COMMAND_LINE, Parser, count, share
from edge.daemon import command, history
from edge.errors import EdgeDigitsError
from edge.terminal import DEBUG_VARIABLE, PROGRAM, complain, drop_standard_output, take_standard_error

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[Parser]

CANNOT_START, INTERRUPTED = WRONG_COMMAND_LINE, 130  # exit statuses
RUNTIME_NAMES = ("litert", "tflite")

PICTURES_STATUSES = """\
exit status: 0 every picture was answered, 1 some failed (each says why), 2 nothing could start: the command line,
the model or the runtime is wrong, 130 interrupted"""


class Groups(NamedTuple):
    """Options that commands share; a command lists those it has as its parents."""

    model: Parser
    """--model, --runtime"""
    refusal: Parser
    """--min-confidence"""
    page: Parser
    """--fields, --full-resolution"""
    pictures: Parser
    """PATH..., --format, --jobs, --threads"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    try:
        options = _parser().parse_args(arguments)
        terminal = take_standard_error()
    except KeyboardInterrupt:
        return INTERRUPTED
    try:
        return int(options.run(options, terminal))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader has seen enough
        drop_standard_output()
        return commands.ALL_ANSWERED
    except EdgeDigitsError as error:
        complain(terminal, str(error))
        return CANNOT_START
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        if isinstance(error, OSError):
            drop_standard_output()
            complain(terminal, f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
        else:
            complain(terminal, f"internal error ({type(error).__name__}: {error}); {DEBUG_VARIABLE}=1 shows where")
        return commands.SOME_FAILED


def _parser() -> Parser:
    from edge import __version__

    parser = Parser(prog=PROGRAM, description="Reads handwritten digits in pictures, on this device, with no network.")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    added = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    groups = _groups()
    _add_classify(added, groups)
    _add_read(added, groups)
    watch.add_parser(added, groups)
    command.add_parser(added, groups)
    history.add_parser(added, groups)
    _add_info(added, groups)
    bench.add_parser(added, groups)
    return parser


def _groups() -> Groups:
    model = Parser(add_help=False)
    model.add_argument("--model", metavar="FILE", help="a .tflite model instead of the one that ships")
    model.add_argument(
        "--runtime",
        choices=RUNTIME_NAMES,
        help="which runtime to use (default: EDGE_DIGITS_RUNTIME, else litert where it is installed)",
    )

    refusal = Parser(add_help=False)
    refusal.add_argument(
        "--min-confidence",
        type=share,
        metavar="X",
        help="refuse answers with less confidence, 0 to 1 (default: the model's own threshold)",
    )

    page = Parser(add_help=False)
    page.add_argument(
        "--fields", metavar="FILE", help="a TOML file that names boxes on a form: what stands in each (docs/fields.md)"
    )
    page.add_argument(
        "--full-resolution",
        action="store_true",
        help="look for digits lower than 1/150 of the picture's longer side, too; slower",
    )

    pictures = Parser(add_help=False)
    pictures.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="a picture, a folder (searched with its subfolders), or - for paths on standard input, one a line",
    )
    pictures.add_argument(
        "--format",
        choices=("table", "jsonl", "csv"),
        help="default: a table on a terminal, one JSON object a line into a pipe or a file",
    )
    pictures.add_argument(
        "--jobs",
        type=count,
        metavar="N",
        help="processes to use (default: one a core while memory lasts; at most four a core)",
    )
    pictures.add_argument(
        "--threads", type=count, default=1, metavar="N", help="threads of the runtime, a process (default: 1)"
    )
    return Groups(model, refusal, page, pictures)


def _add_classify(added: "Commands", groups: Groups) -> None:
    classify = added.add_parser(
        "classify",
        parents=[groups.pictures, groups.refusal, groups.model],
        help="name the one digit in each picture",
        description="Names the one digit in each picture.",
        epilog=PICTURES_STATUSES,
    )
    classify.add_argument(
        "--top-k", type=count, default=2, metavar="N", help="how many candidates to list (default: %(default)s)"
    )
    classify.set_defaults(run=commands.classify)


def _add_read(added: "Commands", groups: Groups) -> None:
    read = added.add_parser(
        "read",
        parents=[groups.pictures, groups.page, groups.refusal, groups.model],
        help="find and read every digit in each picture, line by line",
        description="Finds and reads every digit in each picture, line by line. A ? stands where there is ink in a "
        "line that is not a digit. A page is read as it lies: upside down, it reads wrong.",
        epilog=PICTURES_STATUSES,
    )
    read.add_argument(
        "--save", metavar="DIR", help="write each picture there with boxes, labels and confidences drawn into it"
    )
    read.add_argument(
        "--crops", metavar="DIR", help="write each digit there as the network saw it, in a folder for each label"
    )
    read.set_defaults(run=commands.read)


def _add_info(added: "Commands", groups: Groups) -> None:
    info = added.add_parser(
        "info",
        parents=[groups.model],
        help="show which model, runtime and platform are in use",
        description="Shows which model, runtime and platform are in use.",
    )
    info.add_argument(
        "--format",
        choices=("table", "json", "jsonl"),
        help="default: a table on a terminal, one JSON object into a pipe or a file",
    )
    info.set_defaults(run=commands.info)

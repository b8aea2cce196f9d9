"""The command `edge-digits`: what it takes, and how it ends."""

import os
from collections.abc import Callable, Sequence
from importlib import import_module

from edge.arguments import (
    ALL_ANSWERED,
    SOME_FAILED,
    WRONG_COMMAND_LINE,
    Parser,
    add_model,
    add_page,
    add_pictures,
    add_refusal,
    count,
)
from edge.errors import EdgeDigitsError
from edge.terminal import DEBUG_VARIABLE, PROGRAM, complain, drop_standard_output, take_standard_error

CANNOT_START, INTERRUPTED = WRONG_COMMAND_LINE, 130  # exit statuses

PICTURES_STATUSES = """\
exit status: 0 every picture was answered, 1 some failed (each says why), 2 nothing could start: the command line,
the model or the runtime is wrong, 130 interrupted"""


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
        return ALL_ANSWERED
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
        return SOME_FAILED


def _parser() -> Parser:
    from edge import __version__

    parser = Parser(prog=PROGRAM, description="Reads handwritten digits in pictures, on this device, with no network.")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    added = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for name, fill, help in (
        ("classify", _classify, "name the one digit in each picture"),
        ("read", _read, "find and read every digit in each picture, line by line"),
        ("watch", _of("edge.watch"), "read a camera, a video, a stream or a folder that fills, live"),
        ("daemon", _of("edge.daemon.command"), "the service: a camera or a folder in; a database, MQTT, HTTP out"),
        ("history", _of("edge.daemon.history"), "show and export what the daemon recorded"),
        ("info", _info, "show which model, runtime and platform are in use"),
        (
            "bench",
            _of("edge.bench"),
            "measure this device: what reading takes, and which runtime and threads are fastest",
        ),
    ):
        added.add_parser(name, help=help, fill=fill)
    return parser


def _of(module: str) -> Callable[[Parser], None]:
    """Adds the arguments that a module says, which is imported only then."""
    return lambda parser: import_module(module).add_arguments(parser)


def _classify(parser: Parser) -> None:
    from edge import commands

    parser.description = "Names the one digit in each picture."
    parser.epilog = PICTURES_STATUSES
    add_pictures(parser)
    add_refusal(parser)
    add_model(parser)
    parser.add_argument(
        "--top-k", type=count, default=2, metavar="N", help="how many candidates to list (default: %(default)s)"
    )
    parser.set_defaults(run=commands.classify)


def _read(parser: Parser) -> None:
    from edge import commands

    parser.description = (
        "Finds and reads every digit in each picture, line by line. A ? stands where there is ink in a line that is "
        "not a digit. A page is read as it lies: upside down, it reads wrong."
    )
    parser.epilog = PICTURES_STATUSES
    add_pictures(parser)
    add_page(parser)
    add_refusal(parser)
    add_model(parser)
    parser.add_argument(
        "--save", metavar="DIR", help="write each picture there with boxes, labels and confidences drawn into it"
    )
    parser.add_argument(
        "--crops", metavar="DIR", help="write each digit there as the network saw it, in a folder for each label"
    )
    parser.set_defaults(run=commands.read)


def _info(parser: Parser) -> None:
    from edge import commands

    parser.description = "Shows which model, runtime and platform are in use."
    add_model(parser)
    parser.add_argument(
        "--format",
        choices=("table", "json", "jsonl"),
        help="default: a table on a terminal, one JSON object into a pipe or a file",
    )
    parser.set_defaults(run=commands.info)

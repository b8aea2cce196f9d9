"""The standard streams of a command: answers on one, complaints of one line each on the other, and nobody else's."""

import contextlib
import os
import select
import sys
from typing import TextIO

PROGRAM = "edge-digits"
DEBUG_VARIABLE = "EDGE_DIGITS_DEBUG"  # environment variable: anything in it brings tracebacks back


# Decoders and runtimes write their own lines to standard error, from C; so descriptor 2 is led nowhere, and what this
# program itself has to say goes to a copy of what it was.


def take_standard_error() -> TextIO:
    """Where complaints go from now on: what standard error was."""
    import faulthandler

    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        kept = os.dup(2)
    except OSError:  # the program was started without one
        kept = os.dup(nowhere)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    terminal = os.fdopen(
        kept, "w", buffering=1, encoding=getattr(sys.stderr, "encoding", None) or "utf-8", errors="backslashreplace"
    )
    sys.stderr = terminal
    faulthandler.enable(terminal)  # a crash in a library still says that it was one
    return terminal


def complain(terminal: TextIO, message: str) -> None:
    """One line to standard error."""
    with contextlib.suppress(OSError):  # standard error can be full or gone
        terminal.write(f"{PROGRAM}: {' '.join(message.split())}\n")


def show_warnings(terminal: TextIO) -> None:
    """Python's warnings become one line each, too."""
    import warnings

    def show(message: Warning | str, *_: object, **__: object) -> None:
        complain(terminal, f"warning: {message}")

    warnings.showwarning = show


def write(text: bytes) -> None:
    """To standard output, at once."""
    rest = memoryview(text)
    while rest:
        try:
            rest = rest[os.write(1, rest) :]
        except BlockingIOError:  # somebody set the terminal or pipe so; wait as if nobody had
            select.select([], [1], [])


def drop_standard_output() -> None:
    """Python flushes standard output at its end; into a broken pipe that would be one more complaint."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)


def is_terminal(descriptor: int) -> bool:
    """Whether a person looks at what goes to this descriptor."""
    try:
        return os.isatty(descriptor)
    except OSError:
        return False

"""Command lines: what every command of this project says about a wrong one, in one line, and the numbers they take."""

import argparse
from typing import NoReturn

WRONG_COMMAND_LINE = 2  # exit status
MAX_SEED = 2**32 - 1  # what NumPy's and TensorFlow's generators take


class Parser(argparse.ArgumentParser):
    """A parser that answers a mistake with one line instead of the usage and a line."""

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

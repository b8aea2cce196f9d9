"""Log lines for the journal: level, part and message, and no line over and over."""

import logging
import os
import threading
import time
import traceback
from pathlib import Path
from typing import TextIO

PACKAGE = Path(__file__).parents[1]
NAME = "edge_digits"  # the logger all parts are below
REPEAT_SECONDS = 60.0  # the same line is not written again within so long
KEPT_LINES = 200  # that may be repeated
PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}  # sd-daemon(3)
JOURNAL = "JOURNAL_STREAM"  # environment variable that systemd sets where standard error is the journal


def start_logging(terminal: TextIO, level: str) -> None:
    """Has every part log to this stream, from this level on."""
    handler = logging.StreamHandler(terminal)
    handler.setFormatter(_Line(journal=JOURNAL in os.environ))
    handler.addFilter(Repeats())
    logger = logging.getLogger(NAME)
    logger.handlers = [handler]
    logger.propagate = False
    set_level(level)


def set_level(level: str) -> None:
    """level: "debug", "info", "warning" or "error"."""
    logging.getLogger(NAME).setLevel(level.upper())


class _Line(logging.Formatter):
    """logfmt: level=info part=mqtt msg="connected"; before it the priority for the journal, or the time for others."""

    def __init__(self, *, journal: bool) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        message = " ".join(record.getMessage().split()).replace("\\", "\\\\").replace('"', '\\"')
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            message += f": {type(error).__name__}: {' '.join(str(error).split())}{_place(error)}"
        part = record.name.removeprefix(f"{NAME}.")
        said = f'level={record.levelname.lower()} part={part} msg="{message}"'
        if self._journal:
            return f"<{PRIORITIES.get(record.levelno, 6)}>{said}"
        return f"time={time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(record.created))} {said}"


def _place(error: BaseException) -> str:
    """Where it was raised, in this program's own code where it passed that."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(PACKAGE)] or frames
    return f" ({Path(ours[-1].filename).name}, line {ours[-1].lineno})" if ours else ""


class Repeats(logging.Filter):
    """Leaves out lines that were said a moment ago, and says how many there were with the next one."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()  # all parts log, and a mistake here would end their threads
        self._said: dict[tuple[str, int, str], tuple[float, int]] = {}  # when it was last written, how often not

    def filter(self, record: logging.LogRecord) -> bool:
        key = (record.name, record.levelno, record.getMessage())
        now = time.monotonic()
        with self._lock:
            written, left_out = self._said.get(key, (-REPEAT_SECONDS, 0))
            if now - written < REPEAT_SECONDS:
                self._said[key] = (written, left_out + 1)
                return False
            self._said.pop(key, None)
            self._said[key] = (now, 0)
            if len(self._said) > KEPT_LINES:
                del self._said[next(iter(self._said))]
        if left_out:
            record.msg, record.args = f"{record.getMessage()} (and {left_out} times since)", None
        return True

"""A progress bar of one line on a terminal."""

import time
from typing import TextIO

PATIENCE_SECONDS = 0.5  # what is done sooner needs no bar
INTERVAL_SECONDS = 0.1
BAR_WIDTH = 30  # characters
CLEAR_LINE = "\r\x1b[K"


class Progress:
    """Shows how many pictures are done, of how many where that is known, and how fast."""

    def __init__(self, terminal: TextIO, total: int | None) -> None:
        self._terminal = terminal
        self._total = total
        self._done = 0
        self._start = time.monotonic()
        self._next = self._start + PATIENCE_SECONDS
        self._shown = False

    def advance(self, pictures: int) -> None:
        """So many more pictures are done."""
        self._done += pictures
        now = time.monotonic()
        if now >= self._next:
            self._next = now + INTERVAL_SECONDS
            self._shown = True
            self._terminal.write(CLEAR_LINE + self._line(now - self._start))
            self._terminal.flush()

    def clear(self) -> None:
        """Take the bar away."""
        if self._shown:
            self._terminal.write(CLEAR_LINE)
            self._terminal.flush()
            self._shown = False

    def _line(self, seconds: float) -> str:
        rate = self._done / seconds
        if not self._total:
            return f"{self._done} pictures, {rate:.0f} a second"
        share = min(1.0, self._done / self._total)
        bar = "#" * round(share * BAR_WIDTH)
        left = max(0.0, (self._total - self._done) / max(rate, 1e-9))
        return f"[{bar:<{BAR_WIDTH}}] {self._done} of {self._total}, {rate:.0f} a second, {left:.0f} s left"

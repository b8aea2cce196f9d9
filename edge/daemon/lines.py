"""Write records to standard output as JSON Lines: for systemd's journal and for pipes.

A line that was written is acknowledged. After a restart it goes on where it stood; whoever reads slowly makes this
thread wait, not the daemon.
"""

import os
import select
from typing import TYPE_CHECKING

from edge.daemon.delivery import LAST_SECONDS, DeliveryError, GoneError, Sink, encoded
from edge.daemon.live import WAITING, WORKING
from edge.daemon.protocol import Record

if TYPE_CHECKING:
    from edge.daemon.protocol import Daemon

STANDARD_OUTPUT = 1  # file descriptor (POSIX)
POLL_SECONDS = 0.5  # between two looks whether there is room again
PATIENCE = 4  # such looks until it is said that nobody reads


class LinesSink(Sink):
    """The cursor is called "stdout"."""

    def __init__(self, daemon: "Daemon", descriptor: int = STANDARD_OUTPUT) -> None:
        super().__init__("stdout", daemon.store, daemon.live)
        self._descriptor = descriptor
        self._rest = b""  # of a line that could be written in part only
        self._rest_of = ""  # its id

    def work(self) -> None:
        for record in self.records():
            if not self._write(record):
                return
            self.delivered(record["sequence"])
            self.report(WORKING)

    def _write(self, record: Record) -> bool:
        """False where there is no time left to write it."""
        if self._rest_of != record["id"]:
            self._rest, self._rest_of = encoded(record) + b"\n", record["id"]
        while self._rest:
            if not self._room():
                return False
            # A pipe with room takes so much at once: it does not block.
            try:
                written = os.write(self._descriptor, self._rest[: select.PIPE_BUF])
            except (BrokenPipeError, ConnectionResetError):
                raise GoneError("whoever read standard output is gone; readings stay in the database") from None
            except BlockingIOError:
                written = 0
            except OSError as error:
                raise DeliveryError(f"standard output: {error.strerror}") from None
            self._rest = self._rest[written:]
        return True

    def _room(self) -> bool:
        """Waits until something can be written; False where it is time to stop."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        looks = 0
        while not (found := poll.poll(POLL_SECONDS * 1000)):
            looks += 1
            if self.seconds_left < LAST_SECONDS:
                return False
            if looks >= PATIENCE:
                self.report(WAITING, "nobody reads standard output")
        if found[0][1] & select.POLLNVAL:
            raise GoneError("standard output is closed; readings stay in the database")
        return True

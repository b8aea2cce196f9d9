"""The daemon as it runs on a device: a process of its own, watched from outside only."""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.daemon.faults.account import HTTP, Account

ROOT = Path(__file__).parents[3]
COMMAND = (sys.executable, "-m", "edge", "daemon", "--config")
READY_SECONDS = 30.0  # on a machine that does other things as well
END_SECONDS = 2.0  # the daemon's promise after SIGTERM
ANSWER_SECONDS = 15.0  # longer than a request for a reading takes
# What a log says where the daemon itself is wrong, not what it was given.
MISTAKES = ("Traceback (most recent call last)", "internal error", "unexpected ", "Fatal Python error", "was damaged")
READINGS = 20  # records asked for at once

Settings = dict[str, dict[str, Any]]


class CampaignError(Exception):
    """Something did not come in time: one line for the table."""


def wait_until(what: Callable[[], Any], seconds: float, why: str, every: float = 0.02) -> float:
    """Seconds until it was true. Raises CampaignError."""
    start = time.monotonic()
    while not what():
        if time.monotonic() - start > seconds:
            raise CampaignError(f"not in {seconds:g} s: {why}")
        time.sleep(every)
    return time.monotonic() - start


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended. `status`: negative for a signal's number; `seconds`: after it was told to."""

    status: int
    seconds: float


class Daemon:
    """Starts it, ends it and asks it. What it writes to standard output is acknowledged, and goes into the account."""

    def __init__(
        self, folder: Path, account: Account, port: int, environment: Mapping[str, str] | None = None,
        command: tuple[str, ...] = COMMAND,
    ) -> None:  # fmt: skip
        self.config = folder / "daemon.toml"
        self.log = folder / "daemon.log"
        self.port = port
        self._account = account
        self._environment = {**os.environ, "PYTHONFAULTHANDLER": "1", **(environment or {})}
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._notices: _Notices | None = None
        self._since = 0.0
        self._folder = folder
        self.log.touch()

    def configure(self, settings: Settings) -> None:
        """Writes its configuration."""
        self.config.write_text(
            "".join(
                f"[{section}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
                for section, values in settings.items()
            )
        )

    def start(self) -> None:
        self._notices = _Notices(self._folder / "notify")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, str(self.config)],
                stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, cwd=ROOT,
                env={**self._environment, "NOTIFY_SOCKET": str(self._notices.path)},
            )  # fmt: skip
        self._since = time.monotonic()
        self._reader = threading.Thread(target=self._read_lines, args=(self._process,), daemon=True)
        self._reader.start()

    def wait_ready(self) -> float:
        """Seconds from its start until it said that it is ready, as systemd hears it. Raises CampaignError."""
        assert self._notices is not None
        while not self._notices.ready.wait(0.02):
            if not self.is_running:
                raise CampaignError(f"the daemon ended at its start with status {self.status}")
            if time.monotonic() - self._since > READY_SECONDS:
                raise CampaignError(f"the daemon was not ready in {READY_SECONDS:g} s")
        return time.monotonic() - self._since

    def reload(self, seconds: float) -> None:
        """SIGHUP, until it says that it is ready again. Raises CampaignError."""
        assert self._notices is not None
        self._notices.ready.clear()
        self.send(signal.SIGHUP)
        wait_until(self._notices.ready.is_set, seconds, "the configuration is loaded again, or refused")

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    @property
    def status(self) -> int | None:
        return self.process.poll()

    def send(self, number: signal.Signals) -> None:
        if self.is_running:
            self.process.send_signal(number)

    def end(self, number: signal.Signals, patience: float = 10 * END_SECONDS) -> Ended:
        """Sends a signal and waits for the end; kills what does not end."""
        start = time.monotonic()
        self.send(number)
        try:
            status = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            status = 0
        seconds = time.monotonic() - start
        self.wait_read()
        if self._notices is not None:
            self._notices.close()
        return Ended(status, seconds)

    def wait_read(self) -> None:
        """Until everything that it wrote is in the account; after its end."""
        if self._reader is not None:
            self._reader.join(ANSWER_SECONDS)

    def close(self) -> None:
        if self._process is not None and self.is_running:
            self.end(signal.SIGKILL)

    def _read_lines(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                if line.endswith(b"\n"):  # what a kill cut short was not said
                    self._account.see("stdout", json.loads(line))

    def mistakes(self) -> list[str]:
        """Lines of its log that should never be there; of a traceback its last line."""
        lines = self.log.read_text(errors="replace").splitlines()
        found = []
        for place, line in enumerate(lines):
            if any(mistake in line for mistake in MISTAKES):
                rest = (later for later in lines[place + 1 :] if not later.startswith(" "))
                found.append(f"{line} ... {next(rest, '')}" if line.endswith("(most recent call last):") else line)
        return found

    # Asking it

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and JSON of an answer that came whole. Raises OSError, http.client.HTTPException."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def health(self) -> dict[str, Any]:
        """What it says of itself; empty where it does not answer."""
        try:
            return dict(self.ask("GET", "/api/health")[1])
        except (OSError, http.client.HTTPException, ValueError):
            return {}

    def part(self, name: str) -> tuple[str, str]:
        """State and reason of a part; empty where it does not answer."""
        part = self.health().get("parts", {}).get(name, {})
        return part.get("state", ""), part.get("reason", "")

    def sequence(self) -> int:
        """Of the newest record; 0 where there is none, or no answer."""
        return self.health().get("reading", {}).get("sequence") or 0

    def wait_for_record(self, seconds: float, why: str) -> float:
        """Seconds until there is a record that was not there before. Raises CampaignError."""
        wait_until(self.health, seconds, "the daemon answers")
        before = self.sequence()
        return wait_until(lambda: self.sequence() > before, seconds, why)

    def memory(self) -> float:
        """Megabytes resident (VmRSS, proc(5))."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


class _Notices:
    """What systemd would be told by one process (sd_notify(3)), read at once as systemd does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ready = threading.Event()
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(0.2)
        self._closing = False
        threading.Thread(target=self._read, daemon=True).start()

    def close(self) -> None:
        self._closing = True

    def _read(self) -> None:
        with self._socket:
            while not self._closing:
                try:
                    if b"READY=1" in self._socket.recv(4096):
                        self.ready.set()
                except TimeoutError:
                    continue


class Visitor(threading.Thread):
    """Asks the daemon over HTTP, whether it is there or not, and enters into the account what it answers."""

    def __init__(self, daemon: Daemon, account: Account, seed: str, *, pause: float = 0.02, asks: bool = True) -> None:
        """asks: also for readings and corrections, which takes longer than looking does."""
        super().__init__(daemon=True)
        self.internal_errors = 0
        self._daemon, self._account = daemon, account
        self._rng = random.Random(seed)
        self._pause, self._asks = pause, asks
        self._stopping = threading.Event()
        self._newest: dict[str, Any] | None = None

    def stop(self) -> None:
        self._stopping.set()
        self.join(2 * ANSWER_SECONDS)

    def run(self) -> None:
        while not self._stopping.wait(self._rng.uniform(0, 2 * self._pause)):
            try:
                self._visit()
            except (OSError, http.client.HTTPException):
                continue  # it is not there, or was killed while it answered

    def _visit(self) -> None:
        what = self._rng.random()
        if not self._asks or what < 0.2:
            self._look("/api/latest" if what < 0.1 else f"/api/readings?limit={READINGS}")
        elif what < 0.8 or self._newest is None:
            status, answer = self._ask("POST", "/api/trigger")
            if status == 200:
                self._newest = answer
                self._account.see(HTTP, answer)
        else:
            sequence, text = self._newest["sequence"], self._newest["text"]
            if self._ask("POST", "/api/correct", {"sequence": sequence, "text": text})[0] == 200:
                self._account.see_correction(sequence, text)

    def _look(self, path: str) -> None:
        status, answer = self._ask("GET", path)
        if status == 200:
            for record in answer.get("readings", [answer.get("record")]):
                if record is not None:
                    self._account.see(HTTP, record)

    def _ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        status, answer = self._daemon.ask(method, path, body)
        self.internal_errors += status == 500
        return status, answer

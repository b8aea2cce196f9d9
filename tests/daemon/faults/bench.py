"""What every fault has: a daemon with a camera, a broker and people who look, and the account of what they saw."""

import json
import re
import shutil
import signal
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.daemon.broker import Broker, Subscriber, free_port
from tests.daemon.faults.account import Account
from tests.daemon.faults.camera import Camera
from tests.daemon.faults.process import COMMAND, CampaignError, Daemon, Settings, Visitor, wait_until
from tests.daemon.faults.result import Result

TOPIC = "faults"
DELIVERED_SECONDS = 90.0  # for an outbox to empty: the longest wait between two tries is a minute
FROZEN_SECONDS = 1.0
LOGS = "edge-digits-faults-"


class KeptBroker(Broker):
    """Keeps a subscriber's session when it is killed, and limits nothing: what it acknowledged, it hands on."""

    def __init__(self, folder: Path) -> None:
        self._database = folder / "mosquitto.db"
        super().__init__(
            folder, "allow_anonymous true", "persistence true", f"persistence_location {folder}/",
            "autosave_interval 0", "max_inflight_messages 0", "max_queued_messages 0",
        )  # fmt: skip

    def save(self) -> None:
        """Writes its sessions down."""
        self.send(signal.SIGUSR1)
        wait_until(self._database.exists, 10, "mosquitto keeps its sessions")

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


class Bench:
    """For one fault. Everything ends with it."""

    def __init__(
        self, fault: str, seed: int, *, state: Path | None = None, visitors: int = 2,
        environment: Mapping[str, str] | None = None, command: tuple[str, ...] = COMMAND, **changes: Mapping[str, Any],
    ) -> None:  # fmt: skip
        """state: where the database is. changes: to the daemon's configuration, by section."""
        self.result = Result(fault)
        self.account = Account()
        self._ends = ExitStack()
        with ExitStack() as ends:
            folder = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="edge-digits-faults-")))
            self.folder = folder
            self.state = state or folder / "state"
            self.camera = ends.enter_context(Camera(seed))
            self.broker = ends.enter_context(KeptBroker(folder))
            self.subscriber = ends.enter_context(Subscriber(self.broker, f"{TOPIC}/reading"))
            self.broker.save()
            self.daemon = Daemon(folder, self.account, free_port(), environment, command)
            ends.callback(self.daemon.close)
            self.settings = self._settings(changes)
            self.daemon.configure(self.settings)
            # One looks, the others ask for readings and correct them.
            self.visitors = [
                Visitor(self.daemon, self.account, f"{seed} {place}", asks=place > 0) for place in range(visitors)
            ]
            for visitor in self.visitors:
                visitor.start()
                ends.callback(visitor.stop)
            self._ends = ends.pop_all()
        self._taken = 0

    def _settings(self, changes: Mapping[str, Mapping[str, Any]]) -> Settings:
        settings: Settings = {
            "device": {"name": "faults", "state": str(self.state)},
            "source": {
                "kind": "stream", "location": self.camera.url, "rate": 60, "retry_seconds": 0.1, "retry_longest": 1.0,
                "frozen_seconds": FROZEN_SECONDS,
            },
            "reading": {"interval": 0.05, "frames": 1, "agree": 1, "confidence": 0.0},
            "http": {"port": self.daemon.port},
            "mqtt": {"host": "127.0.0.1", "port": self.broker.port, "topic": TOPIC},
        }  # fmt: skip
        for section, values in changes.items():
            settings[section] = {**settings.get(section, {}), **values}
        return settings

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        """What did not come in time ends a fault, not the campaign; what is known by then is compared."""
        try:
            if isinstance(error, CampaignError):
                said = self.daemon.log.read_text(errors="replace").splitlines()
                self.result.failures.append(f"{error}; the daemon's last line: {said[-1] if said else 'none'}")
                self.daemon.close()
                self.take_mqtt()
                self._compare(all_delivered=False)
            return isinstance(error, CampaignError)
        finally:
            self._keep_log()
            self._ends.close()

    def _keep_log(self) -> None:
        """Where something is wrong, somebody will want to read on."""
        if self.result.trouble:
            kept = Path(tempfile.gettempdir()) / f"{LOGS}{re.sub(r'[^a-z0-9]+', '-', self.result.fault.lower())}.log"
            shutil.copy(self.daemon.log, kept)
            self.result.notes.append(f"the daemon's log is kept: {kept}")

    def start(self) -> float:
        """Starts the daemon; seconds until it was ready."""
        self.daemon.start()
        return self.daemon.wait_ready()

    def expect(self, found: object, why: str) -> None:
        """Notes a failure where it is not so."""
        if not found:
            self.result.failures.append(why)

    def expect_running(self) -> None:
        """Notes a crash where the daemon ended by itself."""
        if not self.daemon.is_running:
            self.result.crashes.append(f"the daemon ended by itself with status {self.daemon.status}")
            self.start()

    def take_mqtt(self) -> None:
        """Enters what the subscriber got."""
        while self._taken < len(self.subscriber.got):
            _, payload, _ = self.subscriber.got[self._taken]
            self._taken += 1
            self.account.see("mqtt", json.loads(payload))

    def wait_delivered(self, seconds: float = DELIVERED_SECONDS) -> float:
        """Seconds until the outboxes were as good as empty: a camera that goes on leaves one or two in them."""

        def is_delivered() -> bool:
            backlog = self.daemon.health().get("backlog", {})
            return "mqtt" in backlog and max(backlog.values()) <= 2

        return wait_until(is_delivered, seconds, "the outboxes are empty", every=0.05)

    def finish(self) -> Result:
        """Lets everything that was recorded arrive, ends the daemon and compares."""
        if not self.daemon.is_running:
            self.start()
        self.camera.close()  # nothing new comes from here on
        for visitor in self.visitors:
            visitor.stop()
        wait_until(
            lambda: max(self.daemon.health().get("backlog", {"mqtt": 1}).values()) == 0, DELIVERED_SECONDS,
            "everything recorded is delivered",
        )  # fmt: skip
        ended = self.daemon.end(signal.SIGTERM)
        if ended.status != 0:
            self.result.crashes.append(f"status {ended.status} after SIGTERM at the end")
        self._wait_received()
        self._compare(all_delivered=True)
        return self.result

    def _compare(self, *, all_delivered: bool) -> None:
        self.result.take(self.account, self.account.compare(self.state, all_delivered=all_delivered))
        self.result.crashes += self.daemon.mistakes()
        errors = sum(visitor.internal_errors for visitor in self.visitors)
        if errors:
            self.result.crashes.append(f"{errors} requests were answered with an internal error")

    def _wait_received(self) -> None:
        """What the broker acknowledged may still be on its way to the subscriber."""

        def is_all_here() -> bool:
            self.take_mqtt()
            return self.account.count("mqtt") >= self.account.count("stdout")

        try:
            wait_until(is_all_here, 10, "the subscriber has everything")
        except CampaignError:  # the comparison says what is missing
            return

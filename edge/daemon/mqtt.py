"""Publish every record over MQTT, at least once; tell Home Assistant what there is; read when asked to.

    TOPIC/reading   each record as JSON, QoS 1, in order; its `id` tells repeats
    TOPIC/state     the newest record, retained
    TOPIC/health    what GET /api/health says, retained, every minute and when a part changes
    TOPIC/status    "online"; "offline" after a stop, and as last will; retained
    TOPIC/command   where mqtt.commands is on: "read" takes a reading now

The session is clean and the outbox is the store: after a connection was lost, what is behind the cursor is sent again,
and the cursor moves behind a record when it and all before it were acknowledged.
"""

import json
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.daemon import home_assistant
from edge.daemon.delivery import DeliveryError, Sink, encoded
from edge.daemon.live import WAITING, WORKING, Part
from edge.daemon.mqtt_connection import WINDOW, Acknowledgement, Connection, Message
from edge.errors import EdgeDigitsError, UsageError

if TYPE_CHECKING:
    from edge.daemon.protocol import Daemon, Record

ONLINE, OFFLINE = "online", "offline"  # Home Assistant's defaults for a status
READ = b"read"
WILDCARDS = set("+#\0")  # in no topic that is published to (MQTT, 4.7)
HEALTH_SECONDS = 60.0  # between two that say the same
HEALTH_LEAST_SECONDS = 1.0  # between two in any case
STEP_SECONDS = 1.0  # so often a change of the health is looked for
ACKNOWLEDGE_SECONDS = 30.0  # a broker that does not acknowledge a record in this time is left
GOODBYE_SECONDS = 0.5  # of the time to stop: for "offline"
STORE_SECONDS = 5.0  # after the store failed
TOO_LARGE = 0x95  # MQTT 5, 2.4


@dataclass(slots=True)
class _Sent:
    """A record on its way. `number`: of its message; None where it was not sent. `at`: time.monotonic()."""

    sequence: int
    number: int | None
    at: float


class MqttSink(Sink):
    """The cursor is called "mqtt". Raises UsageError for topics that cannot be."""

    at_start = (WAITING, "connecting")

    def __init__(self, daemon: "Daemon") -> None:
        super().__init__("mqtt", daemon.store, daemon.live)
        self._daemon = daemon
        self._settings = daemon.settings.mqtt
        name = home_assistant.slug(daemon.name)
        self._client_id = self._settings.client_id or f"edge-digits-{name}"
        self._topic = (self._settings.topic or f"edge-digits/{name}").rstrip("/")
        for key, topic in (("topic", self._topic), ("discovery_prefix", self._settings.discovery_prefix)):
            if not topic or WILDCARDS & set(topic):
                raise UsageError(f"mqtt.{key} is '{topic}'; it is a text without + and #")
        self._reading = threading.Lock()
        self._command: dict[str, str | None] | None = None  # what came of the last one
        self._fields_changed = False
        self._connection: Connection
        self._published: set[str] = set()  # discovery topics
        self._sent: deque[_Sent] = deque()
        self._last_sent = 0  # sequence
        self._identity = ""  # of the database that it is of
        self._newest: Record | None = None  # sent, and not yet the state
        self._ask_store_at = 0.0  # time.monotonic()
        self._health_at = 0.0  # time.monotonic()
        self._healthy: dict[str, tuple[str, str]] | None = None  # parts as last published

    def refresh(self) -> None:
        """The fields changed: Home Assistant is told."""
        self._fields_changed = True
        self.wake.set()

    def work(self) -> None:
        self._sent.clear()
        self._last_sent = 0
        self._newest = None
        self._published = set()
        self._healthy = None
        self._connection = Connection(self._settings, self._client_id, (f"{self._topic}/status", OFFLINE))
        try:
            self._connection.open(self.wake, lambda: self.stopping)
            self._greet()
            self.report(WORKING)
            while not self._may_leave():
                self.wake.clear()
                self._send()
                self._connection.step(self._until_next())
                self._take_acknowledgements()
                self._take_messages()
                self._look_after()
            self._say_goodbye()
        finally:
            self._connection.close()

    def _greet(self) -> None:
        settings = self._settings
        if settings.commands:
            self._connection.subscribe(f"{self._topic}/command")
        if settings.discovery:
            self._connection.subscribe(home_assistant.status_topic(settings.discovery_prefix))
            self._discover()
            # What is retained of earlier fields comes back, and is taken away.
            self._connection.subscribe(home_assistant.own_topics(settings.discovery_prefix, self._daemon.name))
        self._publish("status", ONLINE.encode())
        newest = self._store.latest()
        if newest is not None:
            self._publish("state", encoded(newest))

    def _say_goodbye(self) -> None:
        number = self._publish("status", OFFLINE.encode())
        while self.seconds_left > 0:
            self._connection.step(min(self.seconds_left, STEP_SECONDS))
            known = any(acknowledged.number == number for acknowledged in self._connection.acknowledged)
            self._take_acknowledgements()
            if known:
                break
        self._connection.say_goodbye()

    def _may_leave(self) -> bool:
        """Whether it is to stop, and everything is acknowledged or there is no time to wait for it."""
        if not self.stopping:
            return False
        return self.seconds_left < GOODBYE_SECONDS or not (self._sent or self._new_records())

    def _until_next(self) -> float:
        return min(STEP_SECONDS, max(0.0, self.seconds_left - GOODBYE_SECONDS))

    # Records

    def _send(self) -> None:
        """Fills the window."""
        if len(self._sent) > WINDOW // 2:
            return
        records = self._new_records()
        for record in records:
            self._send_one(record)
            self._newest = record
        if self._newest is not None and len(self._sent) < WINDOW:
            self._publish("state", encoded(self._newest))
            self._newest = None

    def _new_records(self) -> "list[Record]":
        if time.monotonic() < self._ask_store_at:
            return []
        try:
            found = self.undelivered(WINDOW)
        except EdgeDigitsError as error:
            self._ask_store_at = time.monotonic() + STORE_SECONDS
            self.log.warning("no records from the store: %s", error)
            return []
        if self._store.identity != self._identity:  # a damaged database was set aside: sequences begin anew
            self._identity, self._last_sent = self._store.identity, 0
            self._sent.clear()
        return [record for record in found if record["sequence"] > self._last_sent]

    def _send_one(self, record: "Record") -> None:
        payload, sequence = encoded(record), record["sequence"]
        number = self._connection.publish(f"{self._topic}/reading", payload, retain=False)
        if number is None:
            self._pass_over(sequence, f"{len(payload)} bytes; the broker takes {self._connection.largest}")
        self._sent.append(_Sent(sequence, number, time.monotonic()))
        self._last_sent = sequence

    def _take_acknowledgements(self) -> None:
        """Moves the cursor behind all that are acknowledged without a gap."""
        acknowledged = {a.number: a for a in self._connection.acknowledged}
        self._connection.acknowledged.clear()
        for sent in self._sent:
            if sent.number is not None and (found := acknowledged.pop(sent.number, None)) is not None:
                if found.refused:
                    self._refused(sent.sequence, found)
                sent.number = None
        for other in acknowledged.values():
            if other.refused:
                self.log.warning("the broker refuses a message below %s: %s", self._topic, other.refused)
        done = 0
        while self._sent and self._sent[0].number is None:
            done = self._sent.popleft().sequence
        if done:
            self.delivered(done)
        elif self._sent and time.monotonic() - self._sent[0].at > ACKNOWLEDGE_SECONDS:
            raise DeliveryError(f"{self._connection.address} does not acknowledge what it is sent")

    def _refused(self, sequence: int, answer: Acknowledgement) -> None:
        if answer.code != TOO_LARGE:
            raise DeliveryError(
                f"{self._connection.address} refuses readings on {self._topic}/reading: {answer.refused}; "
                "check what this client may publish"
            )
        self._pass_over(sequence, answer.refused)

    def _pass_over(self, sequence: int, why: str) -> None:
        self.log.error("record %d cannot be published: %s: passed over, it stays in the database", sequence, why)

    # Home Assistant, health and commands

    def _discover(self) -> None:
        settings, fields = self._settings, self._daemon.fields()
        entities = home_assistant.discovery(
            settings.discovery_prefix, self._daemon.name, self._topic, fields, commands=settings.commands
        )
        for topic in self._published - entities.keys():
            self._connection.publish(topic, b"", retain=True)
        for topic, entity in entities.items():
            self._connection.publish(topic, json.dumps(entity, ensure_ascii=False).encode(), retain=True)
        self._published = set(entities)
        for doubt in home_assistant.doubts(fields):
            self.log.warning("%s", doubt)

    def _take_messages(self) -> None:
        while self._connection.messages:
            message = self._connection.messages.popleft()
            if message.topic == f"{self._topic}/command":
                self._obey(message)
            elif message.topic == home_assistant.status_topic(self._settings.discovery_prefix):
                if message.payload == ONLINE.encode() and not message.retained:
                    self._discover()
            elif message.retained and message.payload and message.topic not in self._published:
                self._connection.publish(message.topic, b"", retain=True)

    def _look_after(self) -> None:
        if self._fields_changed and self._settings.discovery:
            self._fields_changed = False
            self._discover()
        now = time.monotonic()
        parts = {name: _said(part) for name, part in self._daemon.live.parts.items()}
        due = HEALTH_SECONDS if parts == self._healthy else HEALTH_LEAST_SECONDS
        if self._healthy is None or now - self._health_at >= due:
            self._healthy, self._health_at = parts, now
            self._say_health()

    def _say_health(self) -> None:
        try:
            health = self._daemon.health()
        except EdgeDigitsError as error:
            self.log.warning("no health to publish: %s", error)
            return
        self._publish("health", json.dumps({**health, "command": self._command}, ensure_ascii=False).encode())

    def _obey(self, message: Message) -> None:
        if message.retained:
            self.log.warning("a retained command is ignored: it would be obeyed at each start")
        elif message.payload.strip() != READ:
            self.log.warning("an unknown command on %s/command; there is: read", self._topic)
        elif not self._reading.acquire(blocking=False):
            self.log.info("a reading is already being taken")
        else:
            threading.Thread(target=self._read, name="mqtt-read", daemon=True).start()

    def _read(self) -> None:
        error = None
        try:
            self._daemon.trigger("mqtt")
        except EdgeDigitsError as failed:
            error = str(failed)
            self.log.warning("no reading: %s", error)
        finally:
            self._reading.release()
        self._command = {"command": READ.decode(), "error": error}
        self._healthy = None
        self.wake.set()

    def _publish(self, below: str, payload: bytes) -> int | None:
        """Retained, below this device's topic."""
        number = self._connection.publish(f"{self._topic}/{below}", payload, retain=True)
        if number is None:
            self.log.warning("%s/%s stays as it was: the broker takes no %d bytes", self._topic, below, len(payload))
        return number


def _said(part: Part) -> tuple[str, str]:
    return part.state, part.reason

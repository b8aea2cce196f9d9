"""One connection to an MQTT broker, until it is lost; why it is lost or refused, in one line.

Nothing is kept from one connection to the next: what was not acknowledged comes from the store again.
"""

import re
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.daemon.config import secret
from edge.daemon.delivery import DeliveryError, Wake
from edge.daemon.settings import MqttSettings

PLAIN_PORT, TLS_PORT = 1883, 8883  # IANA
PASSWORD_VARIABLE = "EDGE_DIGITS_MQTT_PASSWORD"
CONNECT_SECONDS = 5.0  # for TCP, and again for TLS
ANSWER_SECONDS = 10.0  # for the broker to accept the connection
KEEPALIVE_SECONDS = 30  # without a message until a ping; as long again, and the broker is gone
PROTOCOLS = {"3.1.1": paho.MQTTv311, "5": paho.MQTTv5}
WINDOW = 20  # messages on their way at once; Mosquitto's own default for a client
PACKET_OVERHEAD = 32  # bytes of a packet beside topic and payload, at most (MQTT 5, 3.3, without properties)
LARGEST = 268_435_455  # bytes of a packet (MQTT, 1.5.5)

TAKEN_OVER = 0x8E  # MQTT 5, 2.4
ERROR_NUMBER = re.compile(r"^.*\[Errno \d+\] ")  # and the library's words before it
REFUSED = 0x80  # reason codes from here on are errors
CREDENTIALS = ("Not authorized", "Bad user name or password")
VERSIONS = ("Unsupported protocol version",)
IDENTIFIERS = ("Client identifier not valid",)


@dataclass(frozen=True, slots=True)
class Message:
    """What the broker sent. `retained`: it was there before this connection."""

    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Of the message with this number; `refused`: why the broker does not take it; `code`: MQTT 5's for it."""

    number: int
    code: int
    refused: str


class Connection:
    """Used by one thread. What sends or receives raises DeliveryError once the connection is lost."""

    def __init__(self, settings: MqttSettings, client_id: str, will: tuple[str, str]) -> None:
        """will: topic and text that the broker publishes, retained, when this connection ends without a goodbye."""
        self.address = f"{settings.host}:{port(settings)}"
        self.largest = LARGEST
        self.messages: deque[Message] = deque()
        self.acknowledged: deque[Acknowledgement] = deque()
        self._settings = settings
        self._client_id = client_id
        self._accepted = False
        self._lost: str | None = None
        self._trouble = ""
        self._window = WINDOW
        self._count = 0
        self._waiting: deque[tuple[int, str, bytes, bool]] = deque()  # number, topic, payload, retain
        self._on_the_way: dict[int, int] = {}  # our number of each message by the protocol's
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=None if settings.version == "5" else True,
            protocol=PROTOCOLS[settings.version],
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_SECONDS
        client.max_inflight_messages_set(0)  # no limit: the window is kept here, where the broker can make it smaller
        client.will_set(will[0], will[1], qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_log = self._on_log
        self._client = client
        self._poll = select.poll()

    def open(self, wake: Wake, give_up: Callable[[], bool]) -> None:
        """Connects, and waits until the broker accepts it. Raises DeliveryError, and UsageError for a missing file."""
        settings, client = self._settings, self._client
        password = secret(settings.password_file, PASSWORD_VARIABLE)
        if settings.user:
            client.username_pw_set(settings.user, password)
        if settings.tls:
            client.tls_set_context(_context(settings))
        try:
            client.connect(settings.host, port(settings), KEEPALIVE_SECONDS)
        except (OSError, ValueError) as error:
            raise DeliveryError(self._why(error)) from None
        self._poll.register(wake.fileno(), select.POLLIN)
        deadline = time.monotonic() + ANSWER_SECONDS
        while not self._accepted:
            if give_up():
                raise DeliveryError("it was stopped before the broker accepted the connection")
            if time.monotonic() > deadline:
                raise DeliveryError(f"{self.address} does not answer as an MQTT broker")
            wake.clear()
            self.step(0.5)

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> int | None:
        """Sends it with QoS 1, in order; the number under which it will be acknowledged.

        None where it is not sent, because it is larger than this broker takes: it would hang up.
        """
        if len(payload) + len(topic.encode()) + PACKET_OVERHEAD > self.largest:
            return None
        self._count += 1
        self._waiting.append((self._count, topic, payload, retain))
        self._send_waiting()
        return self._count

    def subscribe(self, topic: str) -> None:
        self._client.subscribe(topic, qos=1)
        self._check()

    def step(self, seconds: float) -> None:
        """Waits so long for the broker or a wake, and takes and sends what there is."""
        client = self._client
        connected: Any = client.socket()
        self._check()
        waiting = connected.pending() if isinstance(connected, ssl.SSLSocket) else 0
        self._poll.register(connected.fileno(), select.POLLIN | (select.POLLOUT if client.want_write() else 0))
        events = dict(self._poll.poll(0 if waiting else max(0.0, seconds) * 1000)).get(connected.fileno(), 0)
        if events & select.POLLOUT:
            client.loop_write()
        if waiting or events & ~select.POLLOUT:
            client.loop_read()
        client.loop_misc()
        self._send_waiting()

    def _send_waiting(self) -> None:
        while self._waiting and len(self._on_the_way) < self._window and self._client.socket() is not None:
            number, topic, payload, retain = self._waiting.popleft()
            sent = self._client.publish(topic, payload, qos=1, retain=retain)
            self._on_the_way[sent.mid] = number
        self._check()

    def say_goodbye(self) -> None:
        """Ends it in agreement, so that the broker does not publish the will."""
        self._client.disconnect()

    def close(self) -> None:
        """Never raises."""
        connected: Any = self._client.socket()
        if connected is not None:
            connected.close()

    def _check(self) -> None:
        if self._lost is None and self._client.socket() is None:
            self._lost = "the connection was closed"
        if self._lost is not None:
            raise DeliveryError(self._lost)

    def _on_connect(
        self, _client: Any, _data: Any, _flags: Any, code: ReasonCode, properties: Properties | None
    ) -> None:
        if code.is_failure:
            self._lost = self._refusal(str(code))
            return
        self._accepted = True
        self.largest = getattr(properties, "MaximumPacketSize", LARGEST)
        self._window = min(getattr(properties, "ReceiveMaximum", WINDOW), WINDOW)

    def _on_disconnect(self, _client: Any, _data: Any, flags: Any, code: ReasonCode, _properties: Any) -> None:
        if self._lost is not None:
            return
        if flags.is_disconnect_packet_from_server:
            reason = f"the broker ended it: {code}"
            if code.value == TAKEN_OVER:
                reason = f"another client took the name {self._client_id}; give each its own mqtt.client_id"
        elif self._accepted:
            reason = self._trouble or "the broker closed it or is gone"
        else:
            reason = self._before_accepting()
        self._lost = f"{self.address}: {reason}"

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self.messages.append(Message(message.topic, bytes(message.payload), message.retain))

    def _on_publish(self, _client: Any, _data: Any, number: int, code: ReasonCode, _properties: Any) -> None:
        ours = self._on_the_way.pop(number, None)
        if ours is not None:
            refused = str(code) if code.value >= REFUSED else ""
            self.acknowledged.append(Acknowledgement(ours, code.value, refused))

    def _on_log(self, _client: Any, _data: Any, level: int, text: str) -> None:
        """The library says only here why a socket failed."""
        if level == paho.MQTT_LOG_ERR:
            self._trouble = ERROR_NUMBER.sub("", text)

    def _before_accepting(self) -> str:
        """Why the broker hung up at once. Whether its TLS alert comes through is a matter of luck."""
        if not self._settings.tls:
            return self._trouble or "the broker closed it before it accepted"
        if not self._settings.certificate_file:
            return "the broker ended TLS at once; if it wants a client certificate, see mqtt.certificate_file"
        return "the broker ended TLS at once; if it knows its clients, it does not trust mqtt.certificate_file"

    def _refusal(self, reason: str) -> str:
        said = f"{self.address} refuses the connection: {reason}"
        if reason in CREDENTIALS:
            who = f"user '{self._settings.user}'" if self._settings.user else "a client without a user"
            return f"{said}; {who} is not let in: check mqtt.user and its password"
        if reason in VERSIONS:
            other = "3.1.1" if self._settings.version == "5" else "5"
            return f'{said}; try mqtt.version = "{other}"'
        if reason in IDENTIFIERS:
            return f"{said}; choose another mqtt.client_id than {self._client_id}"
        return said

    def _why(self, error: Exception) -> str:
        """Why there is no connection."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"{self.address}: its certificate is not trusted: {error.verify_message}; see mqtt.ca_file"
        if isinstance(error, ssl.SSLError):
            return f"{self.address}: no TLS: {error.reason or error}"
        if isinstance(error, socket.gaierror):
            return f"{self.address}: no address is known for this host"
        if isinstance(error, TimeoutError):
            return f"{self.address} does not answer"
        if isinstance(error, ConnectionRefusedError):
            return f"{self.address}: nothing listens there; is the broker running?"
        if isinstance(error, OSError):
            return f"{self.address}: {error.strerror or error}"
        return f"{self.address}: {error}"


def port(settings: MqttSettings) -> int:
    """The configured one, or the usual."""
    return settings.port or (TLS_PORT if settings.tls else PLAIN_PORT)


def _context(settings: MqttSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
    except OSError as error:
        raise DeliveryError(f"mqtt.ca_file {settings.ca_file}: {_of_file(error)}") from None
    if settings.certificate_file:
        try:
            context.load_cert_chain(settings.certificate_file, settings.key_file or None, _no_password)
        except OSError as error:
            raise DeliveryError(
                f"mqtt.certificate_file {settings.certificate_file} with its key: {_of_file(error)}"
            ) from None
    return context


def _no_password() -> str:
    """A key that asks for a password must not ask it of a terminal."""
    return ""


def _of_file(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"no usable certificate or key: {error.reason or error}"
    return error.strerror or str(error)

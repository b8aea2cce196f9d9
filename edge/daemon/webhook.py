"""POST each record as JSON to an address, until it is accepted.

    POST /hook HTTP/1.1
    Content-Type: application/json
    Authorization: Bearer ...            where a token is configured
    Idempotency-Key: <the record's id>   the same at every try

What the answer means: 2xx, accepted. 408, 425, 429, 5xx or none: tried again, later each time and not before the
server's Retry-After. 401, 403, 404, 405, 407, 410 and redirects, which are not followed: the address or the token is
wrong, so records wait until that is put right. Any other 4xx refuses this one record: after `TRIES` it is passed over
with an error in the log and in the health; it stays in the database. No proxy is used.
"""

import email.utils
import http.client
import socket
import ssl
import time
import urllib.parse
from typing import TYPE_CHECKING

from edge import __version__
from edge.daemon.config import secret
from edge.daemon.delivery import DeliveryError, Sink, encoded
from edge.daemon.live import FAILED, WORKING
from edge.daemon.protocol import Record
from edge.errors import UsageError

if TYPE_CHECKING:
    from edge.daemon.protocol import Daemon
    from edge.daemon.settings import Settings

TOKEN_VARIABLE = "EDGE_DIGITS_WEBHOOK_TOKEN"
TRIES = 5  # of a record that the server refuses
LONGEST_ASKED = 3600.0  # seconds: a Retry-After beyond is cut
MAX_ANSWER = 65_536  # bytes of an answer's body that are read, to use the connection again

LATER = {408, 425, 429}  # RFC 9110, 8470, 6585: the same request may succeed later
MISCONFIGURED = {401, 403, 404, 405, 407, 410}  # about the address and who asks, not about the record


def check_webhook(settings: "Settings") -> list[str]:
    """What is wrong with [webhook], a line each."""
    try:
        if settings.webhook.url:
            _parsed(settings.webhook.url)
    except UsageError as error:
        return [str(error)]
    return []


def _parsed(address: str) -> urllib.parse.SplitResult:
    """Raises UsageError for what cannot be posted to."""
    try:
        url = urllib.parse.urlsplit(address)
        _ = url.port  # raises ValueError for one that is none
    except ValueError as error:
        raise UsageError(f"webhook.url: {error}") from None
    if url.scheme not in ("http", "https") or not url.hostname:
        raise UsageError("webhook.url: it begins with https:// or http:// and a host")
    if url.username is not None or url.password is not None:
        raise UsageError("webhook.url: a user and password in it are not sent; use webhook.token_file")
    return url


class WebhookSink(Sink):
    """The cursor is called "webhook". Raises UsageError for an address that cannot be posted to."""

    def __init__(self, daemon: "Daemon") -> None:
        super().__init__("webhook", daemon.store, daemon.live)
        self._settings = daemon.settings.webhook
        url = _parsed(self._settings.url)
        self._host, self._port = url.hostname or "", url.port
        self._secure = url.scheme == "https"
        self._target = urllib.parse.quote(
            urllib.parse.urlunsplit(("", "", url.path or "/", url.query, "")), safe="/?%&=:;,+@!$'()*~#[]"
        )
        self._tries = 0
        self._tried = ""  # the id of the record that these tries were of

    def work(self) -> None:
        token = secret(self._settings.token_file, TOKEN_VARIABLE)
        if token is not None and not (token.isascii() and token.isprintable()):
            raise DeliveryError("the webhook's token has characters that no header takes; write it anew")
        connection = self._connection()
        try:
            for record in self.records():
                self._post(connection, record, token)
                self.delivered(record["sequence"])
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if not self._secure:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._settings.timeout)
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(self._host, self._port, timeout=self._settings.timeout, context=context)

    def _post(self, connection: http.client.HTTPConnection, record: Record, token: str | None) -> None:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"edge-digits/{__version__}",
            "Idempotency-Key": str(record["id"]),
        }
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        answer = self._answer(connection, encoded(record), headers)
        status = answer.status
        said = f"{self._host} answered {status} {answer.reason}".rstrip()
        if 200 <= status < 300:
            self.report(WORKING)
        elif 300 <= status < 400:
            raise DeliveryError(f"{said}: it has moved, and redirects are not followed; correct webhook.url")
        elif status in MISCONFIGURED:
            raise DeliveryError(f"{said}; check webhook.url and the token")
        elif 400 <= status < 500 and status not in LATER:
            self._refused(record, said)
        else:
            raise DeliveryError(said, _retry_after(answer.getheader("Retry-After")))

    def _answer(
        self, connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        used_before = connection.sock is not None
        try:
            return _exchange(connection, self._target, body, headers)
        except (http.client.HTTPException, OSError) as error:
            connection.close()
            if not used_before:
                raise DeliveryError(self._why(error)) from None
        try:  # the server may have ended an idle connection
            return _exchange(connection, self._target, body, headers)
        except (http.client.HTTPException, OSError) as error:
            connection.close()
            raise DeliveryError(self._why(error)) from None

    def _refused(self, record: Record, said: str) -> None:
        """Raises DeliveryError until it was tried often enough."""
        sequence = record["sequence"]
        self._tries = self._tries + 1 if record["id"] == self._tried else 1
        self._tried = record["id"]
        if self._tries < TRIES:
            raise DeliveryError(f"{said} to record {sequence}")
        self.log.error("%s to record %d %d times: passed over, it stays in the database", said, sequence, TRIES)
        self.report(FAILED, f"{said} to record {sequence}: passed over, it stays in the database")

    def _why(self, error: Exception) -> str:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"{self._host}: its certificate is not trusted: {error.verify_message}"
        if isinstance(error, ssl.SSLError):
            return f"{self._host}: no TLS: {error.reason or error}"
        if isinstance(error, socket.gaierror):
            return f"{self._host}: no address is known for it"
        if isinstance(error, TimeoutError):
            return f"{self._host} did not answer in {self._settings.timeout:g} s"
        if isinstance(error, OSError):
            return f"{self._host}: {error.strerror or error}"
        return f"{self._host}: not an HTTP answer"


def _exchange(
    connection: http.client.HTTPConnection, target: str, body: bytes, headers: dict[str, str]
) -> http.client.HTTPResponse:
    connection.request("POST", target, body, headers)
    answer = connection.getresponse()
    if len(answer.read(MAX_ANSWER)) == MAX_ANSWER:
        connection.close()
    return answer


def _retry_after(value: str | None) -> float:
    """Seconds that a Retry-After (RFC 9110, 10.2.3) asks for, 0 to LONGEST_ASKED; 0 for what is none."""
    if value is None:
        return 0.0
    if value.strip().isdecimal():
        seconds = float(value)
    else:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return 0.0
    return min(max(seconds, 0.0), LONGEST_ASKED)

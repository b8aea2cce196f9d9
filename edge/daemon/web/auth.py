"""Who may ask: the Host header, a token, a one-time link, sessions, and where a request comes from.

Nothing here imports a library for HTTP: it is asked before a body is received, and by the check of the configuration.
"""

import hashlib
import hmac
import ipaddress
import os
import platform
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from edge.daemon.settings import HttpSettings, Settings
from edge.daemon.web.errors import HttpError
from edge.errors import UsageError

TOKEN_VARIABLE = "EDGE_DIGITS_TOKEN"
SHORTEST_TOKEN = 16  # characters
MAX_TOKEN_BYTES = 4096  # a file that is larger is something else
CODE_BYTES = 16  # of a one-time link and of a session: 128 bits, which nobody guesses
LINK_SECONDS = 15 * 60.0
MAX_LINKS = 4
SESSION_SECONDS = 30 * 86_400  # a phone on the wall stays logged in for a month, or until the daemon ends
MAX_SESSIONS = 64  # the oldest goes
WRONG_TOKENS = 10  # from one address within WRONG_SECONDS; then it has to wait
WRONG_SECONDS = 60.0
MAX_ADDRESSES = 1000  # whose wrong tokens are counted
NETWORK_BITS = 64  # of an IPv6 address: whoever has one has all in it

OPEN_PATH = "/healthz"  # for load balancers: neither Host header nor login
LOGIN_PATH = "/login"
STATIC_PATH = "/static/"
PAGES = ("/", LOGIN_PATH)  # may be come to from a link on another site
READ_ONLY = ("GET", "HEAD")
FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")  # what any site can post
PICTURE_PATH = "/api/read"  # changes nothing, so a form may post to it

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]/@,\\]+)(?::\d{1,5})?")
_PRINTABLE = re.compile(r"[!-~]+")

NOT_LOGGED_IN = "log in first: send the token as 'Authorization: Bearer TOKEN', or open the page"
WRONG_TOKEN = "this is not the token"
CROSS_SITE = "a page of another site asked for this; it is refused"


# Configuration


def is_own_address(listen: str) -> bool:
    """Whether only this machine can reach an address."""
    if listen.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(listen.strip("[]")).is_loopback
    except ValueError:
        return False


def load_token(http: HttpSettings) -> str | None:
    """The token of the file, else of the environment; None where none is set. Raises UsageError."""
    if not http.token_file:
        where, token = TOKEN_VARIABLE, os.environ.get(TOKEN_VARIABLE, "")
        if not token:
            return None
    else:
        where = f"http.token_file {http.token_file}"
        try:
            with open(http.token_file, "rb") as file:
                data = file.read(MAX_TOKEN_BYTES + 1)
        except OSError as error:
            raise UsageError(f"{where}: cannot be read: {error.strerror or error}") from None
        if len(data) > MAX_TOKEN_BYTES:
            raise UsageError(f"{where}: more than {MAX_TOKEN_BYTES} bytes; put the token alone into it")
        token = data.decode("utf-8", "replace")
    token = token.strip()
    if len(token) < SHORTEST_TOKEN:
        raise UsageError(f"{where}: a token has at least {SHORTEST_TOKEN} characters; make one: openssl rand -hex 16")
    if not _PRINTABLE.fullmatch(token):
        raise UsageError(f"{where}: a token is one word of plain ASCII characters; make one: openssl rand -hex 16")
    return token


def check_http(settings: Settings) -> list[str]:
    """What is wrong with [http], a line each; empty where it is safe to listen."""
    http = settings.http
    if not http.enabled:
        return []
    wrong = []
    try:
        token = load_token(http)
        if token is None and not http.insecure and not is_own_address(http.listen):
            wrong.append(
                f'http.listen is "{http.listen}": others can reach it, so it needs a token; set http.token_file or '
                f"{TOKEN_VARIABLE}, or http.insecure = true"
            )
    except UsageError as error:
        wrong.append(str(error))
    wrong += [
        f'http.hosts: "{host}" is not a host name' for host in http.hosts if not _HOST.fullmatch(host) or ":" in host
    ]
    return wrong


# Requests


@dataclass(frozen=True, slots=True)
class Asker:
    """What a request says about itself before its body. Headers are empty where they are missing."""

    method: str
    path: str
    address: str
    host: str
    authorization: str = ""
    cookie: str = ""
    origin: str = ""
    fetch_site: str = ""
    content_type: str = ""
    requested_with: str = ""

    @classmethod
    def of(cls, method: str, path: str, address: str, headers: Mapping[str, str]) -> "Asker":
        """headers: by their names in capitals with underscores, as CGI has them without HTTP_."""
        return cls(
            method=method,
            path=path,
            address=address,
            host=headers.get("HOST", ""),
            authorization=headers.get("AUTHORIZATION", ""),
            cookie=headers.get("COOKIE", ""),
            origin=headers.get("ORIGIN", ""),
            fetch_site=headers.get("SEC_FETCH_SITE", "").lower(),
            content_type=headers.get("CONTENT_TYPE", "").partition(";")[0].strip().lower(),
            requested_with=headers.get("X_REQUESTED_WITH", ""),
        )

    @property
    def bearer(self) -> str | None:
        """The token it brings."""
        scheme, _, token = self.authorization.partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None

    def cookie_named(self, name: str) -> str | None:
        for part in self.cookie.split(";"):
            key, _, value = part.partition("=")
            if key.strip() == name:
                return value.strip()
        return None


class Gate:
    """Says which requests may pass. Safe to use from several threads."""

    def __init__(self, settings: Settings, name: str) -> None:
        """name: of the device. Raises UsageError where it would not be safe to listen."""
        http = settings.http
        wrong = check_http(settings)
        if wrong:
            raise UsageError("; ".join(wrong))
        self._token = load_token(http)
        self._listen = http.listen.strip("[]")
        self._any_number = not is_own_address(http.listen)
        machine = platform.node()
        names = ["localhost", "127.0.0.1", "::1", self._listen, *http.hosts]
        names += [form for called in (name, machine) if called for form in (called, f"{called}.local")]
        self._hosts = frozenset(host.lower().rstrip(".") for host in names)
        self._shown_host = http.hosts[0] if http.hosts else f"{machine}.local"
        self._sessions = _Sessions()
        self._links = _Links()
        self._attempts = _Attempts()

    @property
    def needs_login(self) -> bool:
        """Whether there is a token."""
        return self._token is not None

    def admit(self, asker: Asker) -> None:
        """Raises HttpError for a request that may not pass."""
        if asker.path == OPEN_PATH:
            return
        self.check_host(asker.host)
        if asker.path.startswith(STATIC_PATH):  # the same for all, and in every copy of the package
            return
        if asker.path == LOGIN_PATH:
            check_same_site(asker)
            return
        if self._token is not None and not self._has_session(asker):
            if asker.bearer is None:
                raise HttpError(HTTPStatus.UNAUTHORIZED, NOT_LOGGED_IN, {"WWW-Authenticate": "Bearer"})
            self.check_token(asker.bearer, asker.address)
            return  # no other site knows the token
        check_same_site(asker)

    def check_host(self, host: str) -> None:
        """Raises HttpError for a name that is not ours: a page of another site made its own name lead here."""
        found = _HOST.fullmatch(host)
        if found is None:
            raise HttpError(HTTPStatus.BAD_REQUEST, "the request needs one Host header with a host's name")
        name = found[1].lower().strip("[]").rstrip(".")
        if name in self._hosts or (self._any_number and _is_number(name)):
            return
        raise HttpError(
            HTTPStatus.MISDIRECTED_REQUEST, f'this device is not called "{name}"; add the name to hosts in [http]'
        )

    def check_token(self, token: str, address: str) -> None:
        """Raises HttpError for a wrong token, and for any after too many wrong ones from this address."""
        if self._token is None:
            return
        self._attempts.check(address)
        if not hmac.compare_digest(token.encode("utf-8", "surrogatepass"), self._token.encode()):
            self._attempts.count(address)
            raise HttpError(HTTPStatus.UNAUTHORIZED, WRONG_TOKEN, {"WWW-Authenticate": "Bearer"})

    def _has_session(self, asker: Asker) -> bool:
        session = asker.cookie_named(self.cookie(asker.host))
        return session is not None and self._sessions.has(session)

    def cookie(self, host: str) -> str:
        """The name of the session's cookie: cookies know no ports, so it has the one that was asked."""
        port = host.rpartition(":")[2]
        return f"edge_digits_{port}" if port.isascii() and port.isdigit() else "edge_digits"

    def open_session(self) -> str:
        """A new session: the value of its cookie."""
        return self._sessions.open()

    def close_session(self, asker: Asker) -> None:
        session = asker.cookie_named(self.cookie(asker.host))
        if session is not None:
            self._sessions.close(session)

    def login_link(self, port: int) -> str:
        """The page's address; where a token is needed, one that logs in without it, once and within 15 minutes."""
        if is_own_address(self._listen):
            host = f"[{self._listen}]" if ":" in self._listen else self._listen
        else:
            host = self._shown_host
        address = f"http://{host}:{port}"
        return f"{address}{LOGIN_PATH}?once={self._links.make()}" if self.needs_login else f"{address}/"

    def use_link(self, code: str, address: str) -> None:
        """Raises HttpError for a link that was used, is too old, or never was."""
        self._attempts.check(address)
        if not self._links.use(code):
            self._attempts.count(address)
            raise HttpError(
                HTTPStatus.UNAUTHORIZED,
                "this link was used or is too old; log in with the token",
            )


def check_same_site(asker: Asker) -> None:
    """Raises HttpError for what a page of another site asked a browser to do."""
    reads = asker.method in READ_ONLY
    if reads and asker.path in PAGES:
        return
    if asker.fetch_site not in ("", "same-origin", "none"):
        raise HttpError(HTTPStatus.FORBIDDEN, CROSS_SITE)
    if reads:
        return
    if asker.origin:
        if not _is_same(asker.origin, asker.host):
            raise HttpError(HTTPStatus.FORBIDDEN, CROSS_SITE)
        return
    # No browser of today leaves Origin out; one that does can only post a form.
    is_form = asker.content_type in FORM_TYPES and asker.method == "POST" and asker.path != PICTURE_PATH
    if is_form and not asker.fetch_site and not asker.requested_with:
        raise HttpError(HTTPStatus.FORBIDDEN, "send 'Content-Type: application/json', or a header X-Requested-With")


def _is_same(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def _is_number(host: str) -> bool:
    """Whether it is an address in numbers: no name server can make it lead elsewhere."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class _Sessions:
    """In memory alone: when the daemon ends, all are over. Kept as hashes, the oldest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: OrderedDict[bytes, float] = OrderedDict()

    def open(self) -> str:
        session = secrets.token_urlsafe(CODE_BYTES)
        with self._lock:
            self._ends[_hashed(session)] = time.monotonic() + SESSION_SECONDS
            while len(self._ends) > MAX_SESSIONS:
                self._ends.popitem(last=False)
        return session

    def has(self, session: str) -> bool:
        with self._lock:
            return self._ends.get(_hashed(session), 0.0) > time.monotonic()

    def close(self, session: str) -> None:
        with self._lock:
            self._ends.pop(_hashed(session), None)


class _Links:
    """Codes of one-time links, the oldest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: OrderedDict[bytes, float] = OrderedDict()

    def make(self) -> str:
        code = secrets.token_urlsafe(CODE_BYTES)
        with self._lock:
            self._ends[_hashed(code)] = time.monotonic() + LINK_SECONDS
            while len(self._ends) > MAX_LINKS:
                self._ends.popitem(last=False)
        return code

    def use(self, code: str) -> bool:
        with self._lock:
            return self._ends.pop(_hashed(code), 0.0) > time.monotonic()


def _hashed(code: str) -> bytes:
    """What is looked up tells by its time nothing of what is kept."""
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()


class _Attempts:
    """Counts wrong tokens by address, those that began latest last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()  # address: count, since when

    def check(self, address: str) -> None:
        """Raises HttpError for an address with too many."""
        now = time.monotonic()
        with self._lock:
            count, since = self._counts.get(_network(address), (0, now))
        wait = WRONG_SECONDS - (now - since)
        if count >= WRONG_TOKENS and wait > 0:
            raise HttpError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"too many wrong tokens; wait {wait:.0f} seconds",
                {"Retry-After": f"{wait + 1:.0f}"},
            )

    def count(self, address: str) -> None:
        now = time.monotonic()
        network = _network(address)
        with self._lock:
            count, since = self._counts.pop(network, (0, now))
            if now - since >= WRONG_SECONDS:
                count, since = 0, now
            self._counts[network] = count + 1, since
            while len(self._counts) > MAX_ADDRESSES:
                self._counts.popitem(last=False)


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.ip_network((found, NETWORK_BITS), strict=False))
    return address

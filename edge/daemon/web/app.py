"""The WSGI application: who may pass, which route it is, and one line of JSON for whatever goes wrong."""

import io
import logging
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any

from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.wrappers import Request, Response

from edge.daemon.protocol import Daemon
from edge.daemon.web.api import Api, Handler, json_response
from edge.daemon.web.auth import LOGIN_PATH, OPEN_PATH, SESSION_SECONDS, STATIC_PATH, Asker, Gate
from edge.daemon.web.errors import JSON, HttpError, error_body, status_of
from edge.daemon.web.metrics import Metrics
from edge.errors import EdgeDigitsError

STATIC = Path(__file__).with_name("static")
INDEX, LOGIN = "index.html", "login.html"  # in it
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/vnd.microsoft.icon",
    ".webmanifest": "application/manifest+json",
}
LOGOUT_PATH = "/api/logout"

# W3C, Content Security Policy Level 3. blob: and data: are for pictures that people drop on the page.
POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
HEADERS = [
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), microphone=(), geolocation=()"),
]

# The cookie is for requests from our own pages alone. A redirect would still count as coming from where the link was
# found, a message or another site; the next page of ours that asks does not.
ENTER_PAGE = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=/"><title>Edge Digits</title>'
    '<p>Logged in. <a href="/">Go on</a>.'
)

log = logging.getLogger("edge_digits.web")


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file of the page."""

    data: bytes
    content_type: str
    tag: str


def load_static(folder: Path = STATIC) -> dict[str, StaticFile]:
    """The page's files by name, read once: later no request leads to a file."""
    found = {}
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        if not path.is_file() or path.name.startswith((".", "_")):
            continue
        data = path.read_bytes()
        found[path.name] = StaticFile(
            data, TYPES.get(path.suffix, "application/octet-stream"), f"{zlib.crc32(data):08x}-{len(data)}"
        )
    return found


class _Request(Request):
    """With limits to what a form may be."""

    max_form_parts = 8
    max_form_memory_size = 65_536

    def _get_file_stream(
        self, total_content_length: int | None, content_type: str | None, filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:  # fmt: skip
        """In memory: it came from there, and no file is made for it."""
        return io.BytesIO()


class App:
    """Answers requests. Safe to use from several threads."""

    def __init__(self, daemon: Daemon, gate: Gate, metrics: Metrics, static: Mapping[str, StaticFile]) -> None:
        self._gate, self._static = gate, static
        self.api = Api(daemon, metrics)
        self._routes: dict[str, dict[str, Handler]] = {
            **self.api.routes,
            OPEN_PATH: {"GET": self._healthz},
            "/": {"GET": self._index},
            LOGIN_PATH: {"GET": self._login, "POST": self._log_in},
            LOGOUT_PATH: {"POST": self._log_out},
        }

    @property
    def paths(self) -> dict[str, tuple[str, ...]]:
        """All routes and their methods, for the API's description to be checked against."""
        return {path: tuple(methods) for path, methods in self._routes.items()}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = _Request(environ)
        response = self._answer(request)
        for name, value in HEADERS:
            response.headers.setdefault(name, value)
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        try:
            asker = _asker(request)
            try:
                self._gate.admit(asker)
            except HttpError as error:
                if error.status == HTTPStatus.UNAUTHORIZED and request.path == "/" and not asker.bearer:
                    return _see_other(LOGIN_PATH)
                raise
            return self._handled(request)
        except EdgeDigitsError as error:
            headers = error.headers if isinstance(error, HttpError) else {}
            return _failure(status_of(error), str(error), headers)
        except RequestEntityTooLarge:
            return _failure(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the form is too large, or has too many parts")
        except HTTPException as error:
            return _failure(HTTPStatus(error.code or HTTPStatus.BAD_REQUEST), error.description or error.name)
        except Exception:
            log.exception("internal error at %s %s", request.method, ascii(request.path[:100]))
            return _failure(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; the daemon's log has more")

    def _handled(self, request: Request) -> Response:
        path = request.path
        if path.startswith(STATIC_PATH):
            methods: dict[str, Handler] = {"GET": self._file}
        elif path in self._routes:
            methods = self._routes[path]
        else:
            raise HttpError(HTTPStatus.NOT_FOUND, "there is no such address; GET /api/openapi.json lists them")
        method = "GET" if request.method == "HEAD" else request.method
        if method not in methods:
            allowed = ", ".join((*methods, "HEAD") if "GET" in methods else methods)
            raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, f"this address takes {allowed}", {"Allow": allowed})
        return methods[method](request)

    # The page

    def _healthz(self, request: Request) -> Response:
        return Response("ok\n", content_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-store"})

    def _index(self, request: Request) -> Response:
        return self._page(INDEX, request)

    def _file(self, request: Request) -> Response:
        return self._page(request.path.removeprefix(STATIC_PATH), request)

    def _page(self, name: str, request: Request, status: HTTPStatus = HTTPStatus.OK) -> Response:
        file = self._static.get(name)
        if file is None:
            raise HttpError(HTTPStatus.NOT_FOUND, "there is no such file of the page")
        response = Response(file.data, status.value, content_type=file.content_type)
        response.headers["Cache-Control"] = "no-cache"
        if status != HTTPStatus.OK:
            return response
        response.set_etag(file.tag)
        return response.make_conditional(request)

    # Logging in and out

    def _login(self, request: Request) -> Response:
        if not self._gate.needs_login:
            return _see_other("/")
        code = request.args.get("once")
        if code is None:
            return self._page(LOGIN, request)
        # Whoever looks ahead, at a link nobody followed yet, would use it up.
        if request.method == "HEAD" or "prefetch" in request.headers.get("Sec-Purpose", ""):
            raise HttpError(HTTPStatus.FORBIDDEN, "this link logs in once; open it")
        try:
            self._gate.use_link(code, request.remote_addr or "")
        except HttpError as error:
            if not _is_browser(request):
                raise
            return self._page(LOGIN, request, error.status)
        response = Response(ENTER_PAGE, content_type="text/html; charset=utf-8", headers={"Cache-Control": "no-store"})
        return self._with_session(request, response)

    def _log_in(self, request: Request) -> Response:
        if request.mimetype == JSON:
            said = request.get_json(silent=True)
            token = said.get("token") if isinstance(said, dict) else None
        else:
            token = request.form.get("token")
        if not isinstance(token, str):
            raise HttpError(HTTPStatus.BAD_REQUEST, "send the token as 'token'")
        try:
            self._gate.check_token(token.strip(), request.remote_addr or "")
        except HttpError as error:
            if not _is_browser(request):
                raise
            return self._page(LOGIN, request, error.status)
        return self._with_session(request, _see_other("/") if _is_browser(request) else json_response({"ok": True}))

    def _with_session(self, request: Request, response: Response) -> Response:
        response.set_cookie(
            self._gate.cookie(request.environ.get("HTTP_HOST", "")),
            self._gate.open_session(),
            max_age=SESSION_SECONDS,
            secure=request.headers.get("X-Forwarded-Proto", request.scheme) == "https",
            httponly=True,
            samesite="Strict",
        )
        return response

    def _log_out(self, request: Request) -> Response:
        asker = _asker(request)
        self._gate.close_session(asker)
        response = json_response({"ok": True})
        response.delete_cookie(self._gate.cookie(asker.host), httponly=True, samesite="Strict")
        return response


def _asker(request: Request) -> Asker:
    environ = request.environ
    headers = {key.removeprefix("HTTP_"): value for key, value in environ.items() if key.startswith("HTTP_")}
    headers["CONTENT_TYPE"] = environ.get("CONTENT_TYPE", "")
    return Asker.of(request.method, request.path, request.remote_addr or "", headers)


def _is_browser(request: Request) -> bool:
    """Whether a person looks at the answer itself, not a script."""
    return "text/html" in request.headers.get("Accept", "")


def _see_other(where: str) -> Response:
    return Response(status=HTTPStatus.SEE_OTHER.value, headers={"Location": where, "Cache-Control": "no-store"})


def _failure(status: HTTPStatus, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        error_body(message), status.value, {"Cache-Control": "no-store", **(headers or {})}, content_type=JSON
    )

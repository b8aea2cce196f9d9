"""How a mistake becomes an answer: a status and one line of JSON."""

import json
from collections.abc import Mapping
from http import HTTPStatus

from edge.errors import EdgeDigitsError, PictureError, UsageError

JSON = "application/json"


class HttpError(EdgeDigitsError):
    """A request that is refused. status: of the answer; headers: that go with it."""

    def __init__(self, status: HTTPStatus, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


def busy(message: str) -> HttpError:
    """Somebody else is being served; a second later there may be room."""
    return HttpError(HTTPStatus.SERVICE_UNAVAILABLE, message, {"Retry-After": "1"})


def status_of(error: EdgeDigitsError) -> HTTPStatus:
    """The status of an answer that says this error."""
    if isinstance(error, HttpError):
        return error.status
    if isinstance(error, UsageError):
        return HTTPStatus.BAD_REQUEST
    if isinstance(error, PictureError):
        return HTTPStatus.UNPROCESSABLE_ENTITY
    return HTTPStatus.SERVICE_UNAVAILABLE


def error_body(message: str) -> bytes:
    """{"error": "one line"}"""
    return json.dumps({"error": " ".join(message.split())}).encode()

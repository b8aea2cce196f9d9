"""What each route of the API answers. docs/http-api.md and openapi.py describe it for those who ask."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from werkzeug.wrappers import Request, Response

from edge.daemon.live import Seen
from edge.daemon.plausible import value_of
from edge.daemon.protocol import Daemon, Record
from edge.daemon.watched import Watched, field_of, parse_watched, watched_as_toml
from edge.daemon.web.corrections import Corrections
from edge.daemon.web.errors import JSON, HttpError, busy
from edge.daemon.web.images import MAX_UPLOAD_BYTES, Frames, Uploads, sheet
from edge.daemon.web.metrics import CONTENT_TYPE, Metrics
from edge.daemon.web.openapi import document
from edge.errors import UsageError
from edge.fields import MAX_FORM_BYTES, check_keys
from edge.output import reading_record
from edge.reading import Reading

DEFAULT_LIMIT, MAX_LIMIT = 100, 500  # records a page
MAX_PAGE_BYTES = 2_000_000  # of JSON; a page ends there, and `next` goes on
BATCH = 50  # records looked up at a time
LARGEST_NUMBER = 2**53 - 1  # what JavaScript counts to; SQLite goes further
MAX_JSON_BYTES = 65_536
LONGEST_WAIT = 10.0  # seconds of a long poll
WAITING = 4  # polls that wait at once; a further one is answered at once
SLICE_SECONDS = 0.5  # between two looks whether the client is still there, and the server
MAX_WIDTH = 10_000  # pixels that may be asked for; the frame has no more than it has
CLOCK_SET = 1_735_689_600.0  # 2025-01-01: a clock that says less was never set
EVENTS = ("reading", "heartbeat")
UPLOAD_PATH = "upload"  # what the record of a picture that was sent in says for its path
RETRY_SECONDS = "1"

_NUMBER = re.compile(r"\d{1,16}")
_DECIMAL = re.compile(r"\d{1,4}(\.\d{1,6})?")

Handler = Callable[[Request], Response]


def json_response(
    body: object, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer as JSON, not to be kept by anybody on the way."""
    try:
        data = json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a file name that is not UTF-8: written as JsonLines in edge/output.py does
        data = json.dumps(body).encode()
    return Response(data, status.value, {"Cache-Control": "no-store"}, content_type=JSON)


class Api:
    """The routes, for one daemon. Each handler may be called from several threads at once."""

    def __init__(self, daemon: Daemon, metrics: Metrics) -> None:
        self._daemon, self._metrics = daemon, metrics
        self._frames, self._uploads = Frames(), Uploads()
        self._waiting = threading.BoundedSemaphore(WAITING)
        self._trigger = threading.Lock()
        self._correcting = threading.Lock()
        self._closing = threading.Event()
        self.routes: dict[str, dict[str, Handler]] = {
            "/api/health": {"GET": self.health},
            "/api/latest": {"GET": self.latest},
            "/api/readings": {"GET": self.readings},
            "/api/glyphs.png": {"GET": self.glyphs},
            "/api/live": {"GET": self.live},
            "/api/frame.jpg": {"GET": self.frame},
            "/api/read": {"POST": self.read},
            "/api/trigger": {"POST": self.trigger},
            "/api/correct": {"POST": self.correct},
            "/api/fields": {"GET": self.fields, "PUT": self.save_fields},
            "/api/openapi.json": {"GET": self.openapi},
            "/metrics": {"GET": self.metrics},
        }

    def close(self) -> None:
        """Sends those home who wait."""
        self._closing.set()

    # Looking

    def health(self, request: Request) -> Response:
        health = self._daemon.health()
        failed = health["status"] == "failed"
        return json_response(health, HTTPStatus.SERVICE_UNAVAILABLE if failed else HTTPStatus.OK)

    def latest(self, request: Request) -> Response:
        live = self._daemon.live
        seen = live.seen
        return json_response(
            {
                "record": self._daemon.store.latest(),
                "verdict": live.verdict,
                "sharpness": None if seen is None else round(seen.sharpness, 3),
            }
        )

    def readings(self, request: Request) -> Response:
        known = ("limit", "before", "after", "since", "until", "field", "event")
        for key in request.args:
            if key not in known:
                raise UsageError(f"there is no parameter '{key}'; there are {', '.join(known)}")
        limit = _number(request, "limit", 1, MAX_LIMIT)
        event = request.args.get("event")
        if event is not None and event not in EVENTS:
            raise UsageError(f"event is '{event}'; it is one of {', '.join(EVENTS)}")
        before = _number(request, "before", 0, LARGEST_NUMBER)
        after = _number(request, "after", 0, LARGEST_NUMBER)
        since, until = _time(request, "since"), _time(request, "until")
        field = request.args.get("field")
        limit = DEFAULT_LIMIT if limit is None else limit
        found: list[Record] = []
        size = 0
        more = True
        while more and len(found) < limit and size < MAX_PAGE_BYTES:
            wanted = min(BATCH, limit - len(found))
            batch = self._daemon.store.readings(
                before=found[-1]["sequence"] if found else before,
                after=after, since=since, until=until, field=field, event=event, limit=wanted,
            )  # fmt: skip
            found += batch
            size += sum(len(json.dumps(record)) for record in batch)
            more = len(batch) == wanted
        corrected = self._daemon.store.corrected_between(found[-1]["sequence"], found[0]["sequence"]) if found else {}
        return json_response(
            {
                "readings": found,
                "corrections": {
                    str(record["sequence"]): [correction._asdict() for correction in corrected[record["sequence"]]]
                    for record in found
                    if record["sequence"] in corrected
                },
                "next": found[-1]["sequence"] if found and more else None,
            }
        )

    def glyphs(self, request: Request) -> Response:
        sequence = _number(request, "sequence", 0, LARGEST_NUMBER)
        if sequence is None:
            raise UsageError("sequence is missing: of which reading?")
        shown = self._first_said(self._record(sequence), None)
        glyphs = self._daemon.store.glyphs(shown["sequence"])
        if glyphs is None:
            raise HttpError(HTTPStatus.GONE, f"the glyphs of reading {sequence} are no longer kept")
        return Response(sheet(glyphs), content_type="image/png", headers={"Cache-Control": "private, max-age=3600"})

    def _record(self, sequence: int) -> Record:
        """Raises HttpError where there is none of this sequence."""
        found = self._daemon.store.readings(after=sequence - 1, before=sequence + 1, limit=1)
        if not found:
            raise HttpError(HTTPStatus.NOT_FOUND, f"there is no reading {sequence}")
        return found[0]

    def live(self, request: Request) -> Response:
        after = _number(request, "after", 0, LARGEST_NUMBER)
        seconds = _seconds(request, "wait")
        seen = self._daemon.live.seen
        if after is not None and seconds > 0 and (seen is None or seen.number == after):
            self._wait(after, seconds, request.environ.get("waitress.client_disconnected"))
        return json_response(self._live_record())

    def _wait(self, number: int, seconds: float, is_gone: Callable[[], bool] | None) -> None:
        """For a frame with another number, unless too many wait already."""
        if not self._waiting.acquire(blocking=False):
            return
        try:
            end = time.monotonic() + seconds
            while (rest := end - time.monotonic()) > 0 and not self._closing.is_set():
                if self._daemon.live.wait(number, min(rest, SLICE_SECONDS)) or (is_gone is not None and is_gone()):
                    return
        finally:
            self._waiting.release()

    def _live_record(self) -> Record:
        live = self._daemon.live
        seen = live.seen
        if seen is not None:
            self._frames.tell(seen)
        record = reading_record("", seen.reading) if seen is not None else {"digits": [], "fields": [], "text": ""}
        return {
            "number": 0 if seen is None else seen.number,
            "time": None if seen is None else _utc(seen),
            "width": record.get("width"),
            "height": record.get("height"),
            "text": record["text"],
            "digits": record["digits"],
            "fields": record["fields"],
            "sharpness": None if seen is None else round(seen.sharpness, 3),
            "verdict": live.verdict,
            "fps": round(self._metrics.rate, 2),
        }

    def frame(self, request: Request) -> Response:
        wanted = _number(request, "number", 0, LARGEST_NUMBER)
        width = _number(request, "width", 1, MAX_WIDTH)
        seen = self._daemon.live.seen
        if seen is None:
            raise HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "no frame yet", {"Retry-After": RETRY_SECONDS})
        jpeg = self._frames.jpeg(seen, wanted, width)
        response = Response(jpeg.data, content_type="image/jpeg")
        response.set_etag(jpeg.tag)
        response.headers["Cache-Control"] = "private, no-cache"
        response.headers["X-Frame-Number"] = str(jpeg.number)
        return response.make_conditional(request)

    def metrics(self, request: Request) -> Response:
        return Response(self._metrics.text(), content_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})

    def openapi(self, request: Request) -> Response:
        return json_response(document())

    # Asking for a reading

    def read(self, request: Request) -> Response:
        watched = self._watched() if _flag(request, "fields") else Watched()
        with self._uploads as uploads:
            reading = uploads.run(lambda: self._read(uploads, request, watched))
        record = reading_record(UPLOAD_PATH, reading)
        settings = {field.form.name: field for field in watched.fields}
        for field in record["fields"]:  # type: ignore[attr-defined]
            if field["value"] is not None and field["value"].isdecimal():
                field["value"] = value_of(settings[field["name"]], field["value"])
        return json_response(record)

    def _read(self, uploads: Uploads, request: Request, watched: Watched) -> Reading:
        """Its pixels are gone when it returns."""
        full_resolution = self._daemon.settings.reading.full_resolution
        page = uploads.page(_picture(request), full_resolution=full_resolution)
        return self._daemon.reader.read(page, fields=watched.form(), full_resolution=full_resolution)

    def trigger(self, request: Request) -> Response:
        with _alone(self._trigger, "another reading is just being taken; try again in a second"):
            return json_response(self._daemon.trigger("http"))

    # Changing

    def correct(self, request: Request) -> Response:
        said = _json_object(request)
        check_keys(said, ("sequence", "field", "text", "glyphs"), "")
        sequence, field, text = said.get("sequence"), said.get("field"), said.get("text")
        has_glyphs = said.get("glyphs", True)
        if type(sequence) is not int or not 0 <= sequence <= LARGEST_NUMBER:
            raise UsageError("sequence is the number of a reading")
        if not isinstance(text, str):
            raise UsageError("text is what should have been read; put ? for what is no digit")
        if field is not None and not isinstance(field, str):
            raise UsageError("field is the name of a field, or null for the whole reading")
        if type(has_glyphs) is not bool:
            raise UsageError("glyphs is true, or false where the text has more or fewer digits than were read")
        store, classifier = self._daemon.store, self._daemon.reader.classifier
        record = self._record(sequence)
        corrections = Corrections(self._daemon.state, classifier.labels, classifier.none_index)
        with self._correcting:
            right = []
            if has_glyphs:
                shown = self._first_said(record, field)
                right = corrections.labels_of(shown, field, text)
                glyphs = store.glyphs(shown["sequence"])
                if glyphs is None and right:
                    raise HttpError(HTTPStatus.GONE, f"the glyphs of reading {sequence} are no longer kept")
                if glyphs is not None:
                    corrections.keep(shown["id"], glyphs, right)
            else:
                corrections.check(record, field, text)
            try:
                store.correct(sequence, text, field)
            except KeyError:  # deleted a moment ago
                raise HttpError(HTTPStatus.NOT_FOUND, f"there is no reading {sequence}") from None
        return json_response({"sequence": sequence, "field": field, "text": text, "glyphs": len(right)})

    def _first_said(self, record: Record, field: str | None) -> Record:
        """The reading that a heartbeat says again: only its glyphs are kept."""
        if record["event"] != "heartbeat":
            return record
        before = self._daemon.store.readings(before=record["sequence"], event="reading", limit=1)
        same = [reading for reading in before if _text_of(reading, field) == _text_of(record, field)]
        return same[0] if same else record

    def _watched(self) -> Watched:
        return parse_watched(self._daemon.form_text())

    def fields(self, request: Request) -> Response:
        form = request.args.get("format", "toml")
        if form == "json":
            return json_response(self._fields_as_json())
        if form != "toml":
            raise UsageError(f"format is '{form}'; it is json or toml")
        return Response(
            self._daemon.form_text(), content_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-store"}
        )

    def _fields_as_json(self) -> dict[str, object]:
        watched = self._watched()
        return {
            "editable": not self._daemon.settings.fields,
            "size": watched.size,
            "deskew": watched.deskew,
            "fields": [
                asdict(field.form) | {key: value for key, value in asdict(field).items() if key != "form"}
                for field in watched.fields
            ],
        }

    def save_fields(self, request: Request) -> Response:
        if request.mimetype == JSON:
            text = _fields_as_toml(_json_object(request, MAX_FORM_BYTES))
        elif request.mimetype in ("text/plain", "application/toml"):
            try:
                text = _body(request, MAX_FORM_BYTES).decode()
            except UnicodeDecodeError:
                raise UsageError("not a text in UTF-8") from None
        else:
            raise HttpError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send fields as application/json, application/toml or text/plain"
            )
        self._daemon.save_fields(text)
        return json_response(self._fields_as_json())


def _fields_as_toml(said: Mapping[str, Any]) -> str:
    """The TOML of what `fields` answers in JSON. Raises UsageError."""
    check_keys(said, ("fields", "size", "deskew", "editable"), "")
    listed = said.get("fields")
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise UsageError("fields is a list of objects, each with a name and a box")
    size, deskew = said.get("size"), said.get("deskew")
    fields = tuple(field_of(entry, place) for place, entry in enumerate(listed, 1))
    return watched_as_toml(Watched(fields, size, deskew))


def _text_of(record: Record, field: str | None) -> str | None:
    """What a record says of a field, None where it has none of that name; or of all of it."""
    if field is None:
        return str(record["text"])
    return next((said["text"] for said in record["fields"] if said["name"] == field), None)


@contextmanager
def _alone(lock: threading.Lock, message: str) -> Iterator[None]:
    """Raises HttpError where somebody else is at it."""
    if not lock.acquire(blocking=False):
        raise busy(message)
    try:
        yield
    finally:
        lock.release()


def _utc(seen: Seen) -> str | None:
    if not seen.time >= CLOCK_SET:
        return None
    return datetime.fromtimestamp(seen.time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# What requests say


def _number(request: Request, name: str, least: int, most: int) -> int | None:
    said = request.args.get(name)
    if said is None or said == "":
        return None
    if not _NUMBER.fullmatch(said) or not said.isascii() or not least <= int(said) <= most:
        raise UsageError(f"{name} is '{said[:40]}'; it is a whole number from {least} to {most}")
    return int(said)


def _seconds(request: Request, name: str) -> float:
    """At most LONGEST_WAIT; 0 where nothing is said."""
    said = request.args.get(name, "0")
    if not _DECIMAL.fullmatch(said) or not said.isascii():
        raise UsageError(f"{name} is '{said[:40]}'; it is a number of seconds, at most {LONGEST_WAIT:g}")
    return min(LONGEST_WAIT, float(said))


def _flag(request: Request, name: str) -> bool:
    said = request.args.get(name, "0")
    if said not in ("0", "1", "true", "false"):
        raise UsageError(f"{name} is '{said[:40]}'; it is 1 or 0")
    return said in ("1", "true")


def _time(request: Request, name: str) -> str | None:
    """ISO 8601 in UTC; a time that says no zone is taken to be in UTC."""
    said = request.args.get(name)
    if not said:
        return None
    try:
        time_said = datetime.fromisoformat(said.replace(" ", "+") if "T" in said else said)
        if time_said.tzinfo is None:
            time_said = time_said.replace(tzinfo=UTC)
        return time_said.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError):
        raise UsageError(f"{name} is '{said[:40]}'; it is a time such as 2026-11-25T10:00:00Z") from None


def _body(request: Request, most: int) -> bytes:
    length = request.content_length or 0
    if length > most:
        raise HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{length} bytes are too many; {most} are taken here")
    return request.get_data(cache=False)


def _json_object(request: Request, most: int = MAX_JSON_BYTES) -> dict[str, Any]:
    if request.mimetype != JSON:
        raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send it as Content-Type: {JSON}")
    try:
        said = json.loads(_body(request, most))
    except (ValueError, RecursionError):
        raise UsageError("the body is not JSON") from None
    if not isinstance(said, dict):
        raise UsageError("the body is a JSON object")
    return said


def _picture(request: Request) -> bytes:
    """The picture's bytes: the body, or the field `picture` of a form."""
    if request.mimetype == "multipart/form-data":
        sent = request.files.get("picture")
        if sent is None:
            raise UsageError("the form has no file 'picture'")
        return sent.stream.read(MAX_UPLOAD_BYTES + 1)
    if request.mimetype.startswith("image/") or request.mimetype == "application/octet-stream":
        return _body(request, MAX_UPLOAD_BYTES)
    raise HttpError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "send the picture as the body with Content-Type: image/jpeg, or as 'picture' of a form (multipart/form-data)",
    )

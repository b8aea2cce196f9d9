"""The API's description, OpenAPI 3.1: https://spec.openapis.org/oas/v3.1.0."""

from typing import Any

from edge import __version__

Part = dict[str, Any]

NUMBER: Part = {"type": "number"}
INTEGER: Part = {"type": "integer"}
TEXT: Part = {"type": "string"}
FLAG: Part = {"type": "boolean"}
RATIO: Part = {"type": "number", "minimum": 0, "maximum": 1}


def _nullable(schema: Part) -> Part:
    return {**schema, "type": [schema["type"], "null"]}


def _list(items: Part, **more: object) -> Part:
    return {"type": "array", "items": items, **more}


def _object(properties: Part, *, optional: tuple[str, ...] = (), **more: object) -> Part:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        **more,
    }


def _ref(name: str) -> Part:
    return {"$ref": f"#/components/schemas/{name}"}


BOX = _list(INTEGER, minItems=4, maxItems=4, description="x, y, width, height in pixels of the upright picture")
TIME: Part = {"type": "string", "format": "date-time"}

_READING: Part = {
    "path": {**TEXT, "description": "The source's name, or the picture's path"},
    "width": INTEGER,
    "height": INTEGER,
    "text": {**TEXT, "description": "Lines below one another; ? for what is no digit"},
    "lines": _list(TEXT),
    "digits": _list(_ref("Digit")),
    "fields": _list(_ref("Field")),
}
_ORIGIN: Part = {
    "time": {**_nullable(TIME), "description": "null while the device's clock was never set"},
    "sequence": {**INTEGER, "description": "Grows by one a record; the order of records"},
    "device": TEXT,
    "source": TEXT,
    "model": {**TEXT, "description": "SHA-256 of the model file"},
    "id": {**TEXT, "description": "Tells repeats"},
    "event": {"type": "string", "enum": ["reading", "heartbeat"]},
    "clock": _object({"boot": TEXT, "monotonic": NUMBER, "synchronised": FLAG}),
}
_FORM_FIELD: Part = {
    "name": TEXT,
    "box": _list(NUMBER, minItems=4, maxItems=4, description="In units of size; without one parts of the page, 0 to 1"),
    "pattern": _nullable(TEXT),
    "length": _nullable(INTEGER),
    "cells": _nullable(INTEGER),
    "skip_marks": FLAG,
    "decimals": INTEGER,
    "never_decreasing": FLAG,
    "largest_step": _nullable(NUMBER),
    "roll_over": _nullable(NUMBER),
    "unit": TEXT,
    "device_class": TEXT,
}
_FORM: Part = {
    "editable": {**FLAG, "description": "false where the configuration fixes the fields"},
    "size": {"type": ["array", "null"], "items": NUMBER, "minItems": 2, "maxItems": 2},
    "deskew": {"type": ["string", "null"], "enum": ["page", "marks", None]},
    "fields": _list(_ref("FormField")),
}

SCHEMAS: Part = {
    "Error": _object({"error": {**TEXT, "description": "One line for people"}}),
    "Digit": _object({"label": _nullable(TEXT), "confidence": RATIO, "box": BOX, "line": INTEGER}),
    "Field": _object(
        {
            "name": TEXT,
            "text": TEXT,
            "value": {**_nullable(TEXT), "description": "null where it is refused; then reason says why"},
            "confidence": RATIO,
            "valid": FLAG,
            "reason": _nullable(TEXT),
            "box": BOX,
        }
    ),
    "Reading": _object(_READING),
    "Record": _object({**_READING, **_ORIGIN}),
    "Latest": _object(
        {
            "record": {"oneOf": [_ref("Record"), {"type": "null"}]},
            "verdict": {**TEXT, "description": "Why there is no new stable reading; empty where there is"},
            "sharpness": _nullable(RATIO),
        }
    ),
    "Readings": _object(
        {
            "readings": _list(_ref("Record")),
            "corrections": {
                "type": "object",
                "additionalProperties": _list(_ref("Said")),
                "description": "What people said stands there instead, by the reading's sequence, the newest last",
            },
            "next": {**_nullable(INTEGER), "description": "What to give as `before` for the next page"},
        }
    ),
    "Live": _object(
        {
            "number": {**INTEGER, "description": "Of the newest frame read; 0 before the first"},
            "time": _nullable(TIME),
            "width": _nullable(INTEGER),
            "height": _nullable(INTEGER),
            "text": TEXT,
            "digits": _list(_ref("Digit")),
            "fields": _list(_ref("Field")),
            "sharpness": _nullable(RATIO),
            "verdict": TEXT,
            "fps": {**NUMBER, "description": "Frames read a second"},
        }
    ),
    "Health": _object(
        {
            "status": {"type": "string", "enum": ["ok", "degraded", "failed"]},
            "version": TEXT,
            "uptime_seconds": NUMBER,
            "parts": {
                "type": "object",
                "additionalProperties": _object(
                    {
                        "state": {"type": "string", "enum": ["working", "waiting", "failed"]},
                        "reason": TEXT,
                        "since_seconds": NUMBER,
                    }
                ),
            },
            "source": {"type": "object"},
            "frames": {"type": "object"},
            "reading": {"type": "object"},
            "device": {
                "type": "object",
                "properties": {
                    "temperature_c": _nullable(NUMBER),
                    "throttled": {"type": ["array", "null"], "items": TEXT},
                    "under_voltage": _nullable(FLAG),
                    "disk_free_bytes": _nullable(INTEGER),
                    "memory_bytes": _nullable(INTEGER),
                },
            },
        }
    ),
    "FormField": _object(_FORM_FIELD, optional=tuple(name for name in _FORM_FIELD if name not in ("name", "box"))),
    "Form": _object(_FORM, optional=("editable", "size", "deskew")),
    "Said": _object({"field": _nullable(TEXT), "text": TEXT, "time": _nullable(TIME)}),
    "Correction": _object(
        {
            "sequence": INTEGER,
            "field": {**_nullable(TEXT), "description": "A field's name; null, or left out, for the whole reading"},
            "text": {**TEXT, "description": "What should have been read, a label a digit; ? for what is no digit"},
            "glyphs": {
                **FLAG,
                "description": "true unless said; false keeps the text alone, which then may have more or fewer digits",
            },
        },
        optional=("field", "glyphs"),
    ),
    "Corrected": _object({"sequence": INTEGER, "field": _nullable(TEXT), "text": TEXT, "glyphs": INTEGER}),
    "Done": _object({"ok": FLAG}),
}

# What can go wrong everywhere, beside what an operation names.
_ERRORS = {
    "400": "The request is wrong; or it has no Host header",
    "401": "Log in first",
    "403": "A page of another site asked",
    "421": "The device has another name; [http] hosts lists more",
    "429": "Too many wrong tokens",
    "503": "Not now: busy, or a part of the daemon has failed",
}


def _content(kind: str, schema: Part) -> Part:
    return {kind: {"schema": schema}}


def _json(name: str) -> Part:
    return _content("application/json", _ref(name))


def _answers(description: str, content: Part | None = None, status: str = "200", **errors: str) -> Part:
    """errors: status of the answer with a leading underscore, and what it means."""
    answers: Part = {status: {"description": description} | ({"content": content} if content else {})}
    for code, meaning in {**_ERRORS, **{key.lstrip("_"): value for key, value in errors.items()}}.items():
        answers.setdefault(code, {"description": meaning, "content": _json("Error")})
    return answers


def _query(name: str, schema: Part, description: str) -> Part:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


def _paths() -> Part:
    number: Part = {"type": "integer", "minimum": 0}
    picture = {"type": "string", "contentMediaType": "image/*"}
    html = _content("text/html", TEXT)
    toml = _content("text/plain", TEXT)
    return {
        "/healthz": {
            "get": {
                "summary": "Whether it answers; for load balancers, open to all",
                "security": [],
                "responses": {"200": {"description": "It does", "content": _content("text/plain", TEXT)}},
            }
        },
        "/": {"get": {"summary": "The page", "responses": _answers("The page", html, _303="Log in first")}},
        "/login": {
            "get": {
                "summary": "A form for the token; with `once` of a one-time link it logs in",
                "security": [],
                "parameters": [_query("once", TEXT, "The code of a one-time link")],
                "responses": _answers("The form, or a session's cookie", html, _303="No login is needed"),
            },
            "post": {
                "summary": "Logs in: a session's cookie",
                "security": [],
                "requestBody": {
                    "required": True,
                    "content": _content("application/json", _object({"token": TEXT}))
                    | _content("application/x-www-form-urlencoded", _object({"token": TEXT})),
                },
                "responses": _answers("Logged in", _json("Done"), _303="Logged in, for a browser's form"),
            },
        },
        "/api/logout": {"post": {"summary": "Ends the session", "responses": _answers("Done", _json("Done"))}},
        "/api/health": {
            "get": {
                "summary": "How everything is doing",
                "responses": _answers("ok or degraded", _json("Health"))
                | {
                    "503": {
                        "description": "failed",
                        "content": _content("application/json", {"anyOf": [_ref("Health"), _ref("Error")]}),
                    }
                },
            }
        },
        "/api/latest": {
            "get": {"summary": "The newest record", "responses": _answers("It, or null and why", _json("Latest"))}
        },
        "/api/readings": {
            "get": {
                "summary": "Records, the newest first",
                "parameters": [
                    _query("limit", {"type": "integer", "minimum": 1, "maximum": 500, "default": 100}, "At most"),
                    _query("before", number, "Sequence, not included"),
                    _query("after", number, "Sequence, not included"),
                    _query("since", TIME, "Included"),
                    _query("until", TIME, "Not included"),
                    _query("field", TEXT, "Those that have it"),
                    _query("event", {"type": "string", "enum": ["reading", "heartbeat"]}, "Of this kind"),
                ],
                "responses": _answers("A page of them", _json("Readings")),
            }
        },
        "/api/glyphs.png": {
            "get": {
                "summary": "What the network saw of a reading's digits, in their order, 32 in a row of 28 pixels each",
                "parameters": [_query("sequence", number, "Of the reading")],
                "responses": _answers(
                    "PNG", _content("image/png", TEXT), _404="No such reading", _410="They are no longer kept"
                ),
            }
        },
        "/api/live": {
            "get": {
                "summary": "The newest frame as it was read, before any vote",
                "parameters": [
                    _query("after", number, "With `wait`: until there is another frame than this one"),
                    _query("wait", {"type": "number", "minimum": 0, "maximum": 10}, "Seconds, at most"),
                ],
                "responses": _answers("It", _json("Live")),
            }
        },
        "/api/frame.jpg": {
            "get": {
                "summary": "The newest frame that was read",
                "parameters": [
                    _query("number", number, "This frame, if it was fetched a moment ago; else the newest"),
                    _query("width", {"type": "integer", "minimum": 1}, "Pixels, about; the frame's own at most"),
                ],
                "responses": _answers("JPEG; X-Frame-Number has its number", _content("image/jpeg", TEXT))
                | {"304": {"description": "The same as before (If-None-Match)"}},
            }
        },
        "/api/read": {
            "post": {
                "summary": "Reads a picture that is sent: JPEG up to 25 megapixels, PNG, WebP, BMP up to 12; 16 MB",
                "parameters": [
                    _query("fields", {"type": "string", "enum": ["0", "1", "true", "false"]}, "Whether to read fields")
                ],
                "requestBody": {
                    "required": True,
                    "content": _content("image/*", picture)
                    | _content("application/octet-stream", picture)
                    | _content("multipart/form-data", _object({"picture": picture})),
                },
                "responses": _answers(
                    "What is in it; it is not stored",
                    _json("Reading"),
                    _411="No Content-Length",
                    _413="Too large",
                    _415="Neither a picture nor a form",
                    _422="Not a picture that can be read",
                ),
            }
        },
        "/api/trigger": {
            "post": {
                "summary": "Takes a reading now",
                "responses": _answers("Its record, stored", _json("Record")),
            }
        },
        "/api/correct": {
            "post": {
                "summary": "Says what a reading should have been; its glyphs go into a folder to train on",
                "requestBody": {"required": True, "content": _json("Correction")},
                "responses": _answers(
                    "Kept",
                    _json("Corrected"),
                    _404="No such reading",
                    _410="Its glyphs are no longer kept",
                    _413="Too large",
                    _415="Not JSON",
                ),
            }
        },
        "/api/fields": {
            "get": {
                "summary": "The fields in force",
                "parameters": [_query("format", {"type": "string", "enum": ["toml", "json"]}, "toml unless said")],
                "responses": _answers("They", toml | _json("Form")),
            },
            "put": {
                "summary": "Puts fields in force, all of them",
                "requestBody": {
                    "required": True,
                    "content": _json("Form") | toml | _content("application/toml", TEXT),
                },
                "responses": _answers("They, as they are now", _json("Form"), _413="Too large", _415="Neither"),
            },
        },
        "/metrics": {"get": {"summary": "For Prometheus", "responses": _answers("They", _content("text/plain", TEXT))}},
        "/api/openapi.json": {
            "get": {"summary": "This", "responses": _answers("This", _content("application/json", {"type": "object"}))}
        },
    }


def document() -> Part:
    """The whole description."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Edge Digits",
            "version": __version__,
            "description": 'Handwritten digits, read by a camera. Every error is one line: {"error": ...}.',
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {"session": []}, {}],
        "paths": _paths(),
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "Needed where a token is configured"},
                "session": {"type": "apiKey", "in": "cookie", "name": "edge_digits_8347"},
            },
        },
    }

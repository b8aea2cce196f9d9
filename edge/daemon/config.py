"""Load the daemon's configuration: a TOML file into `Settings`, with every mistake in it said at once."""

import difflib
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from edge.capture import PORTS
from edge.daemon.settings import (
    LOG_LEVELS,
    MQTT_VERSIONS,
    ROTATIONS,
    SOURCE_KINDS,
    WHEN,
    FieldSettings,
    Settings,
)
from edge.daemon.watched import Watched, field_of
from edge.errors import UsageError
from edge.fields import DESKEW, parse_toml

MAX_BYTES = 1_000_000  # a configuration that is larger is something else
MAX_SECRET_BYTES = 4096

STATE_VARIABLE = "STATE_DIRECTORY"  # systemd's, systemd.exec(5)
MQTT_PASSWORD_VARIABLE = "EDGE_DIGITS_MQTT_PASSWORD"
TOKEN_VARIABLE = "EDGE_DIGITS_TOKEN"
WEBHOOK_TOKEN_VARIABLE = "EDGE_DIGITS_WEBHOOK_TOKEN"

NEEDS_LOCATION = {
    "camera": 'its device or number: location = "/dev/video0"',
    "stream": 'its address: location = "rtsp://camera/live"',
    "video": "its file",
    "folder": "its path",
}


class ConfigError(UsageError):
    """A configuration that cannot be used. `mistakes`: one line each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


def load_config(path: str | os.PathLike[str]) -> Settings:
    """The settings in a TOML file. Raises ConfigError with all mistakes, each with the key's name."""
    path = Path(path)
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise UsageError(f"more than {MAX_BYTES // 1_000_000} MB; not a configuration")
        said = parse_toml(data.decode())
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror or error}"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: not a text in UTF-8"]) from None
    except UsageError as error:
        raise ConfigError([f"{path}: {error}"]) from None
    try:
        return settings_of(said, path)
    except ConfigError as error:
        raise ConfigError([f"{path}: {mistake}" for mistake in error.mistakes]) from None


def settings_of(said: Mapping[str, Any], path: Path | None = None) -> Settings:
    """The settings that parsed TOML means. Raises ConfigError with all mistakes."""
    mistakes: list[str] = []
    said = dict(said)
    listed = said.pop("field", [])
    sections: dict[str, Any] = {}
    known: dict[str, Any] = {field.name: hint for field, hint in _hints(Settings) if is_dataclass(hint)}
    for name, table in said.items():
        if name not in known:
            mistakes.append(f"no section is called [{name}]; {_hint(name, [*known, 'field'])}")
        elif not isinstance(table, Mapping):
            mistakes.append(f"{name} is {_said(table)}; it is a section: [{name}]")
        else:
            sections[name] = _section(name, known[name], table, mistakes)
    watched = tuple(_fields(listed, mistakes))
    settings = Settings(**sections, fields=watched, path=path)
    mistakes += _disagreements(settings)
    if mistakes:
        raise ConfigError(mistakes)
    return settings


def _hints(kind: Any) -> Iterator[tuple[Any, Any]]:
    hints = get_type_hints(kind)
    for field in fields(kind):
        yield field, hints[field.name]


def _section(name: str, kind: Any, table: Mapping[str, Any], mistakes: list[str]) -> Any:
    hints = {field.name: hint for field, hint in _hints(kind)}
    values = {}
    for key, value in table.items():
        where = f"{name}.{key}"
        if key not in hints:
            mistakes.append(f"no key is called {where}; {_hint(key, list(hints))}")
            continue
        found, right = _typed(value, hints[key])
        if not right:
            mistakes.append(f"{where} is {_said(value)}; it is {_named(hints[key])}")
            continue
        check = CHECKS.get(where)
        if check is not None and not check[0](found):
            mistakes.append(f"{where} is {_said(value)}; it is {check[1]}")
            continue
        values[key] = found
    return kind(**values)


def _fields(listed: object, mistakes: list[str]) -> Iterator[FieldSettings]:
    if not isinstance(listed, list) or not all(isinstance(entry, Mapping) for entry in listed):
        mistakes.append("each field begins with [[field]], in two brackets")
        return
    for place, entry in enumerate(listed, 1):
        try:
            yield field_of(entry, place)
        except UsageError as error:
            mistakes.append(str(error))


def _disagreements(settings: Settings) -> Iterator[str]:
    """What is wrong although each key by itself is right."""
    source, reading, mqtt = settings.source, settings.reading, settings.mqtt
    location = source.location or source.location_file
    if source.kind in NEEDS_LOCATION and not location:
        yield f"source.location is missing: a {source.kind} needs {NEEDS_LOCATION[source.kind]}"
    if source.location and source.location_file:
        yield "source.location and source.location_file are both given; one of them says where it is"
    if source.kind == "stream" and source.location and source.location.partition("://")[0].lower() not in PORTS:
        yield f"source.location is no address of a stream; it begins with {', '.join(f'{k}://' for k in PORTS)}"
    if source.retry_longest < source.retry_seconds:
        yield "source.retry_longest is less than source.retry_seconds"
    if reading.agree > reading.frames:
        yield f"reading.agree is {reading.agree}, but only {reading.frames} frames vote (reading.frames)"
    elif 2 * reading.agree <= reading.frames:
        yield (
            f"reading.agree is {reading.agree} of {reading.frames} frames; it has to be more than half of them, "
            "or two texts could win"
        )
    if reading.fields and settings.fields:
        yield "reading.fields names a file, and there are [[field]] sections as well; fields are in one place"
    if reading.fields and (reading.deskew or reading.page_size):
        yield "reading.deskew and reading.page_size belong to [[field]]; with reading.fields they stand in its file"
    if settings.fields:
        try:
            watched_of(settings)
        except UsageError as error:
            yield str(error)
    if bool(mqtt.certificate_file) != bool(mqtt.key_file):
        yield "mqtt.certificate_file and mqtt.key_file belong together"
    for key in ("ca_file", "certificate_file"):
        if getattr(mqtt, key) and not mqtt.tls:
            yield f"mqtt.{key} is given, but mqtt.tls is not true"
    for name, path in _files(settings):
        if path:
            yield from _unreadable(name, path)
    if settings.webhook.url and settings.webhook.url.partition("://")[0] not in ("http", "https"):
        yield "webhook.url is no address; it begins with https:// or http://"


def watched_of(settings: Settings) -> Watched:
    """The fields in the configuration itself. Raises UsageError."""
    reading = settings.reading
    return Watched(settings.fields, reading.page_size, reading.deskew or None)


def _files(settings: Settings) -> Iterator[tuple[str, str]]:
    yield "source.location_file", settings.source.location_file
    yield "mqtt.ca_file", settings.mqtt.ca_file
    yield "mqtt.certificate_file", settings.mqtt.certificate_file
    yield "mqtt.key_file", settings.mqtt.key_file
    yield "mqtt.password_file", settings.mqtt.password_file
    yield "http.token_file", settings.http.token_file
    yield "webhook.token_file", settings.webhook.token_file
    yield "reading.model", settings.reading.model


def _unreadable(name: str, path: str) -> Iterator[str]:
    try:
        with open(path, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                yield f"{name}: {path} is not a file"
    except OSError as error:
        yield f"{name}: {path} cannot be read: {error.strerror or error}"


def secret(path: str, variable: str = "") -> str | None:
    """The first line of a file, or what an environment variable holds; None where there is neither.

    Raises UsageError where the file cannot be read, or is empty.
    """
    if path:
        try:
            with open(path, encoding="utf-8-sig") as file:
                line = file.read(MAX_SECRET_BYTES).partition("\n")[0].strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
        if not line:
            raise UsageError(f"{path}: its first line is empty")
        return line
    return os.environ.get(variable) or None


def state_folder(settings: Settings) -> Path:
    """Where the daemon keeps what it keeps. Not made here."""
    if settings.device.state:
        return Path(settings.device.state).expanduser()
    if os.environ.get(STATE_VARIABLE):
        return Path(os.environ[STATE_VARIABLE].split(":")[0])
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(base) / "edge-digits"


# What a key can be ----------------------------------------------------------------------------------------------------


def _typed(value: Any, hint: Any) -> tuple[Any, bool]:
    """The value as a type wants it, and whether it is one."""
    if get_origin(hint) in (UnionType, Union):
        hint = next(kind for kind in get_args(hint) if kind is not type(None))
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        if not isinstance(value, list):
            return value, False
        if kinds[-1] is Ellipsis:
            kinds = (kinds[0],) * len(value)
        if len(kinds) != len(value):
            return value, False
        pairs = [_typed(item, kind) for item, kind in zip(value, kinds, strict=True)]
        return tuple(item for item, _ in pairs), all(right for _, right in pairs)
    if hint is float:
        # Compared, not converted: a whole number in TOML may be larger than any of these.
        right = type(value) in (int, float) and -sys.float_info.max <= value <= sys.float_info.max
        return (float(value), True) if right else (value, False)
    if hint is str:
        # No name, path or address has a NUL or a line's end in it; whatever opens or sends them would fail later.
        return value, isinstance(value, str) and not any(character < " " for character in value)
    return value, type(value) is hint


def _named(hint: Any) -> str:
    if get_origin(hint) in (UnionType, Union):
        hint = next(kind for kind in get_args(hint) if kind is not type(None))
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        return "a list of texts" if kinds[-1] is Ellipsis else "two numbers: [width, height]"
    return {str: "a text in quotes, of one line", int: "a whole number", float: "a number", bool: "true or false"}[hint]


def _hint(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"


def _said(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


Check = tuple[Callable[[Any], bool], str]


def _between(least: float, most: float) -> Check:
    return (lambda value: least <= value <= most), f"from {least:g} to {most:g}"


def _one_of(names: tuple[object, ...]) -> Check:
    *others, last = [_said(name) for name in names]
    return (lambda value: value in names), f"{', '.join(others)} or {last}"


def _automatic_or(least: float, most: float, automatic: float) -> Check:
    return (
        lambda value: value == automatic or least <= value <= most
    ), f"from {least:g} to {most:g}, or {automatic:g} for automatic"


def _topic(value: str) -> bool:
    return not any(c in value for c in "#+\0") and len(value.encode()) < 1000 and not value.startswith(("$", "/"))


_SECONDS_A_DAY = 86_400.0
_PORT = _between(1, 65_535)
CHECKS: dict[str, Check] = {
    "source.kind": _one_of(SOURCE_KINDS),
    "source.size": ((lambda size: all(16 <= side <= 10_000 for side in size)), "two sides from 16 to 10000 pixels"),
    "source.rate": _between(0.01, 240),
    "source.rotate": _one_of(ROTATIONS),
    "source.exposure_us": _automatic_or(1, 60_000_000, 0),
    "source.gain": _automatic_or(1, 64, 0),
    "source.focus": _automatic_or(0, 32, -1),
    "source.retry_seconds": _between(0.05, 3600),
    "source.retry_longest": _between(0.05, _SECONDS_A_DAY),
    "source.frozen_seconds": _between(0, _SECONDS_A_DAY),
    "reading.threads": _between(1, 64),
    "reading.min_confidence": _automatic_or(0, 1, -1),
    "reading.when": _one_of(WHEN),
    "reading.interval": _between(0.02, _SECONDS_A_DAY),
    "reading.change": _between(0, 1),
    "reading.frames": _between(1, 1000),
    "reading.agree": _between(1, 1000),
    "reading.confidence": _between(0, 1),
    "reading.runtime": _one_of(("", "litert", "tflite")),
    "reading.deskew": _one_of(("", *DESKEW)),
    "reading.page_size": ((lambda size: min(size) > 0), "two numbers above 0: [width, height]"),
    "store.heartbeat_minutes": _between(0.01, 525_600),
    "store.keep_days": _between(0, 36_500),
    "store.keep_megabytes": _automatic_or(1, 1e6, 0),
    "store.keep_glyphs": _between(0, 10_000_000),
    "mqtt.port": _between(0, 65_535),
    "mqtt.version": _one_of(MQTT_VERSIONS),
    "mqtt.topic": (_topic, "a topic without # and +, and not below $ or /"),
    "mqtt.discovery_prefix": (_topic, "a topic without # and +, and not below $ or /"),
    "http.port": _PORT,
    "webhook.timeout": _between(0.1, 300),
    "gpio.lamp": _between(-1, 53),
    "gpio.lamp_seconds": _between(0, 10),
    "gpio.button": _between(-1, 53),
    "log.level": _one_of(LOG_LEVELS),
}

"""The daemon put together: it starts every part, changes what a new configuration changes, and ends them in time."""

import logging
import os
import platform
import tempfile
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from edge.daemon.config import state_folder, watched_of
from edge.daemon.follow import Follower
from edge.daemon.gpio import Button, Lamp
from edge.daemon.health import device_facts
from edge.daemon.live import FAILED, WAITING, WORKING, Live, Part
from edge.daemon.loop import Loop
from edge.daemon.protocol import NoReadingError, Record
from edge.daemon.settings import FieldSettings, Settings
from edge.daemon.store import DATABASE, Store, StoreError
from edge.daemon.watched import Watched, load_watched, parse_watched, watched_as_toml
from edge.errors import UsageError
from edge.reader import DigitReader

FIELDS = "fields.toml"  # in the state folder, where the configuration names no other
HUNG_SECONDS = 10.0  # a turn of the loop that takes longer hangs
TIDY_SECONDS = 600.0  # between two looks at what the store need not keep
PICTURE_THREAD = "picture"  # reads a picture that was sent in, for as long as that takes
LOOP_THREAD = "reading"  # likewise the camera's, on a slow processor longer than the end waits
SINKS = ("mqtt", "webhook", "stdout")
END_SECONDS = 0.8  # for each part to end
LOOP_SECONDS = 0.5  # for the loop to end its turn: with this all ends within two seconds

log = logging.getLogger("edge_digits.daemon")


class Ending(Protocol):
    """A part that runs beside the loop."""

    def start(self) -> None:
        """In a thread of its own."""
        ...

    def stop(self, timeout: float) -> None:
        """Ends it, within this many seconds."""
        ...


class Service:
    """A running daemon; `edge.daemon.protocol.Daemon` says what its parts may ask of it."""

    def __init__(self, settings: Settings) -> None:
        """Opens the store and loads the model; nothing runs yet. Raises EdgeDigitsError for what cannot be used."""
        self.settings = settings
        self.name = settings.device.name or platform.node()
        self.state = state_folder(settings)
        self.live = Live()
        self._started = time.monotonic()
        self._changing = threading.RLock()
        self._make_state_folder()
        self._watched = self._fields_of(settings)
        self.reader = load_reader(settings)
        self.store = Store(self.state / DATABASE, settings.store)
        self.live.report("store", WORKING)
        self._follower: Follower | None = None
        self._lamp: Lamp | None = None
        self._loop: Loop | None = None
        self._loop_thread: threading.Thread | None = None
        self._beside: dict[str, Ending] = {}
        self._ending = threading.Event()
        self.is_stuck = False
        """Whether a thread is inside of a library and did not come back in time: then Python cannot end in order."""

    def _make_state_folder(self) -> None:
        try:
            self.state.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"{self.state}: cannot be made: {error.strerror or error}; device.state names another folder"
            ) from None

    def start(self) -> None:
        """Starts everything; what fails from here on is tried again and said by health()."""
        self.live.report("source", WAITING, "it is not opened yet")
        with self._changing:
            self._start_beside()  # first: a new sink gets what is recorded once it is known, and that is everything
            self._start_reading()
        threading.Thread(target=self._keep_house, name="housekeeping", daemon=True).start()

    def _start_reading(self) -> None:
        from edge.daemon.cameras import open_camera

        settings = self.settings
        source = open_camera(settings.source, self.store)
        self._lamp = Lamp(settings.gpio) if settings.gpio.lamp >= 0 else None
        self._follower = Follower(source, settings.source, self.live)
        origin = {"device": self.name, "source": source.name, "model": self.reader.classifier.info.sha256}
        self._loop = Loop(
            settings.reading,
            settings.store,
            self.reader,
            self._follower,
            self.store,
            self.live,
            origin,
            self._lamp,
        )
        self._loop.configure(settings.reading, settings.store, self._watched)
        self._follower.start()
        self._loop_thread = threading.Thread(target=self._run_loop, args=(self._loop,), name=LOOP_THREAD, daemon=True)
        self._loop_thread.start()

    def _run_loop(self, loop: Loop) -> None:
        """A mistake in the loop ends the process: systemd starts it again, and nothing that was said is lost."""
        try:
            loop.run()
        except Exception:
            log.exception("internal error; the daemon ends")
            os._exit(1)

    def _stop_reading(self, beside: Collection[str] = ()) -> None:
        """Ends the loop, then the parts of these names, which hand over what it read last, while the source ends."""
        deadline = time.monotonic() + END_SECONDS
        if self._loop is not None:
            self._loop.stop()
        if self._follower is not None:
            self._follower.stop(0)
        if self._loop_thread is not None:
            self._loop_thread.join(LOOP_SECONDS)
        self._stop_beside(beside)
        if self._follower is not None:
            self._follower.stop(max(0.0, deadline - time.monotonic()))
            self.is_stuck = self.is_stuck or self._follower.is_stuck
        if self._lamp is not None:
            self._lamp.close()
        self._lamp = None
        self._loop = self._follower = self._loop_thread = None

    def _start_beside(self) -> None:
        for name, make in _PARTS.items():
            if name in self._beside:
                continue
            part = make(self)
            if part is not None:
                part.start()
                self._beside[name] = part

    def _stop_beside(self, names: Collection[str]) -> None:
        stopped = [self._beside.pop(name) for name in names if name in self._beside]
        # All at once: each may need its time.
        threads = [threading.Thread(target=part.stop, args=(END_SECONDS,), daemon=True) for part in stopped]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(END_SECONDS + 0.2)

    def stop(self) -> None:
        """Ends everything within two seconds, what was read recorded and flushed."""
        self._ending.set()
        with self._changing:
            self._stop_reading(set(self._beside))
            self.store.close()
        # Python ending while OpenCV or the runtime is at work aborts.
        at_work = {thread.name for thread in threading.enumerate()} & {PICTURE_THREAD, LOOP_THREAD}
        self.is_stuck = self.is_stuck or bool(at_work)

    def _keep_house(self) -> None:
        failed = False
        while not self._ending.wait(TIDY_SECONDS):
            try:
                self.store.tidy()
            except StoreError as error:
                failed = True
                if self.live.report("store", FAILED, str(error)):
                    log.error("%s", error)
            except Exception:  # a mistake must not let the database grow for the rest of the year
                log.exception("keeping the database small failed")
            else:
                if failed:
                    self.live.report("store", WORKING)
                failed = False

    # A new configuration

    def reconfigure(self, new: Settings) -> None:
        """Brings a new configuration in force. Raises EdgeDigitsError where it cannot be used: then nothing changes."""
        old = self.settings
        fixed = [name for name in ("device",) if getattr(old, name) != getattr(new, name)]
        if fixed:
            log.warning("[%s] changed: that needs a restart", fixed[0])
        watched = self._fields_of(new)
        model = [getattr(new.reading, key) != getattr(old.reading, key) for key in _READER_KEYS]
        reader = load_reader(new) if any(model) else self.reader
        with self._changing:
            before = (old, self.reader, self._watched)
            try:
                self._change(new, reader, watched)
            except Exception:  # a source, a pin or an address that cannot be: nothing may stay half changed
                self._change_back(*before)
                raise

    def _change(self, new: Settings, reader: DigitReader, watched: Watched) -> None:
        old = self.settings
        self._stop_beside({name for name, sections in _SECTIONS.items() if _differ(old, new, sections)})
        rereads = reader is not self.reader or _differ(old, new, ("source", "gpio")) or self._loop_thread is None
        if rereads:
            self._stop_reading()
        self.settings, self.reader, self._watched = new, reader, watched
        self.store.configure(new.store)
        if rereads:
            self._start_reading()
        elif self._loop is not None:
            self._loop.configure(new.reading, new.store, watched)
        self._start_beside()
        self._fields_changed()

    def _change_back(self, old: Settings, reader: DigitReader, watched: Watched) -> None:
        try:
            self._change(old, reader, watched)
        except Exception:
            log.exception("what worked before works no more; the daemon ends, to be started again")
            os._exit(1)

    # What the parts ask for

    def trigger(self, by: str, timeout: float = 10.0) -> Record:
        with self._changing:
            loop = self._loop
        if loop is None:
            raise NoReadingError("the daemon is starting or ending")
        log.info("asked for a reading by %s", by)
        return loop.request(by, timeout)

    def fields(self) -> tuple[FieldSettings, ...]:
        return self._watched.fields

    @property
    def watched(self) -> Watched:
        """The fields in force, with their page."""
        return self._watched

    @property
    def fields_are_fixed(self) -> bool:
        """Whether the configuration itself has the fields, so that the page cannot change them."""
        return bool(self.settings.fields)

    def form_text(self) -> str:
        return watched_as_toml(self._watched)

    def save_fields(self, text: str) -> None:
        if self.fields_are_fixed:
            raise UsageError(
                "the fields stand in the configuration; take its [[field]] sections out, and they can be drawn here"
            )
        watched = parse_watched(text)
        with self._changing:
            _write(_fields_file(self.settings, self.state), watched_as_toml(watched))
            self._watched = watched
            if self._loop is not None:
                self._loop.configure(self.settings.reading, self.settings.store, watched)
            self._fields_changed()

    def _fields_changed(self) -> None:
        """Tells those that announce the fields: Home Assistant has a sensor for each."""
        for part in self._beside.values():
            refresh = getattr(part, "refresh", None)
            if refresh is not None:
                refresh()

    def _fields_of(self, settings: Settings) -> Watched:
        return load_fields(settings, self.state)

    def health(self) -> dict[str, Any]:
        parts, now = self.live.parts, time.monotonic()
        follower, seen = self._follower, self.live.seen
        latest, backlog = None, dict[str, int]()
        try:
            latest = self.store.latest()
            backlog = {name: self.store.backlog(name) for name in SINKS if name in self._beside}
        except StoreError as error:  # the rest is said all the same
            parts["store"] = Part(FAILED, str(error))
        states = {part.state for part in parts.values()}
        hung = self.why_hung()
        status = "failed" if hung or parts.get("store", parts.get("source")).state == FAILED else "degraded"  # type: ignore[union-attr]
        if status == "degraded" and states <= {WORKING}:
            status = "ok"
        from edge import __version__

        return {
            "status": status,
            "name": self.name,
            "version": __version__,
            "uptime_seconds": round(now - self._started, 1),
            "parts": {
                name: {"state": part.state, "reason": part.reason, "since_seconds": round(now - part.since, 1)}
                for name, part in sorted(parts.items())
            }
            | ({"reading": {"state": FAILED, "reason": hung, "since_seconds": 0.0}} if hung else {}),
            "source": {"name": "" if follower is None else follower.source.name, "kind": self.settings.source.kind},
            "frames": {
                "read": 0 if seen is None else seen.number,
                "dropped": self.live.dropped,
                "fps": None if follower is None else round(follower.rate, 2),
            },
            "reading": {
                "text": None if latest is None else latest["text"],
                "sequence": None if latest is None else latest["sequence"],
                "time": None if latest is None else latest["time"],
                "verdict": self.live.verdict,
            },
            "backlog": backlog,
            "device": device_facts(self.state),
        }

    def why_hung(self) -> str:
        """What does not come back: a camera call, or the loop itself; empty where all go round."""
        now = time.monotonic()
        follower, loop = self._follower, self._loop
        silent = 0.0 if follower is None else follower.hung_for
        if silent:
            return f"the camera does not answer for {silent:.0f} s"
        if loop is not None and now - loop.alive > HUNG_SECONDS:
            return f"reading does not come to an end for {now - loop.alive:.0f} s"
        return ""


_READER_KEYS = ("model", "runtime", "threads", "min_confidence")
# What each part beside the loop depends on.
_SECTIONS = {"stdout": ("stdout",), "mqtt": ("mqtt",), "webhook": ("webhook",), "http": ("http",), "button": ("gpio",)}


def _differ(old: Settings, new: Settings, sections: tuple[str, ...]) -> bool:
    return any(getattr(old, name) != getattr(new, name) for name in sections)


def load_fields(settings: Settings, state: Path) -> Watched:
    """The fields in the configuration, else in a file of the state folder. Raises UsageError."""
    return watched_of(settings) if settings.fields else load_watched(_fields_file(settings, state))


def _fields_file(settings: Settings, state: Path) -> Path:
    return state / (settings.reading.fields or FIELDS)


def load_reader(settings: Settings) -> DigitReader:
    """With the model and the runtime of the configuration. Raises EdgeDigitsError."""
    reading = settings.reading
    return DigitReader(
        reading.model or None,
        runtime=reading.runtime or None,
        threads=reading.threads,
        min_confidence=None if reading.min_confidence < 0 else reading.min_confidence,
    )


def _write(path: Path, text: str) -> None:
    """The file has either its old content or this one, whenever the power fails. Raises StoreError."""
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
                os.replace(file.name, path)
            except OSError:
                with suppress(OSError):
                    os.unlink(file.name)
                raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}") from None


def _stdout(service: Service) -> Ending | None:
    if not service.settings.stdout.enabled:
        return None
    from edge.daemon.lines import LinesSink

    return LinesSink(service)


def _mqtt(service: Service) -> Ending | None:
    if not service.settings.mqtt.host:
        return None
    from edge.daemon.mqtt import MqttSink

    return MqttSink(service)


def _webhook(service: Service) -> Ending | None:
    if not service.settings.webhook.url:
        return None
    from edge.daemon.webhook import WebhookSink

    return WebhookSink(service)


def _http(service: Service) -> Ending | None:
    if not service.settings.http.enabled:
        return None
    from edge.daemon.web.server import WebServer

    return WebServer(service)


class _ButtonPart:
    """The button as a part beside the loop."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._button: Button | None = None

    def start(self) -> None:
        self._button = Button(self._service.settings.gpio, lambda: self._service.trigger("the button"))

    def stop(self, timeout: float) -> None:
        if self._button is not None:
            self._button.close()


def _button(service: Service) -> Ending | None:
    return _ButtonPart(service) if service.settings.gpio.button >= 0 else None


_PARTS: dict[str, Callable[[Service], Ending | None]] = {
    "stdout": _stdout,
    "mqtt": _mqtt,
    "webhook": _webhook,
    "http": _http,
    "button": _button,
}

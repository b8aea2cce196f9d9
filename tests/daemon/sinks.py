"""What the tests of the sinks share: a daemon with a store and no camera, and records for it."""

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.daemon.live import WORKING, Live
from edge.daemon.protocol import NoReadingError
from edge.daemon.settings import FieldSettings, Settings, StoreSettings
from edge.fields import FormField

MEMORY = Path("/dev/shm")  # Linux; what is written there waits for no disk


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A folder in memory, in place of tmp_path: these tests kill processes, not the power."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def record_of(number: int, **more: Any) -> dict[str, Any]:
    """A record as the service makes it, before the store completes it."""
    return {
        "path": "synthetic",
        "width": 640,
        "height": 480,
        "text": f"{number}",
        "lines": [f"{number}"],
        "digits": [{"label": "7", "confidence": 0.99, "box": [1, 2, 3, 4], "line": 0}],
        "fields": [field_entry("water", f"{number}.5")],
        "time": 1_700_000_000.0 + number,
        "device": "test",
        "source": "synthetic",
        "model": "0" * 64,
        **more,
    }


def field_entry(name: str, value: str | None, reason: str | None = None) -> dict[str, Any]:
    return {
        "name": name,
        "text": value or "?",
        "value": value,
        "confidence": 0.9,
        "valid": value is not None,
        "reason": reason,
        "box": [1, 2, 3, 4],
    }


def field_settings(name: str, **more: Any) -> FieldSettings:
    return FieldSettings(FormField(name, (0.1, 0.1, 0.5, 0.2)), **more)


class StandIn:
    """The daemon as its sinks see it."""

    def __init__(self, settings: Settings, folder: Path, *, name: str = "test") -> None:
        self.settings = settings
        self.state = folder
        self.store = open_store(folder)
        self.live = Live()
        self.name = name
        self.field_list: tuple[FieldSettings, ...] = (field_settings("water", unit="m³", device_class="water"),)
        self.triggered: list[str] = []
        self.stable = True
        self.status = "ok"

    def fields(self) -> tuple[FieldSettings, ...]:
        return self.field_list

    def trigger(self, by: str, timeout: float = 10.0) -> dict[str, Any]:
        self.triggered.append(by)
        if not self.stable:
            raise NoReadingError("the source gives no frame")
        return self.store.add(record_of(len(self.triggered)))

    def health(self) -> dict[str, Any]:
        parts = {n: {"state": p.state, "reason": p.reason, "since_seconds": 0} for n, p in self.live.parts.items()}
        return {
            "status": self.status,
            "parts": {"source": {"state": WORKING, "reason": "", "since_seconds": 0}, **parts},
            "device": {"temperature_c": 48.5, "under_voltage": None},
            "frames": {"read": 12},
            "reading": {"text": "1", "age_seconds": 0.5, "verdict": ""},
        }

    def part(self, name: str) -> tuple[str, str]:
        """State and reason of a sink."""
        part = self.live.parts.get(name)
        return (part.state, part.reason) if part is not None else ("", "")


def open_store(folder: Path) -> Any:
    from edge.daemon.store import Store

    return Store(folder / "readings.sqlite", StoreSettings())


def add_many(store: Any, count: int, first: int = 1) -> list[str]:
    """Their ids."""
    return [store.add(record_of(number))["id"] for number in range(first, first + count)]


def without_repeats(ids: list[str]) -> list[str]:
    """Each where it came first."""
    return list(dict.fromkeys(ids))


class Adder(threading.Thread):
    """Adds records, one after the other with a pause between them, until there are so many."""

    def __init__(self, store: Any, count: int, pause: float) -> None:
        super().__init__(daemon=True)
        self.ids: list[str] = []
        self._store, self._count, self._pause = store, count, pause

    def run(self) -> None:
        wait = threading.Event()
        for number in range(1, self._count + 1):
            self.ids.append(self._store.add(record_of(number))["id"])
            wait.wait(self._pause)

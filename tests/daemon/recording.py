"""Stores on the spot, records to put into them, and processes that do so."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge.daemon.clock import Clock
from edge.daemon.settings import StoreSettings
from edge.daemon.store import DATABASE, Store

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 60.0  # seconds after which a test has failed
NOON = 1_795_608_000.0  # 2026-11-25T12:00:00Z


@dataclass
class Hands:
    """A clock that a test sets."""

    wall: float = NOON
    monotonic: float = 100.0
    synchronised: bool = True
    boot: str = "first"
    clock: Clock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = Clock(lambda: self.wall, lambda: self.monotonic, lambda: self.synchronised, self.boot)

    def step(self, seconds: float) -> None:
        """Somebody sets it."""
        self.wall += seconds

    def run(self, seconds: float) -> None:
        """Time passes."""
        self.wall += seconds
        self.monotonic += seconds


def open_store(folder: Path, hands: Hands | None = None, **settings: Any) -> Store:
    return Store(folder / DATABASE, StoreSettings(**settings), hands.clock if hands else None)


def record(text: str = "472", **fields: str | None) -> dict[str, Any]:
    """As edge.output.reading_record makes it, with the device: one line of digits; and fields, None for no value."""
    digits = [
        {"label": label, "confidence": 0.98, "box": [40 + 30 * place, 60, 28, 44], "line": 0}
        for place, label in enumerate(text)
    ]
    entries = [
        {
            "name": name,
            "text": value or "4?7",
            "value": value,
            "confidence": 0.97,
            "valid": value is not None,
            "reason": None if value is not None else "a character was not a digit",
            "box": [30, 50, 400, 70],
        }
        for name, value in fields.items()
    ]
    return {
        "path": "synthetic",
        "width": 640,
        "height": 480,
        "text": text,
        "lines": [text],
        "digits": digits,
        "fields": entries,
        "device": "shelf",
        "source": "synthetic",
        "model": "0" * 64,
    }


def glyphs(count: int = 3, seed: int = 0) -> np.ndarray:
    """uint8 (count, 28, 28): noise, which does not become smaller by compression."""
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28), np.uint8)


def run_python(code: str, *arguments: object, wrapper: Sequence[str] = (), **more: Any) -> subprocess.CompletedProcess:
    """A script in a process of its own, at the root of the repository."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **more.pop("env", {})}
    return subprocess.run(
        [*wrapper, sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        **more,
    )

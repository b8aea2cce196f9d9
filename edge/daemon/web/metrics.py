"""What Prometheus is told. docs/prometheus.md explains each."""

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from edge.daemon.live import WORKING, Seen
from edge.daemon.protocol import Daemon
from edge.errors import EdgeDigitsError
from edge.fields import A_CHARACTER_REFUSED
from edge.reader import NO_DIGIT

CONTENT_TYPE = CONTENT_TYPE_LATEST
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)  # seconds: a desktop to a Pi Zero
RATE_FRAMES = 60  # over which frames a second are counted
BATCH = 100  # records looked at in one go

# Reasons are made for people; what they have in common is counted.
REASONS = (
    ("character", re.compile(re.escape(A_CHARACTER_REFUSED))),
    ("empty", re.compile(re.escape(NO_DIGIT))),
    ("length", re.compile(r"\d+ digits? instead of ")),
    ("pattern", re.compile(r"does not match ")),
    ("decreasing", re.compile(r".* is less than .* before")),
    ("step", re.compile(r".* from .* before, more than ")),
    ("range", re.compile(r".* rolls over|not one number")),
    ("unstable", re.compile(r"not stable|\d+ of \d+ frames|the frames differ|digit \d+ is ")),
)
OTHER = "other"


def reason_class(reason: str | None) -> str:
    """What kind of reason it is, of a handful."""
    return next((name for name, pattern in REASONS if pattern.match(reason or "")), OTHER)


class Metrics(Collector):
    """Counts what passes by, and looks at the rest when it is asked."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._lock = threading.Lock()
        self._times: deque[float] = deque(maxlen=RATE_FRAMES)
        self._sequence = 0
        registry = CollectorRegistry(auto_describe=False)
        self._registry = registry
        self._seconds = Histogram(
            "edge_digits_read_seconds", "Time a frame took, by step.", ["step"], buckets=BUCKETS, registry=registry
        )
        self._readings = Counter("edge_digits_readings", "Records by event.", ["event"], registry=registry)
        self._refused = Counter(
            "edge_digits_refused", "Field values refused, by kind of reason.", ["field", "reason"], registry=registry
        )
        for event in ("reading", "heartbeat"):
            self._readings.labels(event)
        registry.register(self)
        self._stops: list[Callable[[], None]] = []
        self._counts = False

    def start(self) -> None:
        """Counts from here on."""
        with suppress(EdgeDigitsError):
            latest = self._daemon.store.latest()
            self._sequence = 0 if latest is None else latest["sequence"]
        self._counts = True
        self._stops = [self._daemon.live.listen(self._see), self._daemon.store.subscribe(self._count_new)]

    def stop(self) -> None:
        self._counts = False
        for stop in self._stops:
            stop()
        self._stops = []

    @property
    def rate(self) -> float:
        """Frames read a second, until now: it falls when nothing comes any more."""
        with self._lock:
            times = tuple(self._times)
        span = time.monotonic() - times[0] if times else 0.0
        return (len(times) - 1) / span if span > 0 else 0.0

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self._registry)

    def _see(self, seen: Seen) -> None:
        with self._lock:
            self._times.append(time.monotonic())
        for step, seconds in seen.seconds.items():
            self._seconds.labels(step).observe(seconds)

    def _count_new(self) -> None:
        if not self._counts:
            return
        with self._lock, suppress(EdgeDigitsError):
            while records := self._daemon.store.readings(after=self._sequence, limit=BATCH, oldest_first=True):
                for record in records:
                    self._count(record)
                self._sequence = records[-1]["sequence"]

    def _count(self, record: dict[str, Any]) -> None:
        self._readings.labels(record["event"]).inc()
        for field in record["fields"]:
            if not field["valid"]:
                self._refused.labels(field["name"], reason_class(field["reason"])).inc()

    # Asked by the registry

    def collect(self) -> Iterable[Metric]:
        daemon, live = self._daemon, self._daemon.live
        seen = live.seen
        yield CounterMetricFamily("edge_digits_frames_read", "Frames read.", 0 if seen is None else seen.number)
        yield CounterMetricFamily("edge_digits_frames_dropped", "Frames that passed by unread.", live.dropped)
        parts = GaugeMetricFamily("edge_digits_part_up", "Whether a part works.", labels=["part"])
        for name, part in sorted(live.parts.items()):
            parts.add_metric([name], part.state == WORKING)
        yield parts
        if seen is not None:
            yield GaugeMetricFamily("edge_digits_sharpness_ratio", "Of the newest frame, 0 to 1.", seen.sharpness)
        with suppress(EdgeDigitsError):  # the store's own state is above; the rest is said all the same
            yield from self._of_store()
        with suppress(EdgeDigitsError):
            yield from _of_health(daemon.health(), daemon.name, daemon.reader.classifier.info.sha256)

    def _of_store(self) -> Iterable[Metric]:
        store = self._daemon.store
        yield GaugeMetricFamily("edge_digits_database_bytes", "On the disk.", store.size())
        yield CounterMetricFamily(
            "edge_digits_database_written_bytes", "Written to the disk for it since the start.", store.written
        )
        latest = store.latest()
        if latest is None:
            return
        yield GaugeMetricFamily("edge_digits_sequence", "Of the newest record.", latest["sequence"])
        values = GaugeMetricFamily("edge_digits_field_value", "In the newest record, where valid.", labels=["field"])
        valid = GaugeMetricFamily("edge_digits_field_valid", "Whether it is, in the newest record.", labels=["field"])
        for field in latest["fields"]:
            valid.add_metric([field["name"]], bool(field["valid"]))
            with suppress(TypeError, ValueError):  # refused, or not one number
                values.add_metric([field["name"]], float(field["value"]))
        yield from (values, valid)


def _of_health(health: dict[str, Any], device: str, model: str) -> Iterable[Metric]:
    info = {"version": health.get("version", ""), "device": device, "model": model}
    yield InfoMetricFamily("edge_digits", "What runs here.", info)
    states = GaugeMetricFamily("edge_digits_status", "1 for the state it is in.", labels=["status"])
    for status in ("ok", "degraded", "failed"):
        states.add_metric([status], health["status"] == status)
    yield states
    backlog = GaugeMetricFamily("edge_digits_sink_backlog", "Records a sink has not had yet.", labels=["sink"])
    for sink, count in health.get("backlog", {}).items():
        backlog.add_metric([sink], count)
    yield backlog
    device_facts = health.get("device", {})
    facts = (
        ("temperature_celsius", "Of the processor.", device_facts.get("temperature_c")),
        ("under_voltage", "Whether the supply is too weak right now.", device_facts.get("under_voltage")),
        ("disk_free_bytes", "Where the database is.", device_facts.get("disk_free_bytes")),
        ("memory_bytes", "Resident, of this process.", device_facts.get("memory_bytes")),
        ("uptime_seconds", "Of the daemon.", health.get("uptime_seconds")),
    )
    for name, help_text, value in facts:
        if value is not None:
            yield GaugeMetricFamily(f"edge_digits_{name}", help_text, float(value))

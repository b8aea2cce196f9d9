"""What the daemon costs while nothing happens, and whether it grows: `python -m tests.daemon.faults.cost`."""

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.daemon.synthetic import STEP_SECONDS, Sheet
from tests.daemon.broker import Broker, Subscriber, free_port
from tests.daemon.faults.account import Account
from tests.daemon.faults.camera import Camera, jpeg
from tests.daemon.faults.process import Daemon, Settings

SIZE = [640, 480]  # pixels
IDLE_RATE = 2.0  # frames a second
WARM_SECONDS = 10.0  # before anything is measured
WARM_FRAMES = 1500  # at full speed: the allocators have what they need by then
SAMPLE_SECONDS = 2.0
GROWTH_FRAMES = 100_000
TICKS = os.sysconf("SC_CLK_TCK")
MOST_PERCENT, MOST_MEGABYTES, MOST_GROWTH = 3.0, 120.0, 1.0
STEP = re.compile(r'^edge_digits_read_seconds_(sum|count)\{step="(\w+)"\} (\S+)', re.MULTILINE)
WRITTEN = re.compile(r"^edge_digits_database_written_bytes_total (\S+)", re.MULTILINE)
DAY_SECONDS = 86_400
HEARTBEATS = 96  # a day, one in a quarter of an hour
HOLD_SECONDS = 60.0  # with the same number, while it idles: a meter's last digit in the evening
NUMBERS, NOISES = 4, 20  # different ones, and pictures of each: no camera gives the same one twice


@dataclass(frozen=True, slots=True)
class Spent:
    """Since a process began. `by_thread`: seconds of the processor by thread, `written`: bytes to the disk."""

    at: float
    seconds: float
    by_thread: dict[int, float]
    written: int


def _spent(pid: int) -> Spent:
    by_thread = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        by_thread[int(task.name)] = _ticks(task / "stat") / TICKS
    io = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return Spent(time.monotonic(), _ticks(Path(f"/proc/{pid}/stat")) / TICKS, by_thread, int(io["write_bytes"]))


def _ticks(stat: Path) -> int:
    """User and system time, proc(5)."""
    fields = stat.read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.daemon.faults.cost", description=__doc__)
    parser.add_argument("--idle", type=float, default=60.0, metavar="SECONDS", help="of idling that are measured")
    parser.add_argument("--growth", type=float, default=600.0, metavar="SECONDS", help="at full speed, at most; 0: not")
    parser.add_argument("--camera", choices=("synthetic", "stream"), default="stream", help="while it idles")
    parser.add_argument("--when", choices=("interval", "change"), default="interval", help="it reads, while it idles")
    parser.add_argument(
        "--hold", type=float, default=HOLD_SECONDS, metavar="SECONDS", help="the same number is shown (0.5: none twice)"
    )
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    found = {"idle": idle(options.idle, options.camera, options.when, options.hold)}
    if options.growth:
        found["growth"] = growth(options.growth)
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=2) + "\n")
    return 0 if all(part["within"] for part in found.values()) else 1


def idle(seconds: float, kind: str, when: str, hold: float) -> dict[str, object]:
    """Two frames a second of 640 by 480, HTTP and MQTT on, nobody looks; the number changes now and then."""
    with (
        tempfile.TemporaryDirectory(prefix="edge-digits-cost-") as name,
        Camera(rate=IDLE_RATE, show=_meter(hold)) as camera,
    ):
        folder = Path(name)
        with Broker(folder) as broker, Subscriber(broker, "cost/reading"):
            source = {"kind": kind, "size": SIZE, "rate": IDLE_RATE} | (
                {"location": camera.url} if kind == "stream" else {}
            )
            reading = {"interval": 1 / IDLE_RATE, "when": when}
            daemon = _started(folder, broker, source, reading)
            try:
                time.sleep(WARM_SECONDS)
                before, steps_before, written_before = _spent(daemon.process.pid), _steps(daemon), _written(daemon)
                records_before = daemon.sequence()
                time.sleep(seconds)
                after = _spent(daemon.process.pid)
                steps, records = _steps(daemon), daemon.sequence() - records_before
                written = _written(daemon) - written_before
                memory = daemon.memory()
            finally:
                daemon.close()
    read = steps["read"][1] - steps_before["read"][1]
    frames = IDLE_RATE * (after.at - before.at)
    passed = after.at - before.at
    percent = 100 * (after.seconds - before.seconds) / passed
    threads = sorted((s - before.by_thread.get(t, 0.0) for t, s in after.by_thread.items()), reverse=True)
    split = {step: 1000 * (total - steps_before.get(step, (0, 0))[0]) / frames for step, (total, _) in steps.items()}
    split["everything"] = 1000 * (after.seconds - before.seconds) / frames
    a_record = written / records if records else 0.0
    print(f"idle, {kind} camera, {SIZE[0]}x{SIZE[1]}, {IDLE_RATE:g} frames/s, HTTP and MQTT on, {passed:.0f} s:")
    print(f"  {read:.0f} frames read, for when = {when} and a new number every {hold:g} s")
    print(f"  {percent:.2f} % of one core (aim: {MOST_PERCENT:g}), {memory:.1f} MB resident (aim: {MOST_MEGABYTES:g})")
    print("  a frame, ms: " + ", ".join(f"{step} {spent:.1f}" for step, spent in split.items()))
    print("  by thread, ms of processor a frame: " + ", ".join(f"{1000 * s / frames:.2f}" for s in threads if s > 0))
    beats, a_day = HEARTBEATS * a_record / 1e6, written / passed * DAY_SECONDS / 1e6
    print(
        f"  {records} records, {a_record / 1000:.1f} kB written to the disk for each: {beats:.1f} MB a day where "
        f"nothing changes, {a_day:.0f} MB a day with a new number every {hold:g} s"
    )
    return {
        "camera": kind, "when": when,
        "read": read, "percent": round(percent, 2), "megabytes": round(memory, 1), "milliseconds": split,
        "frames": frames, "seconds": passed, "records": records, "bytes_a_record": a_record,
        "within": percent <= MOST_PERCENT and memory <= MOST_MEGABYTES,
    }  # fmt: skip


def _meter(hold: float) -> Callable[[float], bytes]:
    """What the camera shows at a moment."""
    sheet = Sheet((SIZE[0], SIZE[1]))
    files = [
        [jpeg(sheet.picture((place + noise / NOISES) * STEP_SECONDS)) for noise in range(NOISES)]
        for place in range(1, NUMBERS + 1)
    ]
    return lambda moment: files[int(moment / hold) % NUMBERS][int(moment * IDLE_RATE) % NOISES]


def growth(seconds: float) -> dict[str, object]:
    """As many frames as it reads in that time, GROWTH_FRAMES at most, of another number each; the memory's slope."""
    with tempfile.TemporaryDirectory(prefix="edge-digits-cost-") as name, Camera(rate=100) as camera:
        folder = Path(name)
        with Broker(folder) as broker, Subscriber(broker, "cost/reading"):
            source = {"kind": "stream", "location": camera.url, "rate": 200}
            daemon = _started(folder, broker, source, {"interval": 0.02, "frames": 1, "agree": 1, "confidence": 0.0})
            samples: list[tuple[int, float]] = []
            start = time.monotonic()
            try:
                frames = 0
                while time.monotonic() < start + seconds and frames < WARM_FRAMES + GROWTH_FRAMES:
                    time.sleep(SAMPLE_SECONDS)
                    frames = daemon.health().get("frames", {}).get("read", 0)
                    if frames >= WARM_FRAMES:
                        samples.append((frames, daemon.memory()))
                records, seconds = daemon.sequence(), time.monotonic() - start
            finally:
                daemon.close()
    if len(samples) < 2:
        print(f"full speed: not {WARM_FRAMES} frames in {seconds:.0f} s; give it longer")
        return {"within": False}
    frames, megabytes = np.array(samples).T
    slope = float(np.polyfit(frames, megabytes, 1)[0]) * GROWTH_FRAMES
    half = len(frames) // 2
    late = float(np.polyfit(frames[half:], megabytes[half:], 1)[0]) * GROWTH_FRAMES
    read = int(frames[-1] - frames[0])
    print(
        f"full speed: {read} frames, {records} records in {seconds:.0f} s ({read / seconds:.0f} frames/s): "
        f"{megabytes[0]:.1f} MB after {int(frames[0])} frames, {megabytes[-1]:.1f} MB after {int(frames[-1])}"
    )
    print(f"  {slope:+.2f} MB in {GROWTH_FRAMES} frames, by the second half {late:+.2f} (at most {MOST_GROWTH:g})")
    return {
        "frames": read, "records": records,
        "first_megabytes": float(megabytes[0]), "last_megabytes": float(megabytes[-1]),
        "slope_megabytes": slope, "late_slope_megabytes": late, "within": late <= MOST_GROWTH,
        "samples": [(int(f), round(float(m), 2)) for f, m in zip(frames, megabytes, strict=True)],
    }  # fmt: skip


def _started(folder: Path, broker: Broker, source: dict[str, object], reading: dict[str, object]) -> Daemon:
    daemon = Daemon(folder, Account(), free_port())
    settings: Settings = {
        "device": {"name": "cost", "state": str(folder / "state")},
        "source": source,
        "reading": reading,
        "http": {"port": daemon.port},
        "mqtt": {"host": "127.0.0.1", "port": broker.port, "topic": "cost"},
    }
    daemon.configure(settings)
    daemon.start()
    daemon.wait_ready()
    return daemon


def _metrics(daemon: Daemon) -> str:
    import urllib.request

    with urllib.request.urlopen(f"http://127.0.0.1:{daemon.port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def _steps(daemon: Daemon) -> dict[str, tuple[float, float]]:
    """Seconds and frames so far, by step of the reading."""
    found: dict[str, dict[str, float]] = {}
    for kind, step, value in STEP.findall(_metrics(daemon)):
        found.setdefault(step, {})[kind] = float(value)
    return {step: (kinds["sum"], kinds["count"]) for step, kinds in found.items()}


def _written(daemon: Daemon) -> float:
    found = WRITTEN.search(_metrics(daemon))
    return float(found[1]) if found else 0.0


if __name__ == "__main__":
    sys.exit(main())

"""What the machine says of itself: temperature, throttling, memory, disk. What it does not say is None."""

import os
from pathlib import Path
from typing import Any

TEMPERATURE = Path("/sys/class/thermal/thermal_zone0/temp")  # thousandths of a degree Celsius
THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")  # hexadecimal; a Raspberry Pi's firmware
STATUS = Path("/proc/self/status")

# Raspberry Pi documentation, `vcgencmd get_throttled`: bits for now; 16 higher, since the start.
THROTTLE_BITS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
SINCE_START = 16


def device_facts(state: Path) -> dict[str, Any]:
    """{"temperature_c", "throttled", "under_voltage", "disk_free_bytes", "memory_bytes"}.

    state: a folder on the disk that counts. "throttled" lists what holds now, and what held since the start.
    """
    bits = _throttle_bits()
    return {
        "temperature_c": _temperature(),
        "throttled": None if bits is None else _throttling(bits),
        "under_voltage": None if bits is None else bool(bits & 1),
        "disk_free_bytes": _disk_free(state),
        "memory_bytes": _memory(),
    }


def _temperature() -> float | None:
    try:
        return round(int(TEMPERATURE.read_text()) / 1000, 1)
    except (OSError, ValueError):
        return None


def _throttle_bits() -> int | None:
    try:
        return int(THROTTLED.read_text(), 16)
    except (OSError, ValueError):
        return None


def _throttling(bits: int) -> list[str]:
    now = [name for bit, name in THROTTLE_BITS.items() if bits >> bit & 1]
    before = [f"{name} since the start" for bit, name in THROTTLE_BITS.items() if bits >> (bit + SINCE_START) & 1]
    return now + before


def _disk_free(state: Path) -> int | None:
    try:
        found = os.statvfs(state)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def _memory() -> int | None:
    """Resident memory of this process in bytes."""
    try:
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return None

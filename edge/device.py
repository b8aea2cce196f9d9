"""What this device runs on: runtime, libraries, platform."""

import os
import platform
import sys
from importlib import metadata
from pathlib import Path

from edge.errors import EdgeDigitsError

DEVICE_TREE_MODEL = Path("/proc/device-tree/model")  # names the board on a Raspberry Pi
MEMORY = Path("/proc/meminfo")
JOB_BYTES = 130_000_000  # that a process takes for itself on a photograph of 12 megapixels: 165 MB less what is shared


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def jobs(threads: int) -> int:
    """How many processes read a folder fastest here, each with so many threads: one a core, while memory lasts.

    Threads gain nothing with networks this small (`edge-digits bench`), processes nearly all that a core has. On one
    core that is one; a Raspberry Pi Zero 2 W has four, and memory for fewer where other programs run.
    """
    free = _free_memory()
    room = cores() if free is None else free // JOB_BYTES
    return max(1, min(cores() // threads, room))


def _free_memory() -> int | None:
    """Bytes that programs can still have without others being swapped out."""
    try:
        lines = MEMORY.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def describe(model: str | None, runtime: str | None) -> dict[str, object]:
    """Everything `edge-digits info` says. What is missing is None, and `problems` says what to do about it."""
    problems: list[str] = []
    return {
        "edge_digits": _package_version(),
        "model": _model(model, problems),
        "runtime": _runtime(runtime, problems),
        "opencv": _distribution("opencv-python-headless", "cv2", problems),
        "numpy": _distribution("numpy", "numpy", problems),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "device": _board(),
        "cores": cores(),
        "problems": problems,
    }


def _package_version() -> str:
    from edge import __version__

    return __version__


def _model(model: str | None, problems: list[str]) -> dict[str, object] | None:
    from edge import model_file

    try:
        info = model_file.read(model if model is not None else model_file.default_model())
    except EdgeDigitsError as error:
        problems.append(str(error))
        return None
    data = info.training_data
    return {
        "path": str(info.path),
        "sha256": info.sha256,
        "size": info.size,
        "labels": list(info.labels) if info.labels else None,
        "preprocessing": info.preprocessing,
        "temperature": info.temperature,
        "rejection_threshold": info.rejection_threshold,
        "training_data": {"name": data.name, "sha256": data.sha256} if data else None,
        "has_metadata": info.has_metadata,
    }


def _runtime(runtime: str | None, problems: list[str]) -> dict[str, str] | None:
    try:
        from edge.classifier import RUNTIMES, load_runtime

        name, _ = load_runtime(runtime)
    except EdgeDigitsError as error:
        problems.append(str(error))
        return None
    except ImportError:  # NumPy or OpenCV: said below
        return None
    return {"name": name, "package": RUNTIMES[name][1], "version": metadata.version(RUNTIMES[name][1])}


def _distribution(distribution: str, module: str, problems: list[str]) -> str | None:
    try:
        __import__(module)
    except ImportError as error:
        problems.append(f"{module} cannot be loaded ({str(error).splitlines()[0]}): pip install {distribution}")
        return None
    return str(getattr(sys.modules[module], "__version__", "unknown"))


def _board() -> str | None:
    try:
        return DEVICE_TREE_MODEL.read_text(errors="replace").rstrip("\0\n") or None
    except OSError:
        return None

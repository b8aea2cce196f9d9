"""What systemd is told: ready, reloading, stopping, and that the work goes on (sd_notify(3))."""

import contextlib
import os
import socket
import time

NOTIFY_SOCKET = "NOTIFY_SOCKET"
WATCHDOG_USEC, WATCHDOG_PID = "WATCHDOG_USEC", "WATCHDOG_PID"


def notify(*lines: str) -> bool:
    """Sends assignments such as "READY=1"; whether there was somebody to send them to."""
    address = os.environ.get(NOTIFY_SOCKET)
    if not address:
        return False
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.connect(address)
        sender.sendall("\n".join(lines).encode())
        return True
    return False


def reloading() -> bool:
    """That the configuration is loaded again; "READY=1" ends it."""
    return notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_seconds() -> float | None:
    """After how long without "WATCHDOG=1" systemd takes this process for hung; None where it does not watch."""
    try:
        seconds = int(os.environ[WATCHDOG_USEC]) / 1e6
        watched = int(os.environ.get(WATCHDOG_PID, os.getpid()))
    except (KeyError, ValueError):
        return None
    return seconds if watched == os.getpid() and seconds > 0 else None

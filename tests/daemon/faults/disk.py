"""The disk is full, and has room again: the state folder is on a small disk in memory, which another file fills."""

import contextlib
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.daemon.faults.bench import Bench
from tests.daemon.faults.process import CampaignError, wait_until
from tests.daemon.faults.result import Result

FAULT = "disk full"
DISK = "32m"
NOTICED_SECONDS = 20.0
FULL_SECONDS = 1.5  # at most, after it was noticed
BACK_SECONDS = 30.0
STEP_BYTES = 65536
NO_ROOM = 1  # exit status, for which systemd starts it again


def run(seed: int, rounds: int) -> Result:
    if os.geteuid() != 0:
        return Result(FAULT, skipped="mounting a small disk needs root")
    rng = random.Random(f"{seed} {FAULT}")
    with _small_disk() as disk, Bench(FAULT, seed, state=disk / "state") as bench:
        bench.start()
        bench.daemon.wait_for_record(BACK_SECONDS, "the first record")
        started = ended = 0
        for number in range(rounds):
            time.sleep(rng.uniform(0, FULL_SECONDS))
            ballast = disk / "ballast"
            _fill(ballast)
            wait_until(
                lambda: bench.daemon.part("store") == ("failed", _FULL), NOTICED_SECONDS, "the health says: disk full"
            )
            bench.expect_running()
            if number % 2:  # and it is killed, and started again, without room
                bench.daemon.end(signal.SIGKILL)
                bench.daemon.start()
                started, ended = started + 1, ended + _ends_without_room(bench)
            time.sleep(rng.uniform(0, FULL_SECONDS))
            ballast.unlink()
            freed = time.monotonic()
            if not bench.daemon.is_running:
                bench.start()  # as systemd does
            bench.daemon.wait_for_record(BACK_SECONDS, "a record once there is room")
            bench.result.recovery.append(time.monotonic() - freed)
            wait_until(lambda: bench.daemon.part("store")[0] == "working", BACK_SECONDS, "the store works with room")
            bench.result.times += 1
        bench.result.notes.append(
            f"started {started} times with no room: ended {ended} times, with status {NO_ROOM} and a line"
        )
        bench.finish()
    return bench.result


_FULL = "the disk is full: nothing is recorded until there is space"


def _ends_without_room(bench: Bench) -> bool:
    """Whether it ends, with the one line that says why; systemd would start it again. Else it runs."""
    try:
        bench.daemon.wait_ready()
    except CampaignError:
        said = bench.daemon.log.read_text(errors="replace").splitlines()[-1]
        bench.expect(
            bench.daemon.status == NO_ROOM and _FULL in said, f"status {bench.daemon.status} with no room: {said}"
        )
        return True
    return False


@contextmanager
def _small_disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="edge-digits-disk-") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def _fill(path: Path) -> None:
    """To the last byte, also what is freed a moment later."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\xa5" * STEP_BYTES)
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\xa5" * 512)

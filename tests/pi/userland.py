"""An aarch64 Debian seen through an overlay, its programs run by qemu-user: a Pi's real wheels on its real libraries.

Its mounts, processes and network are its own, and the network has nothing but a loopback. When it ends, all that ran
in it ends and all that was written is gone; the base stays as it was.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.pi.lab import PATH, System, base, folder_of_a_run, teach_aarch64

# The cores of the boards: a Pi 3 and a Zero 2 W, a Pi 4, a Pi 5. LiteRT asks what the core can do; with qemu's default,
# which no Pi is, its outputs differ from x86_64's.
CORES = {"cortex-a53": 0xD03, "cortex-a72": 0xD08, "cortex-a76": 0xD0B}
SECONDS = 1800  # for one command, emulated beside other work
READY_SECONDS = 300

# LiteRT reads this file and crashes over x86_64's.
CPUINFO = """\
processor\t: {number}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid{more}
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: {part:#05x}
CPU revision\t: 3

"""
NEWER = {"cortex-a76": " atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"}

INIT = r"""
set -e
base=$1 folder=$2 cpuinfo=$3 python=$4
mount --make-rprivate /
mkdir "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay overlay -o "lowerdir=$base,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
mount -t proc proc "$folder/root/proc"
mount --rbind /dev "$folder/root/dev"
mount -t tmpfs tmpfs "$folder/root/run"
mkdir -p "$folder/root/run/lock"
[ -z "$cpuinfo" ] || mount --bind "$cpuinfo" "$folder/root/proc/cpuinfo"
"$python" - <<'END'
import fcntl, socket, struct
with socket.socket() as any_socket:  # ip link set lo up
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))
END
: >"$folder/ready"
exec sleep 1000000
"""


class Userland:
    """Runs commands in it. `root`: its file system, as this process sees it."""

    def __init__(self, folder: Path, process: int, core: str | None) -> None:
        self._process = process
        self._inside = str(folder / "root")
        self._core = core
        self.root = Path(f"/proc/{process}/root{folder}/root")

    def run(self, *command: str | Path) -> str:
        """What it says on standard output; raises RuntimeError where it fails."""
        enter = ["nsenter", f"--target={self._process}", "--mount", "--net", "--pid", "chroot", self._inside]
        environment = {"PATH": PATH, "HOME": "/root", "TERM": "dumb", "LC_ALL": "C.UTF-8"}
        if self._core:
            environment["QEMU_CPU"] = self._core
        words = [*enter, "env", "-i", *(f"{name}={value}" for name, value in environment.items()), *map(str, command)]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS)
        if done.returncode:
            raise RuntimeError(f"{command}: {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
        return done.stdout


@contextmanager
def userland(system: System, machine: str, core: str | None = None) -> Iterator[Userland]:
    """A fresh one. core: one of CORES for aarch64, else None."""
    if core:
        teach_aarch64()
    lower = base(system, machine)
    with folder_of_a_run("userland") as place:
        yield from _userland(place, lower, core)


def _userland(place: Path, lower: Path, core: str | None) -> Iterator[Userland]:
    cpuinfo = ""
    if core:
        text = "".join(CPUINFO.format(number=number, part=CORES[core], more=NEWER.get(core, "")) for number in range(4))
        (place / "cpuinfo").write_text(text)
        cpuinfo = str(place / "cpuinfo")
    apart = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child"]
    holder = subprocess.Popen(
        [*apart, "sh", "-c", INIT, "sh", str(lower), str(place), cpuinfo, sys.executable],
        stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        end, process = time.monotonic() + READY_SECONDS, None
        while process is None or not (place / "ready").exists():
            if holder.poll() is not None or time.monotonic() > end:
                holder.kill()
                raise RuntimeError(f"no userland can be made here: {holder.communicate()[1]}")
            time.sleep(0.02)
            process = next(iter(_children(holder.pid)), None)
        yield Userland(place, process, core)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(holder.pid, signal.SIGKILL)
        holder.wait(10)


def _children(process: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return []

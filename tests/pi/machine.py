"""A Debian 13 machine under qemu-system: its own kernel, systemd, libcamera and picamera2, and a V4L2 test camera.

The image is made once; each machine runs on a copy of it. A small agent in it runs what the test asks for, as root.
The power is cut by killing the emulator: what the machine had not written to its disk is gone.
"""

import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.pi import stand_ins, trimmed
from tests.pi.initrd import initrd
from tests.pi.lab import LAB, PATH, TRIXIE, again, alone, base, folder_of_a_run, run, teach_aarch64

MAKERS = ("machine", "stand_ins", "trimmed", "initrd")  # modules that say what an image is
IMAGE_MB = 2600
MEMORY_MB = 1024
AGENT_PORT, PAGE_PORT = 2222, 8347
BOOT_SECONDS = 1200  # at the lowest priority beside other work it can stand still for minutes
SHELL_SECONDS = 1800
HOST = "10.0.2.2"  # this machine, as that one sees it

KERNELS = {"aarch64": "linux-image-arm64", "x86_64": "linux-image-amd64"}
# What a stock Raspberry Pi OS has, and a minimal Debian has not.
PACKAGES = (
    "systemd-sysv udev kmod dbus klibc-utils sudo python3-libcamera libcamera-ipa python3-prctl python3-numpy "
    "libarchive13t64"
)
PICAMERA2 = (
    "picamera2==0.3.38 piexif pillow simplejpeg videodev2 av libarchive-c tqdm OpenEXR jsonschema attrs referencing "
    "rpds-py jsonschema-specifications"
)
EMULATORS = {"x86_64": ("qemu-system-x86_64", "-cpu"), "aarch64": ("qemu-system-aarch64", "-M", "virt", "-cpu")}
CORES = {"x86_64": "max", "aarch64": "cortex-a72"}
AS_FAST_AS_IT_GOES = ("-accel", "tcg,thread=multi", "-smp", "2")
# The machine's clock goes a nanosecond further with each instruction, and jumps where it would wait.
A_NANOSECOND_AN_INSTRUCTION = ("-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-smp", "1")
CONSOLES = {"x86_64": "ttyS0", "aarch64": "ttyAMA0"}

AGENT_UNIT = """\
[Unit]
Description=Brings the network up, and runs what the test asks for
[Service]
ExecStart=/usr/bin/python3 /usr/local/sbin/lab-agent
Restart=always
[Install]
WantedBy=multi-user.target
"""
AGENT = f"""\
import fcntl, json, os, socket, socketserver, struct, subprocess, time

while not (names := sorted(name for name in os.listdir("/sys/class/net") if name.startswith("e"))):
    time.sleep(0.1)
# qemu's network is always the same: without the seconds that a network manager takes to find that out.
with socket.socket() as line:
    for name in (names[0], "lo"):
        address = "10.0.2.15" if name != "lo" else "127.0.0.1"
        for call, number in ((0x8916, address), (0x891C, "255.255.255.0")):  # SIOCSIFADDR, SIOCSIFNETMASK
            packed = struct.pack("16sHH4s8x", name.encode(), socket.AF_INET, 0, socket.inet_aton(number))
            fcntl.ioctl(line, call, packed)
        fcntl.ioctl(line, 0x8914, struct.pack("16sH14x", name.encode(), 0x1 | 0x40))  # SIOCSIFFLAGS: up, running


class Ask(socketserver.StreamRequestHandler):
    def handle(self):
        asked = json.loads(self.rfile.readline())
        try:
            done = subprocess.run(["sh", "-c", asked["script"]], capture_output=True, text=True, errors="replace",
                                  stdin=subprocess.DEVNULL, timeout=asked["seconds"])
            answer = {{"status": done.returncode, "out": done.stdout, "err": done.stderr}}
        except subprocess.TimeoutExpired:
            answer = {{"status": -1, "out": "", "err": "it took too long"}}
        self.wfile.write(json.dumps(answer).encode())


socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("", {AGENT_PORT}), Ask).serve_forever()
"""
# Nothing is started while packages are installed in a chroot.
POLICY = "#!/bin/sh\nexit 101\n"


def image(machine: str) -> Path:
    """The folder with disk.img, kernel and initrd, made once, and anew where another image would come out."""
    makers = (Path(__file__).with_name(f"{name}.py") for name in MAKERS)
    made_of = hashlib.sha256(b"".join(path.read_bytes() for path in makers)).hexdigest()[:8]
    folder = LAB / f"machine-{made_of}-{machine}"
    with alone(folder.name):
        if not folder.is_dir():
            _make(machine, folder)
    return folder


def _make(machine: str, folder: Path) -> None:
    half, root = LAB / f"half-{folder.name}", LAB / f"half-{folder.name}/root"
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    run("cp", "-a", base(TRIXIE, machine), root)
    _install_packages(root, machine)
    _install_picamera2(root, machine)
    _set_up(root)
    # As apt does; else each start compiles them anew, for the daemon's user may not write there.
    run("chroot", root, "python3", "-m", "compileall", "-q", f"/{stand_ins.DIST_PACKAGES}")
    shutil.copyfile(root / os.readlink(root / "vmlinuz"), half / "vmlinuz")
    (half / "initrd.img").write_bytes(initrd(root))
    for cache in ("var/cache/apt/archives", "var/lib/apt/lists"):
        shutil.rmtree(root / cache, ignore_errors=True)
    run("mke2fs", "-q", "-t", "ext4", "-d", root, half / "disk.img", f"{IMAGE_MB}M")
    shutil.rmtree(root)
    half.rename(folder)


def _install_packages(root: Path, machine: str) -> None:
    if machine == "aarch64":
        teach_aarch64()
    _write(root / "usr/sbin/policy-rc.d", POLICY, 0o755)
    shutil.copyfile("/etc/resolv.conf", root / "etc/resolv.conf")
    if Path("/etc/hosts").exists():
        shutil.copyfile("/etc/hosts", root / "etc/hosts")
    options = "-o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-unsafe-io"
    install = f"apt-get -qq -y --no-install-recommends {options} install"
    script = f"""
set -e
mount --make-rprivate /
mount -t proc proc {root}/proc
mount --rbind /dev {root}/dev
exec chroot {root} env -i PATH={PATH} DEBIAN_FRONTEND=noninteractive INITRD=No LC_ALL=C.UTF-8 sh -ec '
apt-get -qq update
{install} {PACKAGES} {KERNELS[machine]}'
"""
    again("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script)
    (root / "usr/sbin/policy-rc.d").unlink()


def _install_picamera2(root: Path, machine: str) -> None:
    """Where Raspberry Pi OS's apt would put it, by this machine's pip: nothing runs emulated."""
    target = root / stand_ins.DIST_PACKAGES
    where: list[str] = ["--python-version", TRIXIE.python, "--implementation", "cp"]
    for abi in ("cp313", "abi3", "none"):
        where += ["--abi", abi]
    for tag in (*(f"manylinux_2_{minor}" for minor in range(36, 16, -1)), "manylinux2014"):
        where += ["--platform", f"{tag}_{machine}"]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps"]
    again(*pip, "--upgrade", "--only-binary=:all:", *where, "--target", target, *PICAMERA2.split())
    with open(target / "picamera2/__init__.py", "a") as file:
        file.write(stand_ins.PICAMERA2_END)
    _write(target / "lab_stand_ins.py", stand_ins.APPLY)
    _write(target / "pykms/__init__.py", stand_ins.PYKMS)
    _write(target / "pidng/__init__.py", stand_ins.PIDNG)
    _write(target / "pidng/core.py", stand_ins.PIDNG)
    _write(target / "pidng/camdefs.py", stand_ins.PIDNG)


def _set_up(root: Path) -> None:
    _write(root / "usr/share/libcamera/pipeline/virtual/virtual.yaml", stand_ins.VIRTUAL_CAMERA)
    _write(root / "etc/udev/rules.d/60-lab.rules", stand_ins.UDEV_RULE)
    _write(root / "etc/systemd/system/edge-digits.service.d/lab.conf", stand_ins.UNIT_DROP_IN)
    _write(root / "usr/local/sbin/lab-agent", AGENT)
    _write(root / "etc/systemd/system/lab-agent.service", AGENT_UNIT)
    _write(root / "etc/hostname", "pi\n")
    _write(root / "etc/hosts", "127.0.0.1 localhost\n127.0.1.1 pi\n")
    _write(root / "etc/systemd/journald.conf.d/lab.conf", "[Journal]\nStorage=volatile\n")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    run("systemctl", f"--root={root}", "--quiet", "enable", "lab-agent.service")
    trimmed.trim(root)


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def free_port() -> int:
    """One that the kernel gives to nobody else while the power is off: below ip_local_port_range."""
    while True:
        port = random.randrange(20000, 32000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Machine:
    """A machine with a disk of its own. Off, until `start`."""

    def __init__(self, machine: str, folder: Path) -> None:
        self.machine, self.folder = machine, folder
        self.page_port, self._agent_port = free_port(), free_port()
        self._made = image(machine)
        self._emulator: subprocess.Popen[bytes] | None = None
        self.console = folder / "console.log"
        run("cp", "--sparse=always", self._made / "disk.img", folder / "disk.img")

    def put(self, files: dict[str, Path]) -> None:
        """Puts {where: file} on the disk, while the machine is off."""
        script = []
        for where, path in files.items():
            parts = Path(where).parts[1:-1]
            script += [f"mkdir /{'/'.join(parts[: n + 1])}" for n in range(len(parts))]
            script += [f"write {path} {where}"]
        run("debugfs", "-w", "-f", "/dev/stdin", self.folder / "disk.img", input="\n".join(script) + "\n")

    def start(self, core: str | None = None, counting: bool = False) -> float:
        """Switches it on, and says after how many seconds it answered.

        core: as qemu names it. counting: its clock counts instructions, and it goes a tenth as fast.
        """
        began = time.monotonic()
        words = [*EMULATORS[self.machine], core or CORES[self.machine], "-nodefaults", "-m", str(MEMORY_MB)]
        words += A_NANOSECOND_AN_INSTRUCTION if counting else AS_FAST_AS_IT_GOES
        words += ["-kernel", str(self._made / "vmlinuz"), "-initrd", str(self._made / "initrd.img")]
        words += ["-append", f"root=/dev/vda rw console={CONSOLES[self.machine]} {trimmed.KERNEL}"]
        words += ["-drive", f"file={self.folder / 'disk.img'},if=virtio,format=raw,cache=writeback"]
        ports = {self.page_port: PAGE_PORT, self._agent_port: AGENT_PORT}
        forward = ",".join(f"hostfwd=tcp:127.0.0.1:{here}-:{there}" for here, there in ports.items())
        words += ["-netdev", f"user,id=net,{forward}", "-device", "virtio-net-pci,netdev=net,romfile="]
        words += ["-display", "none", "-monitor", "none", "-serial", f"file:{self.console}"]
        self._emulator = subprocess.Popen(words, stdin=subprocess.DEVNULL)
        self.wait_for_agent()
        return time.monotonic() - began

    def wait_for_agent(self) -> None:
        end = time.monotonic() + BOOT_SECONDS
        while True:
            with suppress(OSError, ValueError):
                self.shell("true", seconds=5)
                return
            assert self._emulator is not None and self._emulator.poll() is None, "the emulator ended"
            if time.monotonic() > end:
                raise RuntimeError(f"it did not start:\n{self.console.read_text(errors='replace')[-3000:]}")
            time.sleep(0.3)

    def shell(self, script: str, works: bool = True, seconds: float = SHELL_SECONDS) -> str:
        """What a script said; raises RuntimeError where it fails."""
        with socket.create_connection(("127.0.0.1", self._agent_port), timeout=seconds) as line:
            line.sendall(json.dumps({"script": script, "seconds": seconds}).encode() + b"\n")
            said = b"".join(iter(lambda: line.recv(65536), b""))
        answer: dict[str, Any] = json.loads(said)
        if works and answer["status"]:
            raise RuntimeError(f"{script}: {answer['status']}\n{answer['out'][-3000:]}\n{answer['err'][-3000:]}")
        return str(answer["out"])

    def cut_power(self) -> None:
        if self._emulator is not None:
            self._emulator.kill()
            self._emulator.wait()
        self._emulator = None

    def reboot(self) -> float:
        """In good order; says after how many seconds it answered again."""
        before = self.shell("cat /proc/sys/kernel/random/boot_id")
        began = time.monotonic()
        with suppress(OSError, ValueError):  # its answer may come no more
            self.shell("systemctl --no-block reboot", works=False, seconds=60)
        while True:
            with suppress(OSError, ValueError):
                if self.shell("cat /proc/sys/kernel/random/boot_id", works=False, seconds=5) not in ("", before):
                    return time.monotonic() - began
            assert time.monotonic() < began + BOOT_SECONDS, "it did not come back"
            time.sleep(0.3)


@contextmanager
def machine(kind: str) -> Iterator[Machine]:
    """A fresh one, off; kind: "x86_64" or "aarch64"."""
    with folder_of_a_run("run") as folder:
        made = Machine(kind, folder)
        try:
            yield made
        finally:
            made.cut_power()


if __name__ == "__main__":
    print(image(sys.argv[1]))

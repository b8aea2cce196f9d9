"""What all of the lab stands on: its folder, the tools, Debian's mirror, and bases made by debootstrap.

Made once and kept in a folder of its own, `EDGE_DIGITS_LAB`. Nothing here is for the product's users.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAB = Path(os.environ.get("EDGE_DIGITS_LAB", "/var/tmp/edge-digits-lab"))
BINFMT = Path("/proc/sys/fs/binfmt_misc")
BINFMT_RULE = Path("/usr/lib/binfmt.d/qemu-aarch64.conf")  # of Debian's qemu-user-static

DEBIAN_PACKAGES = "qemu-user-static debootstrap qemu-system-x86 qemu-system-arm e2fsprogs mosquitto"
TOOLS = ("qemu-aarch64-static", "debootstrap", "qemu-system-x86_64", "qemu-system-aarch64", "mke2fs", "mosquitto")
FREE_GB = 8  # for two bases a system, an image and its copy
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class System:
    """A Debian release that a bundle is for."""

    name: str
    """As bundles call it."""
    suite: str
    python: str
    runtime: str


BOOKWORM = System("debian12", "bookworm", "3.11", "tflite")
TRIXIE = System("debian13", "trixie", "3.13", "litert")
DEBIAN_ARCH = {"aarch64": "arm64", "x86_64": "amd64"}


def missing() -> list[str]:
    """Why the lab cannot be set up here; nothing where it can."""
    why = []
    if os.geteuid() != 0:
        why.append("it needs root: mounts, chroots and file systems are made")
    lacking = [tool for tool in TOOLS if which(tool) is None]
    if lacking:
        why.append(f"there is no {', '.join(lacking)}: apt-get install --no-install-recommends {DEBIAN_PACKAGES}")
    if which("apt-get") is None:
        why.append("it takes Debian's mirror from apt, and there is none")
    elif mirror() is None:
        why.append("apt knows no mirror of Debian")
    if os.uname().machine != "x86_64":
        why.append(f"it emulates a Pi on x86_64, and this is {os.uname().machine}")
    place = next(parent for parent in (LAB, *LAB.parents) if parent.exists())
    free = shutil.disk_usage(place).free / 1e9
    if free < FREE_GB:
        why.append(f"{place} has {free:.0f} GB free, and {FREE_GB} GB are needed; EDGE_DIGITS_LAB names another folder")
    return why


def which(tool: str) -> str | None:
    return shutil.which(tool) or shutil.which(tool, path=PATH)


def mirror() -> str | None:
    """Debian's mirror that this machine's apt uses."""
    asked = ["apt-get", "indextargets", "--format", "$(LABEL)|$(COMPONENT)|$(REPO_URI)", "Created-By: Packages"]
    said = subprocess.run(asked, capture_output=True, text=True).stdout
    for line in said.splitlines():
        label, component, address = line.split("|", 2)
        if (label, component) == ("Debian", "main"):
            return address.rstrip("/")
    return None


def run(*command: str | Path, **more: object) -> subprocess.CompletedProcess[str]:
    """Runs it, and says what it said where it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)  # type: ignore[call-overload]
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))[:400]}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done  # type: ignore[no-any-return]


def teach_aarch64() -> None:
    """Has the kernel run aarch64's programs, in a chroot as well, until it is started anew."""
    if not (BINFMT / "register").exists():
        run("mount", "-t", "binfmt_misc", "binfmt_misc", BINFMT)
    if not any(BINFMT.glob("qemu-aarch64*")):
        (BINFMT / "register").write_text(BINFMT_RULE.read_text().strip())


def base(system: System, machine: str) -> Path:
    """The folder of a minimal Debian with Python, made once."""
    arch = DEBIAN_ARCH[machine]
    folder = LAB / f"base-{arch}-{system.suite}"
    if folder.is_dir():
        return folder
    if machine == "aarch64":
        teach_aarch64()
    where = mirror()
    assert where is not None, "apt knows no mirror of Debian"
    half, packages = LAB / f"half-{folder.name}", LAB / f"debs-{arch}-{system.suite}"
    shutil.rmtree(half, ignore_errors=True)
    packages.mkdir(parents=True, exist_ok=True)
    run(
        *("debootstrap", f"--cache-dir={packages}", f"--arch={arch}", "--variant=minbase"),
        *("--include=python3,ca-certificates", system.suite, half, where),
    )
    half.rename(folder)
    return folder


def bundles(names: Sequence[str]) -> dict[str, Path]:
    """The archives of these targets, made from this checkout."""
    out = LAB / "dist"
    bundle = [ROOT / ".venv/bin/python", ROOT / "deploy/bundle.py", "--out", out, "--cache", LAB / "wheels"]
    run("nice", "-n", "10", *bundle, *names)
    found = {
        name: sorted(out.glob(f"edge-digits-*-{name}.tar.gz"), key=lambda path: path.stat().st_mtime) for name in names
    }
    return {name: paths[-1] for name, paths in found.items()}

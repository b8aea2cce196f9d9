"""What all of the lab stands on: its folder, the tools, Debian's mirror, and bases made by debootstrap.

Made once and kept in a folder of its own, `EDGE_DIGITS_LAB`. Nothing here is for the product's users.
"""

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAB = Path(os.environ.get("EDGE_DIGITS_LAB", "/var/tmp/edge-digits-lab"))
UNTIL = float(os.environ.get("EDGE_DIGITS_TEST_PI_UNTIL", "inf"))
"""By time.time(): when tests and preparations end, whatever they are at. What was tried until then counts."""
BINFMT = Path("/proc/sys/fs/binfmt_misc")
BINFMT_RULE = Path("/usr/lib/binfmt.d/qemu-aarch64.conf")  # of Debian's qemu-user-static

DEBIAN_PACKAGES = "qemu-user-static debootstrap qemu-system-x86 qemu-system-arm e2fsprogs mosquitto"
TOOLS = ("qemu-aarch64-static", "debootstrap", "qemu-system-x86_64", "mke2fs", "debugfs", "mosquitto")
TOOLS_IN_FULL = ("qemu-system-aarch64",)
RUNS = "runs"
FREE_GB = 8  # for two bases a system, an image and its copy
ATTEMPTS = 3  # at what comes over the network
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


def missing(full: bool) -> list[str]:
    """Why the lab cannot be set up here; nothing where it can."""
    why = []
    if os.geteuid() != 0:
        why.append("it needs root: mounts, chroots and file systems are made")
    lacking = [tool for tool in TOOLS + TOOLS_IN_FULL * full if which(tool) is None]
    if lacking:
        why.append(f"there is no {', '.join(lacking)}: apt-get install --no-install-recommends {DEBIAN_PACKAGES}")
    if which("apt-get") is None:
        why.append("it takes Debian's mirror from apt, and there is none")
    elif mirror() is None:
        why.append("apt knows no mirror of Debian")
    if os.uname().machine != "x86_64":
        why.append(f"it emulates a Pi on x86_64, and this is {os.uname().machine}")
    why += [] if why else _forbidden()
    place = next(parent for parent in (LAB, *LAB.parents) if parent.exists())
    free = shutil.disk_usage(place).free / 1e9
    if free < FREE_GB:
        why.append(f"{place} has {free:.0f} GB free, and {FREE_GB} GB are needed; EDGE_DIGITS_LAB names another folder")
    return why


TRIAL = """
set -e
mount -t tmpfs lab /mnt
mkdir /mnt/lower /mnt/upper /mnt/work /mnt/root
mount -t overlay lab -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
[ -e /proc/sys/fs/binfmt_misc/register ] || mount -t binfmt_misc lab /proc/sys/fs/binfmt_misc
[ -w /proc/sys/fs/binfmt_misc/register ]
"""


def _forbidden() -> list[str]:
    """A container may be root, and not be allowed this."""
    words = ["unshare", "--pid", "--mount", "--net", "--fork", "--kill-child", "--mount-proc", "sh", "-c", TRIAL]
    tried = subprocess.run(words, capture_output=True, text=True)
    return [f"no namespaces, overlays or binfmt_misc: {tried.stderr.strip()}"] if tried.returncode else []


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


def again(*command: str | Path, **more: object) -> None:
    """As run, and tries again where it fails: a mirror does not always answer."""
    for attempt in range(1, ATTEMPTS):
        try:
            run(*command, **more)
            return
        except RuntimeError:
            time.sleep(10 * attempt)
    run(*command, **more)


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Nobody else, in another process, makes it meanwhile."""
    LAB.mkdir(parents=True, exist_ok=True)
    with open(LAB / f"{name}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def folder_of_a_run(kind: str) -> Iterator[Path]:
    """One for what is thrown away."""
    with alone(RUNS):
        made = LAB / f"{kind}-{os.getpid()}-{time.monotonic_ns()}"
        made.mkdir()
        lock = os.open(made, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(lock)


def sweep() -> None:
    """Takes away what runs left that were killed."""
    with alone(RUNS):
        for left in (*LAB.glob("run-*/"), *LAB.glob("userland-*/")):
            lock = os.open(left, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            except BlockingIOError:
                pass  # its run goes on
            finally:
                os.close(lock)


def teach_aarch64() -> None:
    """Has the kernel run aarch64's programs, in a chroot as well, until it is started anew."""
    if not (BINFMT / "register").exists():
        run("mount", "-t", "binfmt_misc", "binfmt_misc", BINFMT)
    if not any(BINFMT.glob("qemu-aarch64*")):
        (BINFMT / "register").write_text(BINFMT_RULE.read_text().strip())


def base(system: System, machine: str) -> Path:
    """The folder of a minimal Debian with Python, made once."""
    folder = LAB / f"base-{DEBIAN_ARCH[machine]}-{system.suite}"
    with alone(folder.name):
        if not folder.is_dir():
            _make_base(system, machine, folder)
    return folder


def _make_base(system: System, machine: str, folder: Path) -> None:
    arch = DEBIAN_ARCH[machine]
    if machine == "aarch64":
        teach_aarch64()
    where = mirror()
    assert where is not None, "apt knows no mirror of Debian"
    half, packages = LAB / f"half-{folder.name}", LAB / f"debs-{arch}-{system.suite}"
    packages.mkdir(parents=True, exist_ok=True)
    options = [f"--cache-dir={packages}", f"--arch={arch}", "--variant=minbase", "--include=python3,ca-certificates"]
    again("sh", "-c", 'rm -rf "$1"; shift; exec "$@"', "sh", half, "debootstrap", *options, system.suite, half, where)
    shutil.rmtree(packages)
    half.rename(folder)


def bundles(names: Sequence[str]) -> dict[str, Path]:
    """The archives of these targets, made from this checkout."""
    out = ROOT / "build/test-pi"
    bundle = [ROOT / ".venv/bin/python", ROOT / "deploy/bundle.py", "--out", out, "--cache", LAB / "wheels"]
    with alone("wheels"):
        again(*bundle, *names)
    found = {
        name: sorted(out.glob(f"edge-digits-*-{name}.tar.gz"), key=lambda path: path.stat().st_mtime) for name in names
    }
    return {name: paths[-1] for name, paths in found.items()}

"""`make bundle`: one archive a target, with all that a Raspberry Pi without internet needs.

The wheels come from the lock that was resolved for the target, and each is checked against it. The same checkout makes
the same bytes: names sorted, times and owners fixed. On a device, `install.sh` in a checkout makes its bundle by this
too, so nothing here needs more than Python and its pip.
"""

import argparse
import gzip
import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "dist"
CACHE = ROOT / "build/wheels"

GLIBCS = range(17, 37)  # 2.17, the oldest that wheels are built for, to 2.36, Debian 12's
MTIME = 1_580_601_600  # of everything in an archive: 2020-02-02, as the wheels of hatchling have it
PIP = "pip"
# Written by Python when it is installed: bytecode is about as large as its source.
BYTECODE = {".py": 2}

INSTALLER = ("install.sh", "health.py", "first_config.py", "database.py", "edge-digits.service")  # in deploy/


@dataclass(frozen=True, slots=True)
class Target:
    """A system that a bundle is for."""

    system: str
    """Whose lock it takes: requirements/bundle-SYSTEM.txt."""
    python: str
    """The version of its /usr/bin/python3."""
    machine: str

    @property
    def name(self) -> str:
        return f"{self.system}-{self.machine}"

    @property
    def lock(self) -> Path:
        return ROOT / f"requirements/bundle-{self.system}.txt"


# Raspberry Pi OS Bookworm is Debian 12, Trixie is 13. No armv7l: there are no wheels of NumPy 1.26, OpenCV or LiteRT.
DEVICES = (Target("debian12", "3.11", "aarch64"), Target("debian13", "3.13", "aarch64"))
# To try them where they are made.
HERE = (Target("debian12", "3.11", "x86_64"), Target("debian13", "3.13", "x86_64"))
TARGETS = {target.name: target for target in DEVICES + HERE}


class BundleError(Exception):
    """Why there is no bundle: a line for people."""


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def locked(lock: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """What a lock pins: {name: (version, SHA-256 of the files that it can be)}."""
    found = {}
    for entry in re.split(r"\n(?=\S)", lock.read_text().strip()):
        pin = re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", entry)
        if pin is None:
            raise BundleError(f"{lock.name}: not a pinned package: {entry.splitlines()[0]}")
        found[pin[1].lower()] = pin[2], frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", entry))
    return found


def name_of(wheel: Path) -> str:
    """A wheel's package, as locks write it."""
    return re.sub(r"[-_.]+", "-", wheel.name.split("-")[0]).lower()


def download(target: Target, folder: Path) -> list[Path]:
    """The wheels of the target's lock in a folder, those that were not there downloaded, each checked. Sorted."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = locked(target.lock)
    if not _held(wanted, folder):
        tag = f"cp{target.python.replace('.', '')}"
        where = ["--implementation", "cp", "--python-version", target.python]
        for abi in (tag, "abi3", "none"):
            where += ["--abi", abi]
        for minor in reversed(GLIBCS):
            where += ["--platform", f"manylinux_2_{minor}_{target.machine}"]
        where += ["--platform", f"manylinux2014_{target.machine}", "--platform", f"linux_{target.machine}"]
        # Without dependencies: pip would read markers for the machine it runs on, and the lock has all of them.
        strict = ["--require-hashes", "--only-binary=:all:", "--no-deps"]
        _pip("download", "--quiet", *strict, *where, "--dest", str(folder), "--requirement", str(target.lock))
    held = _held(wanted, folder)
    if not held:
        raise BundleError(f"{target.name}: the wheels that were downloaded are not those of {target.lock.name}")
    return held


def _held(wanted: Mapping[str, tuple[str, frozenset[str]]], folder: Path) -> list[Path]:
    """The wheels of what is wanted, if they are all there; whatever else is there is left alone."""
    held: dict[str, Path] = {}
    for wheel in sorted(folder.glob("*.whl")):
        version, hashes = wanted.get(name_of(wheel), ("", frozenset()))
        if wheel.name.split("-")[1] == version and sha256(wheel) in hashes:
            held[name_of(wheel)] = wheel
    return sorted(held.values()) if held.keys() == wanted.keys() else []


def build_wheel(folder: Path) -> Path:
    """The product's wheel, built from this checkout."""
    shutil.rmtree(folder, ignore_errors=True)
    # The locked backend where it is there; else pip fetches the one that pyproject.toml pins.
    isolated = [] if importlib.util.find_spec("hatchling") is None else ["--no-build-isolation"]
    _pip("wheel", "--quiet", "--no-deps", *isolated, "--wheel-dir", str(folder), str(ROOT))
    (wheel,) = folder.glob("*.whl")
    return wheel


def _pip(*words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *words])
    if done.returncode:
        raise BundleError(f"pip {words[0]} failed; what it said stands above")


def fill(folder: Path, target: Target, product: Path, wheels: list[Path]) -> None:
    """Puts a bundle together in an empty folder. wheels: with pip's own."""
    (folder / "wheels").mkdir()
    (folder / PIP).mkdir()
    packages = [product, *(wheel for wheel in wheels if name_of(wheel) != PIP)]
    for wheel in packages:
        shutil.copyfile(wheel, folder / "wheels" / wheel.name)
    (pip,) = (wheel for wheel in wheels if name_of(wheel) == PIP)
    shutil.copyfile(pip, folder / PIP / pip.name)
    for name in INSTALLER:
        shutil.copyfile(ROOT / "deploy" / name, folder / name)
    shutil.copyfile(ROOT / "edge/daemon/example.toml", folder / "daemon.toml")
    shutil.copyfile(ROOT / "LICENSE", folder / "LICENSE")
    pins = [f"{name_of(wheel)}=={wheel.name.split('-')[1]} --hash=sha256:{sha256(wheel)}\n" for wheel in packages]
    (folder / "requirements.txt").write_text("".join(sorted(pins)))
    facts = {
        "version": product.name.split("-")[1],
        "target": target.name,
        "system": target.system,
        "machine": target.machine,
        "python": target.python,
        "installed_kb": sum(map(installed_size, packages)) // 1024,
    }
    (folder / "VERSION").write_text("".join(f"{key}={value}\n" for key, value in facts.items()))
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or path.suffix == ".sh" else 0o644)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    # As sha256sum --check reads it.
    (folder / "MANIFEST").write_text("".join(f"{sha256(folder / name)}  {name}\n" for name in files))
    (folder / "MANIFEST").chmod(0o644)


def installed_size(wheel: Path) -> int:
    """About how many bytes a wheel takes on the device, with the bytecode that pip makes."""
    with zipfile.ZipFile(wheel) as archive:
        return sum(info.file_size * BYTECODE.get(Path(info.filename).suffix, 1) for info in archive.infolist())


def archive(folder: Path, path: Path) -> None:
    """The folder as a .tar.gz that has the same bytes whenever and by whomever it is made."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.mtime, info.uid, info.gid, info.uname, info.gname = MTIME, 0, 0, "", ""
        return info

    half = path.with_name(f".{path.name}")
    with (
        open(half, "wb") as file,
        gzip.GzipFile("", "wb", 6, file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        inside = path.name.removesuffix(".tar.gz")
        tar.add(folder, inside, recursive=False, filter=plain)
        for each in sorted(folder.rglob("*")):
            tar.add(each, f"{inside}/{each.relative_to(folder)}", recursive=False, filter=plain)
    half.replace(path)


def make(target: Target, product: Path, wheels: list[Path], out: Path) -> Path:
    """The target's archive in `out`."""
    folder = out / f".{target.name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        fill(folder, target, product, wheels)
        path = out / f"edge-digits-{product.name.split('-')[1]}-{target.name}.tar.gz"
        archive(folder, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the archives that are carried to a device.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; the first two if none")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the archives")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder for the wheels that are downloaded")
    parser.add_argument("--folder", type=Path, help="put one target's bundle into this folder, and make no archive")
    options = parser.parse_args()
    targets = options.targets or [target.name for target in DEVICES]
    unknown = [name for name in targets if name not in TARGETS]
    if unknown:
        parser.error(f"no target is called {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    if options.folder and len(targets) != 1:
        parser.error("--folder takes one target")
    try:
        product = build_wheel(options.cache / "product")
        for name in targets:
            target = TARGETS[name]
            wheels = download(target, options.cache / name)
            if options.folder:
                options.folder.mkdir(parents=True)
                fill(options.folder, target, product, wheels)
                continue
            path = make(target, product, wheels, options.out)
            installed = sum(installed_size(wheel) for wheel in [product, *wheels] if name_of(wheel) != PIP)
            print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, installed about {installed / 1e6:.0f} MB", flush=True)
        if not options.folder:
            archives = sorted(options.out.glob("edge-digits-*.tar.gz"))  # also those that were there
            sums = "".join(f"{sha256(path)}  {path.name}\n" for path in archives)
            (options.out / "SHA256SUMS").write_text(sums)
    except BundleError as error:
        print(f"bundle: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

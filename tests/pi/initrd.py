"""The machine's initrd: what mounts its disk, and no more, so that a start under emulation is quick."""

import lzma
import stat
from pathlib import Path

# In the order that they need one another.
MODULES = ("crc16", "mbcache", "crc32c_generic", "jbd2", "ext4", "virtio_blk")
TOOLS = ("sh", "mount", "insmod", "sleep", "run-init")  # klibc's
INIT = f"""\
#!/bin/sh
mount -t devtmpfs dev /dev
for module in {" ".join(MODULES)}; do insmod /$module.ko; done
until [ -b /dev/vda ]; do sleep 1; done
mount -t ext4 /dev/vda /root
mount -n -o move /dev /root/dev
exec run-init /root /sbin/init
"""


def initrd(root: Path) -> bytes:
    """Of the kernel and the klibc that are installed in a root."""
    files: dict[str, tuple[int, bytes]] = {"init": (0o755, INIT.encode())}
    folders = ("dev", "root", "bin", "lib", "usr", "usr/lib")
    for tool in TOOLS:
        files[f"bin/{tool}"] = 0o755, (root / "usr/lib/klibc/bin" / tool).read_bytes()
    for library in (root / "usr/lib").glob("klibc-*.so"):
        for folder in ("lib", "usr/lib"):
            files[f"{folder}/{library.name}"] = 0o755, library.read_bytes()
    for module in MODULES:
        (found,) = (root / "usr/lib/modules").rglob(f"{module}.ko.xz")
        files[f"{module}.ko"] = 0o644, lzma.decompress(found.read_bytes())
    entries = [_entry(number, name, stat.S_IFDIR | 0o755, b"") for number, name in enumerate(folders, 1)]
    for number, (name, (mode, content)) in enumerate(files.items(), 100):
        entries.append(_entry(number, name, stat.S_IFREG | mode, content))
    return b"".join([*entries, _entry(0, "TRAILER!!!", 0, b"")])


def _entry(number: int, name: str, mode: int, content: bytes) -> bytes:
    """A file in cpio's format "newc" (cpio(5)): thirteen numbers of eight hexadecimal digits, its name, its content."""
    path = name.encode() + b"\0"
    numbers = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + "".join(f"{each:08X}" for each in numbers).encode() + path
    return _filled(head) + _filled(content)


def _filled(content: bytes) -> bytes:
    return content + bytes(-len(content) % 4)

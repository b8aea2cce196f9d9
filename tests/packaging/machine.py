"""A machine to install on: this one's own Debian, seen through an overlay, so that nothing of it changes.

Its mounts, processes and network are its own; when it ends, all that ran in it ends. Systemd does not run in it. Where
a test wants a service started, `SYSTEMCTL` stands in for it: it runs what the unit says, as the user it says.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ROOT = Path(__file__).parents[2]

INIT = r"""
set -e
folder=$1
mount --make-rprivate /
mount -t tmpfs tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay overlay -o lowerdir=/,upperdir="$folder/upper",workdir="$folder/work" "$folder/root"
mount -t proc proc "$folder/root/proc"
mount --rbind /dev "$folder/root/dev"
mount -t tmpfs tmpfs "$folder/root/run"
# A checkout there would be covered; on the overlay nothing that is written reaches it either.
case $3 in /tmp/*) ;; *) mount -t tmpfs tmpfs "$folder/root/tmp" ;; esac
mkdir -p "$folder/root/run/lock"
# It is a fresh machine, even if Edge Digits is installed on this one.
rm -rf "$folder/root/opt/edge-digits" "$folder/root/etc/edge-digits" "$folder/root/var/lib/edge-digits"
rm -f "$folder/root/usr/local/bin/edge-digits" "$folder/root/etc/systemd/system/edge-digits.service"
"$2" - <<'END'
import fcntl, socket, struct
with socket.socket() as any_socket:  # ip link set lo up
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))
END
: >"$folder/ready"
exec sleep 100000
"""

# The verbs of systemctl that install.sh uses. It keeps a service's process in /run/service.
SYSTEMCTL = r"""#!/bin/sh
# As with systemd, the work is not done by who asks for it, and goes on if that is killed.
if [ -z "$WORKS" ]; then WORKS=1 exec setsid --wait "$0" "$@"; fi
unit=/etc/systemd/system/edge-digits.service
mkdir -p /run/service
words=
for word; do case $word in -*) ;; *) words="$words $word" ;; esac; done
set -- $words "$@"
alive() { [ -s /run/service/pid ] && kill -0 "$(cat /run/service/pid)" 2>/dev/null; }
stop() {
    if alive; then
        kill "$(cat /run/service/pid)"
        tries=0
        while alive; do
            sleep 0.05
            tries=$((tries + 1))
            if [ $tries = 200 ]; then kill -9 "$(cat /run/service/pid)"; fi
        done
    fi
    rm -f /run/service/pid
}
case $1 in
start | restart)
    stop
    program=$(sed -n 's/^ExecStart=//p' $unit)
    user=$(sed -n 's/^User=//p' $unit)
    echo "restart $(readlink /opt/edge-digits/current)" >>/run/service/calls
    # What starts has nothing of its caller's, not even the signals that it ignores.
    setsid runuser -u "$user" -- env --default-signal=HUP,INT,TERM STATE_DIRECTORY=/var/lib/edge-digits \
        sh -c "echo \$\$ >/tmp/service-pid; exec $program" >>/run/service/log 2>&1 </dev/null &
    until [ -s /tmp/service-pid ]; do sleep 0.02; done
    mv /tmp/service-pid /run/service/pid
    ;;
stop) stop ;;
is-active) alive ;;
show)
    case "$*" in
    *NRestarts*) echo 0 ;;
    *ActiveState*) if alive; then echo active; else echo failed; fi ;;
    esac
    ;;
daemon-reload | enable | disable | reset-failed) ;;
*) echo "systemctl: $* is not known here" >&2; exit 1 ;;
esac
"""
JOURNALCTL = "#!/bin/sh\ncat /run/service/log\n"


class Machine:
    """Runs commands in it. `root`: its file system, as this process sees it."""

    def __init__(self, folder: Path, process: int) -> None:
        self.process = process
        # What is mounted there is seen through the process alone.
        self.inside = str(folder / "root")
        self.root = Path(f"/proc/{process}/root{folder}/root")

    def words(self, *command: str | Path, **more: str) -> list[str]:
        """The command, to be run in here."""
        enter = ["nsenter", f"--target={self.process}", "--mount", "--net", "--pid", "chroot", self.inside]
        environment = {"PATH": PATH, "HOME": "/root", "TERM": "dumb", **more}
        return [*enter, "env", "-i", *(f"{k}={v}" for k, v in environment.items()), *map(str, command)]

    def run(self, *command: str | Path, works: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.words(*command, **more), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300
        )
        if works:
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def shell(self, script: str, works: bool = True) -> str:
        return self.run("sh", "-c", script, works=works).stdout

    def unpack(self, archive: Path, where: str = "/root") -> str:
        """The folder of an unpacked bundle, as it is called in here."""
        subprocess.run(["tar", "-xzf", archive, "-C", f"{self.root}{where}"], check=True)
        return f"{where}/{archive.name.removesuffix('.tar.gz')}"

    def path(self, name: str) -> Path:
        return self.root / name.lstrip("/")

    def exists(self, name: str) -> bool:
        return self.run("test", "-e", name, works=False).returncode == 0

    def written(self) -> list[str]:
        """Whatever is here and not on the machine below."""
        upper = self.root.parent / "upper"
        # A character device stands for what was removed.
        found = subprocess.run(
            ["find", upper, "-not", "-type", "c", "-printf", "/%P\n"], capture_output=True, text=True
        )
        return found.stdout.splitlines()

    def with_service(self) -> "Machine":
        """Has systemctl's stand-in from now on, and so a systemd that runs."""
        self.path("/run/systemd/system").mkdir(parents=True)
        for name, text in (("systemctl", SYSTEMCTL), ("journalctl", JOURNALCTL)):
            path = self.path(f"/usr/local/sbin/{name}")
            path.write_text(text)
            path.chmod(0o755)
        return self


@contextmanager
def machine(folder: Path, *, network: bool = False) -> Iterator[Machine]:
    """A fresh machine; without a network but its own loopback, unless it is to share this one's."""
    place = folder / "machine"
    place.mkdir()
    apart = ["--mount", "--pid", "--fork", "--kill-child", *([] if network else ["--net"])]
    # Not in this process's own session: an interrupted test run ends it by the `finally` below.
    holder = subprocess.Popen(
        ["setpriv", "--pdeathsig=KILL", "unshare", *apart, "sh", "-c", INIT, "sh", place,
         "true" if network else sys.executable, ROOT],
        stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        end = time.monotonic() + 30
        process = None
        while process is None or not Path(f"/proc/{process}/root{place}/ready").exists():
            if holder.poll() is not None or time.monotonic() > end:
                holder.kill()
                raise RuntimeError(f"no machine of its own can be made here: {holder.communicate()[1]}")
            time.sleep(0.02)
            process = next(iter(_children(holder.pid)), None)
        yield Machine(place, process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(holder.pid, signal.SIGKILL)
        holder.wait(10)
        holder.stderr.close()
        shutil.rmtree(place, ignore_errors=True)


def _children(process: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return []

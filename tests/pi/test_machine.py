"""A Debian 13 machine with systemd and a camera: installed by two commands, it reads, and loses nothing it has told.

The tests of this module run in their order on one machine: a device is installed once, and lives.
"""

import os
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.pi.conftest import FULL
from tests.pi.lab import ROOT, bundles
from tests.pi.ledger import Broker, Ledger, Page, asking, mqtt_settings
from tests.pi.machine import Machine, free_port, machine
from tests.pi.report import Report
from tests.pi.stand_ins import FRAME_SIZE

KIND = "aarch64" if FULL else "x86_64"
POWER_CUTS = int(os.environ.get("EDGE_DIGITS_TEST_PI_CUTS") or (50 if FULL else 5))
KILLS = 10 if FULL else 3
SEED = 5

NUMBER = "305128"  # one, always: how soon frames agree shall not depend on how slowly they are read here
CONFIG = "/etc/edge-digits/daemon.toml"
FRAMES = 3
AS_IT_SHIPS = "/run/systemd/system/edge-digits.service.d"
GUIDE = (ROOT / "docs/raspberry-pi.md").read_text("utf-8")
HEALTH = "export EDGE_DIGITS_HEALTH_SECONDS=900"  # no Pi is as slow as this beside other work
PATIENCE = 1200.0  # seconds: an emulated machine at the lowest priority beside other work
LIVING = (1.0, 6.0)  # seconds that it reads before the power is cut

# VIDIOC_S_CTRL of vivid itself (vivid-ctrls.c), its test pattern and its text: white paper, on it in one line
# the time and the number of the frame. As it comes, its picture is full of what might be digits.
PLAIN_VIVID = """python3 -c '
import fcntl, struct
with open("/dev/video0") as camera:
    for control, value in ((0x00F0F000, 6), (0x00F0F001, 1)):
        fcntl.ioctl(camera, 0xC008561C, struct.pack("Ii", control, value))
'"""


@dataclass
class Device:
    """The machine with the product on it, and those who listen outside."""

    machine: Machine
    ledger: Ledger
    broker_port: int
    random: random.Random
    page: Page | None = None
    broker: Broker | None = None

    @property
    def told(self) -> Page:
        assert self.page is not None, "the install failed"
        return self.page

    def until(self, what: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        end = time.monotonic() + seconds
        last: object = None
        while time.monotonic() < end:
            try:
                found = what()
                if found:
                    return found
            except OSError as error:
                last = error
            time.sleep(0.3)
        log = self.machine.shell("journalctl -u edge-digits --no-pager -o cat | tail -30", works=False)
        pytest.fail(f"not in {seconds:g} s: {what.__doc__ or what}; {last}\n{log}")

    def next_reading(self, after: int) -> dict[str, Any]:
        """One that is asked for."""

        def newer() -> dict[str, Any] | None:
            with suppress(OSError):
                self.told.ask("/api/trigger", "POST")
            record = self.told.latest()
            return record if record is not None and record["sequence"] > after else None

        return self.until(newer)  # type: ignore[no-any-return]

    def lost(self) -> list[str]:
        """What was told and is not in the database; a busy machine may have to be asked twice."""
        return self.until(lambda: (self.ledger.lost(self.told),))[0]  # type: ignore[no-any-return]

    def newest(self) -> int:
        record = self.told.latest()
        return 0 if record is None else int(record["sequence"])

    def set(self, section: str, lines: str) -> None:
        """Sets these lines in a section of the configuration, and starts the service anew."""
        script = f"cp {CONFIG} {CONFIG}.before\n"
        for line in lines.splitlines():
            key = line.split(" = ")[0]
            script += f"sed -i '/^\\[{section}\\]/,/^\\[/ s|^{key} = .*|{line}|' {CONFIG}\n"
        self.machine.shell(script + "systemctl restart edge-digits")

    def unset(self) -> None:
        """As it was before the last `set`."""
        self.machine.shell(f"cp {CONFIG}.before {CONFIG}; systemctl restart edge-digits")

    def pid(self) -> str:
        return self.machine.shell("systemctl show -P MainPID edge-digits").strip()

    def restarts(self) -> int:
        return int(self.machine.shell("systemctl show -P NRestarts edge-digits"))


def frames(folder: Path) -> dict[str, Path]:
    """What the virtual camera plays: {where it lies in the machine: file}. A picture that never changes is frozen."""
    import cv2
    import numpy as np

    from edge.daemon.synthetic import Sheet

    picture = Sheet(FRAME_SIZE).showing(NUMBER, 1.0)
    found = {}
    for number in range(FRAMES):
        path = folder / f"{number}.jpg"
        noise = np.random.default_rng(number).integers(0, 4, picture.shape, np.uint8)
        cv2.imwrite(str(path), cv2.subtract(picture, noise))
        found[f"/opt/frames/{number}.jpg"] = path
    return found


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory, report: Report) -> Iterator[Device]:
    folder = tmp_path_factory.mktemp("machine")
    name = f"debian13-{KIND}"
    archive = bundles([name])[name]
    print(f"seed {SEED}")
    with machine(KIND) as made:
        made.put({f"/root/{archive.name}": archive, **frames(folder)})
        booted = made.start()
        report.add("The machine", what=f"{KIND} boots", result=f"{booted:.0f} s (emulated)")
        found = Device(made, Ledger(), free_port(), random.Random(SEED))
        yield found
        if found.broker is not None:
            found.broker.stop()


def test_two_commands_bring_the_first_camera_reading(device: Device, report: Report) -> None:
    began = time.monotonic()
    said = device.machine.shell(
        f"{HEALTH}; cd /root && tar -xzf edge-digits-*.tar.gz && edge-digits-*/install.sh 2>&1", seconds=3600
    )
    installed = time.monotonic() - began
    assert "by picamera2" in said, said
    token = device.machine.shell("cat /etc/edge-digits/token").strip()
    device.page = Page(device.machine, token)
    record = device.until(device.told.latest)
    assert record["source"].startswith("picamera2")
    assert record["text"] == NUMBER
    address = re.search(r"The page: (\S+)", said)
    assert address is not None and address[1] == "http://pi.local:8347/"
    report.add("The machine", what="commands typed to the first camera reading", result="2")
    report.add("The machine", what="install", result=f"{installed:.0f} s (emulated)")


def test_the_page_and_the_health_are_there(device: Device, report: Report) -> None:
    health = device.until(lambda: (found := device.told.get("/api/health"))["status"] == "ok" and found)
    assert health["source"]["kind"] == "picamera2"
    assert b"<html" in device.until(lambda: device.told.ask("/"))
    assert device.until(lambda: device.told.ask("/api/frame.jpg"))[:2] == b"\xff\xd8"
    report.add(
        "The machine", what="page, live picture, health", result=f"ok, {health['frames']['fps']} frames a second"
    )


def test_readings_arrive_at_a_broker(device: Device, tmp_path: Path, report: Report) -> None:
    device.broker = Broker(tmp_path, device.broker_port, device.ledger)
    device.set("reading", "interval = 0.2\nframes = 1\nagree = 1")
    device.set("mqtt", mqtt_settings(device.broker_port))
    newest = device.next_reading(device.newest())["sequence"]
    device.until(lambda: max(device.ledger.by_mqtt, default=0) >= newest)
    assert device.lost() == []
    report.add("The machine", what="MQTT", result="each reading arrived as it is in the database")


def test_the_service_is_locked_in_and_the_camera_works(device: Device, report: Report) -> None:
    pid = device.pid()
    status = device.machine.shell(f"cat /proc/{pid}/status")
    facts = dict(re.findall(r"^(\w+):\s+(.*)$", status, re.MULTILINE))
    assert facts["CapEff"] == facts["CapBnd"] == "0000000000000000"
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")
    user = device.machine.shell("id -u edge-digits").strip()
    assert facts["Uid"].split() == [user] * 4
    # What the unit forbids is not there for a process like it, though root asks: the same unit with another program.
    closed = device.machine.shell("systemd-analyze security --no-pager edge-digits.service | tail -1")
    exposure = re.search(r"([\d.]+) ", closed)
    assert exposure is not None and float(exposure[1]) <= 2.5, closed
    mounted = device.machine.shell(f"cat /proc/{pid}/mountinfo")
    assert re.search(r" / / ro[, ]", mounted), mounted[:2000]
    seen = device.machine.shell(f"nsenter -t {pid} -m ls /home /root 2>&1; true")
    assert "edge-digits-0" not in seen
    assert device.next_reading(device.newest())["source"].startswith("picamera2")
    report.add(
        "The machine", what="hardening", result=f"exposure {exposure[1]} of 10; camera, MQTT and page work in it"
    )


def test_a_reboot_brings_it_back_by_itself(device: Device, report: Report) -> None:
    with asking(device.told, device.ledger):
        device.next_reading(device.newest())
        before = len(device.ledger.told)
        seconds = device.machine.reboot()
        last = max(device.ledger.told)
        device.next_reading(last)
    assert device.lost() == []
    report.add("The machine", what="reboot", result=f"{seconds:.0f} s; {before} acknowledged readings, 0 lost")


def test_the_memory_it_takes_is_known(device: Device, report: Report) -> None:
    group = "/sys/fs/cgroup/system.slice/edge-digits.service"
    now, peak = (int(device.machine.shell(f"cat {group}/memory.{what}")) / 1e6 for what in ("current", "peak"))
    facts = device.machine.shell(f"cat /proc/{device.pid()}/smaps_rollup /proc/{device.pid()}/status")
    own, threads = (int(re.search(rf"^{key}:\s+(\d+)", facts, re.MULTILINE)[1]) for key in ("Pss", "Threads"))
    report.add(
        "The machine",
        what="memory of the service",
        result=f"{now:.0f} MB by its cgroup, {peak:.0f} MB at most; {own / 1000:.0f} MB proportional set, "
        f"{threads} threads",
    )


def test_it_comes_back_after_kill_9(device: Device, report: Report) -> None:
    with asking(device.told, device.ledger):
        for _ in range(KILLS):
            device.next_reading(device.newest())
            time.sleep(device.random.uniform(0, 2))
            last = max(device.ledger.told)
            device.machine.shell("systemctl kill --signal=KILL edge-digits")
            device.next_reading(last)
    assert device.lost() == []
    report.add("The machine", what=f"{KILLS} times kill -9", result=f"{len(device.ledger.told)} acknowledged, 0 lost")


def test_the_watchdog_kills_what_hangs_and_it_comes_back(device: Device, report: Report) -> None:
    last = device.newest()
    watchdog = device.machine.shell("sed -n s/^WatchdogSec=//p /etc/systemd/system/edge-digits.service").strip()
    device.machine.shell(
        f"mkdir -p {AS_IT_SHIPS} /run/lab; echo '[Service]\nWatchdogSec={watchdog}' >{AS_IT_SHIPS}/z.conf"
    )
    device.machine.shell("systemctl daemon-reload; systemctl restart edge-digits")
    device.until(lambda: device.told.get("/api/health")["frames"]["read"])
    restarts, began = device.restarts(), time.monotonic()
    device.machine.shell("touch /run/lab/hang")
    device.until(lambda: device.restarts() > restarts)
    killed = time.monotonic() - began
    device.machine.shell(f"rm -r /run/lab/hang {AS_IT_SHIPS}; systemctl daemon-reload; systemctl restart edge-digits")
    device.next_reading(last)
    log = device.machine.shell("journalctl -u edge-digits --no-pager -o cat -n 200")
    assert "Watchdog timeout" in log
    assert device.lost() == []
    report.add(
        "The machine",
        what="a camera call hangs",
        result=f"killed by the watchdog of {watchdog} s after {killed:.0f} s; it read again",
    )


def test_a_v4l2_camera_reads_as_well(device: Device, report: Report) -> None:
    device.machine.shell("modprobe vivid n_devs=1 node_types=0x1 && udevadm settle")
    device.machine.shell(PLAIN_VIVID)
    last = device.newest()
    device.set("source", 'kind = "camera"\nlocation = "/dev/video0"\nsize = [320, 180]')
    device.until(lambda: device.told.get("/api/health")["source"]["kind"] == "camera")
    assert device.until(lambda: device.told.ask("/api/frame.jpg"))[:2] == b"\xff\xd8"
    record = device.next_reading(last)
    assert record["source"].startswith("/dev/video0"), record
    report.add("The machine", what="V4L2 (vivid)", result=f"readings, the first {record['text']!r}")
    device.unset()
    assert device.next_reading(record["sequence"])["source"].startswith("picamera2")


def test_power_cuts_lose_nothing_that_was_told(device: Device, report: Report) -> None:
    began, first, unflushed = time.monotonic(), len(device.ledger.told), 0
    device.next_reading(device.newest())
    for cut in range(1, POWER_CUTS + 1):
        told = len(device.ledger.told)
        with asking(device.told, device.ledger):
            device.until(lambda told=told: len(device.ledger.told) > told)  # else there is nothing to lose
            time.sleep(device.random.uniform(*LIVING))
            device.machine.shell(f"echo told >/root/unflushed-{cut}")
            device.machine.cut_power()
        off = time.monotonic()
        booted = device.machine.start()
        unflushed += device.machine.shell(f"cat /root/unflushed-{cut}", works=False) == ""
        device.until(device.told.latest)
        lost = device.lost()
        assert lost == [], f"power cut {cut} of {POWER_CUTS}"
        report.put(
            "The machine",
            what="power cuts",
            result=f"{cut} of {POWER_CUTS}: {len(device.ledger.told) - first} readings acknowledged, 0 lost; of {cut} "
            f"files written without a flush {unflushed} were; {(time.monotonic() - began) / 60:.0f} min",
        )
        print(
            f"cut {cut}: {len(device.ledger.told) - told} acknowledged, {len(lost)} lost, {unflushed} unflushed lost; "
            f"booted in {booted:.0f} s, the service answers after {time.monotonic() - off:.0f} s; "
            f"{(time.monotonic() - began) / 60:.1f} min in all",
            flush=True,
        )
    device.next_reading(max(device.ledger.told))
    device.until(lambda: device.told.get("/api/health")["parts"]["store"]["state"] == "working")
    assert "damaged" not in device.machine.shell("ls /var/lib/edge-digits")
    assert unflushed > POWER_CUTS / 2, "what had not been flushed was there: those were no power cuts"


# The guide's other commands -----------------------------------------------------------------------------------------


def typed(pattern: str) -> str:
    """A command of the guide, as root types it."""
    (command,) = re.findall(rf"sudo ({pattern})", GUIDE)
    return re.sub(r"^-u (\S+)", r"runuser -u \1 --", command).split("  #")[0].strip()


def other_bundle(device: Device, name: str, change: str) -> str:
    """Makes a bundle whose unit is changed by a sed script: another version. Returns its folder."""
    device.machine.shell(
        f"cd /root && rm -rf {name} && cp -r edge-digits-*-debian13-*/ {name} && cd {name} && "
        f"sed -i '{change}' edge-digits.service && "
        "{ grep -v ' edge-digits.service$' MANIFEST; sha256sum edge-digits.service; } >new && mv new MANIFEST",
        seconds=600,
    )
    return f"/root/{name}"


def version(device: Device) -> str:
    return device.machine.shell("readlink /opt/edge-digits/current").strip()


def test_an_upgrade_that_is_not_well_goes_back_by_itself(device: Device, report: Report) -> None:
    before, last = version(device), device.next_reading(device.newest())["sequence"]
    ill = other_bundle(device, "ill", "s|^ExecStart=.*|ExecStart=/bin/false|")
    said = device.machine.shell(
        f"export EDGE_DIGITS_HEALTH_SECONDS=300; {ill}/install.sh --yes 2>&1; echo exit $?; rm -rf {ill}", seconds=3600
    )
    assert said.rstrip().endswith("exit 1"), said
    assert version(device) == before
    device.next_reading(last)
    assert device.lost() == []
    report.add("The machine", what="an upgrade that is not well", result="taken away, the version before reads on")


def test_an_upgrade_and_the_way_back_keep_every_reading(device: Device, report: Report) -> None:
    before, last = version(device), device.next_reading(device.newest())["sequence"]
    other = other_bundle(device, "other", "1s/^/# Another version.\\n/")
    device.machine.shell(f"{HEALTH}; {other}/install.sh --yes 2>&1; rm -rf {other}", seconds=3600)
    upgraded = version(device)
    assert upgraded != before
    last = device.next_reading(last)["sequence"]
    device.machine.shell(f"{HEALTH}; {typed(r'/opt/edge-digits/current/install.sh rollback')} 2>&1", seconds=3600)
    assert version(device) == before
    device.next_reading(last)
    assert device.lost() == []
    report.add("The machine", what="upgrade, and rollback", result="every acknowledged reading is there")


def test_the_camera_is_changed_as_the_guide_says(device: Device, report: Report) -> None:
    device.set("source", 'kind = "synthetic"\nlocation = ""')
    device.until(lambda: device.told.get("/api/health")["source"]["kind"] == "synthetic")
    device.machine.shell(typed(r"sed -i .* /etc/edge-digits/daemon.toml"))
    device.machine.shell(typed(r"-u edge-digits env STATE_DIRECTORY=[^`]*"))
    reload = typed(r"systemctl reload edge-digits")
    device.machine.shell(f"{reload} || {{ journalctl -u edge-digits --no-pager -o cat -n 40 >&2; exit 1; }}")
    device.until(lambda: device.told.get("/api/health")["source"]["kind"] == "picamera2")
    assert device.next_reading(device.newest())["source"].startswith("picamera2")
    token = device.machine.shell(typed(r"cat /etc/edge-digits/token")).strip()
    assert Page(device.machine, token).get("/api/health")["source"]["kind"] == "picamera2"
    report.add("The machine", what="another camera by sed and reload", result="read without a restart")


def test_uninstall_leaves_the_readings_and_purge_nothing(device: Device, report: Report) -> None:
    newest = device.newest()
    device.machine.shell("cp -r /root/edge-digits-*-debian13-*/ /root/bundle")
    device.machine.shell(typed(r"/opt/edge-digits/current/install.sh uninstall(?! --purge)[^`\n]*"), seconds=600)
    left = "ls -d /opt/edge-digits /etc/systemd/system/edge-digits.service /usr/local/bin/edge-digits 2>/dev/null; "
    assert device.machine.shell(left + "id edge-digits 2>/dev/null", works=False) == ""
    assert device.machine.shell("systemctl is-active edge-digits", works=False).strip() == "inactive"
    newest_kept = "sqlite3.connect('/var/lib/edge-digits/readings.db').execute('SELECT max(sequence) FROM readings')"
    assert int(device.machine.shell(f'python3 -c "import sqlite3; print(*{newest_kept}.fetchone())"')) >= newest
    device.machine.shell("/root/bundle/install.sh uninstall --purge", seconds=600)
    gone = "ls -d /var/lib/edge-digits /etc/edge-digits /etc/systemd/system/edge-digits.service.d 2>/dev/null"
    assert device.machine.shell(gone, works=False) == ""
    report.add("The machine", what="uninstall, then --purge", result="the readings stay; then nothing does")

"""The whole daemon, as a process: it starts, reads, reloads, complains in one line, and ends in time."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAST = """
[device]
name = "shelf"
state = "{state}"
[source]
kind = "synthetic"
size = [640, 480]
[reading]
interval = 0.1
frames = 3
agree = 2
[http]
port = {port}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running:
    def __init__(self, folder: Path, more: str = "", **environment: str) -> None:
        self.port = free_port()
        self.config = folder / "daemon.toml"
        self.state = folder / "state"
        self.base = FAST.format(state=self.state, port=self.port)
        self.config.write_text(self.base + more)
        self.lines: list[str] = []
        self.log: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edge", "daemon", "--config", str(self.config)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        for stream, kept in ((self.process.stdout, self.lines), (self.process.stderr, self.log)):
            threading.Thread(target=lambda s=stream, k=kept: k.extend(iter(s.readline, "")), daemon=True).start()

    def get(self, path: str) -> dict:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return json.load(answer)

    def until(self, condition: Callable[[], object], seconds: float = 40) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                if condition():
                    return
            except OSError:
                pass
            assert self.process.poll() is None, self.log
            assert time.monotonic() < end, self.log
            time.sleep(0.05)


@contextmanager
def daemon(folder: Path, more: str = "", **environment: str) -> Iterator[Running]:
    running = Running(folder, more, **environment)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.process.wait(10)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge", "daemon", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


def test_readings_come_out_on_standard_output_and_over_http_and_are_in_the_database(tmp_path) -> None:
    with daemon(tmp_path) as running:
        running.until(lambda: len(running.lines) >= 2)
        latest = running.get("/api/latest")["record"]
        records = [json.loads(line) for line in running.lines]
        health = running.get("/api/health")
        assert health["status"] == "ok", health
        assert set(health["parts"]) >= {"source", "store", "stdout"}
        assert health["frames"]["read"] > 0
        running.process.send_signal(signal.SIGTERM)
        start = time.monotonic()
        assert running.process.wait(10) == 0
        assert time.monotonic() - start < 2.5
    assert [record["sequence"] for record in records] == list(range(1, len(records) + 1))
    assert latest["sequence"] >= records[-1]["sequence"]
    for record in records:
        assert record["device"] == "shelf" and record["source"] == "synthetic" and len(record["model"]) == 64
        assert len(record["text"]) == 6 and record["time"].endswith("Z")
        assert record["clock"]["boot"]
    with sqlite3.connect(tmp_path / "state/readings.db") as kept:
        assert kept.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        count = kept.execute("SELECT count(*) FROM readings").fetchone()[0]
    assert count >= latest["sequence"]
    assert not any("Traceback" in line for line in running.log)


def test_a_reload_asked_for_while_it_still_loads_does_not_end_it(tmp_path) -> None:
    running = Running(tmp_path)
    of_process = Path(f"/proc/{running.process.pid}")
    try:
        while not _catches(of_process, signal.SIGHUP):
            assert running.process.poll() is None, running.log
        running.process.send_signal(signal.SIGHUP)
        assert "cv2" not in (of_process / "maps").read_text(), "it was asked too late to tell"
        running.until(lambda: len(running.lines) >= 1)
    finally:
        running.process.kill()
        running.process.wait(10)


def _catches(of_process: Path, number: signal.Signals) -> bool:
    caught = re.search(r"^SigCgt:\s*(\w+)", (of_process / "status").read_text(), re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)


def test_systemd_hears_ready_the_watchdog_and_stopping(tmp_path) -> None:
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        threading.Thread(
            target=lambda: [heard.append(m) for m in iter(lambda: _received(server), b"")], daemon=True
        ).start()
        with daemon(tmp_path, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="2000000") as running:
            running.until(lambda: sum(m == b"WATCHDOG=1" for m in heard) >= 3)
            assert heard[0].startswith(b"READY=1")
            running.process.send_signal(signal.SIGHUP)
            running.until(lambda: any(m.startswith(b"RELOADING=1") for m in heard) and heard.count(b"READY=1") >= 1)
            running.process.send_signal(signal.SIGTERM)
            assert running.process.wait(10) == 0
            deadline = time.monotonic() + 5
            while b"STOPPING=1" not in heard and time.monotonic() < deadline:
                time.sleep(0.01)
    assert b"STOPPING=1" in heard


def _received(server: socket.socket) -> bytes:
    try:
        return server.recv(1000)
    except OSError:
        return b""


def test_it_is_ready_before_its_camera_is_and_says_what_is_missing(tmp_path) -> None:
    more = "[stdout]\nenabled = false\n"
    with daemon(tmp_path, more) as running:
        running.until(lambda: running.get("/api/health"))
        text = running.base.replace('kind = "synthetic"', 'kind = "camera"\nlocation = "/dev/video99"')
        running.config.write_text(text)
        running.process.send_signal(signal.SIGHUP)
        running.until(lambda: running.get("/api/health")["parts"]["source"]["state"] == "failed")
        source = running.get("/api/health")["parts"]["source"]
        assert source["reason"].startswith("/dev/video99: no such camera")
        assert running.get("/api/health")["status"] == "degraded"


def test_a_changed_configuration_comes_in_force_and_a_mistaken_one_does_not(tmp_path) -> None:
    with daemon(tmp_path) as running:
        running.until(lambda: running.get("/api/latest")["record"])
        running.config.write_text(running.base.replace("interval = 0.1", "interval = -1"))
        running.process.send_signal(signal.SIGHUP)
        running.until(lambda: any("reading.interval is -1" in line for line in running.log))
        running.until(lambda: any("stays as it was" in line for line in running.log))
        field = '[[field]]\nname = "number"\nbox = [0, 0, 1, 1]\n'
        running.config.write_text(running.base + field)
        running.process.send_signal(signal.SIGHUP)
        running.until(lambda: running.get("/api/latest")["record"]["fields"])
        (read,) = running.get("/api/latest")["record"]["fields"]
        assert read["name"] == "number" and read["value"] == read["text"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda text, folder: text.replace('"synthetic"', f'"video"\nlocation_file = "{folder}/empty"'),
            "its first line is empty",
        ),
        (lambda text, folder: f"{text}[gpio]\nlamp = 17\n", "gpio.lamp is 17"),
    ],
    ids=["source", "pin"],
)
def test_what_turns_out_to_be_wrong_when_it_starts_leaves_everything_as_it_was(tmp_path, change, said) -> None:
    (tmp_path / "empty").write_text("\n")
    with daemon(tmp_path) as running:
        running.until(lambda: running.get("/api/latest")["record"])
        running.config.write_text(change(running.base, tmp_path))
        running.process.send_signal(signal.SIGHUP)
        running.until(lambda: any(said in line and "stays as it was" in line for line in running.log))
        sequence = running.get("/api/latest")["record"]["sequence"]
        running.until(lambda: running.get("/api/latest")["record"]["sequence"] > sequence)
        assert running.get("/api/health")["status"] == "ok"


def test_a_restart_goes_on_where_it_was(tmp_path) -> None:
    sequences = []
    for _ in range(2):
        with daemon(tmp_path) as running:
            running.until(lambda r=running: r.lines)
            sequences.append(json.loads(running.lines[-1])["sequence"])
            running.process.kill()
    assert sequences[1] > sequences[0]


def test_two_daemons_do_not_share_a_database(tmp_path) -> None:
    with daemon(tmp_path) as running:
        running.until(lambda: running.get("/api/health"))
        second = run("--config", str(running.config))
        # Not 2, which the unit takes for a mistake that no further start can help.
        assert second.returncode == 1
        (line,) = second.stderr.strip().splitlines()[-1:]
        assert "another" in line


def test_a_state_folder_that_is_not_there_yet_is_tried_again_by_systemd(tmp_path) -> None:
    (tmp_path / "disk").touch()
    config = tmp_path / "daemon.toml"
    config.write_text(f'[device]\nstate = "{tmp_path}/disk/state"\n[http]\nenabled = false\n')
    ended = run("--config", str(config))
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"edge-digits: {tmp_path}/disk/state: cannot be made: ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[source]\nkind = "webcam"\n[http]\nport = 0', ["source.kind is", "http.port is 0"]),
        ('[http]\nlisten = "0.0.0.0"', ["token"]),
    ],
)
def test_every_mistake_is_a_line_and_nothing_starts(tmp_path, content, said) -> None:
    path = tmp_path / "daemon.toml"
    path.write_text(content)
    for more in ((), ("--check",)):
        ended = run("--config", str(path), *more)
        assert ended.returncode == 2
        assert ended.stdout == ""
        lines = ended.stderr.splitlines()
        assert len(lines) == len(said)
        for line, words in zip(lines, said, strict=True):
            assert line.startswith("edge-digits: ") and words in line


def test_check_says_what_a_start_would_stumble_over(tmp_path) -> None:
    (tmp_path / "model.tflite").write_text("no model")
    (tmp_path / "fields.toml").write_text('[[field]]\nname = "total"\n')
    path = tmp_path / "daemon.toml"
    path.write_text(f'[device]\nstate = "{tmp_path}"\n[reading]\nmodel = "{tmp_path}/model.tflite"\n')
    ended = run("--config", str(path), "--check")
    assert (ended.returncode, ended.stdout) == (2, "")
    fields, model = ended.stderr.splitlines()
    assert fields == f"edge-digits: {tmp_path}/fields.toml: field 'total': has no box; it is [x, y, width, height]"
    assert "model.tflite" in model


@pytest.mark.parametrize(
    "content",
    [
        "[source]\nrate = 1" + "0" * 400,
        "[source]\nrate = 1" + "0" * 5000,
        '[[field]]\nname = "a"\nbox = [0, 0, 1, 1]\nlargest_step = 1' + "0" * 400,
        '[[field]]\nname = "a"\nbox = [0, 0, 1, 1' + "0" * 400 + "]",
        '[mqtt]\nhost = "x"\npassword_file = "a\\u0000b"',
        '[device]\nname = "a\\nb"',
        '[webhook]\nurl = "http://"',
    ],
)
def test_odd_values_are_one_line_too(tmp_path, content) -> None:
    path = tmp_path / "daemon.toml"
    path.write_text(content)
    ended = run("--config", str(path), "--check")
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "internal error" not in line


def test_a_right_configuration_is_said_to_be(tmp_path) -> None:
    path = tmp_path / "daemon.toml"
    path.write_text(run("--example").stdout)
    ended = run("--config", str(path), "--check")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{path}: nothing wrong with it\n", "")


def test_without_a_configuration_it_says_how_to_begin() -> None:
    ended = run()
    assert ended.returncode == 2
    assert "--example" in ended.stderr


def test_a_signal_that_comes_at_any_moment_does_not_stop_the_daemon_from_seeing_the_next() -> None:
    code = (
        "import os, signal, threading, time\n"
        "from edge.daemon.command import _Signals\n"
        "def fire():\n"
        "    for _ in range(20000): os.kill(os.getpid(), signal.SIGHUP)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "with _Signals() as signals:\n"
        "    threading.Thread(target=fire, daemon=True).start()\n"
        "    while not signals.ended: signals.wait(0.00001)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")

"""What the locks leave out is not missed: all that a device does, without it, on each Python there is here."""

import json
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from dataclasses import dataclass

import pytest

from tests.packaging.conftest import clean_environment
from tests.packaging.pythons import LEFT_OUT, ROOT, Environment, interpreters, not_installed

BUNDLES = {11: "bundle-debian12", 13: "bundle-debian13"}
PAGES = ROOT / "samples/pages"
# The synthetic camera, and all that has a package of its own; nobody listens where the broker should be.
CONFIG = """
[device]
state = "{state}"
[source]
kind = "synthetic"
[reading]
interval = 0.5
[mqtt]
host = "127.0.0.1"
port = 1
[http]
port = {port}
[gpio]
lamp = 17
button = 27
"""


@dataclass(frozen=True)
class Device(Environment):
    """An environment with locks installed and the package, and nothing else: not even pip."""

    runtime: str
    left_out: set[str]

    @property
    def environment(self) -> dict[str, str]:
        return {"EDGE_DIGITS_RUNTIME": self.runtime, "GPIOZERO_PIN_FACTORY": "mock"}


def kinds() -> list[tuple[int, str, str]]:
    """(minor version, runtime, locks) of each environment to try: the bundles, and LiteRT as `make` sets it up."""
    here = interpreters()
    tried = [(minor, "tflite" if minor == 11 else "litert", lock) for minor, lock in BUNDLES.items() if minor in here]
    # Where there is no Python 3.13 either, some environment has to have LiteRT.
    minor = min(here)
    return [*tried, (minor, "litert", "edge-litert edge-daemon" if minor == 11 else "edge-daemon")]


@pytest.fixture(scope="module", params=kinds(), ids=lambda kind: f"3.{kind[0]}-{kind[2].replace(' ', '-')}")
def device(request, registry, run, wheel, tmp_path_factory) -> Device:
    minor, runtime, locks = request.param
    folder = tmp_path_factory.mktemp("device")
    # Python 3.11's own pip would bring setuptools.
    run(interpreters()[minor], "-m", "venv", "--without-pip", folder)
    left_out = LEFT_OUT["colorzero"] | (LEFT_OUT["ai-edge-litert"] if runtime == "litert" else set())
    made = Device(folder, runtime, left_out)
    pip = (sys.executable, "-m", "pip", "--python", made.python, "--disable-pip-version-check")
    install = (*pip, "install", "--quiet", "--no-deps", "--no-compile")
    for lock in locks.split():
        which = ("--require-hashes", "--only-binary=:all:", "-r", ROOT / f"requirements/{lock}.txt")
        run(*install, *which, cwd=folder)
    run(*install, wheel, cwd=folder)
    return made


@pytest.mark.slow
def test_all_that_is_named_is_left_out_and_nothing_else(device, run):
    assert not_installed(run, device.python) == device.left_out


@pytest.mark.slow
def test_digits_are_named(device, run, tmp_path):
    words = ("classify", "--format", "jsonl", ROOT / "samples/7-ruled.jpg")
    assert json.loads(run(device.command, *words, cwd=tmp_path, **device.environment).stdout)["label"] == "7"


@pytest.mark.slow
def test_a_form_is_read(device, run, tmp_path):
    words = ("read", "--format", "jsonl", "--fields", PAGES / "form.toml", PAGES / "form.jpg")
    record = json.loads(run(device.command, *words, cwd=tmp_path, **device.environment).stdout)
    assert [field["value"] for field in record["fields"]] == ["4051738", "29406", "170326", "3"]


@pytest.mark.slow
def test_the_device_is_measured(device, run, tmp_path):
    said = run(device.command, "bench", "--seconds", "1", "--json", cwd=tmp_path, **device.environment).stdout
    assert json.loads(said)


@pytest.mark.slow
def test_the_daemon_reads_with_its_page_its_broker_and_its_pins(device, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = tmp_path / "daemon.toml"
    config.write_text(CONFIG.format(state=tmp_path / "state", port=port))
    log = tmp_path / "log"
    with open(log, "w") as errors:
        daemon = subprocess.Popen(
            [device.command, "daemon", "--config", config],
            cwd=tmp_path,
            env=clean_environment() | device.environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    impatience = threading.Timer(120, daemon.kill)
    impatience.start()
    try:
        line = daemon.stdout.readline()  # a reading, or nothing when it ends
        assert line, log.read_text()
        assert len(json.loads(line)["text"]) == 6
        for path, part in (("", b"<title>"), ("metrics", b"# HELP")):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
                assert part in answer.read()
        daemon.send_signal(signal.SIGINT)
        daemon.wait(20)
    finally:
        impatience.cancel()
        daemon.kill()
        daemon.wait(10)
        daemon.stdout.close()
    assert "Traceback" not in log.read_text()

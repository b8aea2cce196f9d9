"""The systemd unit: what systemd itself thinks of it."""

import configparser
import re
from pathlib import Path

import pytest

from edge.daemon.service import HUNG_SECONDS

UNIT = Path(__file__).parents[2] / "deploy/edge-digits.service"
MOST_EXPOSED = 2.5  # of 10, as systemd-analyze counts


@pytest.fixture(scope="module")
def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment]
    parser.read(UNIT)
    return parser


def test_systemd_knows_every_key(run, tmp_path):
    program = tmp_path / "edge-digits"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/edge-digits/current/bin/edge-digits", str(program)))
    said = run("systemd-analyze", "verify", "--man=no", copy)
    assert said.stderr + said.stdout == ""


def test_it_is_exposed_little(run):
    said = run("systemd-analyze", "security", "--offline=true", "--no-pager", UNIT).stdout
    exposure = re.search(r"Overall exposure level for edge-digits.service: ([\d.]+)", said)
    assert exposure is not None, said
    assert float(exposure[1]) <= MOST_EXPOSED


def test_it_comes_back_for_ever_and_hangs_never(unit):
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert service["Restart"] == "always"
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert float(service["WatchdogSec"]) > 2 * HUNG_SECONDS
    assert service["ProtectSystem"] == "strict"
    assert service["User"] not in ("", "root")
    assert "MemoryMax" in service

"""What the machine says of itself, and None where it says nothing."""

import pytest

from edge.daemon import health


@pytest.fixture
def board(tmp_path, monkeypatch):
    for name in ("TEMPERATURE", "THROTTLED"):
        monkeypatch.setattr(health, name, tmp_path / name)
    return tmp_path


def test_a_machine_that_says_nothing_has_nothing_said_of_it(board) -> None:
    facts = health.device_facts(board / "no-such-folder")
    assert facts["memory_bytes"] > 1_000_000
    assert {name for name, value in facts.items() if value is None} == {
        "temperature_c", "throttled", "under_voltage", "disk_free_bytes",
    }  # fmt: skip


def test_a_raspberry_pi_says_temperature_and_throttling(board) -> None:
    (board / "TEMPERATURE").write_text("48312\n")
    (board / "THROTTLED").write_text("50005\n")
    facts = health.device_facts(board)
    assert facts["temperature_c"] == 48.3
    assert facts["under_voltage"] is True
    assert facts["throttled"] == [
        "under-voltage",
        "throttled",
        "under-voltage since the start",
        "throttled since the start",
    ]
    assert facts["disk_free_bytes"] > 0


def test_a_cool_one_has_no_throttling(board) -> None:
    (board / "THROTTLED").write_text("0")
    facts = health.device_facts(board)
    assert facts["throttled"] == []
    assert facts["under_voltage"] is False

"""These run by `make test-pi` alone: they need root, emulators and minutes."""

import os
from collections.abc import Iterator

import pytest

from tests.pi.lab import missing
from tests.pi.report import Report

ASKED = os.environ.get("EDGE_DIGITS_TEST_PI", "")  # "short" or "full"
FULL = ASKED == "full"

collect_ignore_glob = [] if ASKED else ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def lab() -> None:
    why = missing()
    if why:
        pytest.skip("; ".join(why))


@pytest.fixture(scope="session")
def report() -> Iterator[Report]:
    made = Report()
    yield made
    made.save()
    print(f"\n{made.text()}")


@pytest.fixture(scope="session")
def full() -> bool:
    return FULL

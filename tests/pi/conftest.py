"""These run by `make test-pi` alone: they need root, emulators and minutes."""

import math
import os
import signal
import time
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from tests.pi.lab import UNTIL, missing
from tests.pi.report import Report

ASKED = os.environ.get("EDGE_DIGITS_TEST_PI", "")  # "short" or "full"
FULL = ASKED == "full"
Test = TypeVar("Test", bound=Callable[..., Any])

collect_ignore_glob = [] if ASKED else ["test_*.py"]


def pytest_sessionstart(session: pytest.Session) -> None:
    def end(*_: object) -> None:
        why = "the time that it was given is over: what is not named above was not tried"
        pytest.exit(why, pytest.ExitCode.TESTS_FAILED if session.testsfailed else pytest.ExitCode.OK)

    if ASKED and math.inf > UNTIL:
        signal.signal(signal.SIGALRM, end)
        if time.time() >= UNTIL:
            end()
        # Again and again: whoever is interrupted may hold what is raised for an error of his own.
        signal.setitimer(signal.ITIMER_REAL, max(UNTIL - time.time(), 0.001), 5.0)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish() -> None:
    """What was set up is taken down in peace."""
    if ASKED:
        signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.fixture(scope="session", autouse=True)
def lab() -> None:
    why = missing(FULL)
    if why:
        pytest.skip("; ".join(why))


MEASURED = Report()


@pytest.fixture(scope="session")
def report() -> Report:
    return MEASURED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if MEASURED.tables:
        terminalreporter.section("what was measured")
        terminalreporter.line(MEASURED.text())


def full_form(test: Test) -> Test:
    """A test that the short form leaves out: not skipped, for CI takes that for a failure."""
    test.full_form = True  # type: ignore[attr-defined]
    return test


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if FULL:
        return
    left_out = [item for item in items if hasattr(getattr(item, "obj", None), "full_form")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]

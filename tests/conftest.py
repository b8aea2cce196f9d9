"""What all tests share.

`make test` runs them in two processes (pytest-xdist): those that train, convert and install for minutes, beside all
others. These come first where both want a core: some of them count seconds.
"""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SKIPS_FAIL = os.environ.get("CI") == "true"
INSTALLS = tuple(f"tests/packaging/test_{name}.py" for name in ("install", "left_out", "requirements"))
UNHURRIED = ("tests/train/", "tests/convert/", *INSTALLS)  # as long as all the others
NICENESS = 10  # of their process


def pytest_configure() -> None:
    """Lets the commands under test be interrupted: what runs in the background hands an ignored SIGINT down to them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class TwoParts(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "unhurried" if nodeid.startswith(UNHURRIED) else "others"

    return TwoParts(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ and item.nodeid.startswith(UNHURRIED):
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)


@pytest.fixture(scope="session")
def mnist() -> Path:
    """The folder with MNIST's four files, fetched if they are not there yet."""
    from train.data import DATA_FOLDER, DataError, fetch_mnist

    folder = ROOT / DATA_FOLDER
    try:
        fetch_mnist(folder)
    except DataError as error:
        pytest.skip(f"MNIST cannot be had: {error}")
    return folder


def _skipped(config: pytest.Config) -> list[pytest.TestReport]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return reporter.stats.get("skipped", []) if reporter else []


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Where CI=true a skip is a failure: nobody is there to read its reason."""
    if SKIPS_FAIL and exitstatus == pytest.ExitCode.OK and _skipped(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    skipped = _skipped(config)
    if SKIPS_FAIL and skipped:
        terminalreporter.section(f"{len(skipped)} skipped, and CI=true allows none", red=True)
        for report in skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            terminalreporter.line(f"{report.nodeid}: {reason}")

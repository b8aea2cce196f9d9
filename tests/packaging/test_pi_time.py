"""`make test-pi` ends when its time is over, and what failed until then counts."""

import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The lab itself takes root and minutes.
CONFTEST = "import pytest\n\n@pytest.fixture(scope='session', autouse=True)\ndef lab():\n    pass\n"
SUITE = """
import contextlib
import time

def test_first():
    assert {holds}

def test_that_takes_long():
    with contextlib.suppress(BaseException):
        time.sleep(120)
    time.sleep(120)
"""


OVER = "the time that it was given is over"


def suite(run, folder, holds, until):
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_suite.py").write_text(SUITE.format(holds=holds))
    words = (sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-p", "tests.pi.conftest")
    more = {"PYTHONPATH": str(ROOT), "EDGE_DIGITS_TEST_PI": "short", "EDGE_DIGITS_TEST_PI_UNTIL": str(until)}
    return run(*words, cwd=folder, works=False, **more)


@pytest.mark.parametrize("holds", [True, False])
def test_it_ends_when_its_time_is_over(holds, run, tmp_path):
    until = time.time() + 6
    result = suite(run, tmp_path, holds, until)
    assert until <= time.time() < until + 60
    assert result.returncode == (0 if holds else 1), result.stdout + result.stderr
    assert OVER in result.stdout
    assert f"test_first {'PASSED' if holds else 'FAILED'}" in result.stdout


def test_without_time_nothing_is_tried(run, tmp_path):
    result = suite(run, tmp_path, True, 1)
    assert result.returncode == 0, result.stdout + result.stderr
    assert OVER in result.stdout + result.stderr
    assert "passed" not in result.stdout

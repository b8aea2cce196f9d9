"""A skip is counted on a person's machine and fails where CI=true."""

import shutil
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
SUITE = """
import pytest

def test_works():
    pass

@pytest.mark.skip(reason="no such tool here")
def test_needs_a_tool():
    pass
"""


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_skip_counts(ci, status, run, tmp_path):
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_suite.py").write_text(SUITE)
    result = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path, works=False, CI=ci)
    assert result.returncode == status
    assert "1 passed, 1 skipped" in result.stdout.splitlines()[-1]
    assert ("test_suite.py::test_needs_a_tool: Skipped: no such tool here" in result.stdout) == (ci == "true")


def test_nothing_skipped_passes_where_ci_is_true(run, tmp_path):
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_suite.py").write_text("def test_works():\n    pass\n")
    assert "1 passed" in run(sys.executable, "-m", "pytest", "-q", cwd=tmp_path, CI="true").stdout

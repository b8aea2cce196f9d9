"""The notebook for learners, run from the first cell to the last."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TIMEOUT = 600  # seconds a cell


def test_walkthrough_runs_and_reads_the_samples(mnist: Path) -> None:
    notebook = nbformat.read(ROOT / "train" / "walkthrough.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "commit the notebook without its outputs"
    NotebookClient(notebook, timeout=TIMEOUT, resources={"metadata": {"path": str(ROOT)}}).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    said = "".join(output.get("text", "") for output in code[-1].outputs)
    assert "7-envelope.jpg" in said and "shipped 7" in said
    pictures = sum("image/png" in o.get("data", {}) for cell in code for o in cell.outputs)
    assert pictures >= 5

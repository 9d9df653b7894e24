"""Every notebook runs from top to bottom, and is committed with its outputs."""

from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_committed(path):
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells), "run the notebook and save it: python -m notebooks.run"
    assert any(cell.outputs for cell in cells)
    assert not any(output.output_type == "error" for cell in cells for output in cell.outputs)


# Smaller runs of the same cells: what stands in a notebook, and what is played here.
SMALLER = {
    "02_rlt_and_the_theory": {
        "SIZES = (8, 16, 32, 64, 128)": "SIZES = (8, 16)",
        "k, 2000, 3, PLAYERS": "k, 200, 1, PLAYERS",
        "for k in (8, 16, 32) for row": "for k in (8, 16) for row",
        "range(16, 45)": "range(16, 45, 7)",
        ", 32, 3": ", 32, 1",
        "(0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 4.0)": "(0.8, 1.6, 4.0)",
        "for seed in range(3)": "for seed in range(1)",
    }
}


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path):
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(path, as_version=4)
    for there, here in SMALLER.get(path.stem, {}).items():
        assert any(there in cell.source for cell in notebook.cells), f"{there} is not in the notebook any more"
        for cell in notebook.cells:
            cell.source = cell.source.replace(there, here)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(path.parent.parent)}}).execute()

"""Where the tests find the published fits and the grid of iteration times that the catalogue was taken from."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder with cost_fits.json and cost_grid.csv; the test is skipped where there is none."""
    default = Path(__file__).parents[2].parent / "shared" / "reference"
    folder = Path(os.environ.get("KVGYM_REFERENCE", default))
    missing = [name for name in ("cost_fits.json", "cost_grid.csv") if not (folder / name).is_file()]
    if missing:
        pytest.skip(f"no {' and no '.join(missing)}: set KVGYM_REFERENCE to the folder that holds the reference data")
    return folder

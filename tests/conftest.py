"""Where the tests find real traces."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def trace():
    """Path of a real trace by its place in the folder of traces; the test is skipped where there is none."""
    checkout = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("KVGYM_TRACES") or checkout.parent / "shared" / "traces")

    def find(name):
        if not (folder / name).is_file():
            pytest.skip(f"no trace {name}: set KVGYM_TRACES to the folder that holds it")
        return folder / name

    return find

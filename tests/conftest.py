"""What all tests share: where real traces are, how hypothesis plays."""

import os
from pathlib import Path

import hypothesis
import pytest

from kvgym.envs.picture import Painter
from tests import often

# Torch and BLAS with a thread each: the workers of pytest-xdist share the cores, and waiting threads burn them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Windows that nobody sees.
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")

hypothesis.settings.register_profile("tests", database=None, deadline=None, max_examples=60)
hypothesis.settings.load_profile("tests")


def pytest_configure(config):
    """Before the tests are imported: their decorators ask."""
    often.only_slow = config.option.markexpr == "slow"


@pytest.fixture(autouse=True, scope="session")
def windows_do_not_wait():
    """A window shows its next picture at once: what the tests play would take minutes at 16 pictures a second."""
    made = Painter.__init__

    def make(self, size, fps):
        made(self, size, 0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Painter, "__init__", make)
        yield


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


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder with cost_fits.json and cost_grid.csv; the test is skipped where there is none."""
    default = Path(__file__).parents[1].parent / "shared" / "reference"
    folder = Path(os.environ.get("KVGYM_REFERENCE", default))
    missing = [name for name in ("cost_fits.json", "cost_grid.csv") if not (folder / name).is_file()]
    if missing:
        pytest.skip(f"no {' and no '.join(missing)}: set KVGYM_REFERENCE to the folder that holds the reference data")
    return folder

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def players():
    """The module with the tests' own agents."""
    spec = importlib.util.spec_from_file_location("players", Path(__file__).with_name("players.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

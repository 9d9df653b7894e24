import importlib.util
from pathlib import Path

import pytest


def load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def players():
    """The module with the tests' own agents."""
    return load("players")


@pytest.fixture(scope="session")
def made_up():
    """The module with made-up results."""
    return load("made_up")

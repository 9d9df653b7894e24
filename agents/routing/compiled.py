"""Compiled parts of rules: imported when an episode of such a rule begins, since `import agents` does without numba."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any


@cache
def compiled(name: str) -> Any:
    """A module of this folder whose functions are compiled: from disk where they were before, else in a few seconds."""
    return import_module(f".{name}", __package__)

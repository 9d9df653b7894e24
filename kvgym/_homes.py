"""Where the project's other packages lie: at the top of a checkout, inside kvgym where a wheel was installed.

`agents` is a name that other packages on PyPI install, too; in a wheel it is `kvgym.agents`.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

HOMES = {"agents": "agents", "theory": "studies.theory"}
"""Name inside kvgym -> name in a checkout."""


def home(name: str) -> str:
    """Full name of `name` of `HOMES`, or of a module in it, here; all other names stay as they are."""
    first, dot, rest = name.partition(".")
    if first not in HOMES:
        return name
    return (f"kvgym.{first}" if find_spec(f"kvgym.{first}") else HOMES[first]) + dot + rest


def load(name: str) -> ModuleType:
    """Imports a module by its name in `HOMES`, or by any other."""
    return import_module(home(name))

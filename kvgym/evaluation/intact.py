"""Whether the suite's code in this process is what it was: an agent that replaces parts of it is found out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import FunctionType
from typing import Any

from kvgym.envs.view import RULE, RuleBroken

Parts = dict[tuple[str, str], Any]


def parts() -> Parts:
    """Functions, and attributes of classes, of the modules of kvgym that are loaded, by module and name."""
    return {
        (name, place): value
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] == "kvgym" and module is not None
        for place, value in _of_module(name, vars(module))
    }


def _of_module(name: str, module: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for own, value in list(module.items()):
        if isinstance(value, FunctionType):
            yield own, value.__code__ if value.__module__ == name else value
        elif isinstance(value, type) and value.__module__ == name:
            yield own, value
            yield from ((f"{own}.{key}", part) for key, part in list(vars(value).items()) if callable(part))


def check(before: Parts) -> None:
    """Raises a `RuleBroken` that names the first part which is not what it was."""
    now = parts()
    for place, value in before.items():
        if now.get(place) is not value:
            raise RuleBroken(f"{'.'.join(place)} was replaced: an agent may not change what it plays; {RULE}")

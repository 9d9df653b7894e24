"""Says of an argument that an environment does not take where it belongs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import ParamSpec

from kvgym.scenarios import Scenario

Parameters = ParamSpec("Parameters")
_OVERRIDES = {field.name for field in fields(Scenario)} - {"name", "version"} | {"n_workers"}
# Where an environment has no argument `evictor` its agent evicts: overriding the scenario's is no way to give it one.
_NO_HINT = ("evictor",)


def explains_unknown(init: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """An `__init__` that does as before, but names what is allowed when it gets an unknown keyword argument.

    It stays a TypeError, which Python raises for these and Gymnasium adds its own words to.
    """
    known = list(inspect.signature(init).parameters)[1:]

    @wraps(init)
    def checked(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        for name, value in kwargs.items():
            if name not in known:
                raise TypeError(f"{type(args[0]).__name__}() {_explain(name, value, known)}")
        init(*args, **kwargs)

    return checked


def _explain(name: str, value: object, known: list[str]) -> str:
    text = f"got an unexpected keyword argument {name!r}"
    if name in _OVERRIDES and name not in _NO_HINT:
        return f"{text}: the scenario has it, give it as scenario_overrides={{{name!r}: {value!r}}}"
    return f"{text}; allowed are {', '.join(known)}"

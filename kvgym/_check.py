"""Checks of arguments.

Each returns the value in its plain Python type, or raises a ValueError that names the argument, the value and what is
allowed.
"""

import inspect
import math
import operator
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

_signature = lru_cache(maxsize=64)(inspect.signature)  # recipes are asked for theirs in every episode


def finite(name: str, value: Any, minimum: float = 0.0, maximum: float = math.inf) -> float:
    """Returns `value` as a float if it is a finite number from `minimum` to `maximum`."""
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not minimum <= value <= maximum:
        allowed = f">= {minimum:g}" if math.isinf(maximum) else f"from {minimum:g} to {maximum:g}"
        raise ValueError(f"{name} must be a finite number {allowed}, got {value!r}")
    return float(value)


def whole(name: str, value: Any, minimum: int) -> int:
    """Returns `value` as an int if it is an integer (not a bool, not a float) >= `minimum`."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, (bool, np.bool_)) or number < minimum:
        raise ValueError(f"{name} must be an integer >= {minimum}, got {value!r}")
    return number


def index(name: str, value: Any, n: int, what: str = "an integer") -> int:
    """Returns `value` as an int if it is an integer (not a bool) from 0 to `n` - 1."""
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if isinstance(value, bool) or not 0 <= number < n:
        raise ValueError(f"{name} must be {what} from 0 to {n - 1}, got {value!r}")
    return number


def flag(name: str, value: Any) -> bool:
    """Returns `value` as a bool if it is one."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def choice(name: str, value: Any, allowed: Iterable[str]) -> str:
    """Returns `value` if it is one of the names in `allowed`."""
    names = list(allowed)
    if not isinstance(value, str) or value not in names:
        raise ValueError(f"{name} must be one of {', '.join(names)}; got {value!r}")
    return value


def string(name: str, value: Any, *, empty: bool = False) -> str:
    """Returns `value` if it is a string, with something in it unless it may be `empty`."""
    if not isinstance(value, str) or not (value or empty):
        raise ValueError(f"{name} must be a string{'' if empty else ' with something in it'}, got {value!r}")
    return value


def mapping(name: str, value: Any) -> Mapping[str, Any]:
    """Returns `value` if it is a mapping."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be a mapping of names to values, got {value!r}")
    return value


def keywords(
    name: str,
    given: Mapping[Any, Any],
    function: Callable[..., Any],
    *,
    first: int = 0,
    without: Collection[str] = (),
    complete: bool = True,
) -> None:
    """Checks that a function, or a class, takes all of `given` as keyword arguments.

    Args:
        name: Name of the arguments in messages.
        given: The arguments.
        function: The one that takes them.
        first: Its first parameters, so many, are somebody else's to give.
        without: So are these.
        complete: Whether those without a default must be among them.
    """
    parameters = list(_signature(function).parameters.values())[first:]
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    known = [one.name for one in parameters if one.kind in kinds and one.name not in without]
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters)
    for key, value in given.items():
        if key not in known and not (takes_any and isinstance(key, str) and key not in without):
            raise ValueError(
                f"{name}: {key!r} (given {value!r}) is not known; allowed are {', '.join(known) or 'none'}"
            )
    needed = [one.name for one in parameters if one.name in known and one.default is one.empty]
    missing = [one for one in needed if one not in given]
    if complete and missing:
        raise ValueError(f"{name}: {missing[0]!r} is missing; needed are {', '.join(needed)}, got {dict(given)!r}")

"""Checks of arguments: each returns the value in its plain Python type or raises a ValueError that names it."""

import math
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np


def finite(name: str, value: Any, minimum: float = 0.0, maximum: float = math.inf) -> float:
    """Returns `value` as a float if it is a finite number from `minimum` to `maximum`.

    Raises:
        ValueError: If it is not; the message names the argument, the value and the range.
    """
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not minimum <= value <= maximum:
        allowed = f">= {minimum:g}" if math.isinf(maximum) else f"from {minimum:g} to {maximum:g}"
        raise ValueError(f"{name} must be a finite number {allowed}, got {value!r}")
    return float(value)


def whole(name: str, value: Any, minimum: int) -> int:
    """Returns `value` as an int if it is an integer (not a bool, not a float) >= `minimum`.

    Raises:
        ValueError: If it is not; the message names the argument, the value and the minimum.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, (bool, np.bool_)) or number < minimum:
        raise ValueError(f"{name} must be an integer >= {minimum}, got {value!r}")
    return number


def index(name: str, value: Any, n: int, what: str = "an integer") -> int:
    """Returns `value` as an int if it is an integer (not a bool) from 0 to `n` - 1.

    Raises:
        ValueError: If it is not; the message names the argument, the value and, as `what`, the range.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if isinstance(value, bool) or not 0 <= number < n:
        raise ValueError(f"{name} must be {what} from 0 to {n - 1}, got {value!r}")
    return number


def flag(name: str, value: Any) -> bool:
    """Returns `value` as a bool if it is one.

    Raises:
        ValueError: If it is not; the message names the argument and the value.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def choice(name: str, value: Any, allowed: Iterable[str]) -> str:
    """Returns `value` if it is one of the names in `allowed`.

    Raises:
        ValueError: If it is not; the message names the argument, the value and every name allowed.
    """
    names = list(allowed)
    if not isinstance(value, str) or value not in names:
        raise ValueError(f"{name} must be one of {', '.join(names)}; got {value!r}")
    return value

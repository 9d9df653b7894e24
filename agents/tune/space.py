"""What is searched: ranges that the agent's class declares in `tunable`, and evictors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kvgym import _check

DIGITS = 3
"""Significant digits of a constant: more would fit the seeds."""


def ranges_of(agent: Any, name: str, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """The ranges of an agent, without the constants that are `fixed`.

    Args:
        agent: The agent, or its class.
        name: Of the agent, for messages.
        fixed: Constants by name.

    Raises:
        ValueError: If nothing is left to search, or a range is none.
    """
    declared = _check.mapping(f"{name}.tunable", getattr(agent, "tunable", {}))
    found = {key: checked(f"{name}.tunable[{key!r}]", value) for key, value in declared.items() if key not in fixed}
    return found


def checked(name: str, value: Any) -> Any:
    """A range if it is (low, high), (low, high, "log") or a list of names.

    Raises:
        ValueError: If it is not, or is empty.
    """
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return value
    if isinstance(value, tuple) and len(value) in (2, 3) and value[2:] in ((), ("log",)):
        low, high = (_check.finite(name, end) for end in value[:2])
        if low < high and (low > 0.0 or len(value) == 2):
            return value
    raise ValueError(
        f'{name} must be (low, high) with 0 <= low < high, (low, high, "log") with 0 < low < high, or a list of names; '
        f"got {value!r}"
    )


def draw(trial: Any, ranges: Mapping[str, Any]) -> dict[str, Any]:
    """Constants that an optuna trial suggests, rounded."""
    return {name: _draw(trial, name, value) for name, value in ranges.items()}


def _draw(trial: Any, name: str, value: Any) -> Any:
    if isinstance(value, list):
        return trial.suggest_categorical(name, value)
    low, high = value[:2]
    log = len(value) == 3
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, log=log)
    number = float(f"{trial.suggest_float(name, low, high, log=log):.{DIGITS}g}")
    return min(max(number, low), high)


def as_json(ranges: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """The ranges as JSON has them."""
    return {name: list(value) for name, value in ranges.items()}

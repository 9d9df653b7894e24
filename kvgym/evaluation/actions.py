"""What an agent returns, as plain numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gymnasium import spaces

from kvgym.envs.view import plain


def reader(space: spaces.Space[Any]) -> Callable[[Any], Any]:
    """A function that turns what `act` returned into an int, or into two where the space is made of pairs.

    The function raises a ValueError where it is none.
    """
    return _pair if isinstance(space, spaces.MultiDiscrete) else _index


def _index(action: Any) -> int:
    try:
        return plain(action)
    except TypeError:
        raise ValueError(f"act() must return the index of an action, got {action!r}") from None


def _pair(action: Any) -> tuple[int, int]:
    try:
        worker, rule = map(plain, action)
    except (TypeError, ValueError):
        raise ValueError(f"act() must return a worker and the number of a rule, got {action!r}") from None
    return worker, rule

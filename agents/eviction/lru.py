"""Least recently used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..base import Info, Observation
from .base import EvictionAgent


class Lru(EvictionAgent):
    """The leaf that was used longest ago: slot 0.

    A leaf gives up its tail at once, which changes nothing: its pages were used together, and what was used before them
    is not among their ancestors. So this is the evictor "lru", action by action.
    """

    draws = False
    env_kwargs: Mapping[str, Any] = {"action": "leaf", "candidates": 2, "quantum": "leaf"}

    def act(self, observation: Observation, info: Info) -> int:
        """See `EvictionAgent.act`."""
        return 0

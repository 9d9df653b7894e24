"""A leaf at random."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..base import Info, Observation, draw, legal_actions
from .base import EvictionAgent


class RandomLeaf(EvictionAgent):
    """Any of the leaves offered, uniformly: the floor of the comparison.

    Uniform over the filled slots, not over all leaves of the cache: half of the slots hold the oldest leaves, and a
    leaf may be in both halves. The evictor "random" draws from all leaves, a page at a time.
    """

    env_kwargs: Mapping[str, Any] = {"action": "leaf", "candidates": 16, "quantum": "leaf"}

    def act(self, observation: Observation, info: Info) -> int:
        """See `EvictionAgent.act`."""
        self._among = legal_actions(info)
        return draw(self._among, self.random)

    def chance(self, action: Any) -> float:
        """See `Agent.chance`."""
        return (action in self._among) / len(self._among)

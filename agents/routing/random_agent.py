"""Uniform choice."""

from __future__ import annotations

from typing import Any

from ..base import Agent, Info, Observation, draw


class RandomAgent(Agent):
    """Any worker, uniformly: the floor of every comparison."""

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        self._among = self.legal_workers(info)
        return draw(self._among, self.random)

    def chance(self, action: Any) -> float:
        """See `Agent.chance`."""
        return (action in self._among) / len(self._among)

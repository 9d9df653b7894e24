"""Uniform choice."""

from __future__ import annotations

from ..base import Agent, Info, Observation, draw


class RandomAgent(Agent):
    """Any worker, uniformly: the floor of every comparison."""

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        return draw(self.legal_workers(info), self.random)

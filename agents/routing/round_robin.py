"""One worker after the other."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from ..base import Agent, Info, Observation


class RoundRobin(Agent):
    """Workers in the order of their indices, in turn; one that may not be chosen is passed over.

    Where the number of prefix groups is a multiple of the number of workers and the groups arrive in a fixed order,
    this pins every group to one worker by accident.
    """

    draws = False

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self._next = 0

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        worker = min(self.legal_workers(info), key=lambda worker: (worker - self._next) % self.n_workers)
        self._next = worker + 1
        return worker

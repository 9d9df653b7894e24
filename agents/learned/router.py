"""A trained router that comes with the suite, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import gymnasium as gym
import numpy as np

from kvgym import _check

from ..base import Agent, Info, Observation
from . import pretrained


class ShippedRouter(Agent):
    """Routes by a network that comes with the suite (agents/learned/pretrained): the legal worker with the best score.

    The network has learned to correct the scores of a rule (`agents.learned.network.Shape`); it is told of what caches
    hold by the engines' events, as `mooncake` is, and remembers what is in flight (the speculative view). It plays on
    any number of workers, with fetches or without; a compiled kernel computes its scores. What it was trained on, and
    what it comes to, says its model card.

    Args:
        network: Name of the network, a file that `agents.learned.ship` has written, or what is in it (default router).
        temperature: Above 0 it draws a worker with the probability softmax(scores / temperature), as it does with 1
            while it is trained: where workers look alike the best score goes round them in turn, and what arrives may
            have that period, too (docs/learned.md). Default 0: the best score.

    Raises:
        ValueError: If there is none of that name, or the temperature is not a finite number >= 0.
    """

    observation = "scaled"
    draws = False
    training_seeds = 1

    def __init__(self, network: str | pretrained.Shipped = "router", temperature: float = 0.0) -> None:
        """Reads the network."""
        self._temperature = _check.finite("temperature", temperature)
        self.draws = self._temperature > 0
        # Only here: it takes numba, which `import agents` does not.
        from .kernel import Scorer

        shipped = pretrained.read(network) if isinstance(network, str) else network
        self._scorer = Scorer(shipped.weights)
        self._origin = shipped.origin
        self.env_kwargs: Mapping[str, Any] = MappingProxyType(shipped.origin["env_kwargs"])

    @property
    def trained_on(self) -> str:
        """The scenarios, and which algorithm, in words."""
        return f"{self._origin['scenario']} by {self._origin['algorithm']}"

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self._noise = np.random.default_rng(seed)
        if len(self.env.action_masks()) != self.n_workers:
            raise ValueError("the network scores workers alone; the environment has other actions")

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        scores = self._scorer(observation[None], self.n_workers)[0]
        self.scores = scores.tolist()
        if self.draws:  # Gumbel's way to draw by softmax
            scores = scores + self._temperature * self._noise.gumbel(size=self.n_workers)
        return int(np.where(info["action_mask"], scores, -np.inf).argmax())

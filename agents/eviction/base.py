"""Base class of agents that evict."""

from __future__ import annotations

from random import Random
from typing import Any, ClassVar

import gymnasium as gym

from kvgym.evaluation.stage import EVICT

from ..base import Agent


class EvictionAgent(Agent):
    """Base class of agents that answer EVICT decisions: which of the leaves offered gives up pages?

    They play KVGym/Evict-v0, or KVGym/Joint-v0 as one half of an `agents.joint.pair.Pair`. The environment offers K
    leaves of the worker that needs pages: in slots 0 .. K/2-1 the least recently used, the oldest first; in slots K/2
    .. K-1 leaves that it drew uniformly from those without a mark of RLT. Slot 0 always holds a leaf, and so does slot
    K/2; the others may be empty, as the action mask says.

    Attributes:
        n_slots: K; 0 where the action is the name of a rule.
    """

    environment: ClassVar[str] = EVICT
    n_slots: int

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`.

        Raises:
            ValueError: If the environment asks for workers instead of leaves.
        """
        super().reset(env, seed)
        if self.layout.routes or not self.layout.evicts:
            raise ValueError(f"{type(self).__name__} evicts: it can't be the router, it plays {self.environment}")
        self.n_slots = self.layout.n_candidates
        self.random = Random(f"evictor {seed}")  # not in step with a router that has the same seed

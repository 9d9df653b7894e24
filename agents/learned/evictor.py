"""A trained scorer of leaves as an agent: the one that comes with the suite, or one of your own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from ..base import Info, Observation
from ..eviction.base import EvictionAgent
from . import pretrained

if TYPE_CHECKING:
    from .leaf_scorer import LeafScorer


class LearnedEvictor(EvictionAgent):
    """Plays what `python -m agents.train imitate` has trained: the leaf with the best score. Needs no torch.

    Args:
        path: Name of a network that comes with the suite (agents/learned/pretrained), a file ("mine.npz"), or what is
            in one.

    Raises:
        ValueError: If there is none of that name, or the file is not a trained evictor.
        OSError: If it can't be read.
    """

    observation = "scaled"
    draws = False
    training_seeds = 1

    def __init__(self, path: str | LeafScorer = "evictor") -> None:
        """Reads the file."""
        # Only here: it takes numba, which `import agents` does not.
        from . import leaf_scorer

        self._scorer = leaf_scorer.read(pretrained.find(path)) if isinstance(path, str) else path
        self.env_kwargs: Mapping[str, Any] = self._scorer.env_kwargs

    @property
    def trained_on(self) -> str:
        """The scenarios, and how, in words."""
        return f"{self._scorer.origin['scenario']} by imitation of belady"

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `EvictionAgent.reset`."""
        from .leaf_scorer import Inputs

        super().reset(env, seed)
        self._inputs = Inputs(self.layout)

    def act(self, observation: Observation, info: Info) -> int:
        """See `EvictionAgent.act`."""
        inputs, slots = self._inputs(observation)
        if not len(slots):
            return 0
        scores = self._scorer(inputs)
        filled = np.full(self.n_slots, -np.inf)
        filled[slots] = scores
        self.scores = filled.tolist()
        return int(slots[scores.argmax()])

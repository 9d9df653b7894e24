"""A trained scorer of leaves as an agent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from ..base import Info, Observation
from ..eviction.base import EvictionAgent
from . import leaf_scorer


class LearnedEvictor(EvictionAgent):
    """Plays what `python -m agents.train imitate` has trained: the leaf with the best score. Needs no torch.

    Args:
        path: A file, or what is in one.

    Raises:
        ValueError: If the file is not a trained evictor.
        OSError: If it can't be read.
    """

    observation = "scaled"
    draws = False

    def __init__(self, path: str | leaf_scorer.LeafScorer) -> None:
        """Reads the file."""
        self._scorer = path if isinstance(path, leaf_scorer.LeafScorer) else leaf_scorer.read(Path(path))
        self.env_kwargs: Mapping[str, Any] = self._scorer.env_kwargs

    @property
    def trained_on(self) -> str:
        """The scenarios, and how, in words."""
        return f"{self._scorer.origin['scenario']} by imitation of belady"

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `EvictionAgent.reset`."""
        super().reset(env, seed)
        self._inputs = leaf_scorer.Inputs(self.layout)

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

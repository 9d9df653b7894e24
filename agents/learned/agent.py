"""A trained network as an agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym

from ..base import Agent, Info, Observation


class Learned(Agent):
    """Plays what `python -m agents.train` has trained: the legal action with the best score. Needs torch.

    Of several files, one for each training seed, an episode is played by the one whose turn it is (its seed modulo
    their number), so that a mean over episodes is also one over training seeds.

    Args:
        path: A file "policy.pt", or several.

    Raises:
        ValueError: If a file is not a trained policy, or the files are for different environments or trained on
            different things.
        OSError: If one can't be read.
    """

    observation = "scaled"

    def __init__(self, path: str | Sequence[str]) -> None:
        """Reads the files."""
        # Only here, not above: the agents can be imported without torch.
        import torch

        from . import file, network
        from .validation import choose

        self._torch, self._choose, self._fitted = torch, choose, network.fitted
        paths = [path] if isinstance(path, str) else list(path)
        if not paths:
            raise ValueError("path must be a file or several, got none")
        self._trained = [file.read(Path(place)) for place in paths]
        first = self._trained[0]
        self.environment: str = first.environment  # type: ignore[misc]  # of the object, not of the class
        self.env_kwargs: Mapping[str, Any] = first.env_kwargs
        self.training_seeds = len({trained.origin["seed"] for trained in self._trained})
        for place, trained in zip(paths, self._trained, strict=True):
            if _matter(trained.origin) != _matter(first.origin) or trained.environment != first.environment:
                raise ValueError(f"path: {place} is not of the same training as {paths[0]} but for its seed")
        if self.training_seeds < len(paths):
            raise ValueError(f"path: the files must have different training seeds, got {paths}")

    @property
    def trained_on(self) -> str:
        """The scenario, and which algorithm, in words."""
        origin = self._trained[0].origin
        changed = f" with {origin['overrides']}" if origin["overrides"] else ""
        return f"{origin['scenario']} v{origin['scenario_version']}{changed} by {origin['algorithm']}"

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self._actor = self._trained[seed % len(self._trained)].actor
        shape = self._actor.shape
        fits = shape.of_workers(self.n_workers) == replace(self.layout, fetches=shape.fetches)
        if not fits or shape.n_scores(self.n_workers) != len(self.env.action_masks()):
            raise ValueError(f"the policy was trained for other blocks or actions: it has {shape}")

    def act(self, observation: Observation, info: Info) -> Any:
        """See `Agent.act`."""
        with self._torch.no_grad():
            seen = self._fitted(observation, self.layout, self._actor.shape)
            scores = self._actor(self._torch.from_numpy(seen[None]))
        self.scores = scores[0].tolist()
        action = self._choose(scores, info["action_mask"][None].astype(bool), self.env.action_space)[0]
        return int(action) if action.ndim == 0 else tuple(action.tolist())


def _matter(origin: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in origin.items() if name not in ("seed", "steps", "seconds")}

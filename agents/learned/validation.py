"""How good a network is while it is trained: whole episodes of the split "validation", played side by side."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from kvgym._progress import progress
from kvgym.evaluation.stage import make_env
from kvgym.scenarios import ScenarioLike

from .file import Trained

PROGRESS_S = 10.0


def choose(scores: torch.Tensor, masks: NDArray[np.bool_], space: spaces.Space[Any]) -> NDArray[np.int64]:
    """The legal actions with the best scores.

    Args:
        scores: (B, number of actions) float32.
        masks: (B, number of actions); for `MultiDiscrete` the parts' masks one after the other.
        space: Of the actions.

    Returns:
        (B,) int64, or (B, parts) for `MultiDiscrete`.
    """
    legal = np.where(masks, scores.numpy(), -np.inf)
    if not isinstance(space, spaces.MultiDiscrete):
        return np.asarray(legal.argmax(1))
    parts = np.split(legal, np.cumsum(space.nvec)[:-1], axis=1)
    return np.stack([part.argmax(1) for part in parts], 1)


def validate(
    trained: Trained,
    scenario: ScenarioLike,
    overrides: Mapping[str, Any] | None,
    seeds: Sequence[int],
    limit_s: float = math.inf,
) -> dict[int, float] | None:
    """Plays an episode of the split "validation" for each seed, side by side.

    Args:
        trained: What plays.
        scenario: What `get_scenario` takes.
        overrides: Fields of it to change.
        seeds: Validation seeds.
        limit_s: After so many seconds it is given up.

    Returns:
        Mean latency J (s) of the scenario's objective, by seed; None if it was given up.
    """
    deadline = time.monotonic() + limit_s
    envs = {seed: make_env(trained, scenario, overrides=overrides, split="validation") for seed in seeds}
    begun = {seed: env.reset(seed=seed) for seed, env in envs.items()}
    seen = {seed: observation for seed, (observation, _) in begun.items()}
    space = envs[seeds[0]].action_space
    found: dict[int, float] = {}
    with progress(lambda s: f"validation: {len(found)} of {len(seeds)} episodes after {s:.0f} s", PROGRESS_S):
        while seen:
            if time.monotonic() > deadline:
                return None
            masks = np.stack([envs[seed].action_masks() for seed in seen])
            with torch.no_grad():
                scores = trained.actor(torch.from_numpy(np.stack(list(seen.values()))))
            for seed, action in zip(list(seen), choose(scores, masks, space), strict=True):
                seen[seed], _, terminated, _, info = envs[seed].step(action)
                if terminated:
                    found[seed] = info["episode_metrics"]["J"]
                    del seen[seed]
    return {seed: found[seed] for seed in seeds}

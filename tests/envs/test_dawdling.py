"""Nobody gets many more decisions out of an episode than another: how many there are is not the policy's to say."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import kvgym  # noqa: F401  registers the ids

CHOICES: dict[str, Callable[[Any, Any], int]] = {
    "lru": lambda tails, legal: int(np.flatnonzero(legal)[0]),
    "shortest": lambda tails, legal: int(np.where(legal, tails, np.inf).argmin()),
    "longest": lambda tails, legal: int(np.where(legal, tails, -np.inf).argmax()),
    "newest of the oldest": lambda tails, legal: int(np.flatnonzero(legal[:8])[-1]),
}


def decisions(scenario: str, choose: Callable[[Any, Any], int]) -> int:
    changes = {"episode_requests": 300}
    env: Any = gym.make(
        "KVGym/Evict-v0", scenario=scenario, scenario_overrides=changes, observation="physical"
    ).unwrapped
    observation, info = env.reset(seed=0)
    tails = env.layout.candidates("tail_pages")
    count, over = 0, False
    while not over:
        action = choose(observation[tails], info["action_mask"].astype(bool))
        observation, _, terminated, truncated, info = env.step(action)
        count, over = count + 1, terminated or truncated
    return count


@pytest.mark.parametrize("scenario", ["gsp-stable", "mixed-fleet", "long-doc"])
def test_an_episode_has_about_as_many_decisions_whatever_is_chosen(scenario: str) -> None:
    """With marks as they were, and without a bound, "shortest" took sixty times as many as "lru" on gsp-stable."""
    found = {name: decisions(scenario, choose) for name, choose in CHOICES.items()}
    assert found["lru"] > 50
    assert max(found.values()) <= 2 * found["lru"]

"""Small scenarios that play in milliseconds, and loops that play them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from kvgym.envs.route import RouteEnv
from kvgym.scenarios import SCENARIOS

SMALL: dict[str, dict[str, Any]] = {
    "gsp": {"recipe_args": {"groups": 8, "prompts_per_group": 6}, "episode_requests": 40, "warmup_requests": 3},
    "gsp-stable": {"recipe_args": {"groups": 8, "prompts_per_group": 6}, "episode_requests": 36, "warmup_requests": 8},
    "gsp-worst": {"recipe_args": {"groups": 8, "prompts_per_group": 6}, "episode_requests": 48},
    "multi-turn": {"recipe_args": {"conversations": 9, "turns": [2, 4, 6]}, "episode_requests": 36},
    "long-doc": {"recipe_args": {"documents": 5, "questions": 10}, "episode_requests": 45, "warmup_requests": 5},
    "sanity": {"episode_requests": 40, "warmup_requests": 4},
}
"""Overrides for every scenario that needs no file."""

SCENARIO_NAMES = sorted(SCENARIOS)
assert set(SCENARIO_NAMES) - {"trace"} == set(SMALL)


def make(scenario: str = "gsp-stable", more: dict[str, Any] | None = None, **kwargs: Any) -> RouteEnv:
    """An environment of a small scenario; `more` are further overrides."""
    return RouteEnv(scenario, scenario_overrides=small(scenario, **(more or {})), **kwargs)


def small(scenario: str, **more: Any) -> dict[str, Any]:
    """Overrides of a small scenario, and others, with `recipe_args` merged."""
    args = {**SMALL[scenario].get("recipe_args", {}), **more.get("recipe_args", {})}
    return {**SMALL[scenario], **more, **({"recipe_args": args} if args else {})}


Step = tuple[Any, float, bool, bool, dict[str, Any]]
Policy = Callable[[int], int]


def random_policy(n: int, seed: int = 0) -> Policy:
    """Workers at random: the same series for the same seed."""
    choices = np.random.default_rng(seed).integers(n, size=100_000)
    return lambda t: int(choices[t])


def play(env: Any, policy: Policy | None = None, **reset: Any) -> list[Step]:
    """One episode: what `reset` and each `step` gave, `reset` with reward 0 and no flags."""
    return list(steps(env, policy or random_policy(env.action_space.n), **reset))


def steps(env: Any, policy: Policy, **reset: Any) -> Iterator[Step]:
    observation, info = env.reset(**reset)
    yield observation, 0.0, False, False, info
    yield from go_on(env, policy, 0)


def go_on(env: Any, policy: Policy, t: int) -> Iterator[Step]:
    """The rest of an episode from decision t on."""
    done = False
    while not done:
        step = env.step(policy(t))
        yield step
        done = step[2] or step[3]
        t += 1


def digest(episode: Iterable[Step]) -> str:
    """A hash of everything that an episode showed: observations, rewards, flags and infos."""
    sha = hashlib.sha256()
    for observation, reward, terminated, truncated, info in episode:
        sha.update(observation.tobytes())
        shown = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in info.items()}
        sha.update(repr((reward, terminated, truncated, sorted(shown.items()))).encode())
    return sha.hexdigest()


def total_reward(episode: list[Step]) -> float:
    return sum(step[1] for step in episode)

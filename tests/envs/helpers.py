"""Small scenarios that play in milliseconds, and loops that play them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np

from envs_registry import ENVIRONMENTS
from kvgym.envs.route import RouteEnv
from kvgym.scenarios import SCENARIOS

SMALL: dict[str, dict[str, Any]] = {
    "gsp": {"recipe_args": {"groups": 8, "prompts_per_group": 6}, "episode_requests": 40, "warmup_requests": 3},
    "gsp-stable": {"recipe_args": {"groups": 8, "prompts_per_group": 6}, "episode_requests": 36, "warmup_requests": 8},
    "gsp-worst": {"recipe_args": {"groups": 8, "prompts_per_group": 6}, "episode_requests": 48},
    "multi-turn": {"recipe_args": {"conversations": 9, "turns": [2, 4, 6]}, "episode_requests": 36},
    "long-doc": {"recipe_args": {"documents": 5, "questions": 10}, "episode_requests": 45, "warmup_requests": 5},
    "mixed-fleet": {"recipe_args": {"groups": 8, "prompts_per_group": 6}, "episode_requests": 36, "warmup_requests": 8},
    "straggler": {
        "recipe_args": {"groups": 8, "prompts_per_group": 6},
        "episode_requests": 36,
        "warmup_requests": 8,
        "faults": {"slow_every_s": 0.5, "slow_s": 0.5, "until_s": 10.0},
    },
    "failover": {
        "recipe_args": {"groups": 8, "prompts_per_group": 6},
        "episode_requests": 36,
        "warmup_requests": 8,
        "faults": {"crash_every_s": 0.5, "down_s": 0.4, "until_s": 10.0},
    },
    "multi-node-agents": {
        "recipe_args": {"session_rate": 20.0, "time_scale": 0.02, "max_context": 30_000, "max_turns": 6},
        "network": {"per_node": 2, "inside": "nvlink-h100", "between": "ethernet-100g"},
        "episode_requests": 36,
        "warmup_requests": 8,
    },
    "sanity": {"episode_requests": 40, "warmup_requests": 4},
}
"""Overrides that make scenarios small, of each kind one or more."""

SCENARIO_NAMES = sorted([*SMALL, "trace"])
assert set(SCENARIO_NAMES) <= set(SCENARIOS)


def make(scenario: str = "gsp-stable", more: dict[str, Any] | None = None, **kwargs: Any) -> RouteEnv:
    """An environment of a small scenario; `more` are further overrides."""
    return RouteEnv(scenario, scenario_overrides=small(scenario, **(more or {})), **kwargs)


FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "route": ("KVGym/Route-v0", {}),
    "route-admission": ("KVGym/Route-v0", {"admission": True}),
    "evict": ("KVGym/Evict-v0", {}),
    "evict-one": ("KVGym/Evict-v0", {"candidates": 4, "quantum": 1}),
    "evict-rule": ("KVGym/Evict-v0", {"action": "rule"}),
    "evict-agent": ("KVGym/Evict-v0", {"router": "agents:least_loaded"}),
    "evict-lbgr": ("KVGym/Evict-v0", {"router": "agents:lbgr_code"}),
    "joint": ("KVGym/Joint-v0", {}),
    "joint-leaf": ("KVGym/Joint-v0", {"action": "leaf"}),
}
"""Every id in every form: id and arguments."""
ASKED = tuple(form for form in FORMS if form not in ("route", "route-admission", "joint"))
"""Those that take EVICT decisions."""
assert {name for name, _ in FORMS.values()} == set(ENVIRONMENTS)

SHORT: dict[str, dict[str, Any]] = {
    "gsp": {"recipe_args": {"lengths": [512, 1024, 2048]}},
    "gsp-stable": {"recipe_args": {"lengths": [512, 1024, 2048]}},
    "gsp-worst": {"recipe_args": {"lengths": [512, 1024, 2048]}},
    "multi-turn": {"recipe_args": {"message_tokens": 700}},
    "long-doc": {"recipe_args": {"lengths": [1024, 2048, 4096]}},
    "mixed-fleet": {"recipe_args": {"lengths": [512, 1024, 2048]}},
    "straggler": {"recipe_args": {"lengths": [512, 1024, 2048]}},
    "failover": {"recipe_args": {"lengths": [512, 1024, 2048]}},
    "multi-node-agents": {"recipe_args": {"prefix_tokens": 1024, "first_tokens": 512, "max_context": 4096}},
    "sanity": {},
}


def pressed(scenario: str, **more: Any) -> dict[str, Any]:
    """Overrides of a small scenario whose prompts hardly fit into memory: three workers of 6144 tokens.

    In the scenario "sanity" nothing has to be evicted all the same.
    """
    workers = {"workers": [{"kv_tokens": 6144, "cost": {"c0": 20.0, "k": 0.1}, "kv_bytes_per_token": 1000, "count": 3}]}
    args = {**SHORT[scenario].get("recipe_args", {}), **more.get("recipe_args", {})}
    more = {"refusal_cost_s": 2.5, **(workers if scenario != "sanity" else {}), **more, "recipe_args": args}
    return small(scenario, **more)


MOVING: dict[str, Any] = {
    "workers": [{"kv_tokens": 6144, "cost": {"c0": 20.0, "k": 0.1}, "kv_bytes_per_token": 1000, "count": 3}],
    "network": {
        "nodes": [0, 0, 1],
        "inside": {"latency_ms": 0.1, "gb_per_s": 1.0},
        "between": {"latency_ms": 2.0, "gb_per_s": 0.02},
    },
    "transfer": "auto",
    "faults": {"crash_every_s": 1.5, "down_s": 0.7, "slow_every_s": 2.0, "slow_s": 0.5, "until_s": 100.0},
}
"""Scenario overrides: links that pay, crashes and slow-downs."""


def make_form(form: str, scenario: str = "gsp-stable", more: dict[str, Any] | None = None, **kwargs: Any) -> Any:
    """An id in a form of `FORMS`, in a scenario with little memory; `more` are further overrides."""
    name, arguments = FORMS[form]
    settings = {"scenario": scenario, "scenario_overrides": pressed(scenario, **(more or {})), **arguments, **kwargs}
    return gym.make(name, **settings).unwrapped


def small(scenario: str, **more: Any) -> dict[str, Any]:
    """Overrides of a small scenario, and others, with `recipe_args` merged."""
    args = {**SMALL[scenario].get("recipe_args", {}), **more.get("recipe_args", {})}
    return {**SMALL[scenario], **more, **({"recipe_args": args} if args else {})}


Step = tuple[Any, float, bool, bool, dict[str, Any]]
Policy = Callable[[int], Any]


def random_policy(n: int, seed: int = 0) -> Policy:
    """Workers at random: the same series for the same seed."""
    choices = np.random.default_rng(seed).integers(n, size=100_000)
    return lambda t: int(choices[t])


def random_actions(env: Any, seed: int = 0) -> Policy:
    """Actions of any space at random; those that are not legal stand for ones that are."""
    if hasattr(env.action_space, "n"):
        return random_policy(int(env.action_space.n), seed)
    choices = np.random.default_rng(seed).integers(env.action_space.nvec, size=(10_000, 2))
    return lambda t: choices[t]


def play(env: Any, policy: Policy | None = None, **reset: Any) -> list[Step]:
    """One episode: what `reset` and each `step` gave, `reset` with reward 0 and no flags."""
    return list(steps(env, policy or random_actions(env), **reset))


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

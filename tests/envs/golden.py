"""Golden trajectories of every id: `python -m tests.envs.golden` writes them again after an intended change.

The iteration costs of the scenarios played here are sums of powers of two, so that no library's rounding is in them;
the scaled form, which takes logarithms, is rounded before it is hashed.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from tests.envs.helpers import SHORT, go_on, random_actions, small

FILE = Path(__file__).with_name("golden.json")

EXACT_COST = {"c0": 8.0, "w": 4.0, "k": 0.03125, "p": 1.0, "a_kv": 2.0**-14, "c_b": 0.125}
WORKERS = [
    {"kv_tokens": 8192, "cost": EXACT_COST, "kv_bytes_per_token": 1024, "count": 2},
    {"kv_tokens": 6144, "cost": {**EXACT_COST, "c0": 16.0}, "kv_bytes_per_token": 1024},
]
SETTINGS = {"episode_requests": 30, "warmup_requests": 3, "metrics_period_s": 0.25, "output_hint_sigma": 0.0}
MESSAGES = {"multi-turn": {"message_tokens": 256}}
EVICTOR: dict[str, dict[str, Any]] = {
    "gsp": {"evictor": "rlt_code"},
    "gsp-stable": {},
    "gsp-worst": {"evictor": "lru_node"},
    "multi-turn": {"evictor": "rlt"},
    "long-doc": {"evictor": "random"},
    "mixed-fleet": {},
    "straggler": {},
    "failover": {"evictor": "rlt"},
    "multi-node-agents": {},
    "sanity": {},
}
# Without those whose keys are made of logarithms and exponentials.
RULES = ["lru", "lru_node", "random", "rlt", "fifo", "lfu", "mru", "slru_two_hits", "gdsf"]
PLAYED: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "KVGym/Route-v0": ("KVGym/Route-v0", {}, tuple(EVICTOR)),
    "KVGym/Evict-v0": ("KVGym/Evict-v0", {"candidates": 8}, ("gsp", "gsp-stable", "multi-turn", "long-doc", "sanity")),
    "KVGym/Evict-v0/one": ("KVGym/Evict-v0", {"candidates": 4, "quantum": 1}, ("gsp-stable", "multi-turn", "long-doc")),
    "KVGym/Evict-v0/rule": ("KVGym/Evict-v0", {"action": "rule", "rules": RULES}, ("gsp", "gsp-stable", "long-doc")),
    "KVGym/Evict-v0/agent": ("KVGym/Evict-v0", {"router": "tests.envs.spy:scaled"}, ("gsp-stable", "long-doc")),
    "KVGym/Joint-v0": ("KVGym/Joint-v0", {"rules": RULES}, ("gsp", "gsp-stable", "multi-turn", "long-doc", "sanity")),
    "KVGym/Joint-v0/leaf": (
        "KVGym/Joint-v0",
        {"action": "leaf"},
        ("gsp", "gsp-stable", "multi-turn", "long-doc", "failover", "multi-node-agents"),
    ),
}
"""What is played: id, arguments, scenarios."""
ADDED = (
    *("returns", "busy_s", "fetched_tokens", "inside_gb", "inside_s", "between_gb", "between_s", "given_up"),
    *("refused", "refused_share", "jain_index", "largest_slowdown"),
    "J_bound",
)
"""Metrics that came later: they are in no hash, so that the hashes stay what they were."""


def trajectory(what: str, scenario: str, horizon: str) -> str:
    """SHA-256 over the observations in both forms, rewards, flags, times and the metrics of one episode."""
    name, arguments, _ = PLAYED[what]
    sha = hashlib.sha256()
    more = {"workers": WORKERS} if scenario != "sanity" else {}
    more["recipe_args"] = {**SHORT[scenario].get("recipe_args", {}), **MESSAGES.get(scenario, {})}
    for form in ("physical", "scaled"):
        env = gym.make(
            name,
            scenario=scenario,
            scenario_overrides=small(scenario, **more, **SETTINGS),
            observation=form,
            horizon=horizon,
            **(EVICTOR[scenario] if name == "KVGym/Route-v0" else arguments),
        )
        observation, info = env.reset(seed=20)
        episode = [(observation, 0.0, False, False, info), *go_on(env, random_actions(env, seed=20), 0)]
        for observation, reward, terminated, truncated, info in episode:
            shown = observation if form == "physical" else np.rint(observation * 1e4).astype(np.int32)
            sha.update(shown.astype(shown.dtype.newbyteorder("<")).tobytes())
            sha.update(repr((reward, terminated, truncated, info["time"], info["session"])).encode())
    for key, value in info["episode_metrics"].items():
        if key not in ADDED:
            sha.update(f"{key} {value:.9g}".encode())
    return sha.hexdigest()


def trajectories() -> dict[str, str]:
    """All of them, by what is played, scenario and horizon."""
    return {where: trajectory(*where.split()) for where in places()}


def places() -> list[str]:
    """Names of all trajectories."""
    return [
        f"{what} {scenario} {horizon}"
        for what, (_, _, scenarios) in PLAYED.items()
        for scenario in scenarios
        for horizon in ("drain", "truncate")
    ]


if __name__ == "__main__":
    FILE.write_text(json.dumps(trajectories(), indent=2) + "\n", encoding="utf-8")

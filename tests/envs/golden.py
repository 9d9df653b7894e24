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

from envs_registry import ENVIRONMENTS
from tests.envs.helpers import go_on, random_policy, small

FILE = Path(__file__).with_name("golden.json")

EXACT_COST = {"c0": 8.0, "w": 4.0, "k": 0.03125, "p": 1.0, "a_kv": 2.0**-14, "c_b": 0.125}
WORKERS = [{"kv_tokens": 8192, "cost": EXACT_COST, "count": 2}, {"kv_tokens": 6144, "cost": {**EXACT_COST, "c0": 16.0}}]
SETTINGS = {"episode_requests": 30, "warmup_requests": 3, "metrics_period_s": 0.25, "output_hint_sigma": 0.0}
PLAYED: dict[str, dict[str, Any]] = {
    "gsp": {"evictor": "rlt_code"},
    "gsp-stable": {},
    "gsp-worst": {"evictor": "lru_node"},
    "multi-turn": {"evictor": "rlt"},
    "long-doc": {"evictor": "random"},
    "sanity": {},
}


def trajectory(name: str, scenario: str, horizon: str) -> str:
    """SHA-256 over the observations in both forms, rewards, flags, times and the metrics of one episode."""
    sha = hashlib.sha256()
    more = {"workers": WORKERS} if scenario != "sanity" else {}
    if scenario in ("gsp", "gsp-stable", "gsp-worst"):
        more["recipe_args"] = {"lengths": [512, 1024, 2048]}
    if scenario == "long-doc":
        more["recipe_args"] = {"lengths": [1024, 2048, 4096]}
    if scenario == "multi-turn":
        more["recipe_args"] = {"message_tokens": 256}
    for form in ("physical", "scaled"):
        env = gym.make(
            name,
            scenario=scenario,
            scenario_overrides=small(scenario, **more, **SETTINGS),
            observation=form,
            horizon=horizon,
            **PLAYED[scenario],
        )
        observation, info = env.reset(seed=20)
        n = int(env.action_space.n)
        episode = [(observation, 0.0, False, False, info), *go_on(env, random_policy(n, seed=20), 0)]
        for observation, reward, terminated, truncated, info in episode:
            shown = observation if form == "physical" else np.rint(observation * 1e4).astype(np.int32)
            sha.update(shown.astype(shown.dtype.newbyteorder("<")).tobytes())
            sha.update(repr((reward, terminated, truncated, info["time"], info["session"])).encode())
    for key, value in info["episode_metrics"].items():
        sha.update(f"{key} {value:.9g}".encode())
    return sha.hexdigest()


def trajectories() -> dict[str, str]:
    """All of them, by id, scenario and horizon."""
    return {
        f"{name} {scenario} {horizon}": trajectory(name, scenario, horizon)
        for name in ENVIRONMENTS
        for scenario in PLAYED
        for horizon in ("drain", "truncate")
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(trajectories(), indent=2) + "\n", encoding="utf-8")

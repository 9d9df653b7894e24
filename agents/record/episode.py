"""Plays an episode and keeps every step of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym.envs.view import shown

from .mixture import Mixture


@dataclass(frozen=True)
class Log:
    """An episode of T steps.

    Attributes:
        seed: Of the episode.
        observations: float32 (T + 1, features): the last one stands after the last action.
        actions: int64 (T,), or (T, 2) where actions are pairs.
        rewards: float64 (T,).
        terminations: bool (T,).
        truncations: bool (T,).
        infos: Of length T + 1 each: "action_mask" int8 (T + 1, n), "propensity" float64 (NaN where it is not known,
            and at the end, where nothing is chosen), "time" and "dt" (s), "session".
        facts: "J" (s), and what tells whether another run was the same: "records_sha256", "workload_sha256".
    """

    seed: int
    observations: NDArray[np.float32]
    actions: NDArray[np.int64]
    rewards: NDArray[np.float64]
    terminations: NDArray[np.bool_]
    truncations: NDArray[np.bool_]
    infos: dict[str, NDArray[Any]]
    facts: dict[str, Any]


def play(env: Any, agent: Mixture, seed: int) -> Log:
    """Plays the episode of a seed to its end.

    Args:
        env: An environment without wrappers.
        agent: Who decides.
        seed: Of the episode and of the agent's own choices.

    Raises:
        ValueError: If an action is none, or not legal: the environment would do another one.
    """
    observation, info = env.reset(seed=seed)
    agent.reset(shown(env, agent), seed)
    observations, infos = [observation], [info]
    actions: list[Any] = []
    rewards: list[float] = []
    propensities: list[float] = []
    terminated = truncated = False
    while not (terminated or truncated):
        action = agent.act(observation, info)
        observation, reward, terminated, truncated, info = env.step(action)
        if env.n_invalid:
            raise ValueError(f"decision {len(actions)} of seed {seed}: action {action!r} is not legal")
        for kept, value in ((observations, observation), (infos, info), (actions, action), (rewards, reward)):
            kept.append(value)
        propensities.append(agent.propensity)
    last = np.arange(len(actions)) == len(actions) - 1
    return Log(
        seed=seed,
        observations=np.stack(observations),
        actions=np.array(actions, np.int64),
        rewards=np.array(rewards, np.float64),
        terminations=np.logical_and(last, terminated),
        truncations=np.logical_and(last, truncated),
        infos={
            "action_mask": np.stack([one["action_mask"] for one in infos]),
            "propensity": np.array([*propensities, np.nan]),
            **{name: np.array([one[name] for one in infos]) for name in ("time", "dt", "session")},
        },
        facts={
            "J": info["episode_metrics"]["J"],
            "records_sha256": hashlib.sha256(env.simulator.records().tobytes()).hexdigest(),
            "workload_sha256": env.workload.content_hash(),
        },
    )

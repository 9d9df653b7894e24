"""Hyper-parameters: `agents/learned/hyperparams/ALGO.yml`, in the format of rl-zoo3.

A file has one entry per environment id. What rl-zoo3 knows and this reader doesn't is an error, not ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from kvgym import _check

from .. import ALGORITHMS

FOLDER = Path(__file__).resolve().parent
_SCHEDULED = ("learning_rate", "clip_range")
_UNKNOWN = ("env_wrapper", "vec_env_wrapper", "frame_stack", "callback", "monitor_kwargs", "noise_type")


@dataclass(frozen=True)
class Hyperparams:
    """How to train.

    Attributes:
        n_envs: Environments in the batch.
        n_timesteps: Decisions in all.
        policy: Where the policy class is: "package.module.Class".
        normalize: Arguments of `VecNormalize`; None = it is not used.
        env_kwargs: Arguments of the environment.
        algorithm: Arguments of the algorithm.
    """

    n_envs: int
    n_timesteps: int
    policy: str
    normalize: Mapping[str, Any] | None
    env_kwargs: Mapping[str, Any]
    algorithm: Mapping[str, Any]

    @property
    def built(self) -> dict[str, Any]:
        """The arguments of the algorithm, schedules made of strings such as "lin_3e-4"."""
        return {name: _schedule(name, value) if name in _SCHEDULED else value for name, value in self.algorithm.items()}

    def with_envs(self, n_envs: int) -> Hyperparams:
        """The same with another number of environments; a mini-batch has at most what a rollout gives."""
        algorithm = dict(self.algorithm)
        if "n_steps" in algorithm and "batch_size" in algorithm:
            algorithm["batch_size"] = min(algorithm["batch_size"], n_envs * algorithm["n_steps"])
        return replace(self, n_envs=n_envs, algorithm=algorithm)


def load(algorithm: str, env_id: str, path: Path | None = None) -> Hyperparams:
    """Reads the entry of an environment.

    Args:
        algorithm: One of `ALGORITHMS`.
        env_id: Id of the environment, without "kvgym:".
        path: A file; default: the one that is shipped.

    Raises:
        ValueError: If there is no such algorithm or entry, or the entry holds what is not understood.
        OSError: If the file can't be read.
    """
    _check.choice("algorithm", algorithm, ALGORITHMS)
    place = path or FOLDER / f"{algorithm}.yml"
    try:
        entries = yaml.safe_load(place.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{place.name} is not YAML: {error}") from error
    if not isinstance(entries, dict) or not isinstance(entries.get(env_id), dict):
        raise ValueError(f"{place.name} must have an entry for {env_id}, got entries for {list(entries or ())}")
    entry = dict(entries[env_id])
    for name in _UNKNOWN:
        if name in entry:
            raise ValueError(f"{place.name}: {name} is not understood here, use rl-zoo3 itself")
    try:
        n_envs = _check.whole("n_envs", entry.pop("n_envs"), 1)
        n_timesteps = _check.whole("n_timesteps", int(float(entry.pop("n_timesteps"))), 1)
        policy = str(entry.pop("policy"))
    except KeyError as missing:
        raise ValueError(f"{place.name}: the entry of {env_id} lacks {missing}") from missing
    normalize, env_kwargs = entry.pop("normalize", None), entry.pop("env_kwargs", {})
    found = Hyperparams(n_envs, n_timesteps, policy, normalize, env_kwargs, entry)
    _ = found.built
    return found


def _schedule(name: str, value: Any) -> float | Callable[[float], float]:
    """A constant, or what SB3 takes for one that falls to 0 in a straight line."""
    text = str(value)
    linear = text.startswith("lin_")
    try:
        start = float(text.removeprefix("lin_"))
    except ValueError:
        raise ValueError(f'{name} must be a number or "lin_" and a number, got {value!r}') from None
    return (lambda left: left * start) if linear else start

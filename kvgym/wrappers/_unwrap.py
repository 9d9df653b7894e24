"""Checks of what a wrapper is put around."""

from __future__ import annotations

from typing import Any

from kvgym.envs.base import ClusterEnv
from kvgym.envs.vector import ClusterVectorEnv


def single(env: Any) -> ClusterEnv:
    """The environment of kvgym inside, or a ValueError."""
    inside = getattr(env, "unwrapped", env)
    if not isinstance(inside, ClusterEnv):
        raise ValueError(f"env must be an environment of kvgym, got {env!r}")
    return inside


def native(envs: Any) -> ClusterVectorEnv[Any]:
    """The native vector environment inside, or a ValueError."""
    inside = getattr(envs, "unwrapped", envs)
    if not isinstance(inside, ClusterVectorEnv):
        raise ValueError(f"envs must be a native vector environment of kvgym (kvgym.make_vec), got {envs!r}")
    return inside

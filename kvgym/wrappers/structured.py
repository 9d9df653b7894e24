"""Observations as a dictionary of blocks, a row per worker and per candidate."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from kvgym.envs.layout import Layout
from kvgym.wrappers import _unwrap

Blocks = dict[str, NDArray[np.float32]]


def split(flat: NDArray[np.float32], layout: Layout) -> Blocks:
    """The blocks of flat observations (.., layout.size), as copies."""
    there = {name: block for name, block in layout.blocks.items() if block.count}
    rows = flat.shape[:-1]
    return {name: flat[..., one.first : one.end].reshape(*rows, *one.shape).copy() for name, one in there.items()}


def block_space(flat: Any, layout: Layout) -> spaces.Dict:
    """The space of the blocks, with the bounds of the flat one."""
    low, high = split(flat.low, layout), split(flat.high, layout)
    # An OrderedDict, of which the space keeps the order.
    return spaces.Dict(OrderedDict((name, spaces.Box(low[name], high[name], dtype=np.float32)) for name in low))


class StructuredObservation(gym.ObservationWrapper[Any, Any, Any], RecordConstructorArgs):
    """Shows blocks instead of one flat vector, for networks that treat all workers alike.

    An observation is a dictionary of float32 arrays: "request" (i,), "workers" (M, i), where pages may be fetched from
    other workers "fetch" (M, i), and where the id has them "decision" (i,), "evict" (i,), "candidates" (K, i). Columns
    are the i features of a block in `kvgym.envs.features`, in order.

    Args:
        env: A single environment of kvgym; for the native vector form there is `VectorStructuredObservation`.

    Raises:
        ValueError: If `env` is none of kvgym.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        self._layout = _unwrap.single(env).layout
        super().__init__(env)
        self.observation_space = block_space(env.observation_space, self._layout)

    def observation(self, observation: NDArray[np.float32]) -> Blocks:
        """The blocks of a flat observation."""
        return split(observation, self._layout)


class VectorStructuredObservation(VectorWrapper):  # Gymnasium's VectorObservationWrapper refuses mode "SameStep"
    """`StructuredObservation` for the native vector form: every block has num_envs as its first axis.

    Args:
        env: A native vector environment of kvgym.

    Raises:
        ValueError: If `env` is none.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        self._layout = _unwrap.native(env).layout
        super().__init__(env)
        self.single_observation_space = block_space(env.single_observation_space, self._layout)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Blocks, dict[str, Any]]:
        """See the environments."""
        observation, infos = self.env.reset(seed=seed, options=options)
        return split(observation, self._layout), infos

    def step(self, actions: Any) -> tuple[Blocks, Any, Any, Any, dict[str, Any]]:
        """See the environments; a final observation is a dictionary of blocks too."""
        observation, *rest, infos = self.env.step(actions)
        for i in np.flatnonzero(infos.get("_final_obs", ())).tolist():
            infos["final_obs"][i] = split(infos["final_obs"][i], self._layout)
        return split(observation, self._layout), *rest, infos

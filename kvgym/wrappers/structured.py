"""Observations as a dictionary of blocks, a row per worker and per candidate."""

from __future__ import annotations

from collections import OrderedDict
from math import prod
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from kvgym.envs.features import N_CANDIDATE, N_DECISION, N_EVICT, N_FETCH, N_WORKER
from kvgym.envs.layout import Layout
from kvgym.wrappers import _unwrap

Blocks = dict[str, NDArray[np.float32]]


def block_shapes(layout: Layout) -> dict[str, tuple[int, ...]]:
    """Name and shape of the blocks, in the order in which they stand in a flat observation."""
    decision = N_DECISION if layout.routes and layout.evicts else 0
    shapes: dict[str, tuple[int, ...]] = {
        "decision": (decision,),
        "request": (len(layout.request_features) - decision,),
        "workers": (layout.n_workers, N_WORKER),
        "fetch": (layout.n_workers * layout.fetches, N_FETCH),
        "evict": (N_EVICT * layout.evicts,),
        "candidates": (layout.n_candidates, N_CANDIDATE),
    }
    return {name: shape for name, shape in shapes.items() if prod(shape)}


def split(flat: NDArray[np.float32], shapes: dict[str, tuple[int, ...]]) -> Blocks:
    """The blocks of flat observations (.., layout.size), as copies."""
    blocks, at = {}, 0
    for name, shape in shapes.items():
        size = prod(shape)
        blocks[name] = flat[..., at : at + size].reshape(*flat.shape[:-1], *shape).copy()
        at += size
    return blocks


def block_space(flat: spaces.Box, shapes: dict[str, tuple[int, ...]]) -> spaces.Dict:
    """The space of the blocks, with the bounds of the flat one."""
    low, high = (split(bound.astype(np.float32), shapes) for bound in (flat.low, flat.high))
    # An OrderedDict, of which the space keeps the order.
    return spaces.Dict(OrderedDict((name, spaces.Box(low[name], high[name], dtype=np.float32)) for name in shapes))


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
        """Wraps the environment."""
        RecordConstructorArgs.__init__(self)
        self._shapes = block_shapes(_unwrap.single(env).layout)
        super().__init__(env)
        self.observation_space = block_space(env.observation_space, self._shapes)  # type: ignore[arg-type]

    def observation(self, observation: NDArray[np.float32]) -> Blocks:
        """The blocks of a flat observation."""
        return split(observation, self._shapes)


class VectorStructuredObservation(VectorWrapper):  # Gymnasium's VectorObservationWrapper refuses mode "SameStep"
    """`StructuredObservation` for the native vector form: every block has num_envs as its first axis.

    Args:
        env: A native vector environment of kvgym.

    Raises:
        ValueError: If `env` is none.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        """Wraps the environments."""
        self._shapes = block_shapes(_unwrap.native(env).layout)
        super().__init__(env)
        space: Any = env.single_observation_space
        self.single_observation_space = block_space(space, self._shapes)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Blocks, dict[str, Any]]:
        """See the environments."""
        observation, infos = self.env.reset(seed=seed, options=options)
        return split(observation, self._shapes), infos

    def step(self, actions: Any) -> tuple[Blocks, Any, Any, Any, dict[str, Any]]:
        """See the environments; a final observation is a dictionary of blocks too."""
        observation, *rest, infos = self.env.step(actions)
        for i in np.flatnonzero(infos.get("_final_obs", ())).tolist():
            infos["final_obs"][i] = split(infos["final_obs"][i], self._shapes)
        return split(observation, self._shapes), *rest, infos

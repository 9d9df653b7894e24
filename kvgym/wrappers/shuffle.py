"""The workers in a new random order each episode, so that no policy can go by their numbers."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from numpy.typing import NDArray

from kvgym.envs.layout import Layout
from kvgym.scenarios import check_training_split
from kvgym.wrappers import _unwrap

Orders = NDArray[np.int64]


def shuffle_observations(flat: NDArray[np.float32], layout: Layout, orders: Orders) -> NDArray[np.float32]:
    """Flat observations (n, size) with the workers in the given orders (n, M), as a copy.

    `orders[i, place]` is the worker that is shown at that place.
    """
    out = flat.copy()
    each = np.arange(len(flat))[:, None]
    for block in (layout.blocks["workers"], layout.blocks["fetch"])[: 1 + layout.fetches]:
        rows = flat[:, block.first : block.end].reshape(len(flat), *block.shape)
        out[:, block.first : block.end] = rows[each, orders].reshape(len(flat), -1)
    if layout.evicts:
        asking = layout.evict("asked_worker")
        due = flat[:, layout.evict("need_pages")] > 0
        places = np.argsort(orders, axis=1)[each[:, 0], flat[:, asking].astype(np.int64)]
        out[:, asking] = np.where(due, places, flat[:, asking])
    return out


def _routed(layout: Layout) -> int:
    """How many actions are workers; they are the first ones."""
    return layout.n_workers if layout.routes else 0


def _shuffle_masks(masks: NDArray[Any], layout: Layout, orders: Orders) -> NDArray[Any]:
    """Masks (n, n_actions) as seen in the given orders, as a copy."""
    out = masks.copy()
    n = _routed(layout)
    out[:, :n] = np.take_along_axis(masks, orders[:, :n], axis=1)
    return out


def _true_actions(actions: NDArray[np.int64], layout: Layout, orders: Orders) -> NDArray[np.int64]:
    """Actions for the environment: (n,), or (n, 2) with the workers first, inside the space, with true workers."""
    out = actions.copy()
    places = out[:, 0] if out.ndim == 2 else out
    routing = np.flatnonzero(places < _routed(layout))
    places[routing] = orders[routing, places[routing]]
    return out


class ShuffleWorkers(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Shows the workers in an order that is drawn at each reset from the environment's `np_random`.

    Blocks of the observation, the feature `asked_worker`, actions, masks and the column `worker` of this wrapper's
    `finished()` go by the places of that order; what arrives and what the workers do are as without it.
    `env.unwrapped` goes on to number the workers as the simulator does: agents that pull `env.unwrapped.finished()`
    get true numbers, and can translate them with `order`.

    Args:
        env: A single environment of kvgym; for the native vector form there is `VectorShuffleWorkers`.

    Attributes:
        order: int64 (M,), the worker that is shown at each place.

    Raises:
        ValueError: If `env` is none of kvgym, or not of a split for training.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        self._inside: Any = _unwrap.single(env)
        check_training_split(type(self).__name__, self._inside.split)
        super().__init__(env)
        self._layout = self._inside.layout
        self.order: Orders = np.arange(self._layout.n_workers)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts the next episode and draws an order."""
        observation, info = self.env.reset(seed=seed, options=options)
        self.order = self._inside.np_random.permutation(len(self.order))
        return self._shown(observation, info)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """See the environment.

        Raises:
            ValueError: If `action` is not in the action space.
        """
        observation, reward, terminated, truncated, info = self.env.step(self._true_action(action))
        observation, info = self._shown(observation, info)
        return observation, reward, terminated, truncated, info

    def _true_action(self, action: Any) -> Any:
        """The action with a true worker; one that is outside the space goes on as it is, and is refused there."""
        pairs = hasattr(self.action_space, "nvec")
        known = _routed(self._layout) and self.action_space.contains(np.asarray(action) if pairs else action)
        # Gymnasium takes True for 1.
        if not known or any(isinstance(part, (bool, np.bool_)) for part in np.asarray(action, object).flat):
            return action
        told = _true_actions(np.array([action], np.int64), self._layout, self.order[None])[0]
        return told if pairs else int(told)

    def _shown(self, observation: Any, info: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        orders = self.order[None]
        mask = _shuffle_masks(info["action_mask"][None], self._layout, orders)[0]
        return shuffle_observations(observation[None], self._layout, orders)[0], {**info, "action_mask": mask}

    def action_masks(self) -> NDArray[np.bool_]:
        """Legal actions, now: bool (n,)."""
        masks: NDArray[np.bool_] = _shuffle_masks(self._inside.action_masks()[None], self._layout, self.order[None])[0]
        return masks

    def finished(self) -> NDArray[np.float64]:
        """See `ClusterEnv.finished`; the column `worker` holds places."""
        rows: NDArray[np.float64] = self._inside.finished()
        rows[:, 1] = np.argsort(self.order)[rows[:, 1].astype(np.int64)]
        return rows


class VectorShuffleWorkers(VectorWrapper):
    """`ShuffleWorkers` for the native vector form, each environment with an order of its own.

    Environment i, reset with seed s, shows what `ShuffleWorkers` around the single environment shows after seed s + i.
    A final observation, in mode "SameStep", is in the order of the episode that it ends.

    Args:
        env: A native vector environment of kvgym.

    Attributes:
        orders: int64 (num_envs, M), the worker that is shown at each place.

    Raises:
        ValueError: If `env` is none, or not of a split for training.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        self._inside = _unwrap.native(env)
        check_training_split(type(self).__name__, self._inside.envs[0].split)
        super().__init__(env)
        self._layout = self._inside.layout
        self.orders: Orders = np.tile(np.arange(self._layout.n_workers), (self.num_envs, 1))
        self._over = np.zeros(self.num_envs, bool)

    def _draw(self, chosen: NDArray[np.bool_]) -> None:
        for i in np.flatnonzero(chosen).tolist():
            self.orders[i] = self._inside.envs[i].np_random.permutation(self._layout.n_workers)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts the next episode of all, or of those in `options["reset_mask"]`, and draws orders for them."""
        observation, infos = self.env.reset(seed=seed, options=options)
        self._draw(infos["_session"])
        self._over &= ~infos["_session"]
        return self._shown(observation, infos)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """See the environments."""
        actions = _true_actions(self._inside.check_actions(actions), self._layout, self.orders)
        observation, reward, terminated, truncated, infos = self.env.step(actions)
        for i in np.flatnonzero(infos.get("_final_obs", ())).tolist():
            final = infos["final_obs"][i][None]
            infos["final_obs"][i] = shuffle_observations(final, self._layout, self.orders[i : i + 1])[0]
        ended = terminated | truncated
        mode = self._inside.autoreset_mode
        self._draw(ended if mode == AutoresetMode.SAME_STEP else self._over)
        self._over = ended & (mode == AutoresetMode.NEXT_STEP)
        observation, infos = self._shown(observation, infos)
        return observation, reward, terminated, truncated, infos

    def _shown(self, observation: Any, infos: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        masks = _shuffle_masks(infos["action_mask"], self._layout, self.orders)
        return shuffle_observations(observation, self._layout, self.orders), {**infos, "action_mask": masks}

    def action_masks(self) -> NDArray[np.bool_]:
        """Legal actions, now: bool (num_envs, n)."""
        return _shuffle_masks(self._inside.action_masks(), self._layout, self.orders)

"""The native vector form as a `VecEnv` of Stable-Baselines3 (extra "train")."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from kvgym.envs.vector import ClusterVectorEnv, make_vec
from kvgym.scenarios import check_training_split

Indices = None | int | Iterable[int]


class Sb3VecEnv(VecEnv):
    """Lets the algorithms of Stable-Baselines3 and sb3-contrib play a native vector environment.

    The info of an environment is empty but at the end of its episode: then it has what SB3 asks for
    (`terminal_observation`, `TimeLimit.truncated`), and all episode metrics, so that they can be logged with
    `VecMonitor(env, info_keywords=("J", "hit_rate"))`. Masks are asked for with `env_method("action_masks")`, as
    MaskablePPO does.

    Args:
        envs: The environments, made with autoreset_mode="SameStep".

    Raises:
        ValueError: If they are not native, or made with another mode: SB3 knows no steps that only reset. If they play
            workloads that agents are scored on.
    """

    def __init__(self, envs: ClusterVectorEnv[Any]) -> None:
        """Wraps the environments."""
        if not isinstance(envs, ClusterVectorEnv):
            raise ValueError(f"envs must be a native vector environment of kvgym, got {envs!r}")
        if envs.autoreset_mode != AutoresetMode.SAME_STEP:
            raise ValueError(f'envs must have autoreset_mode="SameStep", got "{envs.autoreset_mode.value}"')
        check_training_split(type(self).__name__, envs.envs[0].split)
        self.envs = envs
        self._actions: Any = None
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)
        self.metadata["render_fps"] = envs.metadata["render_fps"]  # for VecVideoRecorder

    def reset(self) -> NDArray[np.float32]:
        """Starts an episode in every environment, with the seeds and options that were set before."""
        seeds = list(self._seeds)
        options = self._options[0] if self._options else {}
        observations, infos = self.envs.reset(seed=seeds, options=dict(options))
        masks = infos["action_mask"]
        self.reset_infos = [{"action_mask": masks[i]} for i in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: NDArray[Any]) -> None:
        """Notes the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Steps all environments; an observation after the end of an episode is the next one's first."""
        observations, rewards, terminated, truncated, infos = self.envs.step(self._actions)
        done = terminated | truncated
        out: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if done.any():
            metrics = infos["final_info"]["episode_metrics"]
            names = [name for name in metrics if not name.startswith("_")]
            for i in np.flatnonzero(done).tolist():
                out[i] = {name: float(metrics[name][i]) for name in names if metrics[f"_{name}"][i]}
                out[i]["terminal_observation"] = infos["final_obs"][i]
                out[i]["TimeLimit.truncated"] = bool(truncated[i] and not terminated[i])
        return observations, rewards.astype(np.float32), done, out

    def close(self) -> None:
        """Closes the environments."""
        self.envs.close()

    def _chosen(self, indices: Indices) -> list[int]:
        return list(self._get_indices(indices))

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """An attribute of each single environment."""
        return [getattr(self.envs.envs[i], attr_name) for i in self._chosen(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Sets an attribute of each single environment."""
        for i in self._chosen(indices):
            setattr(self.envs.envs[i], attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Indices = None, **kwargs: Any) -> list[Any]:
        """Calls a method of each single environment; `action_masks` is answered for all at once.

        Raises:
            ValueError: For `step` and `reset`, which only the batch may do.
        """
        if method_name == "action_masks":
            masks = self.envs.action_masks()
            return [masks[i] for i in self._chosen(indices)]
        if method_name in ("step", "reset"):
            raise ValueError(f"environments of a batch can't {method_name} alone")
        return [getattr(self.envs.envs[i], method_name)(*args, **kwargs) for i in self._chosen(indices)]

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: Indices = None
    ) -> list[bool]:
        """Single environments of the native form have no wrappers."""
        return [False] * len(self._chosen(indices))

    def get_images(self) -> Sequence[Any]:
        """A picture of each environment, uint8 (height, width, 3); None where render_mode is not "rgb_array"."""
        shown = self.envs.render() if self.render_mode == "rgb_array" else None
        return shown or [None] * self.num_envs


def make_sb3(id: str, num_envs: int = 1, *, num_threads: int = 1, stagger: bool = False, **settings: Any) -> Sb3VecEnv:
    """Makes native vector environments for Stable-Baselines3; see `kvgym.make_vec` for the arguments.

    Raises:
        ValueError: If an argument is not allowed.
    """
    envs = make_vec(id, num_envs, autoreset_mode="SameStep", num_threads=num_threads, stagger=stagger, **settings)
    return Sb3VecEnv(envs.unwrapped)  # type: ignore[arg-type]

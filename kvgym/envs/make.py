"""`kvgym.make_vec`: one spelling for the native vector form and for Gymnasium's own ones."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from gymnasium.vector import AutoresetMode, VectorEnv

from kvgym import _check
from kvgym.envs.vector import check_autoreset

MODES = ("native", "sync", "async")


def make_vec(
    id: str,
    num_envs: int = 1,
    *,
    mode: str = "native",
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    num_threads: int = 1,
    stagger: bool = False,
    **settings: Any,
) -> VectorEnv[Any, Any, Any]:
    """Makes a vector environment; `gym.make_vec` wants `autoreset_mode` in another place for each mode.

    Args:
        id: An id of `envs_registry.ENVIRONMENTS`, with or without "kvgym:" before it.
        num_envs: How many.
        mode: "native" (`kvgym.envs.vector.ClusterVectorEnv`, much the fastest), or Gymnasium's "sync" or "async".
        autoreset_mode: "NextStep", "SameStep", "Disabled", or the `AutoresetMode`.
        num_threads: Threads of the native form.
        stagger: Shorter first episodes, so that the batch is not in phase (native form).
        **settings: Arguments of the environment.

    Raises:
        ValueError: If an argument is not allowed.
    """
    autoreset = check_autoreset(autoreset_mode)
    if _check.choice("mode", mode, MODES) == "native":
        native: dict[str, Any] = {"autoreset_mode": autoreset.value, "num_threads": num_threads, "stagger": stagger}
        return gym.make_vec(id, num_envs, vectorization_mode="vector_entry_point", **native, **settings)
    for name, given, default in (("num_threads", num_threads, 1), ("stagger", stagger, False)):
        if given != default:
            raise ValueError(f'{name} is for mode="native", got {given!r} with mode={mode!r}')
    vector_kwargs: dict[str, Any] = {"autoreset_mode": autoreset}
    return gym.make_vec(id, num_envs, vectorization_mode=mode, vector_kwargs=vector_kwargs, **settings)

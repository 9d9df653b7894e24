"""Rewards as a vector, for algorithms with several objectives or with constraints."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from kvgym.envs.kernels.codes import COST, Costs
from kvgym.scenarios import Scenario
from kvgym.wrappers import _unwrap

REWARD_NAMES = Costs._fields
_SPACE = spaces.Box(-np.inf, 0.0, (len(COST),), np.float64)


def rewards(costs: NDArray[np.float64], scenario: Scenario) -> NDArray[np.float64]:
    """Rewards (.., 5) for costs (.., 5) of a step."""
    # Differences of long integrals may come out below 0 by a rounding error.
    paid: NDArray[np.float64] = 0.0 - np.maximum(costs, 0.0)
    paid[..., [COST.waiting, COST.decoding]] /= scenario.reward_scale_s
    return paid


class RewardVector(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Pays a vector of costs, each with a minus sign, by the convention of MO-Gymnasium.

    | place | name | minus |
    |---|---|---|
    | 0 | `waiting` | the time integral of the counted requests without a first token, over `reward_scale_s` |
    | 1 | `decoding` | the same for those with one; 0 + 1 is the reward "e2e", 0 is the reward "ttft" |
    | 2 | `slo_misses` | requests that miss a target of their class, when they do: the reward "slo" |
    | 3 | `gpu_seconds` | busy seconds of the workers, times their GPUs; those of the warm-up too |
    | 4 | `prefill_tokens` | prompt tokens that were not found in the cache at the request's first admission |

    The last counts a request in the step in which it finishes. All pay in the first step for what was before it.
    Requests of the warm-up don't count, nor in 4 those that are unfinished when an episode is truncated. Where there
    are no targets nothing is missed.

    As MO-Gymnasium has it, `env.unwrapped` gets `reward_space`, `reward_dim` and `reward_names`. A reward that is no
    number is against Gymnasium's own rules: the passive checker of `gym.make` warns unless it is told
    `disable_env_checker=True` or sits inside this wrapper (as it does in `RewardVector(gym.make(..))`), and
    Gymnasium's vector forms refuse it (MO-Gymnasium has its own).

    Args:
        env: A single environment of kvgym; for the native vector form there is `VectorRewardVector`.

    Attributes:
        reward_space: Box(-inf, 0, (5,), float64).
        reward_names: The names above.

    Raises:
        ValueError: If `env` is none of kvgym.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        inside: Any = _unwrap.single(env)
        super().__init__(env)
        self.reward_names = inside.reward_names = REWARD_NAMES
        self.reward_dim = inside.reward_dim = len(REWARD_NAMES)
        self.reward_space = inside.reward_space = _SPACE
        inside.count_misses()
        self._inside = inside

    def step(self, action: Any) -> tuple[Any, NDArray[np.float64], bool, bool, dict[str, Any]]:
        """See the environment; the reward is float64 (5,)."""
        observation, _, terminated, truncated, info = self.env.step(action)
        return observation, rewards(self._inside.costs(), self._inside.scenario), terminated, truncated, info


class VectorRewardVector(VectorWrapper):
    """`RewardVector` for the native vector form: rewards are float64 (num_envs, 5), zeros in steps that only reset.

    Args:
        env: A native vector environment of kvgym.

    Attributes:
        reward_space: Box(-inf, 0, (num_envs, 5), float64); `single_reward_space`: that of one.
        reward_names: Names of the five, see `RewardVector`.

    Raises:
        ValueError: If `env` is none.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        self._inside = _unwrap.native(env)
        super().__init__(env)
        self.reward_names, self.reward_dim = REWARD_NAMES, len(REWARD_NAMES)
        self.single_reward_space = _SPACE
        self.reward_space = batch_space(_SPACE, self.num_envs)
        self._inside.count_costs()

    def step(self, actions: Any) -> tuple[Any, NDArray[np.float64], Any, Any, dict[str, Any]]:
        """See the environments; the rewards are float64 (num_envs, 5)."""
        observations, _, terminated, truncated, infos = self.env.step(actions)
        paid = rewards(self._inside.costs, self._inside.envs[0].scenario)
        return observations, paid, terminated, truncated, infos

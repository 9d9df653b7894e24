"""Rewards as a vector, for algorithms with several objectives."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from kvgym.wrappers import _unwrap

REWARD_NAMES = ("waiting", "decoding", "ttft_misses", "tpot_misses", "prefill_tokens")


class RewardVector(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Pays a vector of costs, each with a minus sign, by the convention of MO-Gymnasium.

    | place | name | minus |
    |---|---|---|
    | 0 | `waiting` | the time integral of the counted requests without a first token, over `reward_scale_s` |
    | 1 | `decoding` | the same for those with one; 0 + 1 is the reward "e2e", 0 is the reward "ttft" |
    | 2 | `ttft_misses` | requests whose time to first token was above the scenario's `slo_ttft_s` (0: none is) |
    | 3 | `tpot_misses` | requests whose mean time per later output token was above `slo_tpot_s` (0: none is) |
    | 4 | `prefill_tokens` | prompt tokens that were not found in the cache at the request's first admission |

    Places 2 to 4 count a request in the step in which it finishes (in the first step, if that was before); those of the
    warm-up, and those that are unfinished when an episode is truncated, don't count.

    As MO-Gymnasium has it, `env.unwrapped` gets `reward_space`, `reward_dim` and `reward_names`. A reward that is no
    number is against Gymnasium's own rules: the passive checker of `gym.make` warns unless it is told
    `disable_env_checker=True` or sits inside this wrapper (as it does in `RewardVector(gym.make(..))`), and
    Gymnasium's vector forms refuse it (MO-Gymnasium has its own).

    Args:
        env: A single environment of kvgym. There is no form for the native vector environments.

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
        self.reward_space = inside.reward_space = spaces.Box(-np.inf, 0.0, (self.reward_dim,), np.float64)
        self._inside = inside
        self._early = np.zeros(3)  # counts from before the first decision, which the first step pays

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """See the environment."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._early = self._counts()
        return observation, info

    def step(self, action: Any) -> tuple[Any, NDArray[np.float64], bool, bool, dict[str, Any]]:
        """See the environment; the reward is float64 (5,)."""
        observation, _, terminated, truncated, info = self.env.step(action)
        e2e, ttft = self._inside.costs()
        per_s = 1 / self._inside.scenario.reward_scale_s
        cost = np.array([ttft * per_s, (e2e - ttft) * per_s, *(self._early + self._counts())])
        self._early = np.zeros(3)
        # Differences of long integrals may come out below 0 by a rounding error.
        return observation, 0.0 - np.maximum(cost, 0.0), terminated, truncated, info

    def _counts(self) -> NDArray[np.float64]:
        """Missed objectives and computed prompt tokens of the counted requests that finished in the step."""
        scenario = self._inside.scenario
        rows = self._inside.finished()
        _, _, arrival, first_token, finish, prompt, output, hit = rows[rows[:, 0] >= 0].T
        late_first = (first_token - arrival > scenario.slo_ttft_s) & (scenario.slo_ttft_s > 0)
        late_others = (finish - first_token > scenario.slo_tpot_s * (output - 1)) & (scenario.slo_tpot_s > 0)
        return np.array([late_first.sum(), late_others.sum(), (prompt - hit).sum()], np.float64)

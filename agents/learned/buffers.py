"""Buffers of Stable-Baselines3 that discount by request, not by decision.

A decision may take no time at all: the evictions of one allocation follow each other at once, and how many there are is
up to the policy. Discounted like any other, they would make late costs cheap for whoever decides often. So a step is
discounted by gamma to the power of the requests that arrived in it: once per request in KVGym/Route-v0, as ever, and
not at all between two evictions of one allocation. What is maximised is the expected sum of

    gamma ** (requests that have arrived before the step, since now) * reward of the step
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib.common.maskable.buffers import MaskableRolloutBuffer
from stable_baselines3.common.buffers import ReplayBuffer, RolloutBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from kvgym import _check
from kvgym.envs.vector import ClusterVectorEnv

from .credit import Credit

CREDITS = ("reward", "evictions")


class _Rollout(RolloutBuffer):
    """A rollout buffer that notes the arrivals of each step, as `envs` counts them.

    Args:
        *args: As SB3 gives them.
        credit: "reward": what is maximised stands above. "evictions": for environments in which leaves are evicted; the
            reward of a step is minus what `Credit` charges it with, and the return of a decision is that of the
            decisions from it to the next arrival: with the costs where they were caused there is nothing to wait for.
        **kwargs: As SB3 gives them.

    Raises:
        ValueError: If `credit` is not one of these.
    """

    envs: ClusterVectorEnv[Any]

    def __init__(self, *args: Any, credit: str = "reward", **kwargs: Any) -> None:
        self._charges = _check.choice("credit", credit, CREDITS) == "evictions"
        super().__init__(*args, **kwargs)

    def reset(self) -> None:
        super().reset()
        self.arrivals = np.zeros((self.buffer_size, self.n_envs), np.float32)
        if self._charges and hasattr(self, "envs"):
            self._credit = Credit(self.envs.envs, self.gamma)

    def add(self, *args: Any, **kwargs: Any) -> None:
        step = self.pos
        self.arrivals[step] = self.envs.arrivals
        super().add(*args, **kwargs)
        if self._charges:
            self.rewards[step] = 0.0
            steps, places, seconds = self._credit.step(self.envs.arrivals, self.envs.ended)
            np.subtract.at(self.rewards, (steps, places), seconds.astype(np.float32))

    def compute_returns_and_advantage(self, last_values: torch.Tensor, dones: NDArray[Any]) -> None:
        """Generalised advantage estimation (arXiv 1506.02438) with gamma and lambda once per request.

        A_t = r_t + gamma ** n_t V_(t+1) - V_t + (gamma lambda) ** n_t A_(t+1), n_t the requests that arrived in step t;
        with credit="evictions" gamma is 0 here.

        Args:
            last_values: (n_envs, 1) values of the states after the last step.
            dones: (n_envs,) whether the last step ended an episode.
        """
        going_on = np.vstack([1.0 - self.episode_starts[1:], 1.0 - dones.astype(np.float32)])
        next_values = np.vstack([self.values[1:], last_values.cpu().numpy().reshape(1, -1)])
        discounts = (0.0 if self._charges else self.gamma) ** self.arrivals * going_on
        deltas = self.rewards + discounts * next_values - self.values
        carried = discounts * self.gae_lambda**self.arrivals
        advantage = np.zeros(self.n_envs, np.float32)
        for step in reversed(range(self.buffer_size)):
            advantage = deltas[step] + carried[step] * advantage
            self.advantages[step] = advantage
        self.returns = self.advantages + self.values


class RequestRolloutBuffer(_Rollout):
    """For PPO of Stable-Baselines3."""


class RequestMaskableRolloutBuffer(_Rollout, MaskableRolloutBuffer):
    """For MaskablePPO of sb3-contrib."""


class RequestReplayBuffer(ReplayBuffer):
    """For DQN of Stable-Baselines3: samples come with a discount of their own, as those of its n-step buffer do.

    Args:
        *args: As SB3 gives them.
        gamma: Discount of a request.
        **kwargs: As SB3 gives them.
    """

    envs: ClusterVectorEnv[Any]

    def __init__(self, *args: Any, gamma: float, **kwargs: Any) -> None:
        """Makes the buffer."""
        super().__init__(*args, **kwargs)
        self.gamma = gamma
        self.arrivals = np.zeros((self.buffer_size, self.n_envs), np.int32)

    def add(self, *args: Any, **kwargs: Any) -> None:
        """See `ReplayBuffer.add`."""
        self.arrivals[self.pos] = self.envs.arrivals
        super().add(*args, **kwargs)

    def _get_samples(self, batch_inds: NDArray[Any], env: VecNormalize | None = None) -> ReplayBufferSamples:
        columns = np.random.randint(0, self.n_envs, len(batch_inds))  # noqa: NPY002 - the one that SB3 seeds
        rows = batch_inds
        ended = self.dones[rows, columns] * (1 - self.timeouts[rows, columns])
        parts = (
            self._normalize_obs(self.observations[rows, columns], env),
            self.actions[rows, columns],
            self._normalize_obs(self.next_observations[rows, columns], env),
            ended.reshape(-1, 1),
            self._normalize_reward(self.rewards[rows, columns].reshape(-1, 1), env),
            (self.gamma ** self.arrivals[rows, columns]).astype(np.float32).reshape(-1, 1),
        )
        return ReplayBufferSamples(*map(self.to_torch, parts))

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the environments: a checkpoint holds none."""
        return {name: value for name, value in self.__dict__.items() if name != "envs"}


def arguments(algorithm: str, gamma: float) -> dict[str, Any]:
    """Arguments that make an algorithm discount by request, for its constructor.

    Args:
        algorithm: One of `agents.learned.ALGORITHMS`.
        gamma: Discount of a request.
    """
    if algorithm == "dqn":
        return {"replay_buffer_class": RequestReplayBuffer, "replay_buffer_kwargs": {"gamma": gamma}}
    return {"rollout_buffer_class": RequestMaskableRolloutBuffer if algorithm == "ppo_mask" else RequestRolloutBuffer}


def attach(model: Any, env: VecEnv) -> None:
    """Tells the buffer of an algorithm, which has just been made or loaded, which environments it is filled from."""
    buffer = model.replay_buffer if hasattr(model, "replay_buffer") else model.rollout_buffer
    buffer.envs = env.unwrapped.envs  # type: ignore[attr-defined]  # of Sb3VecEnv

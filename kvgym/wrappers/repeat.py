"""The same workload several times: one episode after the other, or side by side in a batch."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorEnv, VectorWrapper

from kvgym import _check
from kvgym.scenarios import check_training_split
from kvgym.wrappers import _unwrap


def _drawn(seed: int | None, *key: int) -> int:
    """A seed for a group, or for an episode of it; that of the first one is `seed`, None: one of the system's."""
    if seed is not None and not any(key):
        return int(seed)
    return int(np.random.SeedSequence(seed, spawn_key=key).generate_state(1)[0])


class RepeatWorkload(gym.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Plays each workload in k episodes that follow one another, for input-dependent baselines.

    Most of the variance of an episode's return comes from what arrives, not from who decides; episodes of one workload
    are baselines for each other (Mao et al. 2018, arXiv 1807.02264). `reset(seed=s)` begins with the workload that the
    bare environment plays first after this seed. The random choices of rules (evictors, the warm-up's router) are
    others in each of the k episodes. `options` of `reset` may give `workload_seed`, which begins k episodes of that
    workload, and `policy_seed`, which holds for one episode.

    Args:
        env: A single environment of kvgym; for the native vector form there is `GroupWorkloads`.
        k: Episodes of each workload.

    Attributes:
        repeat: Number of the present episode among those of its workload, 0 .. k-1.

    Raises:
        ValueError: If `env` is none of kvgym or not of a split for training, or k is no integer >= 1.
    """

    def __init__(self, env: gym.Env[Any, Any], k: int) -> None:
        RecordConstructorArgs.__init__(self, k=k)
        check_training_split(type(self).__name__, _unwrap.single(env).split)
        super().__init__(env)
        self.k = _check.whole("k", k, 1)
        self._seed: int | None = None
        self._group = 0
        self.repeat = -1

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts the next episode: of the same workload, or after k of them of the next one."""
        given = {} if options is None else dict(_check.mapping("options", options))
        if seed is not None or self._seed is None:
            self._seed = _drawn(None) if seed is None else seed
            self._group, self.repeat = 0, 0
            self._workload_seed = given.get("workload_seed", self._seed)
        elif "workload_seed" in given or self.repeat + 1 == self.k:
            self._group, self.repeat = self._group + 1, 0
            self._workload_seed = given.get("workload_seed", _drawn(self._seed, self._group))
        else:
            self.repeat += 1
        own = _drawn(self._seed, self._group, self.repeat)
        # A workload depends on the number of the episode since the last seed, too: with a seed each time, that is 0.
        return self.env.reset(seed=own, options={"workload_seed": self._workload_seed, "policy_seed": own, **given})


class GroupWorkloads(VectorWrapper):
    """k neighbouring environments of a batch play the same workloads at the same time.

    Environments 0 .. k-1 play those of seed s, the next k those of seed s + 1, and so on: each group gets one seed, and
    episode e after a seed is always the same, so this holds for all episodes to come, with autoreset on too. In
    KVGym/Route-v0 and the rule form of KVGym/Joint-v0 the decisions of a group stay in step: decision t is about the
    same arrival in all of them, unless workers crash: what comes back then depends on where it had been sent. The rules
    of a group also share their random choices.

    Args:
        env: A native vector environment of kvgym, without `stagger`.
        k: Size of a group; it divides num_envs.

    Raises:
        ValueError: If `env` is none, is staggered or not of a split for training, or k does not divide num_envs.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], k: int) -> None:
        inside = _unwrap.native(env)
        check_training_split(type(self).__name__, inside.envs[0].split)
        super().__init__(env)
        self.k = _check.whole("k", k, 1)
        if self.num_envs % self.k:
            raise ValueError(f"k must divide num_envs = {self.num_envs}, got {k!r}")
        if inside.stagger:
            raise ValueError("env must be made with stagger=False: groups play whole episodes side by side, got True")
        self._seeded = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts the next episode of all, or of the groups in `options["reset_mask"]`.

        Args:
            seed: Environment i gets seed + i // k; None: the next episode of each.
            options: As for the batch.

        Raises:
            ValueError: If `seed` is no integer >= 0, or the mask has a part of a group.
        """
        given = {} if options is None else _check.mapping("options", options)
        mask = np.asarray(given.get("reset_mask", True))
        if mask.shape == (self.num_envs,) and np.ptp(mask.reshape(-1, self.k).astype(int), axis=1).any():
            raise ValueError(f"reset_mask must have whole groups of {self.k}, got {mask!r}")
        if seed is None and not self._seeded:
            seed = _drawn(None)
        if seed is None:
            return self.env.reset(seed=None, options=options)
        self._seeded = True
        first = _check.whole("seed", seed, 0)
        seeds: Any = [first + i // self.k for i in range(self.num_envs)]
        return self.env.reset(seed=seeds, options=options)

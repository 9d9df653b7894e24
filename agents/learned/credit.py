"""Blame for pages that are computed again: the decision that evicted them.

What an eviction costs shows up hundreds of requests later, in a latency to which thousands of other decisions and the
luck of the arrivals contribute more: 100,000 decisions of a random policy are not enough to tell from the rewards of
the environment whether old leaves or young ones should go. In a simulation the cause is known. A page that is computed
again was evicted by one decision, and the seconds that it takes are charged to that one, discounted by the requests
that arrived in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym.envs.base import ClusterEnv


class _Evicted:
    """Pages of one environment that are gone, a column per decision and row of the cache: [low, high) of a node."""

    def __init__(self) -> None:
        self.table = np.zeros((4, 0), np.int64)  # row, low, high, step

    def add(self, row: NDArray[Any], low: NDArray[Any], high: NDArray[Any], step: int) -> None:
        self.table = np.concatenate([self.table, [row, low, high, np.full(len(row), step)]], 1)

    def back(self, cached: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Steps whose pages are resident again, and how many of them; they are gone no longer."""
        row, low, high, step = self.table
        now = np.minimum(cached[row], high)
        hit = np.flatnonzero(now > low)
        found = step[hit], now[hit] - low[hit]
        if len(hit):
            low[hit] = now[hit]
            self.table = self.table[:, low < high]
        return found


class Credit:
    """Charges the steps of a rollout for the pages that they evicted and that were computed again within it.

    Pages that `lru` frees at the end of an allocation are the last decision's.

    Args:
        envs: The environments, in leaf form.
        gamma: Discount of a request that arrives between eviction and recomputation.
    """

    def __init__(self, envs: Sequence[ClusterEnv], gamma: float) -> None:
        """Starts a rollout."""
        self._envs, self._gamma = envs, gamma
        self._gone = [_Evicted() for _ in envs]
        self._arrived: list[NDArray[Any]] = [np.zeros(len(envs))]  # before each step, since the start
        self._cached = [_cached(env) for env in envs]

    def step(self, arrivals: NDArray[Any], ended: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Looks at what the step that has just been made has evicted and computed again.

        Args:
            arrivals: (n_envs,) requests that arrived in it.
            ended: (n_envs,) whether it ended an episode.

        Returns:
            Number of the step to be charged, environment, and seconds of computation, discounted: (n,) each.
        """
        now = len(self._arrived) - 1
        self._arrived.append(self._arrived[-1] + arrivals)
        steps, places, seconds = [], [], []
        for i, env in enumerate(self._envs):
            before, after = self._cached[i], _cached(env)
            self._cached[i] = after
            if ended[i]:
                self._gone[i] = _Evicted()
                continue
            gone = np.flatnonzero(after < before)
            at, pages = self._gone[i].back(after)
            if len(gone):
                self._gone[i].add(gone, after[gone], before[gone], now)
            if len(at):
                between = self._arrived[-1][i] - np.array([self._arrived[t + 1][i] for t in at.tolist()])
                steps.append(at)
                places.append(np.full(len(at), i))
                seconds.append(pages * _page_s(env) * self._gamma**between)
        if not steps:
            nothing = np.zeros(0, np.int64)
            return nothing, nothing, np.zeros(0)
        return np.concatenate(steps), np.concatenate(places), np.concatenate(seconds)


def _cached(env: ClusterEnv) -> NDArray[Any]:
    """Resident pages of each row of the cache."""
    return env.simulator.tables["rows"]["cached"].copy()


def _page_s(env: ClusterEnv) -> float:
    """Seconds that a page takes of a full prefill iteration, on the first worker: `gdsf`'s, without attention."""
    engine, tables = env.scenario.engine, env.simulator.tables
    chunk = engine.chunk_tokens
    return float(tables["g"][tables["workers"]["cost"][0] * (chunk + 1) + chunk]) * 1e-12 * engine.page_size / chunk

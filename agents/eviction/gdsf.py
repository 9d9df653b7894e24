"""Greedy dual size frequency."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from math import inf
from typing import Any

import gymnasium as gym
import numpy as np

from ..base import Info, Observation
from .base import EvictionAgent


class Gdsf(EvictionAgent):
    """The leaf whose tail is worth the least per page, where worth ages.

    Of the leaves offered, the one with the lowest

        H = L + uses x cost / size

    L is the worker's inflation at the leaf's last use, uses = hits + 1, cost the seconds to compute its tail again
    and size its pages. When a leaf goes, the inflation of its worker becomes its H: what is used from then on starts
    higher, so that what was popular once doesn't stay for ever. The first slot of equals.

    L. Cherkasova, "Improving WWW proxies performance with Greedy-Dual-Size-Frequency caching policy", HP Laboratories
    HPL-98-69R1, 1998. The evictor "gdsf" compares all leaves, this agent the `candidates` that it is offered; the
    time of a last use is known to float32 precision, so that the inflation may be that of an eviction just before.

    Args:
        candidates: How many leaves are offered, an even number >= 2.
    """

    draws = False

    def __init__(self, *, candidates: int = 16) -> None:
        """The environment checks the argument."""
        self.env_kwargs: Mapping[str, Any] = {"action": "leaf", "candidates": candidates, "quantum": "leaf"}

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `EvictionAgent.reset`."""
        super().reset(env, seed)
        self._asked = self.layout.evict("asked_worker")
        self._idle, self._hits, self._cost, self._size = (
            self.layout.candidates(name) for name in ("idle", "hits", "recompute", "tail_pages")
        )
        # Per worker: when its inflation changed, and to what.
        self._times: list[list[float]] = [[] for _ in range(self.n_workers)]
        self._inflation: list[list[float]] = [[0.0] for _ in range(self.n_workers)]

    def act(self, observation: Observation, info: Info) -> int:
        """See `EvictionAgent.act`."""
        worker, now = int(observation[self._asked]), info["time"]
        times, inflation = self._times[worker], self._inflation[worker]
        worth = (observation[self._hits] + 1.0) * observation[self._cost] / np.maximum(observation[self._size], 1.0)
        best, lowest = -1, inf
        for slot, (filled, idle, value) in enumerate(
            zip(info["action_mask"].tolist(), observation[self._idle].tolist(), worth.tolist(), strict=True)
        ):
            if filled:
                value += inflation[bisect_right(times, now - idle)]
                if value < lowest:
                    best, lowest = slot, value
        self._inflate(times, inflation, now, lowest)
        return best

    def _inflate(self, times: list[float], inflation: list[float], now: float, value: float) -> None:
        if value <= inflation[-1]:
            return  # the leaf with the lowest value of all may have been offered late
        if times and times[-1] == now:
            inflation[-1] = value
        else:
            times.append(now)
            inflation.append(value)

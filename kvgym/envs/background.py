"""Threads of a batch: those that play it, and the one that makes its next episodes meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise

import numpy as np

from kvgym.envs.base import ClusterEnv

_SHARE = 64
"""Environments that a thread plays at a time, where there are many: handing a share on takes the time of a few."""
_SHARES_EACH = 4
_MOST_READY = 64
"""Episodes that are kept ready: more would only cost memory."""


class Threads:
    """The calling thread and helpers; one that was held up, as by the making of coming episodes, plays fewer shares.

    Args:
        num_envs: Environments to play.
        num_threads: Threads in all.
    """

    def __init__(self, num_envs: int, num_threads: int) -> None:
        """Cuts the batch into shares and starts the helpers."""
        n_shares = 1 if num_threads == 1 else max(num_threads, min(_SHARES_EACH * num_threads, num_envs // _SHARE))
        self._shares = list(pairwise(np.linspace(0, num_envs, n_shares + 1).astype(int).tolist()))
        self._n_helpers = num_threads - 1
        self._pool = ThreadPoolExecutor(self._n_helpers, "kvgym-play") if self._n_helpers else None

    def play(self, act: Callable[[int, int], int]) -> int:
        """The sum of `act(first, end)` over shares that make up the batch."""
        if self._pool is None:
            return act(*self._shares[0])
        left = deque(self._shares)

        def take() -> int:
            total = 0
            with suppress(IndexError):  # none is left
                while True:
                    total += act(*left.popleft())
            return total

        helpers = [self._pool.submit(take) for _ in range(self._n_helpers)]
        return take() + sum(helper.result() for helper in helpers)

    def close(self) -> None:
        """Ends the helpers."""
        if self._pool is not None:
            self._pool.shutdown()


class Prefetcher:
    """Makes the next episodes of environments; of those that began first, first.

    Args:
        envs: The environments of a batch.
    """

    def __init__(self, envs: Sequence[ClusterEnv]) -> None:
        """Starts with nothing to do."""
        self._envs = envs
        self._waiting: deque[int] = deque()
        self._ready: set[int] = set()
        self._executor = ThreadPoolExecutor(1, "kvgym-prefetch")

    def begun(self, i: int) -> None:
        """Environment i has begun an episode."""
        if i in self._ready:
            self._ready.discard(i)
        elif i in self._waiting:
            self._waiting.remove(i)
        self._waiting.append(i)
        while self._waiting and len(self._ready) < _MOST_READY:
            first = self._waiting.popleft()
            self._ready.add(first)
            self._envs[first].prefetch(self._executor)

    def close(self) -> None:
        """Ends the thread; what it has not begun is dropped."""
        self._executor.shutdown(wait=True, cancel_futures=True)

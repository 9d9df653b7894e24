"""The next episodes of a batch, made on a thread of their own while the present ones are played."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from kvgym.envs.base import ClusterEnv

MOST = 64
"""Episodes that are kept ready: more would only cost memory."""


class Ahead:
    """Makes the next episodes of environments; of those that began first, first.

    Args:
        envs: The environments of a batch.
    """

    def __init__(self, envs: Sequence[ClusterEnv]) -> None:
        """Starts with nothing to do."""
        self._envs = envs
        self._waiting: deque[int] = deque()
        self._ready: set[int] = set()
        self._executor = ThreadPoolExecutor(1, "kvgym-ahead")

    def begun(self, i: int) -> None:
        """Environment i has begun an episode."""
        if i in self._ready:
            self._ready.discard(i)
        elif i in self._waiting:
            self._waiting.remove(i)
        self._waiting.append(i)
        while self._waiting and len(self._ready) < MOST:
            first = self._waiting.popleft()
            self._ready.add(first)
            self._envs[first].make_ahead(self._executor)

    def close(self) -> None:
        """Ends the thread; what it has not begun is dropped."""
        self._executor.shutdown(wait=True, cancel_futures=True)

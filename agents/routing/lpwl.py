"""Least prefill work left."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from ..base import Agent, Info, Observation


class Lpwl(Agent):
    """LPWL, least prefill work left: lowest pending prefill with this request's misses.

        score_i = prefill_i + miss_i

    prefill_i are the estimated misses of the requests without a first token. Ties go to the worker with fewer requests
    in flight, then to the next in turn. Source: gahow/agentic-kvc (gitea.gahow.org), commit d9046322.
    """

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self._next = 0

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        miss = observation[self.at["miss"]].tolist()
        prefill = observation[self.at["prefill"]].tolist()
        inflight = observation[self.at["inflight"]].tolist()
        self.scores = [-(p + m) for p, m in zip(prefill, miss, strict=True)]
        n, turn = self.n_workers, self._next
        worker = min(self.legal_workers(info), key=lambda i: (prefill[i] + miss[i], inflight[i], (i - turn) % n))
        self._next = worker + 1
        return worker

"""Least prefill work left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym

from ..base import AGES, Agent, Info, Observation, Range, check_age, check_weights


@dataclass(kw_only=True, eq=False, repr=False)
class Lpwl(Agent):
    """LPWL, least prefill work left: lowest pending prefill with this request's misses.

        score_i = prefill_i + miss_weight x miss_i

    prefill_i are the estimated misses of the requests without a first token. Ties go to the worker with fewer requests
    in flight, then to the next in turn. Source: gahow/agentic-kvc (gitea.gahow.org), commit d9046322, whose weight is
    1. With other weights it is the score of GORGO (arXiv 2602.11688) without its round-trip times, of which there are
    none here, and without its search for weights.

    Args:
        miss_weight: Of this request's own misses (default 1). Above it, a prompt goes to a longer queue for a longer
            match; 8 is ours.
        max_age_s: A match that was sent longer ago than that counts as cold; None: none does (default). Ours: a
            router that is not told of evictions may guess that what is old is gone.
    """

    draws = False
    tunable: ClassVar[Mapping[str, Range]] = {"miss_weight": (0.5, 32.0, "log"), "max_age_s": AGES}
    miss_weight: float = 1.0
    max_age_s: float | None = None

    def __post_init__(self) -> None:
        """Checks the arguments."""
        check_weights(self, "miss_weight")
        check_age(self)

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self._next = 0

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        costs = self.column(observation, "prefill") + self.miss_weight * self.misses(observation, self.max_age_s)
        best = self.cheapest(costs, info)
        inflight, n, turn = observation[self.at["inflight"]], self.n_workers, self._next
        worker = min(best, key=lambda i: (inflight[i], (i - turn) % n))
        self._next = worker + 1
        return worker

"""The conductor of Mooncake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym

from ..base import EXACT, Agent, Info, Observation
from .prefill_time import PrefillTime


class Mooncake(Agent):
    """The conductor of Mooncake: lowest expected time to first token, what other workers have counted in.

        TTFT_i = transfer_i + seconds of the pending prefill_i + seconds of this prefill after match_i known tokens

    Where pages can be fetched from another worker, those that it has are known tokens, too, and transfer_i is what the
    environment expects the fetch to take (0 elsewhere). Lowest index of equals.

    Source: Qin et al., "Mooncake", FAST 2025, algorithm 1. There a fetch is planned where the best match is longer than
    the own one by a factor of its choice; here wherever the environment would fetch, which is where that is faster. The
    conductor knows the pool, so the rule asks for the exact view. Requests are never refused, blocks never copied
    beforehand; seconds come from the workers' costs (`agents.routing.prefill_time`), not from a fit.
    """

    env_kwargs: Mapping[str, Any] = EXACT

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self._time = PrefillTime(self.env)
        self._fetches = bool(self.layout.fetches)

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        miss, match = self.misses(observation), self.column(observation, "match")
        costs = self._time.of_tokens(self.column(observation, "prefill"))
        if self._fetches:
            fetched = self.column(observation, "fetch")
            costs = costs + self.column(observation, "fetch_s")
            miss, match = miss - fetched, match + fetched
        return self.cheapest(costs + self._time.of(miss, match), info)[0]

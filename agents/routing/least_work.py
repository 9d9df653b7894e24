"""Join the shortest queue, told how much work is left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from kvgym.sim.base.tables import INFINITE

from ..base import EXACT, Agent, Floats, Info, Observation
from .prefill_time import PrefillTime


class LeastWork(Agent):
    """An oracle: join the shortest queue by true remaining work, output lengths included; the lowest index of equals.

        work_i = n_i x (rest of the prefill under way + seconds of the prefills left) + outputs left x t_i

    in seconds times requests: prefills go first, so each holds up all n_i requests in flight; t_i is the duration of an
    iteration that decodes all of them. Of requests that still wait, the prefill is that of their arrival, by the exact
    view of the caches. Where the request itself would hit plays no part.
    """

    oracle = True
    env_kwargs: Mapping[str, Any] = EXACT

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self._time = PrefillTime(self.env)
        self._costs = [worker.cost for worker in self.env.scenario.cluster.workers]
        self._here = np.zeros(0, np.int64)

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        return self.cheapest(self.work(), info)[0]

    def work(self) -> Floats:
        """Work left, in seconds times requests: float64 (n_workers,)."""
        tables = self.env.simulator.tables
        progress, requests, workers = tables["progress"], tables["requests"], tables["workers"]
        rows = np.flatnonzero((progress["arrived_ps"] >= 0) & (progress["finish_ps"] < 0) & (progress["worker"] >= 0))
        at, sent = progress[rows], requests[rows]
        tokens = np.minimum(at["miss_estimate"], sent["prompt_tokens"] - at["computed"]) - at["chunk"]
        tokens = tokens.clip(0) * (at["emitted"] == 0)  # those that are being computed are counted by their iteration
        count = np.bincount(at["worker"], minlength=self.n_workers)
        prefill, outputs, kv = (
            np.bincount(at["worker"], weights, self.n_workers).astype(np.float64)
            for weights in (tokens, sent["output_tokens"] - at["emitted"], sent["prompt_tokens"] + at["emitted"])
        )
        batches = zip(self._costs, count.tolist(), kv.astype(np.int64).tolist(), strict=True)
        turn = np.array([cost.seconds(0, 0, 0, decodes, held) if decodes else 0.0 for cost, decodes, held in batches])
        computes = (workers["prefill_tokens"] > 0) & (workers["event_ps"] < INFINITE)
        under_way = np.where(computes, workers["event_ps"] - tables["clock"]["now_ps"], 0) * 1e-12
        work: Floats = count * (under_way + self._time.of_tokens(prefill)) + outputs * turn
        return work

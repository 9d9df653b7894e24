"""Join the queue with the least work left, told how much that is."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from ..base import Agent, Floats, Info, Observation
from .prefill_time import PrefillTime


class LeastWork(Agent):
    """An oracle: the worker with the least work left, true output lengths included; the lowest index of equals.

        work_i = seconds of the prefill that is left + outputs left / requests x seconds of an iteration with all of them

    over the requests in flight: how long the worker would take to be empty if all of them ran together. Of requests
    that still wait, the prefill is the router's estimate at their arrival. It knows nothing of caches: what join the
    shortest queue could be if counts were work.
    """

    oracle = True

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
        """Seconds of work left: float64 (n_workers,)."""
        tables = self.env.simulator.tables
        progress, requests = tables["progress"], tables["requests"]
        rows = np.flatnonzero((progress["arrived_ps"] >= 0) & (progress["finish_ps"] < 0) & (progress["worker"] >= 0))
        at, sent = progress[rows], requests[rows]
        n = self.n_workers
        prefill = np.minimum(at["miss_estimate"], sent["prompt_tokens"] - at["computed"]).clip(0) * (at["emitted"] == 0)
        outputs = sent["output_tokens"] - at["emitted"]
        kv = (sent["prompt_tokens"] + at["emitted"]).clip(0)
        count, prefill, outputs, kv = (
            np.bincount(at["worker"], weights, n) for weights in (None, prefill, outputs, kv)
        )
        turn = np.array([c.seconds(0, 0, 0, int(b), int(k)) if b else 0.0 for c, b, k in zip(self._costs, count, kv)])
        work: Floats = self._time.of_tokens(prefill) + outputs / np.maximum(count, 1) * turn
        return work

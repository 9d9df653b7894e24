"""The product rule of LMetric."""

from __future__ import annotations

from ..base import Agent, Info, Observation, lowest


class LMetric(Agent):
    """Lowest product of pending prefill and batch size; the lowest index of equals. It has no constant to tune.

        score_i = (prefill_i + miss_i) x (inflight_i + 1)

    prefill_i are the estimated misses of the requests without a first token, miss_i those of this request. The paper
    (LMetric, arXiv 2603.15202) multiplies by the batch size itself; the + 1, as in the "lmetric" mode of NVIDIA
    Dynamo's router, keeps idle workers apart, whose scores would all be 0.
    """

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        miss = observation[self.at["miss"]].tolist()
        prefill = observation[self.at["prefill"]].tolist()
        inflight = observation[self.at["inflight"]].tolist()
        costs = [(p + m) * (n + 1.0) for p, m, n in zip(prefill, miss, inflight, strict=True)]
        self.scores = [-cost for cost in costs]
        return lowest(costs, self.legal_workers(info))

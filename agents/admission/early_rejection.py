"""Refuses what would come too late anyway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym

from ..base import ARRIVAL, DECISION, FIRST_TOKEN, Agent, Info, Observation, lowest

GAIN = 1 / 16


class EarlyRejection(Agent):
    """The worker with the least to prefill; a request whose first token would come after its target is refused.

    The idea is Mooncake's early rejection (arXiv 2407.00079, section 7). The time to the first token is predicted as
    proportional to the tokens to prefill, this request's own included: the factor is that of the requests which have
    finished, the latest counting most. Requests of a class without a TTFT target are never refused.
    """

    env_kwargs: Mapping[str, Any] = {"admission": True}

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self._backlogs: list[float] = []  # per decision, of the worker with the least
        self._ttft = self._backlog = 0.0  # moving averages

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        for row in self.env.finished().tolist():
            if row[DECISION] >= 0:
                self._ttft += GAIN * (row[FIRST_TOKEN] - row[ARRIVAL] - self._ttft)
                self._backlog += GAIN * (self._backlogs[int(row[DECISION])] - self._backlog)
        at = self.at
        tokens = (observation[at["prefill"]] + observation[at["miss"]]) / observation[at["speed"]]
        worker = lowest(tokens.tolist(), self.legal_workers(info))
        self._backlogs.append(float(tokens[worker]))
        s_per_token = self._ttft / self._backlog if self._backlog > 0 else 0.0
        target = float(observation[at["slo_ttft"]])
        refusal = -target if target > 0 else float("nan")
        self.scores = [*(-s_per_token * tokens).tolist(), refusal]
        return self.n_workers if self.scores[worker] < refusal else worker

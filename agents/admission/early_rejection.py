"""Refuses what would come too late anyway."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from ..base import ARRIVAL, DECISION, FIRST_TOKEN, Agent, Info, Observation, lowest

GAIN = 1 / 16


class EarlyRejection(Agent):
    """The worker with the least to prefill; a request whose first token would come after its target is refused.

    The idea is Mooncake's early rejection (arXiv 2407.00079, section 7). The time to the first token is predicted as
    proportional to the tokens to prefill until then: those of the request, of the waiting ones, and where queues go by
    priority of no more than the unfinished ones of classes that go first or are its own. The factor is that of a full
    iteration at first, then that of the requests of its class which have finished, the latest counting most. Requests
    of a class without a TTFT target are never refused.
    """

    env_kwargs: Mapping[str, Any] = {"admission": True}

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        scenario = self.env.scenario
        chunk = scenario.engine.chunk_tokens
        full = min(float(worker.cost.g_ps(chunk)[chunk]) for worker in scenario.cluster.workers) * 1e-12
        # Per class: averages of seconds and of tokens until then; unfinished misses on each worker.
        self._averages: dict[int, NDArray[np.float64]] = defaultdict(lambda: np.array([full, chunk]))
        self._unfinished: dict[int, NDArray[np.float64]] = defaultdict(lambda: np.zeros(self.n_workers))
        self._sent: list[tuple[int, int, float, float]] = []  # per decision: class, worker, misses, tokens until then
        by_priority = scenario.engine.queue == "priority"
        self._priority = [one.get("priority", 0) for one in scenario.classes] if by_priority else []

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        self._learn(info)
        at = self.at
        of = int(observation[at["class"]])
        waiting, misses = observation[at["prefill"]], observation[at["miss"]]
        if len(self._priority) > 1:
            first = [each for each in self._unfinished if self._priority[each] <= self._priority[of]]
            waiting = np.minimum(waiting, sum((self._unfinished[each] for each in first), np.zeros(self.n_workers)))
        tokens = ((waiting + misses) / observation[at["speed"]]).tolist()
        worker = lowest(tokens, self.legal_workers(info))
        seconds, until_then = self._averages[of].tolist()
        target = float(observation[at["slo_ttft"]])
        self.scores = [-seconds / until_then * each for each in tokens] + [-target if target > 0 else float("nan")]
        refuses = self.scores[worker] < self.scores[-1]
        self._sent.append((of, worker, float(misses[worker]), tokens[worker]))
        if refuses:
            return self.n_workers
        self._unfinished[of][worker] += misses[worker]
        return worker

    def _learn(self, info: Info) -> None:
        """What has finished since the last decision, and what has crashed."""
        for worker in self.fallen(info):
            for unfinished in self._unfinished.values():
                unfinished[worker] = 0.0
        for row in self.env.finished().tolist():
            if row[DECISION] >= 0:
                of, worker, misses, tokens = self._sent[int(row[DECISION])]
                self._unfinished[of][worker] -= misses
                self._averages[of] += GAIN * (np.array([row[FIRST_TOKEN] - row[ARRIVAL], tokens]) - self._averages[of])

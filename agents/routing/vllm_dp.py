"""Rules that balance by the engines' queues: vLLM's own, and SkyWalker's."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from ..base import Agent, Floats, Info, Observation
from .prompt_index import PromptIndex


class Queues(Agent):
    """Base of rules that count their own sends on top of the last snapshot of the engines' queues."""

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self._sent: Floats = np.zeros(self.n_workers)
        self._taken: Floats = np.full(self.n_workers, -np.inf)

    def queued(self, observation: Observation, info: Info) -> Floats:
        """Requests in the engines' queues, and those sent since they were counted: float64 (n_workers,)."""
        age = self.column(observation, "age")
        taken = info["time"] - age
        new = (age == 0.0) | (taken > self._taken + 1e-4)  # ages are single precision
        self._sent[new] = 0.0
        self._taken = np.where(new, taken, self._taken)
        return self.column(observation, "queued") + self._sent

    def send(self, worker: int) -> int:
        """Counts a send."""
        self._sent[worker] += 1.0
        return worker


class VllmDp(Queues):
    """vLLM's balancer of data parallel engines: lowest 4 x waiting + running, the lowest index of equals.

    Counts are those of the last snapshot (every 100 ms there, the scenario's metrics here), with what was sent since
    counted as waiting. Source: vllm-project/vllm, vllm/v1/engine/core_client.py (DPLBAsyncMPClient), with one client.
    """

    draws = False

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        costs = 4.0 * self.queued(observation, info) + self.column(observation, "running")
        return self.send(self.cheapest(costs, info)[0])


class SkyWalker(Queues):
    """SkyWalker's selective pushing: the longest match among the workers whose queue is empty (join the idle queue).

    Fewest in flight, then the lowest index, of equals. The match is that of the router's own prefix tree, which forgets
    nothing. Source: Xia et al., "SkyWalker", arXiv 2505.24095. There a request waits in the balancer while every queue
    has somebody in it; a router here has to send it, so it goes to the shortest queue. One region, one balancer.
    """

    draws = False

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self.index = PromptIndex(self.env, 1)

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        match, inflight = self.index.look_up(self.fallen(info)), self.column(observation, "inflight")
        best = self.cheapest(self.queued(observation, info), info)
        worker = min(best, key=lambda i: (-match[i], inflight[i]))
        self.index.add(worker)
        return self.send(worker)

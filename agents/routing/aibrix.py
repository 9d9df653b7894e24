"""The prefix-cache rules of AIBrix."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from kvgym import _check

from ..base import Agent, Info, Observation, Range, check_weights, draw, least, most
from .prompt_index import PromptIndex


@dataclass(kw_only=True, eq=False, repr=False)
class AiBrix(Agent):
    """prefix-cache of AIBrix: the longest match among workers that are not far above the mean load.

    1. If max > imbalance_factor x (mean + 1) and max - min >= min_gap of the requests in flight, only the workers with
       the fewest can match.
    2. Those that match, the longest first (in whole percent), then the fewest in flight, then at random: the first one
       with at most mean + deviations x standard deviation in flight.
    3. Without any: the fewest in flight, equals at random.

    Source: vllm-project/aibrix (01de8a51), pkg/plugins/gateway/algorithms/prefix_cache.go and
    pkg/utils/prefixcacheindexer/hash.go: blocks of 4 characters in one table of 200,000 for all pods. Blocks are pages
    here, and they are not forgotten after 20 minutes.

    Args:
        imbalance_factor: See 1 (default 2).
        min_gap: See 1 (default 8).
        deviations: See 2 (default 1).
        table_tokens: Tokens that the table holds (default 200,000: a block is a token of four characters).
    """

    tunable: ClassVar[Mapping[str, Range]] = {
        "imbalance_factor": (1.0, 4.0),
        "min_gap": (1.0, 32.0, "log"),
        "deviations": (0.0, 4.0),
    }
    imbalance_factor: float = 2.0
    min_gap: float = 8.0
    deviations: float = 1.0
    table_tokens: int = 200_000

    def __post_init__(self) -> None:
        """Checks the arguments."""
        check_weights(self, "imbalance_factor", "min_gap", "deviations")
        self.table_tokens = _check.whole("table_tokens", self.table_tokens, 1)

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self.index = PromptIndex(self.env, 1, self.table_tokens)

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        tokens = self.index.look_up(self.fallen(info))
        prompt = float(observation[self.at["prompt"]])
        inflight, can_match = self.column(observation, "inflight"), tokens > 0.0
        loads = inflight
        if not self.all_up(info):
            up = self.up(info)
            loads, can_match = inflight[up], can_match & up
        mean = loads.sum() / len(loads)
        fewest, highest = least(loads), most(loads)
        if highest > self.imbalance_factor * (mean + 1.0) and highest - fewest >= self.min_gap:
            can_match &= inflight == fewest
        away = loads - mean
        can_match &= inflight <= mean + self.deviations * math.sqrt(away @ away / max(1, len(loads) - 1))
        near = can_match.nonzero()[0]
        costs = inflight
        if len(near):
            costs = np.full(self.n_workers, np.inf)
            costs[near] = inflight[near] - 1e9 * np.floor(100.0 * tokens[near] / prompt)
        worker = draw(self.cheapest(costs, info), self.random)
        self.index.add(worker)
        return worker


@dataclass(kw_only=True, eq=False, repr=False)
class Preble(Agent):
    """Preble's E2 as in AIBrix: what is mostly known goes to a holder, what is new where the last minutes cost least.

    1. If some worker was sent more than half of the prompt: of those that were sent most of it, the one with the
       fewest requests in the window.
    2. Else the lowest cost of what a worker was sent in the window. Lowest index of equals, in both.

        cost of a request = new / prompt x prefill(new) + 45 x 0.15 s      new: tokens that no prompt had before
        prefill(n)        = (linear(n) + attention(prompt) + quadratic(n)) / 0.9

    with the times of Mistral 7B on a V100, which are AIBrix's default.

    Source: vllm-project/aibrix (0338af7d), pkg/plugins/gateway/algorithms/prefix_cache_preble.go, after Preble (arXiv
    2407.00023), whose cost has the recomputation of what would be evicted besides. Requests are counted one by one
    here; there, prompts that end at the same node of its tree share a decode.

    Args:
        window_s: See above (default 180).
        threshold: Share of the prompt above which rule 1 holds (default 0.5).
    """

    tunable: ClassVar[Mapping[str, Range]] = {"window_s": (5.0, 600.0, "log"), "threshold": (0.05, 0.95)}
    window_s: float = 180.0
    threshold: float = 0.5

    def __post_init__(self) -> None:
        """Checks the arguments."""
        self.window_s = _check.finite("window_s", self.window_s, 1e-6)
        self.threshold = _check.finite("threshold", self.threshold, 0.0, 1.0)

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self.index = PromptIndex(self.env, 1)
        self._window: deque[tuple[float, int, float]] = deque()
        self.costs, self.counts = np.zeros(self.n_workers), np.zeros(self.n_workers)

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        now, prompt = info["time"], float(observation[self.at["prompt"]])
        while self._window and self._window[0][0] <= now - self.window_s:
            _, worker, cost = self._window.popleft()
            self.costs[worker] -= cost
            self.counts[worker] -= 1.0
        tokens = self.index.look_up(self.fallen(info))
        longest = most(tokens)  # of one that is up: the index forgets the others
        explores = longest <= self.threshold * prompt
        costs = self.costs if explores else np.where(tokens == longest, self.counts, np.inf)
        worker = self.cheapest(costs, info)[0]
        self.index.add(worker)
        new = prompt - float(longest)
        cost = new / prompt * v100_prefill_s(new, prompt) + 45 * 0.15
        self._window.append((now, worker, cost))
        self.costs[worker] += cost
        self.counts[worker] += 1.0
        return worker


def v100_prefill_s(new: float, prompt: float) -> float:
    """AIBrix's time for `new` tokens of a prompt with Mistral 7B on a V100 (s)."""
    if new >= 384:
        linear = 0.27106428 * new + 10.52444263
    elif new >= 192:
        linear = -295 + 3.125 * new - 6.4e-3 * new**2
    else:
        linear = 55.0
    attention = 0.8 if prompt <= 1024 else 4.65e-4 * prompt + 0.398
    if prompt > 1024 and new <= 1024:
        attention /= 2
    quadratic = -18.425 + 9.65e-3 * new + 5.4e-6 * new**2 if new >= 4096 else 0.0
    return (linear + attention + quadratic) / 0.9 / 1e3

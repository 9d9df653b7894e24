"""GORGO, which searches its weights while it routes."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from kvgym import _check

from ..base import ARRIVAL, DECISION, FIRST_TOKEN, Agent, Info, Observation, Range, check_weights
from .prompt_index import PromptIndex

_LOW, _HIGH = 1e-5, 5.0
_SIGMA, _LEAST_SIGMA, _DECAY = 0.5, 0.05, 0.817
_RECENT, _TARGET, _TOLERANCE = 8, 0.2, 0.005


class WeightSearch:
    """A (1+1) evolution strategy on the logarithm of a weight, with the rule of one fifth.

    What comes first is scored as it is. Then the best weight so far is multiplied by exp(sigma z), z normal, and kept
    within 1e-5 .. 5; what it scored replaces the best if it is above best x 1.005. From eight trials on, sigma grows
    (/ 0.817) where more than a fifth of the last eight were accepted and shrinks (x 0.817) where fewer were. Below 0.05
    the search is over.

    Args:
        weight: The first one.
        random: Draws z.
    """

    def __init__(self, weight: float, random: Random) -> None:
        """Has tried nothing yet."""
        self.best = self.tried = min(max(weight, _LOW), _HIGH)
        self.sigma = _SIGMA
        self.over = False
        self._score: float | None = None
        self._recent: deque[bool] = deque(maxlen=_RECENT)
        self._random = random

    def report(self, score: float) -> float:
        """Takes the score of the weight that was tried last, higher is better; returns the next one to try."""
        if self._score is None:
            self._score = score
        else:
            self._judge(score)
        self.over = self.sigma < _LEAST_SIGMA
        self.tried = self.best if self.over else self._mutant()
        return self.tried

    def _judge(self, score: float) -> None:
        assert self._score is not None
        # Scores are negative: what is less than half a percent worse is accepted, too, as there.
        accepted = score > self._score * (1.0 + _TOLERANCE)
        if accepted:
            self._score, self.best = score, self.tried
        self._recent.append(accepted)
        if len(self._recent) == _RECENT:
            rate = sum(self._recent) / _RECENT
            if rate > _TARGET:
                self.sigma /= _DECAY
            elif rate < _TARGET:
                self.sigma *= _DECAY

    def _mutant(self) -> float:
        return min(max(math.exp(math.log(self.best) + self.sigma * self._random.gauss(0.0, 1.0)), _LOW), _HIGH)


@dataclass(kw_only=True, eq=False, repr=False)
class Gorgo(Agent):
    """GORGO: lowest weighted sum of the prompt's misses and the tokens in flight; the weight is tuned while it routes.

        score_i = prefill_weight x miss_i + load_weight x tokens_i

    miss_i by the router's own index, which forgets nothing; tokens_i the prompt tokens of the requests that were sent
    and are not finished, hits included. Lowest index of equals. Every `hop` finished requests, once `window` have, the
    weight is scored by minus the 95th percentile of the last `window` times to first token, and the next one is tried
    (`WeightSearch`).

    Source: GORGO (arXiv 2602.11688), gorgo-lb 0.2.0 of PyPI, gorgo/policy/gorgo.py and gorgo/tuner.py (online-es). Its
    third term, the round-trip time to a replica, is 0 within a cluster, so that the search there has a weight without
    effect besides; `load_weight` is not searched by default there either. A worker that is gone is forgotten.

    Args:
        prefill_weight: See above, the first one where it is tuned (default 1).
        load_weight: See above (default 1).
        tunes: Whether the weight is searched (default True).
        window: Finished requests that a weight is scored by (default 100).
        hop: Finished requests between two weights (default 50).
    """

    tunable: ClassVar[Mapping[str, Range]] = {"prefill_weight": (0.02, 50.0, "log")}
    prefill_weight: float = 1.0
    load_weight: float = 1.0
    tunes: bool = True
    window: int = 100
    hop: int = 50

    def __post_init__(self) -> None:
        """Checks the arguments."""
        check_weights(self, "prefill_weight", "load_weight")
        self.tunes = _check.flag("tunes", self.tunes)
        self.window, self.hop = (_check.whole(name, getattr(self, name), 1) for name in ("window", "hop"))

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self.index = PromptIndex(self.env, 1)
        self.tokens = np.zeros(self.n_workers)
        self.weight = self.prefill_weight
        self.search = WeightSearch(self.prefill_weight, self.random)
        self._sent: dict[int, tuple[int, float]] = {}
        self._ttfts: deque[float] = deque(maxlen=self.window)
        self._decisions = self._since = 0

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        for row in self.env.finished().tolist():
            worker, tokens = self._sent.pop(int(row[DECISION]), (0, 0.0))  # none of those of the warm-up
            self.tokens[worker] -= tokens
            self._learn(row[FIRST_TOKEN] - row[ARRIVAL])
        gone = self.fallen(info)
        for worker in gone:
            self.tokens[worker] = 0.0
            self._sent = {decision: sent for decision, sent in self._sent.items() if sent[0] != worker}
        prompt = float(observation[self.at["prompt"]])
        miss = prompt - self.index.look_up(gone)
        worker = self.cheapest(self.weight * miss + self.load_weight * self.tokens, info)[0]
        self.index.add(worker)
        self._sent[self._decisions] = worker, prompt
        self.tokens[worker] += prompt
        self._decisions += 1
        return worker

    def _learn(self, ttft: float) -> None:
        """Counts a finished request; scores the weight when it is time."""
        self._ttfts.append(ttft)
        self._since += 1
        if not self.tunes or self.search.over or self._since < self.hop or len(self._ttfts) < self.window:
            return
        self._since = 0
        ordered = sorted(self._ttfts)
        self.weight = self.search.report(-ordered[round(0.95 * (len(ordered) - 1))])

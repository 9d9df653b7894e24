"""A planner that does not know the future: it looks ahead on futures that are drawn anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import gymnasium as gym
import numpy as np

from kvgym import _check
from kvgym.sim import ROUTERS
from kvgym.sim.lookahead import Lookahead

from ..base import Agent, Info, Observation
from .planner import cost_column

MAX_SEED = 2**31


@dataclass(kw_only=True, eq=False, repr=False)
class PlannerBlind(Agent):
    """An oracle of the present alone: at each decision it tries every worker in several futures drawn anew.

    In each of them the request goes to a worker, a rule routes the next arrivals, and all that are there by then are
    worked off. The worker of the lowest mean cost over the futures, which are the same for all workers, with the best
    rule for it, is taken. What a future drawn anew still tells of the true one: docs/semantics.md#d8-future-drawn-anew.
    It reads the engines' state, so it is not ranked.

    Args:
        rules: Rules of `kvgym.sim.ROUTERS` that route after the request, each tried.
        futures: How many are drawn at each decision.
        ahead: Arrivals that it looks ahead.

    Raises:
        ValueError: If there is no rule, one that there is not, or a number is below 1.
    """

    oracle = True
    rules: Sequence[str] = ("least_prefill_aged",)
    futures: int = 4
    ahead: int = 64

    def __post_init__(self) -> None:
        """Checks the arguments."""
        if not self.rules:
            raise ValueError("rules must name at least one rule, got none")
        for rule in self.rules:
            _check.choice("rules", rule, ROUTERS[1:])
        _check.whole("futures", self.futures, 1)
        _check.whole("ahead", self.ahead, 1)

    def reset(self, env: gym.Env[object, object], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self._lookahead = Lookahead()
        self._column = cost_column(self.env)

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        total = np.zeros((len(self.rules), self.n_workers))
        for _ in range(self.futures):
            drawn = self.env.simulator.clone(resample_future=self.random.randrange(MAX_SEED))
            for number, rule in enumerate(self.rules):
                total[number] += self._lookahead.costs(drawn, rule, self.ahead)[:, self._column]
        return self.cheapest(total.min(axis=0) / self.futures, info)[0]

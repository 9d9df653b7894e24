"""A planner that does not know the future: it looks ahead on futures that are drawn anew."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium as gym
import numpy as np

from kvgym import _check
from kvgym.sim import ROUTERS
from kvgym.sim.lookahead import Lookahead

from ..base import Agent, Info, Observation, check_weights
from .planner import cost_column

MAX_SEED = 2**31


@dataclass(kw_only=True, eq=False, repr=False)
class PlannerBlind(Agent):
    """A rule, improved by trying every worker at each decision, in several futures drawn anew.

    In each of them the request goes to a worker, the rule routes the next arrivals, and all that are there by then are
    worked off. Futures are the same for all workers, so costs are compared in pairs, with that of the worker which the
    rule itself takes: d is the mean difference over the futures, e its standard error. The lowest d + caution x e goes,
    0 for the rule's own worker: where futures disagree, the rule stands.

    What a future drawn anew still tells of the true one: docs/semantics.md#d8-future-drawn-anew. It reads the engines'
    state and what has arrived in full, output lengths included, so it is an oracle and not ranked.

    Args:
        rule: A rule of `kvgym.sim.ROUTERS`.
        futures: How many are drawn at each decision.
        ahead: Arrivals that it looks ahead.
        caution: Standard errors; 0: it believes the mean.

    Raises:
        ValueError: If there is no such rule, a whole number is too small (futures: 2, ahead: 1), or `caution` is below
            0 or not finite.
    """

    oracle = True
    rule: str = "least_prefill_aged"
    futures: int = 8
    ahead: int = 64
    caution: float = 1.0

    def __post_init__(self) -> None:
        """Checks the arguments."""
        _check.choice("rule", self.rule, ROUTERS[1:])
        _check.whole("futures", self.futures, 2)
        _check.whole("ahead", self.ahead, 1)
        check_weights(self, "caution")

    def reset(self, env: gym.Env[object, object], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self._column = cost_column(self.env)
        self._lookahead = Lookahead()

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        simulator = self.env.simulator
        up = self.up(info)
        costs = np.zeros((self.futures, self.n_workers))
        for future in range(self.futures):
            drawn = simulator.clone(resample_future=self.random.randrange(MAX_SEED))
            costs[future] = self._lookahead.costs(drawn, self.rule, self.ahead)[:, self._column]
        costs[:, ~up] = 0.0  # infinite there
        costs -= costs[:, [self._lookahead.choice(simulator.clone(), self.rule)]]
        errors = costs.std(axis=0, ddof=1) / np.sqrt(self.futures)
        return self.cheapest(costs.mean(axis=0) + self.caution * errors, info)[0]

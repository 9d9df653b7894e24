"""A routing agent that always names the same evictor, for KVGym/Joint-v0 in rule form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium as gym

from kvgym import _check
from kvgym.envs.settings import V0_RULES
from kvgym.envs.view import is_oracle
from kvgym.evaluation.stage import JOINT, ROUTE, env_kwargs_of
from kvgym.sim import RULES

from ..base import Agent, Info, Observation
from .pair import Part, as_agent, tell_training


class RulePair(Agent):
    """A routing agent, and an evictor of the simulator: the action is the worker and the evictor's number.

    It is the simplest agent of the rule form, and a start for one that changes the rule with the request. During the
    warm-up the scenario's own evictor is at work, so that the result is not exactly that of KVGym/Route-v0 with
    `evictor=rule`.

    Args:
        router: Who routes: an agent, or a name that `agents.make_agent` knows.
        rule: One of `kvgym.sim.RULES`.

    Raises:
        ValueError: If `router` plays another environment, or there is no such rule.
    """

    environment: ClassVar[str] = JOINT
    env_kwargs: Mapping[str, Any] = {"action": "rule"}

    def __init__(self, router: Part, rule: str) -> None:
        """Makes the router and checks both."""
        self.router = as_agent("router", router, ROUTE)
        self.rule = _check.choice("rule", rule, RULES)
        self.observation = self.router.observation
        choices = {} if rule in V0_RULES else {"rules": (*V0_RULES, rule)}
        self.env_kwargs = {**env_kwargs_of(self.router), **type(self).env_kwargs, **choices}
        self.oracle = is_oracle(self.router)
        self.draws = getattr(self.router, "draws", True)
        tell_training(self, self.router)

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`."""
        super().reset(env, seed)
        self.router.reset(env, seed)  # it sees what it would see in Route-v0, but for a longer mask
        self._number = self.env.rules.index(self.rule)

    def act(self, observation: Observation, info: Info) -> tuple[int, int]:
        """See `Agent.act`."""
        own = {**info, "action_mask": info["action_mask"][: self.n_workers]}
        return self.router.act(observation, own), self._number

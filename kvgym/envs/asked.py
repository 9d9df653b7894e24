"""What the environments have in common in which an agent evicts: form of the actions, legal ones, costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kvgym import _check
from kvgym.envs.base import ClusterEnv, Observation, Result
from kvgym.sim.evictors import EVICTORS, RULES


class AskedEnv(ClusterEnv):
    """Base of the environments with EVICT decisions.

    Attributes:
        rules: Evictors that the rule form names by their place here.
    """

    def _set_form(
        self, action: str, forms: Sequence[str], candidates: int, quantum: str | int, rules: Sequence[str] | None
    ) -> int:
        """Takes the arguments that say what an action is; returns the number of slots, 0 in rule form."""
        self._leaf = _check.choice("action", action, forms) == "leaf"
        if self._leaf and rules is not None:
            raise ValueError(f'rules is for action="rule", got {rules!r} with action="leaf"')
        for name, given, default in (("candidates", candidates, 16), ("quantum", quantum, "leaf")):
            if not self._leaf and given != default:
                raise ValueError(f'{name} is for action="leaf", got {given!r} with action="rule"')
        self.rules = check_rules(rules)
        self._rule_numbers = [EVICTORS.index(rule) for rule in self.rules]
        return check_candidates(candidates) if self._leaf else 0

    def _begin(self, seed: int | None, options: dict[str, Any] | None) -> np.random.SeedSequence:
        self._paid = (0.0, 0.0)  # costs since the start that rewards have paid
        return super()._begin(seed, options)

    def _paid_outcome(
        self, observation: Observation, result: Result
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """What `step` returns, from a result with the costs since the start."""
        code, e2e, ttft, time, session = result
        before, self._paid = self._paid, (e2e, ttft)
        return self._outcome(observation, (code, e2e - before[0], ttft - before[1], time, session))


def check_rules(rules: Sequence[str] | None) -> tuple[str, ...]:
    """Names of evictors to choose from, default: all of `RULES`.

    Raises:
        ValueError: If they are not two or more different ones of `RULES`.
    """
    if rules is None:
        return RULES
    if not isinstance(rules, (list, tuple)) or len(rules) < 2:
        raise ValueError(f"rules must be a list of two or more different evictors, got {rules!r}")
    names = tuple(_check.choice("rules", rule, RULES) for rule in rules)
    if len(set(names)) != len(names):
        raise ValueError(f"rules must be a list of two or more different evictors, got {rules!r}")
    return names


def check_candidates(candidates: int) -> int:
    """Slots of an EVICT decision.

    Raises:
        ValueError: If it is no even number >= 2.
    """
    slots = _check.whole("candidates", candidates, 2)
    if slots % 2:
        raise ValueError(f"candidates must be an even number >= 2, got {candidates!r}")
    return slots

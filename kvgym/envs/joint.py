"""KVGym/Joint-v0: routing and eviction by one agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from kvgym import _check
from kvgym.envs.asked import AskedEnv
from kvgym.envs.base import Observation, Result
from kvgym.envs.kernels.codes import EVICT_LEAF, LOOK, SEND
from kvgym.envs.layout import Layout
from kvgym.envs.unknown import explains_unknown
from kvgym.scenarios import ScenarioLike
from kvgym.sim import RULES
from kvgym.sim.base.codes import EVICT, ROUTE
from kvgym.sim.evictors import ASK

FORMS = ("rule", "leaf")


class JointEnv(AskedEnv):
    """Routes requests and evicts cached KV pages in a simulated LLM serving cluster.

    ## Description
    KVGym/Route-v0 and KVGym/Evict-v0 in one: which worker serves a request, and what has to go for it there.

    ## Action Space
    `action="rule"` (default): `MultiDiscrete([M, P])` at each arrival: the worker, and the evictor of `rules` that does
    all evictions which this request will force. `action="leaf"`: `Discrete(M + K)`: at an arrival 0 .. M-1 is the
    worker; where pages are wanted, M .. M+K-1 is the candidate's slot, as in KVGym/Evict-v0.

    `info["action_mask"]` (int8; the masks of worker and rule one after the other in rule form) and `action_masks()`
    (bool) say what may be chosen; what is not asked may not. An action outside the space raises; one inside that is
    not legal stands for legal[a mod number of legal ones], and is counted in `n_invalid`.

    ## Observation Space
    `Box(float32)`. Rule form: that of KVGym/Route-v0. Leaf form: 2 features that say which decision is due, the request
    (14), 22 per worker (2 more where pages may be fetched), 6 on what is wanted, 14 per candidate (zeros at an
    arrival); see `kvgym.envs.features`.

    ## Rewards
    As in KVGym/Route-v0.

    ## Starting State
    Empty caches, then `warmup_requests` arrivals played by the scenario's `warmup_router`. In rule form the scenario's
    evictor does their evictions, in leaf form the agent does.

    ## Episode End
    As in KVGym/Route-v0.

    ## Arguments
    Those of KVGym/Route-v0 but `evictor`, and `action` ("rule" or "leaf"), `candidates`, `quantum`, `rules` as in
    KVGym/Evict-v0.

    ## Info
    As in KVGym/Route-v0.

    ## Version History
    * v0: first version.
    """

    @explains_unknown
    def __init__(
        self,
        scenario: ScenarioLike = "gsp-stable",
        *,
        scenario_overrides: Mapping[str, Any] | None = None,
        action: str = "rule",
        candidates: int = 16,
        quantum: str | int = "leaf",
        rules: Sequence[str] | None = None,
        observation: str = "scaled",
        reward: str | None = None,
        horizon: str = "drain",
        split: str = "train",
        render_mode: str | None = None,
    ) -> None:
        """Makes the environment; see the class for the arguments.

        Raises:
            ValueError: If an argument is not allowed.
        """
        super().__init__(
            scenario,
            scenario_overrides=scenario_overrides,
            observation=observation,
            reward=reward,
            horizon=horizon,
            split=split,
            render_mode=render_mode,
        )
        slots = self._set_form(action, FORMS, candidates, quantum, rules)
        if self._leaf:
            self.action_space = spaces.Discrete(self._n + slots)
        else:
            self.action_space = spaces.MultiDiscrete([self._n, len(self.rules)])
            _check.choice("the evictor of the scenario, which plays the warm-up", self.scenario.evictor, RULES)
        self._warmup_evictor = None if self._leaf else self.scenario.evictor
        self._n_mask = self._n + (slots if self._leaf else len(self.rules))
        simulator = self.scenario.simulator("agent", "agent", candidates=slots, quantum=quantum)
        layout = Layout(self._n, evicts=self._leaf, n_candidates=slots, fetches=self.scenario.transfers)
        self._open(layout, simulator)
        self._mask = np.ones(self._n_mask, np.int8)

    def _advance(self, kind: int, choice: int, rule: int) -> tuple[Observation, Result]:
        """Acts and runs to the next decision, with its mask."""
        observation = np.empty(self._size, np.float32)
        mask = self._mask = np.ones(self._n_mask, np.int8)
        result = self._act_kernel(self._address, kind, choice, rule, self._form, observation, mask[self._n :])
        if result[0] == EVICT:
            mask[: self._n] = 0
        elif result[0] != ROUTE or not self._leaf:
            mask[:] = 1
        if result[0] == ROUTE and self._fails:
            mask[: self._n] = self.simulator.tables["workers"]["up"]
        return observation, result

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts the next episode and runs to its first decision; see `RouteEnv.reset`."""
        self._begin(seed, options)
        observation, (code, _, _, time, session) = self._advance(LOOK, 0, ASK)
        self._running = code in (ROUTE, EVICT)
        return self._opening(observation, time, session)

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Routes or evicts, and lets time pass until the next decision.

        Raises:
            RuntimeError: Before `reset()` or after the end of the episode.
            ValueError: If `action` is not in the action space.
        """
        kind, choice, rule = self._leaf_action(action) if self._leaf else self._rule_action(action)
        return self._paid_outcome(*self._advance(kind, choice, rule))

    def _leaf_action(self, action: Any) -> tuple[int, int, int]:
        """What the kernel does for an action of the leaf form."""
        choice = self._legal(self._check_action(action, self._n_mask, "a worker or slot"))
        return (SEND, choice, ASK) if choice < self._n else (EVICT_LEAF, choice - self._n, ASK)

    def _rule_action(self, action: Any) -> tuple[int, int, int]:
        """What the kernel does for an action of the rule form."""
        try:
            worker, rule = action
        except (TypeError, ValueError):
            raise ValueError(f"action must be a pair (worker, number of a rule), got {action!r}") from None
        worker = self._legal(self._check_action(worker, self._n, "a worker"), self._n)
        rule = self._check_action(rule, len(self.rules), "a worker and the number of a rule")
        return SEND, worker, self._rule_numbers[rule]

"""KVGym/Evict-v0: which cached pages go when memory is short?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from kvgym.envs.asked import AskedEnv
from kvgym.envs.base import Observation, Result
from kvgym.envs.kernels.codes import EVICT_BY, EVICT_LEAF, LOOK, PASS, SEND
from kvgym.envs.layout import Layout
from kvgym.envs.seat import RouterSeat, check_router
from kvgym.envs.unknown import explains_unknown
from kvgym.scenarios import ScenarioLike
from kvgym.sim.base.codes import EVICT, ROUTE
from kvgym.sim.evictors import ASK

FORMS = ("leaf", "rule")


class EvictEnv(AskedEnv):
    """Evicts cached KV pages on the workers of a simulated LLM serving cluster.

    ## Description
    A worker keeps the KV pages of earlier prompts in a prefix cache, a tree. When a request needs more pages than are
    free, some of the cached ones have to go; only leaves of the tree can (a page is of use only with all pages before
    it), and none that a running request uses. Whoever evicts a prefix that is asked for again pays with its
    computation. Requests are routed by a rule, or by a routing agent.

    ## Action Space
    `action="leaf"` (default): `Discrete(K)`, K = `candidates`. Slots 0 .. K/2-1 offer the least recently used leaves,
    the oldest first; slots K/2 .. K-1 leaves drawn uniformly from those without a mark of RLT (arXiv 2601.18999). So,
    with `quantum=1`, slot 0 is LRU and slot K/2 is RLT. The chosen leaf gives up min(pages wanted, quantum, its tail)
    pages, the tail being what lies above it up to a branch, a locked or a marked page (of a marked leaf, marks stop
    nothing); decisions follow until enough are free, at most 8 for one allocation: LRU frees what the eighth leaves.
    `action="rule"`: `Discrete(P)`: an evictor of `rules`, which frees all that is wanted.

    `info["action_mask"]` (int8) and `action_masks()` (bool) say which slots hold a leaf. An action outside the space
    raises; an empty slot stands for legal[a mod number of legal ones], and is counted in `n_invalid`.

    ## Observation Space
    `Box(float32)`: the request that needs the pages (14 features), 22 per worker, 6 on what is wanted, 14 per
    candidate; see `kvgym.envs.features`. `observation="scaled"` (default) is for networks, `"physical"` has the same
    features in their units.

    ## Rewards
    As in KVGym/Route-v0: minus the time integral of the counted requests in the system (or without a first token), over
    `reward_scale_s`. No time passes between the evictions of one start of an iteration: their rewards are 0.

    ## Starting State
    Empty caches. The agent evicts from the first request on; the first `warmup_requests` ones, routed by the scenario's
    `warmup_router`, don't count in the rewards.

    ## Episode End
    As in KVGym/Route-v0. An episode in which nothing has to be evicted has one step, with one legal action.

    ## Arguments
    Those of KVGym/Route-v0 but `evictor`, and
    | argument | default | meaning |
    |---|---|---|
    | `router` | "least_loaded" | a rule of `kvgym.sim.ROUTERS`, or "module:name" of an agent: "agents:lbgr_code" |
    | `action` | "leaf" | "leaf" or "rule" |
    | `candidates` | 16 | K, an even number >= 2 (leaf form) |
    | `quantum` | "leaf" | "leaf" = no limit, or 1: pages that a decision may free (leaf form) |
    | `rules` | all of `kvgym.sim.RULES` | names of the evictors to choose from (rule form) |

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
        router: str = "least_loaded",
        action: str = "leaf",
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
        kernel_router, agent = check_router(router)
        slots = self._set_form(action, FORMS, candidates, quantum, rules)
        self._n_actions = slots if self._leaf else len(self.rules)
        self.action_space = spaces.Discrete(self._n_actions)
        simulator = self.scenario.simulator("agent", kernel_router, candidates=slots, quantum=quantum)
        layout = Layout(self._n, routes=False, evicts=True, n_candidates=slots, fetches=self.scenario.transfers)
        self._open(layout, simulator)
        self._seat = None if agent is None else RouterSeat(self, agent)
        self._mask = np.ones(self._n_actions, np.int8)

    def call_kernel(
        self, kind: int, choice: int, rule: int, form: int, out: Observation, filled: NDArray[np.int8]
    ) -> Result:
        """One call of the kernel `act`."""
        result: Result = self._act_kernel(self._address, kind, choice, rule, form, out, filled)
        return result

    def _advance(self, kind: int, choice: int) -> tuple[Observation, Result]:
        """Acts and runs to the next decision of the agent, with its mask."""
        observation = np.empty(self._size, np.float32)
        mask = self._mask = np.ones(self._n_actions, np.int8)
        result = self.call_kernel(kind, choice, ASK, self._form, observation, mask)
        if result[0] == ROUTE:
            result = self.route_on(observation, mask)
        if result[0] != EVICT:
            mask[:] = 1
        return observation, result

    def routed(self) -> list[int]:
        """The workers that the routing agent has chosen in this episode, in their order; none where a rule routes."""
        return [] if self._seat is None else self._seat.answers

    def route_on(self, observation: Observation, mask: NDArray[np.int8]) -> Result:
        """Lets the routing agent decide until a decision is the agent's; writes what that one sees."""
        assert self._seat is not None
        n_reported = self.simulator.tables["clock"]["n_reported"]
        while True:
            worker = self._seat.choose(mask)
            reported = int(n_reported[0])
            result = self.call_kernel(SEND, worker, ASK, self._form, observation, mask)
            n_reported[0] = reported  # finished() starts at a decision of the agent, not at one of the router
            if result[0] != ROUTE:
                return result

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts the next episode and runs to its first decision; see `RouteEnv.reset`."""
        policy_seed = self._begin(seed, options)
        if self._seat is not None:
            # The first episode as the router would play it in KVGym/Route-v0 from the same seed.
            first = self._episode == 0
            entropy: Any = policy_seed.entropy
            self._seat.reset(int(entropy if first else policy_seed.generate_state(1)[0]))
        observation, (code, _, _, time, session) = self._advance(LOOK, 0)
        self._running = True
        self._over = code != EVICT  # nothing to decide: one step that changes nothing
        if self._over:
            self._mask[1:] = 0
        return self._opening(observation, time, session)

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Evicts, and lets time pass until pages are wanted again.

        Raises:
            RuntimeError: Before `reset()` or after the end of the episode.
            ValueError: If `action` is not in the action space.
        """
        what = "a slot" if self._leaf else "the number of a rule"
        choice = self._legal(self._check_action(action, self._n_actions, what))
        if self._over:
            kind = PASS
        elif self._leaf:
            kind = EVICT_LEAF
        else:
            kind, choice = EVICT_BY, self._rule_numbers[choice]
        return self._paid_outcome(*self._advance(kind, choice))

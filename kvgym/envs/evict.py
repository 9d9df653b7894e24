"""KVGym/Evict-v0: which cached pages go when memory is short?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from kvgym.envs.adapter import RouterAdapter
from kvgym.envs.base import ClusterEnv, Observation, Result
from kvgym.envs.kernels.codes import EVICT_BY, EVICT_LEAF, FORWARD, PASS, SKIP
from kvgym.envs.settings import EvictingSettings, split_router
from kvgym.envs.vector import ClusterVectorEnv
from kvgym.sim.base.codes import DONE, EVICT, ROUTE
from kvgym.sim.evictors import ASK


@dataclass(frozen=True)
class EvictSettings(EvictingSettings):
    """Arguments of `EvictEnv`.

    Attributes:
        router: A rule of `kvgym.sim.ROUTERS` but "agent", or "module:name" of a routing agent.
    """

    router: str = "least_loaded"

    def __post_init__(self) -> None:
        """Checks the arguments."""
        super().__post_init__()
        split_router(self.router)


class EvictEnv(ClusterEnv):
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
    `Box(float32)`: the request that needs the pages, the workers, what is wanted, the candidates; see
    `kvgym.envs.features`. `observation="scaled"` (default) is for networks, `"physical"` has the same features in their
    units.

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
    | `offer` | "oldest" | "unhit": slots K/4 .. K/2-1 offer the leaves with the fewest hits (leaf form) |
    | `quantum` | "leaf" | "leaf" = no limit, or 1: pages that a decision may free (leaf form) |
    | `rules` | `kvgym.envs.settings.V0_RULES` | evictors to choose from, of `kvgym.sim.RULES` (rule form) |

    ## Info
    As in KVGym/Route-v0.

    ## Version History
    * v0: first version.
    """

    settings_class = EvictSettings
    settings: EvictSettings

    def _open(self, settings: EvictSettings) -> None:
        router, agent = split_router(settings.router)
        slots = settings.slots
        n = slots or len(settings.choices)
        simulator = settings.played.simulator(
            "agent", router, candidates=slots, offer=settings.offer, quantum=settings.quantum
        )
        self._set_up(settings, spaces.Discrete(n), n, simulator, routes=False, evicts=True, n_candidates=slots)
        self.rules = settings.choices
        self._leaf, self._rule_numbers = settings.leaf, settings.rule_numbers
        self.adapter = None if agent is None else RouterAdapter(self, agent)

    def _begin(self, seed: int | None, options: dict[str, Any] | None) -> np.random.SeedSequence:
        policy_seed = super()._begin(seed, options)
        if self.adapter is not None:
            # The first episode as the router would play it in KVGym/Route-v0 from the same seed.
            first = self._episode == 0
            entropy: Any = policy_seed.entropy
            self.adapter.reset(int(entropy if first else policy_seed.generate_state(1)[0]))
        return policy_seed

    def _act(self, kind: int, choice: int = 0, rule: int = ASK) -> tuple[Observation, Result]:
        observation, result = super()._act(kind, choice, rule)
        return observation, self.route_on(observation, self._mask) if result[0] == ROUTE else result

    def route_on(self, observation: Observation, mask: NDArray[np.int8]) -> Result:
        """Lets the routing agent decide until a decision is the agent's; writes observation and mask of that one."""
        assert self.adapter is not None
        while True:
            result = self.call_kernel(FORWARD, self.adapter.choose(), ASK, self.form, observation, mask)
            if result[0] != ROUTE:
                return result

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts the next episode and runs to its first decision; see `ClusterEnv.reset`."""
        observation, info = super().reset(seed=seed, options=options)
        self.never_evicts = not self._running
        if self.never_evicts:
            self._running = True
            self._mask[1:] = 0
            info["action_mask"] = self._mask.copy()
        return observation, info

    def _command(self, action: Any) -> tuple[int, int, int]:
        what = "a slot" if self._leaf else "the number of a rule"
        choice = self._legal(self._check_action(action, len(self._mask), what))
        if self.never_evicts:
            self._mask[:] = 1
            return PASS, 0, ASK
        return (EVICT_LEAF, choice, ASK) if self._leaf else (EVICT_BY, self._rule_numbers[choice], ASK)


class EvictVectorEnv(ClusterVectorEnv[EvictEnv]):
    """KVGym/Evict-v0, many at a time; for the arguments see `ClusterVectorEnv` and `EvictEnv`."""

    env_class = EvictEnv

    def _commands(self, actions: NDArray[np.int64]) -> NDArray[np.int64]:
        choices = self._legal(actions)
        leaf = self.envs[0].settings.leaf
        plan = self._all(EVICT_LEAF, choices) if leaf else self._all(EVICT_BY, self._rule_numbers[choices])
        plan[self._whole[0] != EVICT, 0] = PASS  # an episode without a decision: one step that changes nothing
        return plan

    def _run(self, plan: NDArray[np.int64], observation: Observation, real: NDArray[np.float64]) -> int:
        before = self._times.copy()
        n_ended = super()._run(plan, observation, real)
        if self.envs[0].adapter is None:
            return n_ended
        for i in np.flatnonzero((self._whole[0] == ROUTE) & (plan[:, 0] != SKIP)).tolist():
            code, cost, time, session = self.envs[i].route_on(observation[i], self._masks[i])
            self._whole[:, i] = code, session, self.envs[i].n_arrived()
            real[:, i] = cost * self._per_cost[i], time - before[i]
            if len(self.costs):
                self.costs[i] = self.envs[i].costs()
            self._times[i] = time
            n_ended += code != EVICT
        return n_ended

    def _reset_one(self, i: int, seed: int | None, options: dict[str, Any] | None) -> Observation:
        observation = super()._reset_one(i, seed, options)
        self._whole[0, i] = DONE if self.envs[i].never_evicts else EVICT
        return observation

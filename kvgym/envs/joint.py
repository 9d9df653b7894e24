"""KVGym/Joint-v0: routing and eviction by one agent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from kvgym import _check
from kvgym.envs.base import ClusterEnv
from kvgym.envs.kernels.codes import EVICT_LEAF, SEND
from kvgym.envs.settings import EvictingSettings
from kvgym.envs.vector import ClusterVectorEnv
from kvgym.sim import RULES
from kvgym.sim.evictors import ASK


@dataclass(frozen=True)
class JointSettings(EvictingSettings):
    """Arguments of `JointEnv`: those of `EvictingSettings`, with another default."""

    action: str = "rule"

    def __post_init__(self) -> None:
        """Checks the arguments."""
        super().__post_init__()
        if not self.leaf:
            _check.choice("the evictor of the scenario, which plays the warm-up", self.played.evictor, RULES)


class JointEnv(ClusterEnv):
    """Routes requests and evicts cached KV pages in a simulated LLM serving cluster.

    ## Description
    KVGym/Route-v0 and KVGym/Evict-v0 in one: which worker serves a request, and what has to go for it there.

    ## Action Space
    `action="rule"` (default): `MultiDiscrete([M, P])` at each arrival: the worker, and the evictor of `rules` that does
    all evictions which this request will force. `action="leaf"`: `Discrete(M + K)`: at an arrival 0 .. M-1 is the
    worker; where pages are wanted, M .. M+K-1 is the candidate's slot, as in KVGym/Evict-v0.

    `info["action_mask"]` (int8; the masks of worker and rule one after the other in rule form) and `action_masks()`
    (bool) say what may be chosen; what is not due may not. An action outside the space raises; one inside that is
    not legal stands for legal[a mod number of legal ones], and is counted in `n_invalid`.

    ## Observation Space
    `Box(float32)`. Rule form: that of KVGym/Route-v0. Leaf form: which decision is due, the request, the workers, what
    is wanted, the candidates (zeros at an arrival); see `kvgym.envs.features`.

    ## Rewards
    As in KVGym/Route-v0.

    ## Starting State
    Empty caches, then `warmup_requests` arrivals played by the scenario's `warmup_router`. In rule form the scenario's
    evictor does their evictions, in leaf form the agent does.

    ## Episode End
    As in KVGym/Route-v0.

    ## Arguments
    Those of KVGym/Route-v0 but `evictor`, and `action` ("rule" or "leaf"), `candidates`, `offer`, `quantum`, `rules` as
    in KVGym/Evict-v0.

    ## Info
    As in KVGym/Route-v0.

    ## Version History
    * v0: first version.
    """

    settings_class = JointSettings
    settings: JointSettings

    def _open(self, settings: JointSettings) -> None:
        scenario, leaf, slots = settings.played, settings.leaf, settings.slots
        n_workers, n_rules = len(scenario.cluster), len(settings.choices)
        space: spaces.Space[Any] = spaces.Discrete(n_workers + slots)
        if not leaf:
            space = spaces.MultiDiscrete([n_workers, n_rules])
            self._warmup_evictor = scenario.evictor
        simulator = scenario.simulator(
            "agent", "agent", candidates=slots, offer=settings.offer, quantum=settings.quantum
        )
        self._set_up(settings, space, n_workers + (slots or n_rules), simulator, evicts=leaf, n_candidates=slots)
        self.rules = settings.choices
        self._leaf, self._rule_numbers = leaf, settings.rule_numbers

    def _command(self, action: Any) -> tuple[int, int, int]:
        n = self.layout.n_workers
        if self._leaf:
            choice = self._legal(self._check_action(action, len(self._mask), "a worker or slot"))
            return (SEND, choice, ASK) if choice < n else (EVICT_LEAF, choice - n, ASK)
        try:
            worker, rule = action
        except (TypeError, ValueError):
            raise ValueError(f"action must be a pair (worker, number of a rule), got {action!r}") from None
        worker = self._legal(self._check_action(worker, n, "a worker"), n)
        rule = self._check_action(rule, len(self.rules), "a worker and the number of a rule")
        return SEND, worker, self._rule_numbers[rule]


class JointVectorEnv(ClusterVectorEnv[JointEnv]):
    """KVGym/Joint-v0, many at a time; for the arguments see `ClusterVectorEnv` and `JointEnv`."""

    env_class = JointEnv

    def _commands(self, actions: NDArray[np.int64]) -> NDArray[np.int64]:
        n = self.layout.n_workers
        if not self.envs[0].settings.leaf:
            return self._all(SEND, self._legal(actions[:, 0], n), self._rule_numbers[actions[:, 1]])
        choices = self._legal(actions)
        evicts = choices >= n
        plan = self._all(SEND, np.where(evicts, choices - n, choices))
        plan[evicts, 0] = EVICT_LEAF
        return plan

"""The vector forms of the three environments."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym.envs.base import Observation
from kvgym.envs.evict import EvictEnv
from kvgym.envs.joint import JointEnv
from kvgym.envs.kernels.codes import EVICT_BY, EVICT_LEAF, PASS, SEND, SKIP
from kvgym.envs.route import RouteEnv
from kvgym.envs.vector import ClusterVectorEnv
from kvgym.sim.base.codes import DONE, EVICT, ROUTE


class RouteVectorEnv(ClusterVectorEnv[RouteEnv]):
    """KVGym/Route-v0, many at a time; for the arguments see `ClusterVectorEnv` and `RouteEnv`."""

    env_class = RouteEnv
    _PAYS = True

    def _plan(self, actions: NDArray[np.int64]) -> NDArray[np.int64]:
        plan = self._empty_plan(SEND)
        plan[:, 1] = self._legal(actions) if self.envs[0]._fails else actions
        return plan


class EvictVectorEnv(ClusterVectorEnv[EvictEnv]):
    """KVGym/Evict-v0, many at a time; for the arguments see `ClusterVectorEnv` and `EvictEnv`."""

    env_class = EvictEnv

    def __init__(self, *args: Any, **settings: Any) -> None:
        """See `ClusterVectorEnv`."""
        super().__init__(*args, **settings)
        self._rule_numbers = np.array(self.envs[0]._rule_numbers)

    def _plan(self, actions: NDArray[np.int64]) -> NDArray[np.int64]:
        choices = self._legal(actions)
        leaf = self.envs[0]._leaf
        plan = self._empty_plan(EVICT_LEAF if leaf else EVICT_BY)
        plan[:, 1] = choices if leaf else self._rule_numbers[choices]
        plan[self._whole[0] != EVICT, 0] = PASS  # an episode without a decision: one step that changes nothing
        return plan

    def _close_masks(self, masks: NDArray[np.int8], codes: NDArray[np.int64]) -> None:
        masks[codes != EVICT] = 1

    def _run(self, plan: NDArray[np.int64], observation: Observation, real: NDArray[np.float64]) -> int:
        if self.envs[0]._seat is None:
            return super()._run(plan, observation, real)
        before = self._paid.copy()
        n_ended = super()._run(plan, observation, real)
        for i in np.flatnonzero((self._whole[0] == ROUTE) & (plan[:, 0] != SKIP)).tolist():
            env = self.envs[i]
            code, e2e, ttft, time, session = env.route_on(observation[i], self._masks[i])
            cost = ttft if env._pays_ttft else e2e
            self._whole[:, i] = code, session, env.simulator.tables["clock"]["n_arrived"][0]
            real[:, i] = (cost - before[0, i]) * env._per_cost, time - before[1, i]
            self._paid[:, i] = cost, time
            n_ended += code != EVICT
        return n_ended

    def _reset_one(self, i: int, seed: int | None, options: dict[str, Any] | None) -> Observation:
        observation = super()._reset_one(i, seed, options)
        self._whole[0, i] = DONE if self.envs[i]._over else EVICT
        return observation


class JointVectorEnv(ClusterVectorEnv[JointEnv]):
    """KVGym/Joint-v0, many at a time; for the arguments see `ClusterVectorEnv` and `JointEnv`."""

    env_class = JointEnv

    def __init__(self, *args: Any, **settings: Any) -> None:
        """See `ClusterVectorEnv`."""
        super().__init__(*args, **settings)
        self._rule_numbers = np.array(self.envs[0]._rule_numbers)
        self._first_slot = self.envs[0]._n

    def _plan(self, actions: NDArray[np.int64]) -> NDArray[np.int64]:
        plan = self._empty_plan(SEND)
        if not self.envs[0]._leaf:
            plan[:, 1] = self._legal(actions[:, 0], self._first_slot)
            plan[:, 2] = self._rule_numbers[actions[:, 1]]
            return plan
        choices = self._legal(actions)
        evicts = choices >= self._first_slot
        plan[evicts, 0] = EVICT_LEAF
        plan[:, 1] = np.where(evicts, choices - self._first_slot, choices)
        return plan

    def _close_masks(self, masks: NDArray[np.int8], codes: NDArray[np.int64]) -> None:
        if self.envs[0]._leaf:
            masks[codes == EVICT, : self._first_slot] = 0
            masks[(codes != EVICT) & (codes != ROUTE)] = 1

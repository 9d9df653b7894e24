"""A clairvoyant planner: what could be had by routing, were the future known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from kvgym import _check
from kvgym.envs.base import legal_instead
from kvgym.evaluation.episode import record
from kvgym.sim import ROUTERS, Simulator
from kvgym.sim.lookahead import Lookahead
from kvgym.workload import Workload

from ..base import Agent, Info, Observation

RULES = ("prefix_affinity", "lmetric", "least_prefill", "least_prefill_aged")
FALLBACK = "lmetric"
"""Routes what a plan says nothing of. It has no state, by which an episode could differ from what was tried."""
TIE = 1e-9
"""Request seconds: a gain of less is none."""

Ints = NDArray[np.int32]


class Plan(NamedTuple):
    """An episode from its first decision to its end.

    Attributes:
        cost: The integral that the scenario's objective counts, over the episode (request seconds).
        actions: The worker of each decision.
        workers: The same by request: that of its last decision, -1 without one; int32 (n,).
    """

    cost: float
    actions: list[int]
    workers: Ints


@dataclass(kw_only=True, eq=False, repr=False)
class Planner(Agent):
    """An oracle: at the start of an episode it plays all of it on copies of the cluster, and then does what went best.

    1. It plays the episode with each of `rules`, and with each agent of `incumbents`. The best one is the first plan.
    2. Rollout: it goes through the episode once more. At each decision it tries every worker, each on a copy, with all
       that is to come: the request alone goes there, or it goes there with those to come of its session, or of its
       family (prompts that begin with the same node), that the plan sends to the same place; the next arrivals follow
       the plan. It takes what costs least, requests in the system included until they finish.
    3. That is done for each look-ahead of `ahead`, around the best plan so far. A plan that is not better is dropped.

    So it is never worse than the best of the rules and incumbents, in the same environment and with the same evictor.
    It is no bound: a better plan may be there, and where requests must be moved together to gain it finds none.

    Rollout: Bertsekas, Tsitsiklis and Wu, "Rollout algorithms for combinatorial optimization", Journal of Heuristics 3
    (1997); as there (a fortified one), the best plan is kept.

    Args:
        rules: Rules of `kvgym.sim.ROUTERS`.
        incumbents: Names that `agents.make_agent` knows, of agents that route.
        ahead: Arrivals that each pass looks ahead.

    Raises:
        ValueError: If there is no rule or incumbent, one that there is not, or a look-ahead below 1.
    """

    oracle = True
    rules: Sequence[str] = RULES
    incumbents: Sequence[str] = ()
    ahead: Sequence[int] = (32, 128, 512)
    plan: Plan = field(init=False)

    def __post_init__(self) -> None:
        """Checks the arguments."""
        for rule in self.rules:
            _check.choice("rules", rule, ROUTERS[1:])
        for many in self.ahead:
            _check.whole("ahead", many, 1)
        if not (self.rules or self.incumbents):
            raise ValueError("rules must name a rule, or incumbents an agent: a plan begins with one")

    def reset(self, env: gym.Env[Any, Any], seed: int) -> None:
        """See `Agent.reset`. This is where it plans."""
        super().reset(env, seed)
        self._lookahead = Lookahead()
        self._column = cost_column(self.env)
        self._kin = kin_of(self.env.workload)
        plans = [*map(self._of_rule, self.rules), *self._of_incumbents(seed)]
        best = min(plans, key=lambda plan: plan.cost)
        for ahead in self.ahead:
            best = min(best, self._improved(best, ahead), key=lambda plan: plan.cost)
        self.plan = best
        self._actions = iter(best.actions)

    def act(self, observation: Observation, info: Info) -> int:
        """See `Agent.act`."""
        return next(self._actions)

    def _of_rule(self, rule: str) -> Plan:
        return self._play(lambda simulator, _: self._lookahead.choice(simulator, rule))

    def _of_incumbents(self, seed: int) -> Iterator[Plan]:
        """What the incumbents do in environments of their own, done here."""
        from .. import make_agent  # not above: the names include this one

        env = self.env
        for name in self.incumbents:
            recording = record(make_agent(name), env.scenario, seed, evictor=env.simulator.evictor, split=env.split)
            if recording.episode.workload_sha256 != env.workload.content_hash():
                raise ValueError("incumbents can be asked only for the first episode after reset(seed=..)")
            yield self._of_actions(iter(recording.actions.tolist()))

    def _of_actions(self, actions: Iterator[int]) -> Plan:
        return self._play(lambda simulator, _: legal(simulator, next(actions)))

    def _improved(self, plan: Plan, ahead: int) -> Plan:
        """The plan of a pass of rollout around another one."""
        workers = plan.workers.copy()

        def decide(simulator: Simulator, request: int) -> int:
            costs = np.array(
                [self._lookahead.costs(simulator, FALLBACK, ahead, workers, kin)[:, self._column] for kin in self._kin]
            )
            planned = int(workers[request])
            how, worker = map(int, np.unravel_index(np.argmin(costs), costs.shape))
            if planned >= 0 and costs[0, planned] <= costs[how, worker] + TIE:
                return planned
            moving = (self._kin[how] == self._kin[how][request]) & (workers == planned)
            workers[moving & (simulator.tables["progress"]["arrived_ps"] < 0)] = worker
            workers[request] = worker
            return worker

        return self._play(decide)

    def _play(self, decide: Callable[[Simulator, int], int]) -> Plan:
        """Plays the rest of the episode on a copy, asking for the worker of each request."""
        simulator = self.env.simulator.clone()
        clock = simulator.tables["clock"]
        actions: list[int] = []
        workers = np.full(len(self.env.workload), -1, np.int32)
        while (request := int(clock["request"][0])) >= 0:
            worker = decide(simulator, request)
            actions.append(worker)
            workers[request] = worker
            simulator.route(worker)
            simulator.advance()
        costs = clock["cost_e2e_ps"][0], clock["cost_ttft_ps"][0]
        return Plan(float(costs[self._column]) * 1e-12, actions, workers)


def cost_column(env: Any) -> int:
    """The column of `Lookahead.costs` that the objective of an environment's scenario counts.

    Raises:
        ValueError: If the environment is none that a planner can copy: its evictor is an agent, or it is a view.
    """
    if getattr(getattr(env, "simulator", None), "evictor", "agent") == "agent":
        raise ValueError("a planner plays KVGym/Route-v0 itself, where a rule evicts")
    return ("e2e", "ttft").index(env.scenario.objective)


def kin_of(workload: Workload) -> list[Ints]:
    """Labels by which requests may be moved together, each (n,): none with another, by session, by first node."""
    requests, alone = workload.requests, np.arange(len(workload))
    begins = (
        workload.paths[np.minimum(requests["path_start"], len(workload.paths) - 1)] if len(workload.paths) else alone
    )
    labels = []
    for label in (alone, requests["session"], np.where(requests["path_nodes"] > 0, begins, -1 - alone)):
        _, first, group = np.unique(label, return_index=True, return_inverse=True)
        labels.append(first[group].astype(np.int32))  # the first of its kin: so equal groups have equal labels
    return list({label.tobytes(): label for label in labels}.values())


def legal(simulator: Simulator, worker: int) -> int:
    """The worker, or the one that it stands for while it is down."""
    up = simulator.up()
    return worker if up[worker] else legal_instead(worker, up)

"""Each worker tried for the request that is due, on a copy of the cluster that plays on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kvgym import _check, _compile
from kvgym.sim import state
from kvgym.sim.base.codes import ROUTERS
from kvgym.sim.base.tables import handle_order
from kvgym.sim.simulator import Simulator

NONE = np.zeros(0, np.int32)


class Lookahead:
    """Says what would come of sending the request that is due to each worker.

    Nothing is allocated from decision to decision: one scratch copy of the tables is restored for each worker.
    """

    def __init__(self) -> None:
        """Loads the kernels."""
        self._kernels = _compile.load("kvgym.sim.rollout")
        self._given: state.Tables = {}
        self._scratch: state.Tables = {}

    def costs(
        self,
        simulator: Simulator,
        rule: str,
        ahead: int | None = None,
        plan: ArrayLike = NONE,
        kin: ArrayLike = NONE,
    ) -> NDArray[np.float64]:
        """Tries every worker for the request that is due; `simulator` stays as it is.

        The request is sent to a worker, the next `ahead` arrivals are routed by the plan or the rule, and those that
        are there by then are worked off, with no other arrival: all workers are compared on as many requests, each of
        them to its end.

        Args:
            simulator: One whose ROUTE decision is due and whose evictor is a rule.
            rule: A rule of `kvgym.sim.ROUTERS` but "agent".
            ahead: Arrivals after this one; None: all.
            plan: (n,) integers, the worker of each request of the workload; -1, and a worker that is down: the rule
                decides. Default: it always does.
            kin: (n,) integers, with a plan: the requests to come that have the label of this one and go to the same
                worker by the plan move with it.

        Returns:
            (M, 2): the integral of the counted requests in the system (e2e), and of those without a first token
            (ttft), from the simulator's own ones on, in request seconds; infinite for a worker that is down.

        Raises:
            RuntimeError: If no ROUTE decision is due.
            ValueError: For a rule that there is not, or a simulator whose evictor is an agent.
        """
        if simulator.tables is not self._given:
            self._bind(simulator)
        clock = simulator.tables["clock"][0]
        if clock["request"] < 0:
            raise RuntimeError("no ROUTE decision is due: call advance() first")
        config = simulator.tables["config"]
        limit = int(config["limit"][0])
        if ahead is not None:
            limit = min(limit, int(clock["n_arrived"]) + _check.whole("ahead", ahead, 0))
        self._config["limit"] = limit
        out = np.empty((len(simulator.cluster), 2))
        labels = (np.ascontiguousarray(values, np.int32) for values in (plan, kin))
        self._kernels.try_workers(self._copies, self._address, number_of(rule), *labels, out)
        return out

    def choice(self, simulator: Simulator, rule: str) -> int:
        """The worker that a rule takes for the request that is due; the rule's turn or random stream moves on."""
        return int(self._kernels.choose(simulator.address, number_of(rule)))

    def _bind(self, simulator: Simulator) -> None:
        """Makes scratch tables for a simulator, to which its own ones are copied."""
        if simulator.settings.evictor < 0:
            raise ValueError("simulator must have a rule as its evictor, an agent can't be asked in a copy")
        given, shared = simulator.tables, state.shared_tables()
        scratch: state.Tables = {}
        for name, table in given.items():
            old = self._scratch.get(name)  # room of another simulator serves for this one, if there is as much of it
            if name not in shared:
                scratch[name] = old if old is not None and old.shape == table.shape else table.copy()
            else:
                scratch[name] = table.copy() if name == "config" else table
        config = scratch["config"]
        config["router"] = ROUTERS.index("agent")
        for name in ("truncate", "debug", "log_iterations", "log_draws"):
            config[name] = 0
        changing = [name for name in handle_order() if name not in shared]
        rows = [(given[name].ctypes.data, scratch[name].ctypes.data, given[name].nbytes) for name in changing]
        self._copies = np.array(rows, np.int64)
        self._config, self._scratch = config, scratch
        self._handle = state.make_handle(scratch)
        self._address = self._handle.ctypes.data
        self._given = given


def number_of(rule: Any) -> int:
    """The number of a rule of the simulator."""
    return ROUTERS.index(_check.choice("rule", rule, ROUTERS[1:]))

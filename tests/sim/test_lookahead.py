"""What a look-ahead says of each worker is what a clone comes to that plays on."""

import numpy as np
import pytest

from kvgym.scenarios import get_scenario
from kvgym.sim import ROUTERS
from kvgym.sim.lookahead import Lookahead
from tests.envs.helpers import SMALL


def started(name, evictor, decisions=9):
    """A simulator at one of its first decisions."""
    scenario = get_scenario(name, SMALL[name])
    seed = scenario.seeds(2, "train", 0)[0]
    simulator = scenario.simulator(evictor)
    simulator.reset(scenario.workload(seed, "train"), 2, warmup=3, faults=scenario.fault_schedule(seed))
    for number in range(decisions):
        simulator.advance()
        simulator.route(int(np.flatnonzero(simulator.up())[number % simulator.up().sum()]))
    simulator.advance()
    return simulator


def by_a_clone(simulator, worker, rule, ahead, plan=(), kin=()):
    """The same costs, from a clone and Python."""
    clone = simulator.clone()
    config = clone.tables["config"] = clone.tables["config"].copy()
    limit = config["limit"][0] if ahead is None else simulator.tables["clock"]["n_arrived"][0] + ahead
    config["limit"] = min(config["limit"][0], limit)
    clone._open()
    first = int(clone.tables["clock"]["request"][0])
    clone.route(worker)
    while clone.advance().kind == "ROUTE":
        request = int(clone.tables["clock"]["request"][0])
        to = -1
        if len(plan):
            goes_along = kin[request] == kin[first] and plan[request] == plan[first]
            to = worker if goes_along else int(plan[request])
        clone.route(to if to >= 0 and clone.up()[to] else Lookahead().choice(clone, rule))
    return [clone.tables["clock"][name][0] * 1e-12 for name in ("cost_e2e_ps", "cost_ttft_ps")]


@pytest.mark.parametrize(
    ("name", "evictor"),
    [("gsp-stable", "rlt"), ("multi-turn", "lru"), ("failover", "belady"), ("multi-node-agents", "lfu")],
)
def test_costs_are_those_of_clones(name, evictor):
    simulator, lookahead = started(name, evictor), Lookahead()
    before = {key: table.tobytes() for key, table in simulator.tables.items()}
    random = np.random.default_rng(0)
    n, n_workers = len(simulator.tables["requests"]), len(simulator.cluster)
    plan, kin = random.integers(-1, n_workers, n), random.integers(0, 3, n)
    for rule, ahead, given in (("least_prefill_aged", 4, ()), ("round_robin", None, ()), ("lmetric", 7, (plan, kin))):
        costs = lookahead.costs(simulator, rule, ahead, *given)
        for worker in range(n_workers):
            if simulator.up()[worker]:
                assert costs[worker].tolist() == by_a_clone(simulator, worker, rule, ahead, *given)
            else:
                assert np.isinf(costs[worker]).all()
    assert before == {key: table.tobytes() for key, table in simulator.tables.items()}


def test_refusals():
    simulator = started("gsp-stable", "lru")
    with pytest.raises(ValueError, match=f"rule must be one of {', '.join(ROUTERS[1:])}; got 'agent'"):
        Lookahead().costs(simulator, "agent")
    simulator.route(0)
    with pytest.raises(RuntimeError, match="no ROUTE decision is due"):
        Lookahead().costs(simulator, "lmetric")
    asked = started("gsp-stable", "agent", 0)
    with pytest.raises(ValueError, match="must have a rule as its evictor"):
        Lookahead().costs(asked, "lmetric")

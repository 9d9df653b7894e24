"""What the arguments of `reset` and the router do: seeds, warm-up, limit, truncation, the cost that is counted."""

from __future__ import annotations

import numpy as np
import pytest

from kvgym.sim import Simulator
from tests.sim.small import CLUSTER, ENGINE, started, tokens


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"warmup": -1}, "warmup must be an integer >= 0"),
        ({"warmup_router": "agent"}, "warmup_router must be one of random, round_robin"),
        ({"limit": 1.5}, "limit must be an integer"),
        ({"truncate": 1}, "truncate must be True or False"),
        ({"hints": [1, 2, 3]}, "hints must be 1 integers"),
        ({"hints": [1.5]}, "hints must be 1 integers"),
        ({"seed": -1}, "non-negative"),
    ],
)
def test_bad_arguments_of_reset_are_named(options, match):
    simulator = Simulator(CLUSTER, ENGINE)
    with pytest.raises(ValueError, match=match):
        simulator.reset(tokens([[1]]), **options)


def test_callable_router():
    asked = []

    def router(simulator, decision):
        asked.append((decision.request, decision.time, simulator.load(0), simulator.visible_hit(0, decision.request)))
        return 1 - decision.request % 2

    simulator = started(tokens([[1, 2], [1, 2], [1, 2, 3, 4]]), router=router)
    simulator.run()
    assert asked == [(0, 0.0, (0, 0), 0), (1, 1.0, (0, 0), 0), (2, 2.0, (0, 0), 2)]
    assert simulator.records()["worker"].tolist() == [1, 0, 1]
    with pytest.raises(ValueError, match="worker must be"):
        started(tokens([[1]]), router=lambda simulator, decision: 5).run()


def test_the_random_router_depends_on_the_seed():
    prompts = [[q] for q in range(60)]
    routes = []
    for seed in (1, 1, 2):
        simulator = Simulator(CLUSTER, ENGINE, router="random")
        simulator.reset(tokens(prompts), seed)
        simulator.run()
        routes.append(simulator.records()["worker"].tolist())
    assert routes[0] == routes[1] != routes[2]
    assert 15 < sum(routes[0]) < 45


def test_warmup_is_played_by_its_router_and_not_counted():
    prompts = [[q] for q in range(5)]
    simulator = started(tokens(prompts), warmup=3, warmup_router="round_robin")
    decisions = []
    while (decision := simulator.advance()).kind == "ROUTE":
        decisions.append(decision.request)
        simulator.route(1)
    assert decisions == [3, 4]
    assert simulator.records()["worker"].tolist() == [0, 1, 0, 1, 1]
    clock = simulator.tables["clock"][0]
    assert (clock["cost_e2e_ps"], clock["cost_ttft_ps"]) == (2 * 0.11e12, 2 * 0.11e12)


def test_cost_is_the_latency_of_the_counted():
    rng = np.random.default_rng(1)
    prompts = [rng.integers(0, 3, rng.integers(1, 6)).tolist() for _ in range(40)]
    workload = tokens(prompts, rng.integers(1, 5, 40).tolist(), np.sort(rng.integers(0, 8, 40)).tolist())
    simulator = started(workload, router="least_loaded", warmup=10)
    simulator.run()
    progress, clock = simulator.tables["progress"][10:], simulator.tables["clock"][0]
    assert clock["cost_e2e_ps"] == (progress["finish_ps"] - progress["arrived_ps"]).sum()
    assert clock["cost_ttft_ps"] == (progress["first_token_ps"] - progress["arrived_ps"]).sum()
    assert clock["scored"] == clock["scored_waiting"] == 0


def test_limit_drains_and_truncate_stops_at_the_next_arrival():
    # Two requests at 0 and one at 0.05, while the first two are computed until 0.11.
    prompts, arrivals = [[1], [2], [3]], [0.0, 0.0, 0.05]
    drained = started(tokens(prompts, None, arrivals), router="least_loaded", limit=2)
    assert (drained.advance().kind, drained.now) == ("DONE", pytest.approx(0.11))
    assert len(drained.records()) == 2
    cut = started(tokens(prompts, None, arrivals), router="least_loaded", limit=2, truncate=True)
    assert (cut.advance().kind, cut.now) == ("TRUNCATED", pytest.approx(0.05))
    assert cut.advance().kind == "TRUNCATED"
    assert np.isnan(cut.records()["finish"]).all()
    for limit in (3, 7, None):  # nothing arrives after the last one: it drains
        whole = started(tokens(prompts, None, arrivals), router="round_robin", limit=limit, truncate=True)
        assert whole.advance().kind == "DONE"
        assert len(whole.records()) == 3


def test_a_blank_simulator_has_the_settings_alone():
    simulator = started(tokens([[1, 2], [1, 3]]), router="round_robin")
    blank = simulator.blank()
    with pytest.raises(RuntimeError, match="call reset"):
        blank.advance()
    blank.reset(simulator.workload)
    blank.run()
    assert simulator.now == 0.0 and blank.now > 0
    simulator.run()
    assert np.array_equal(simulator.records(), blank.records())

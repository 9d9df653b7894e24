"""Every feature of every decision where pages move and workers fail, against an independent recomputation."""

import dataclasses
import random

import pytest

from kvgym.sim import RULES
from tests import often
from tests.envs import test_evict_observations as asked
from tests.envs import test_observations as routed
from tests.envs.token_scenarios import drawn_out
from tests.sim.cases import VIEWS
from tests.sim.moving_cases import moving_case

SCHEDULES = ("mixed", "prefill_first")


def make_case(seed, view="exact", evictor="lru", router="agent", **changes):
    return moving_case(seed, evictor, SCHEDULES[seed % 2], router=router, **VIEWS[view], **changes)


@often.cases(18)
@pytest.mark.parametrize("what", ["moves", "fails", "both"])
@pytest.mark.parametrize("view", VIEWS)
def test_every_feature_with_metrics_of_now(monkeypatch, view, what, cases):
    for seed in range(cases):
        case = make_case(seed, view, moves=what != "fails", fails=what != "moves")
        routed.check(monkeypatch, case, slo=(1.5, 0.25))
        routed.check(monkeypatch, drawn_out(case, 2))


@often.cases(15)
@pytest.mark.parametrize("warmup_router", ["round_robin", "least_loaded", "prefix_affinity"])
@pytest.mark.parametrize("view", VIEWS)
def test_every_feature_with_old_metrics_and_a_warmup(monkeypatch, view, warmup_router, cases):
    """Metrics of a worker that is down are frozen."""
    for seed in range(100, 100 + cases):
        case = make_case(seed, view)
        span = max(request.arrival_ps or 0 for request in case.requests)
        for period in (max(1, span // 7), max(1, span // 40)):
            routed.check(monkeypatch, case, warmup=5, warmup_router=warmup_router, period_ps=period)


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    ("router", "candidates", "quantum"),
    [("agent", 16, "leaf"), ("agent", 4, 1), ("least_loaded", 16, "leaf"), ("least_loaded", 0, "leaf")],
)
def test_every_feature_where_an_agent_evicts(monkeypatch, router, view, candidates, quantum):
    found = 0
    for seed in range(200, 218):
        case = make_case(seed, view, "agent", router, candidates=candidates, quantum=quantum)
        span = max(request.arrival_ps or 0 for request in case.requests)
        found += asked.check(monkeypatch, case, slo=(1.5, 0.25))
        found += asked.check(monkeypatch, case, warmup=5, period_ps=max(1, span // 7), warmup_router="round_robin")
    assert found > 140


def test_every_feature_where_the_route_names_the_evictor(monkeypatch):
    for seed in range(300, 325):
        choices = random.Random(seed)
        case = make_case(seed, "exact", "agent", candidates=0)
        case = dataclasses.replace(case, rules=[choices.choice(RULES) for _ in case.requests])
        assert asked.check(monkeypatch, case, warmup=seed % 2 * 5) == 0

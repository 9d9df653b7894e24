"""Every feature of the observation against an independent recomputation, in many random cases."""

import dataclasses

import numpy as np
import pytest

from kvgym.envs.features import REQUEST_FEATURES, WORKER_FEATURES
from tests import often
from tests.envs.oracle import Oracle
from tests.envs.token_scenarios import drawn_out, make_env
from tests.sim.cases import VIEWS, random_case
from tests.sim.compare import target

NAMES = [feature.name for feature in REQUEST_FEATURES + WORKER_FEATURES]


def compare(env, case, oracle):
    """Plays the case and compares each observation with the oracle's row."""
    observation, info = env.reset(seed=0)
    done = False
    for number, row in enumerate(oracle.rows):
        expected = np.array([row.get(name, 0.0) for name in env.layout.names])
        wrong = ~np.isclose(observation, expected, rtol=2e-6, atol=1e-30)
        text = [f"{env.layout.names[i]}: {observation[i]} instead of {expected[i]}" for i in np.flatnonzero(wrong)]
        assert not wrong.any(), f"decision {number} of {len(oracle.rows) - 1}: {text}"
        assert done == (number == len(oracle.rows) - 1)
        if not done:
            q = int(env.simulator.tables["clock"]["request"][0])
            assert info["time"] == oracle.times[number] * 1e-12
            observation, _, done, _, info = env.step(target(env.simulator, case, q))


def check(monkeypatch, case, **oracle_options):
    scenario = {
        "warmup_requests": oracle_options.get("warmup", 0),
        "warmup_router": oracle_options.get("warmup_router", "least_loaded"),
        "metrics_period_s": oracle_options.get("period_ps", 0) * 1e-12,
        "slo_ttft_s": oracle_options.get("slo", (0, 0))[0],
        "slo_tpot_s": oracle_options.get("slo", (0, 0))[1],
    }
    scenario["episode_requests"] = len(case.requests) - scenario["warmup_requests"]
    env = make_env(monkeypatch, case, scenario, observation="physical")
    compare(env, case, Oracle(monkeypatch, case, **oracle_options))


def make_case(seed, evictor, schedule, page_size, view):
    case = random_case(seed, evictor, schedule, page_size, "agent")
    return dataclasses.replace(case, **VIEWS[view])


@often.cases(6)
@pytest.mark.parametrize("page_size", [1, 4])
@pytest.mark.parametrize("schedule", ["mixed", "prefill_first"])
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("evictor", ["lru", "lru_node"])
def test_every_feature_with_metrics_of_now(monkeypatch, evictor, view, schedule, page_size, cases):
    for seed in range(cases):
        case = make_case(seed, evictor, schedule, page_size, view)
        check(monkeypatch, case, slo=(1.5, 0.25))
        check(monkeypatch, drawn_out(case))


@often.cases(6)
@pytest.mark.parametrize("warmup_router", ["round_robin", "least_loaded", "prefix_affinity"])
@pytest.mark.parametrize("view", VIEWS)
def test_every_feature_with_old_metrics_and_a_warmup(monkeypatch, view, warmup_router, cases):
    for seed in range(cases):
        case = make_case(100 + seed, "lru", "mixed", 4, view)
        for played in (case, drawn_out(case)):
            span = max(request.arrival_ps or 0 for request in played.requests)
            period = max(1, span // 7)
            check(monkeypatch, played, warmup=5, warmup_router=warmup_router, period_ps=period)


def test_snapshots_at_an_iterations_end(monkeypatch):
    for seed in range(10):
        case = drawn_out(make_case(200 + seed, "lru", "mixed", 4, "exact"))
        check(monkeypatch, case, period_ps=300)


@pytest.mark.parametrize("schedule", ["mixed", "prefill_first"])
def test_seconds_between_arrivals(monkeypatch, schedule):
    """Arrivals that leave the windows of 10 and 60 s."""
    for seed in range(5):
        case = make_case(300 + seed, "lru", schedule, 4, "history")
        requests = [
            dataclasses.replace(request, arrival_ps=None if request.arrival_ps is None else i * i * 123 * 10**9)
            for i, request in enumerate(case.requests)
        ]
        check(monkeypatch, dataclasses.replace(case, requests=requests))

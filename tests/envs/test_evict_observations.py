"""Every feature of EVICT decisions, and of ROUTE decisions beside them, against the reference simulator."""

import dataclasses
import random

import numpy as np
import pytest

from kvgym.sim import RULES
from tests import often
from tests.envs.evict_oracle import EvictOracle
from tests.envs.token_scenarios import drawn_out, make_asked_env
from tests.sim.cases import VIEWS, random_case
from tests.sim.compare import Evicting, draws, target

SCHEDULES = ("mixed", "prefill_first")


def make_case(seed, router="least_loaded", candidates=16, quantum="leaf", view="exact"):
    case = random_case(seed, "agent", SCHEDULES[seed % 2], (1, 4)[seed // 2 % 2], router)
    return dataclasses.replace(case, candidates=candidates, quantum=quantum, **VIEWS[view])


def play(env, case):
    """Observations, masks and times of all decisions and the end; a log of the draws."""
    logged = env.simulator = env.scenario.simulator(
        "agent", case.router, candidates=case.candidates, quantum=case.quantum, log_draws=True
    )
    observation, info = env.reset(seed=0)
    agent, n = Evicting(case), env.layout.n_workers * env.layout.routes
    seen, done = [], False
    while not done:
        mask = info["action_mask"].tolist()
        clock = logged.tables["clock"][0]
        if env.layout.routes and clock["request"] >= 0:
            q = int(clock["request"])
            assert case.rules or mask == logged.up().tolist() + [0] * case.candidates
            worker = target(logged, case, q)
            action = (worker, RULES.index(case.rules[q])) if case.rules else worker
            filled = []
        else:
            q = int(logged.tables["workers"]["asker"][clock["asking"]]) if clock["asking"] >= 0 else -1
            filled = [slot - n for slot, legal in enumerate(mask) if legal] if case.candidates else []
            assert all(slot >= 0 for slot in filled)
            chosen = agent.choose(filled) if q >= 0 else 0
            action = n + chosen if case.candidates else RULES.index(chosen) if q >= 0 else 0
        seen.append((observation, filled if q >= 0 else None, info["time"], q))
        observation, _, done, _, info = env.step(action)
    if seen[0][3] >= 0:
        seen.append((observation, None, info["time"], -1))
    return seen, draws(logged)


def check(monkeypatch, case, warmup=0, period_ps=0, warmup_router="least_loaded", slo=(0.0, 0.0)):
    """Returns the number of EVICT decisions."""
    settings = {"warmup_router": warmup_router, "slo_ttft_s": slo[0], "slo_tpot_s": slo[1]}
    env = make_asked_env(monkeypatch, case, warmup, period_ps, **settings)
    seen, log = play(env, case)
    options = {"warmup": warmup, "period_ps": period_ps, "warmup_router": warmup_router, "slo": slo}
    oracle = EvictOracle(monkeypatch, case, Evicting(case).choose, log, **options)
    names = env.layout.names
    for number, (observation, filled, time, q) in enumerate(seen[:-1]):
        row = oracle.rows[number]
        assert (filled, q) == (oracle.masks[number], oracle.due[number])
        assert time == oracle.times[number] * 1e-12
        assert_row(observation, row, names, f"decision {number} of {len(seen) - 1}, request {q}")
    assert len(oracle.rows) == len(seen)
    assert_row(seen[-1][0], oracle.rows[-1], names, "end")
    return sum("is_evict" in row for row in oracle.rows)


def assert_row(observation, row, names, where):
    expected = np.array([row.get(name, 0.0) for name in names])
    wrong = ~np.isclose(observation, expected, rtol=2e-6, atol=1e-30)
    text = [f"{names[i]}: {observation[i]} instead of {expected[i]}" for i in np.flatnonzero(wrong)]
    assert not wrong.any(), f"{where}: {text}"


@often.cases(9)
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    ("router", "candidates", "quantum"),
    [
        ("agent", 16, "leaf"),
        ("agent", 4, 1),
        ("least_loaded", 16, "leaf"),
        ("round_robin", 4, 1),
        ("least_loaded", 0, "leaf"),
    ],
)
def test_every_feature(monkeypatch, router, view, candidates, quantum, cases):
    asked = 0
    for seed in range(cases):
        case = make_case(seed, router, candidates, quantum, view)
        asked += check(monkeypatch, case, slo=(1.5, 0.25))
        asked += check(monkeypatch, drawn_out(case, 3))
    assert asked > 25 * cases


@pytest.mark.parametrize("router", ["agent", "prefix_affinity"])
@pytest.mark.parametrize("warmup_router", ["round_robin", "least_loaded"])
def test_every_feature_with_old_metrics_and_a_warmup(monkeypatch, warmup_router, router):
    """The agent evicts in the warm-up too."""
    asked = 0
    for seed in range(100, 112):
        case = make_case(seed, router, 8, "leaf", tuple(VIEWS)[seed % 3])
        span = max(request.arrival_ps or 0 for request in case.requests)
        asked += check(monkeypatch, case, warmup=5, period_ps=max(1, span // 7), warmup_router=warmup_router)
    assert asked > 100


@pytest.mark.parametrize("view", VIEWS)
def test_every_feature_where_the_route_names_the_evictor(monkeypatch, view):
    for seed in range(200, 208):
        case = make_case(seed, "agent", 0, "leaf", view)
        choices = random.Random(seed)
        case = dataclasses.replace(case, rules=[choices.choice(RULES) for _ in case.requests])
        assert check(monkeypatch, case, warmup=seed % 2 * 5) == 0

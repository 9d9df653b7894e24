"""Belady's rule is the best one when requests come one by one, and reads what the whole cluster has admitted."""

from __future__ import annotations

import random
from functools import cache

import numpy as np
import pytest

from kvgym.cluster import ClusterSpec, EngineSpec, IterationCost, WorkerSpec
from kvgym.sim import EVICTORS, Simulator
from kvgym.workload import Workload
from tests import often
from tests.reference import RefRequest
from tests.sim.cases import Case
from tests.sim.compare import assert_agree, play, records

TICK = IterationCost(overhead_ms=1e-7)  # 100 ps whatever is computed


def serial(evictor, workload, kv_pages, seed=0):
    """Totals of one worker when requests of one output token come one by one."""
    engine = EngineSpec(1, chunk_tokens=16, max_running=1)
    simulator = Simulator(ClusterSpec.uniform(1, kv_pages, TICK), engine, evictor, "round_robin")
    simulator.reset(workload, seed)
    simulator.run()
    return simulator.totals()[0]


def one_by_one(prompts):
    return Workload.from_tokens(prompts, [1] * len(prompts), range(len(prompts)), 1)


@often.cases(200)
def test_no_evictor_hits_more_in_series(cases):
    best = dict.fromkeys(EVICTORS, 0)
    for seed in range(cases):
        rng = np.random.default_rng(seed)
        workload = one_by_one([rng.integers(0, 3, rng.integers(2, 8)).tolist() for _ in range(100)])
        kv_pages = int(rng.integers(8, 60))
        hits = {evictor: int(serial(evictor, workload, kv_pages, seed)["hit"]) for evictor in EVICTORS}
        assert hits["belady"] == max(hits.values()), seed
        for evictor in EVICTORS:
            best[evictor] += hits[evictor] == hits["belady"]
    assert (
        max(count for evictor, count in best.items() if evictor != "belady") < cases / 2
    )  # knowing the future is worth it


def optimum(prompts, kv_pages):
    """Pages found resident by an evictor that tries all choices. Pages are prefixes, as tuples of tokens."""

    @cache
    def best(i, resident):
        if i == len(prompts):
            return 0
        path = frozenset(prompts[i][: depth + 1] for depth in range(len(prompts[i])))
        found = len(path & resident)
        excess = len(path | resident) - kv_pages
        return found + max(best(i + 1, kept | path) for kept in without_leaves(resident, path, excess))

    return best(0, frozenset())


def without_leaves(resident, locked, n):
    """All that may be left of the resident pages when `n` have gone, leaf by leaf, none of them locked."""
    left = {resident}
    for _ in range(n):
        left = {
            kept - {page}
            for kept in left
            for page in kept - locked
            if not any(other[:-1] == page for other in kept if len(other) > 1)
        }
    return left


@pytest.mark.parametrize("ends", ["shared", "new"])
def test_as_good_as_any_choice_of_leaves(ends):
    """It finds as many pages resident as can be. (Not all are hits: the last token of a prompt is always computed.)"""
    better_than_lru = 0
    for seed in range(300):
        rng = random.Random(seed)
        tokens = rng.choice([2, 3])
        prompts = [tuple(rng.randrange(tokens) for _ in range(rng.randint(1, 4))) for _ in range(rng.randint(5, 8))]
        if ends == "new":  # no prompt is found whole, so what is found is hit
            prompts = [(*prompt, 100 + i) for i, prompt in enumerate(prompts)]
        kv_pages = max(map(len, prompts)) + rng.randint(0, 3)
        most = optimum(prompts, kv_pages)
        workload = one_by_one(prompts)
        belady, lru = (serial(evictor, workload, kv_pages) for evictor in ("belady", "lru"))
        pages = sum(map(len, prompts))
        assert pages - belady["loaded"] == most, (prompts, kv_pages)
        if ends == "new":
            assert belady["hit"] == most, (prompts, kv_pages)
        better_than_lru += pages - lru["loaded"] < most
    assert better_than_lru > 30


def test_workers_that_start_together_start_in_order():
    # Worker 0 of 7 pages holds [1] and [2] and decodes request 2, all iterations 100 ps. At 300, inside that run, [1]
    # goes to worker 1 and [9 8] to worker 0, where one page must go. Worker 0 starts first: request 3 is not admitted
    # yet and will use page 1, so 2 goes, though request 5 wants it. (Once 3 is admitted, 1 is never used again.)
    private = (-1, -2, -3, -4, -5, -6)
    requests = [
        RefRequest((1,), (-10,), 0),
        RefRequest((2,), (-11,), 0),
        RefRequest((5,), private, 0),
        RefRequest((1,), (-12,), 300),
        RefRequest((9, 8), (-13,), 300),
        RefRequest((2, 4), (-14,), 1000),
    ]
    engine = EngineSpec(1, chunk_tokens=16, max_running=8)
    case = Case(requests, [WorkerSpec(7, TICK)] * 2, engine, "belady", routes=[0, 0, 0, 1, 0, 0])
    assert_agree(case)
    simulator = case.simulator()
    play(simulator, case)
    assert [record[5] for record in records(simulator)] == [0, 0, 0, 0, 0, 0]
    case.requests[3] = RefRequest((3,), (-12,), 300)  # without the use of page 1, that one goes
    simulator = case.simulator()
    play(simulator, case)
    assert [record[5] for record in records(simulator)] == [0, 0, 0, 0, 0, 1]

"""Belady's rule is the best one when requests come one by one, and reads what the whole cluster has admitted."""

from __future__ import annotations

import numpy as np
import pytest

from kvgym.cluster import ClusterSpec, EngineSpec, IterationCost, WorkerSpec
from kvgym.sim import EVICTORS, Simulator
from kvgym.workload import Workload
from tests.reference import RefRequest
from tests.sim.cases import Case
from tests.sim.compare import assert_agree, play, records

TICK = IterationCost(overhead_ms=1e-7)  # 100 ps whatever is computed


@pytest.mark.parametrize("seed", range(20))
def test_no_evictor_hits_more_in_series(seed):
    rng = np.random.default_rng(seed)
    prompts = [rng.integers(0, 3, rng.integers(2, 8)).tolist() for _ in range(300)]
    workload = Workload.from_tokens(prompts, [1] * len(prompts), range(len(prompts)), 1)
    cluster = ClusterSpec.uniform(1, int(rng.integers(8, 60)), TICK)
    hits = {}
    for evictor in EVICTORS:
        simulator = Simulator(cluster, EngineSpec(1, chunk_tokens=16, max_running=1), evictor, "round_robin")
        simulator.reset(workload, seed)
        simulator.run()
        hits[evictor] = int(simulator.totals()["hit"].sum())
    assert hits["belady"] == max(hits.values())
    assert hits["belady"] > 0


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

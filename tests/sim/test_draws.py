"""Random evictors draw uniformly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from kvgym.cluster import ClusterSpec, EngineSpec, IterationCost
from kvgym.sim import Simulator
from kvgym.workload import Workload

RANDOM = ("random", "rlt", "rlt_code")


@pytest.mark.parametrize("evictor", RANDOM)
def test_draws_are_uniform(evictor):
    """Chi-square over the indices of all draws, for each number of candidates apart."""
    rng = np.random.default_rng(4)
    prompts = [[int(t) for t in rng.integers(0, 6, size=rng.integers(2, 9))] for _ in range(20_000)]
    workload = Workload.from_tokens(prompts, [1] * len(prompts), np.arange(len(prompts)) * 1e-3, 1)
    cluster = ClusterSpec.uniform(1, 60, IterationCost(overhead_ms=0.1))
    engine = EngineSpec(1, chunk_tokens=16, max_running=4)
    simulator = Simulator(cluster, engine, evictor, "round_robin", log_draws=True)
    simulator.reset(workload, 5)
    simulator.run()
    table = simulator.draws()
    assert len(table) > 30_000
    statistic, freedom = 0.0, 0
    for candidates in range(2, 60):
        index = table["index"][table["candidates"] == candidates]
        expected = len(index) / candidates
        if expected >= 10:
            statistic += float(((np.bincount(index, minlength=candidates) - expected) ** 2 / expected).sum())
            freedom += candidates - 1
    assert freedom > 50
    assert 1e-4 < chi2.sf(statistic, freedom) < 1 - 1e-4

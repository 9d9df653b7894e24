"""Records, totals and draws: names, types and units, against a case by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kvgym.cluster import ClusterSpec
from tests.sim.small import COST, started, tokens


def test_records_and_totals_in_seconds():
    # Worker 0: 3 tokens (0.13 s) and a decode (0.11 s) leave 4 pages. Its second request hits 3 pages and computes one
    # (0.11 s). Of 10 pages 5 are taken then: the request of 7 takes 5 free ones and evicts 2 (0.17 s).
    prompts = [[1, 2, 3], [9], [1, 2, 3, 4], [11, 12, 13, 14, 15, 16, 17]]
    workload = tokens(prompts, [2, 1, 1, 1])
    simulator = started(workload)
    assert len(simulator.records()) == 0
    for worker in (0, 1, 0, 0):
        simulator.advance()
        simulator.route(worker)
    arrived = simulator.records()
    assert np.isnan(arrived["admitted"][3]) and np.isnan(arrived["finish"][3]) and arrived["worker"][3] == 0
    assert simulator.advance().kind == "DONE"
    records = simulator.records()
    expected = {
        "request": ("i4", [0, 1, 2, 3]),
        "worker": ("i4", [0, 1, 0, 0]),
        "arrival": ("f8", [0.0, 1.0, 2.0, 3.0]),
        "admitted": ("f8", [0.0, 1.0, 2.0, 3.0]),
        "first_token": ("f8", [0.13, 1.11, 2.11, 3.17]),
        "finish": ("f8", [0.24, 1.11, 2.11, 3.17]),
        "prompt_tokens": ("i4", [3, 1, 4, 7]),
        "output_tokens": ("i4", [2, 1, 1, 1]),
        "hit_tokens": ("i4", [0, 0, 3, 0]),
        "preemptions": ("i4", [0, 0, 0, 0]),
        "returns": ("i4", [0, 0, 0, 0]),
        "fetched_tokens": ("i4", [0, 0, 0, 0]),
    }
    assert list(expected) == list(records.dtype.names)
    for name, (dtype, values) in expected.items():
        assert records.dtype[name] == np.dtype(dtype)
        assert records[name].tolist() == pytest.approx(values, abs=1e-12)
    totals = simulator.totals()
    assert totals.dtype.names == ("loaded", "hit", "evicted", "recomputed", "iterations", "busy", "fetched", "lost")
    assert totals[["loaded", "hit", "evicted", "recomputed", "iterations"]].tolist() == [
        (12, 3, 2, 0, 4),
        (1, 0, 0, 0, 1),
    ]
    assert totals["busy"].tolist() == pytest.approx([0.13 + 0.11 + 0.11 + 0.17, 0.11])


def test_results_are_copies():
    simulator = started(tokens([[1], [2]]), router="round_robin", evictor="random", log_iterations=True, log_draws=True)
    simulator.run()
    for read in (simulator.records, simulator.totals, simulator.iterations, simulator.draws):
        before = read().tolist()
        read()[:] = np.zeros(1, read().dtype)
        assert read().tolist() == before


def test_draws():
    # Worker of 10 pages: [0 1 2 3] and [4 5 6 7] leave 2; 4 more evict 2 tail pages of the 2 leaves.
    simulator = started(
        tokens([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]),
        cluster=ClusterSpec.uniform(1, 10, COST),
        evictor="random",
        router="round_robin",
        log_draws=True,
    )
    simulator.run()
    draws = simulator.draws()
    assert draws.dtype.names == ("worker", "candidates", "index", "node", "page")
    assert draws["candidates"].tolist() == [2, 2]
    assert set(draws["worker"]) == {0}
    assert set(draws["node"]) <= {0, 1}
    assert draws["page"].tolist() == ([3, 2] if draws["node"][0] == draws["node"][1] else [3, 3])

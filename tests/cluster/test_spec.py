"""Specifications of workers, clusters and engines: defaults, values, and bad input."""

import math

import numpy as np
import pytest

from kvgym.cluster import SCHEDULES, ClusterSpec, EngineSpec, IterationCost, WorkerSpec

COST = IterationCost(c0=1.0)


def test_engine_defaults():
    engine = EngineSpec()
    assert (engine.page_size, engine.schedule, engine.chunk_tokens, engine.max_running) == (16, "mixed", 8192, 256)
    assert (engine.evict_full_request, engine.reserve_output) == (False, 1.0)


def test_specs_are_hashable_values_of_plain_types():
    worker = WorkerSpec(np.int32(5), COST)  # type: ignore[arg-type]
    assert type(worker.kv_pages) is int
    assert hash(worker) == hash(WorkerSpec(5, IterationCost(c0=1)))
    assert ClusterSpec([worker, worker]) == ClusterSpec.uniform(2, 5, COST)  # type: ignore[arg-type]
    assert len(ClusterSpec.uniform(3, 5, COST)) == 3
    assert hash(EngineSpec(reserve_output=1)) == hash(EngineSpec())


@pytest.mark.parametrize("kv_pages", [0, -1, 1.5, math.nan, True, "4", None])
def test_a_worker_needs_pages(kv_pages):
    with pytest.raises(ValueError, match="kv_pages must be an integer >= 1, got"):
        WorkerSpec(kv_pages, COST)


def test_a_worker_needs_a_cost():
    with pytest.raises(ValueError, match="cost must be an IterationCost, got 3"):
        WorkerSpec(1, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [(), 3, [COST]])
def test_a_cluster_needs_workers(workers):
    with pytest.raises(ValueError, match="workers must be at least one WorkerSpec, got"):
        ClusterSpec(workers)


@pytest.mark.parametrize("n", [0, -2, 1.0])
def test_a_uniform_cluster_needs_workers(n):
    with pytest.raises(ValueError, match="n must be an integer >= 1, got"):
        ClusterSpec.uniform(n, 5, COST)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("page_size", 0, "page_size must be an integer >= 1, got 0"),
        ("page_size", 16.0, "page_size must be an integer >= 1, got 16.0"),
        ("schedule", "fifo", f"schedule must be one of {', '.join(SCHEDULES)}; got 'fifo'"),
        ("schedule", None, "schedule must be one of"),
        ("chunk_tokens", 0, "chunk_tokens must be an integer >= 1, got 0"),
        ("max_running", 0, "max_running must be an integer >= 1, got 0"),
        ("max_running", 8193, r"max_running must be at most chunk_tokens \(8192\), .* got 8193"),
        ("evict_full_request", 1, "evict_full_request must be True or False, got 1"),
        ("reserve_output", -0.1, "reserve_output must be a finite number >= 0, got -0.1"),
        ("reserve_output", math.nan, "reserve_output must be a finite number >= 0, got nan"),
    ],
)
def test_a_bad_engine_setting_is_named(field, value, message):
    with pytest.raises(ValueError, match=message):
        EngineSpec(**{field: value})

"""A cluster and workloads that are small enough to be followed by hand."""

from __future__ import annotations

from kvgym.cluster import ClusterSpec, EngineSpec, IterationCost
from kvgym.sim import Simulator
from kvgym.workload import Workload

COST = IterationCost(overhead_ms=100.0, k=10.0, p=1.0)  # 0.1 s and 0.01 s per token
CLUSTER = ClusterSpec.uniform(2, 10, COST)
ENGINE = EngineSpec(page_size=1, chunk_tokens=8, max_running=4)


def tokens(prompts, outputs=None, arrivals=None):
    """A workload; by default one request a second, each with one output token."""
    times = range(len(prompts)) if arrivals is None else arrivals
    return Workload.from_tokens(prompts, outputs or [1] * len(prompts), times, 1)


def started(workload, *, cluster=CLUSTER, engine=ENGINE, **options):
    """A simulator at the start of a workload."""
    reset = {name: options.pop(name) for name in ("warmup", "warmup_router", "limit", "truncate") if name in options}
    simulator = Simulator(cluster, engine, debug=True, **options)
    simulator.reset(workload, **reset)
    return simulator

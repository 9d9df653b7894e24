"""The hit rate that one cache of all workers' memory would have, were the future known."""

from __future__ import annotations

import numpy as np

from kvgym.cluster import ClusterSpec, EngineSpec, IterationCost
from kvgym.scenarios import Scenario
from kvgym.sim import Simulator

_AT_ONCE = IterationCost(overhead_ms=1e-6)
"""An iteration takes a nanosecond: a request is done before the next one comes."""


def pooled_hit_rate(scenario: Scenario, seed: int, split: str = "validation", evictor: str = "belady") -> float:
    """Share of the counted requests' prompt tokens that hit in one cache with the pages of all workers.

    Requests come one after the other, in the order of the workload, and are done at once, so that nothing but the
    cache's size and the evictor counts: no router splits the pages, none are locked, and who comes at the same time as
    another finds what that one left. With "belady" it is the benchmark of hit rates on any router; of latency it says
    nothing, since it has one worker.

    Args:
        scenario: What arrives, on how many pages.
        seed: Of the episode, as `reset(seed=..)` of an environment has it.
        split: "train", "validation" or "test".
        evictor: One of `kvgym.sim.EVICTORS`.
    """
    workload_seed, policy_seed = scenario.seeds(seed, split, 0)
    workload = scenario.workload(workload_seed, split)
    pages = sum(worker.kv_pages for worker in scenario.cluster.workers)
    longest = int(workload.requests["prompt_tokens"].max())
    engine = EngineSpec(workload.page_size, chunk_tokens=longest, max_running=1)
    simulator = Simulator(ClusterSpec.uniform(1, pages, _AT_ONCE), engine, evictor, "round_robin")
    first = scenario.warmup_requests
    simulator.reset(workload, policy_seed, warmup=first, limit=first + scenario.episode_requests)
    simulator.run()
    records = simulator.records()
    counted = records[simulator.tables["progress"]["decision"][records["request"]] >= 0]
    return float(np.sum(counted["hit_tokens"]) / np.sum(counted["prompt_tokens"]))

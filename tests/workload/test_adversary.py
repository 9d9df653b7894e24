"""A rule does badly on the workload that is built against it, and another one does better."""

import pytest

from kvgym import Simulator
from kvgym.cluster import ClusterSpec, EngineSpec, IterationCost
from kvgym.workload import adversary

WORKERS, KV_TOKENS, PAGE = 4, 65_536, 16
COST = IterationCost(overhead_ms=1.0, c0=5.0, w=5.0, k=0.02, a_kv=4e-5)
BETTER = {
    "lru": ("belady", 0.5),
    "lru_node": ("belady", 0.5),
    "fifo": ("belady", 0.5),
    "lfu": ("lru", 0.8),
    "mru": ("lru", 0.8),
    "random": ("belady", 0.8),
    "rlt": ("belady", 0.8),
    "rlt_code": ("belady", 0.8),
    "round_robin": ("least_loaded", 0.8),
    "least_loaded": ("prefix_affinity", 0.8),
    "random_router": ("prefix_affinity", 0.8),
    "prefix_affinity": ("least_loaded", 0.8),
}
ROUTERS = ("round_robin", "least_loaded", "random_router", "prefix_affinity")


def loss(workload, rule, is_router):
    """Seconds of latency of a router; tokens loaded by an evictor, on one worker."""
    workers = WORKERS if is_router else 1
    cluster = ClusterSpec.uniform(workers, KV_TOKENS // PAGE, COST)
    router, evictor = (rule.removesuffix("_router"), "lru") if is_router else ("round_robin", rule)
    simulator = Simulator(cluster, EngineSpec(page_size=PAGE), evictor, router)
    simulator.reset(workload, 0)
    simulator.run()
    records = simulator.records()
    if is_router:
        return (records["finish"] - records["arrival"]).mean()
    return (records["prompt_tokens"] - records["hit_tokens"]).sum()


@pytest.mark.parametrize("against", BETTER)
def test_another_rule_does_better(against):
    is_router = against in ROUTERS
    workers = WORKERS if is_router else 1
    rate = 5.0 if against == "prefix_affinity" else 40.0 if is_router else 2.0
    workload = adversary(3, PAGE, against=against, workers=workers, kv_tokens=KV_TOKENS, requests=800, rate=rate)
    other, share = BETTER[against]
    assert loss(workload, other, is_router) < share * loss(workload, against, is_router)


def test_refusals():
    with pytest.raises(ValueError, match="against must be one of lru, lru_node"):
        adversary(1, 16, against="luck", workers=1, kv_tokens=10**5)
    with pytest.raises(ValueError, match="kv_tokens must be an integer >= 8192"):
        adversary(1, 16, against="lru", workers=1, kv_tokens=100)

"""The simulator as a program calls it: decisions, results and their units, bad input, and small cases by hand."""

import numpy as np
import pytest

from kvgym.cluster import ClusterSpec, EngineSpec, IterationCost
from kvgym.sim import Simulator
from kvgym.workload import Workload, gsp

# An iteration takes 1 s, whatever is in it.
SECOND = IterationCost(c0=1000.0)
ENGINE = EngineSpec(page_size=4, chunk_tokens=64, max_running=4)


def cluster(n=2, kv_pages=100):
    return ClusterSpec.uniform(n, kv_pages, SECOND)


def prompts(*lengths, first=0):
    """Prompts without a common token."""
    return [range(1000 * (first + i), 1000 * (first + i) + n) for i, n in enumerate(lengths)]


def test_a_request_by_hand():
    workload = Workload.from_tokens(prompts(10), [3], [0.5], 4)
    sim = Simulator(cluster(1), ENGINE, log_iterations=True)
    sim.reset(workload)
    decision = sim.advance()
    assert (decision.kind, decision.request, decision.worker, decision.time) == ("ROUTE", 0, -1, 0.5)
    assert sim.advance() == decision  # still due
    sim.route(0)
    assert sim.advance().kind == "DONE"
    record = sim.records()[0]
    assert (record["arrival"], record["admitted"]) == (0.5, 0.5)
    # The prefill emits the first token after 1 s, two decodes the others.
    assert (record["first_token"], record["finish"]) == pytest.approx((1.5, 3.5))
    assert (record["prompt_tokens"], record["output_tokens"], record["hit_tokens"]) == (10, 3, 0)
    totals = sim.totals()
    # 12 tokens leave 3 full pages in the cache.
    assert (totals["loaded"][0], totals["iterations"][0], totals["busy"][0]) == (3, 3, 3.0)
    log = sim.iterations()
    assert log["start"].tolist() == pytest.approx([0.5, 1.5, 2.5])
    assert log["prefill_tokens"].tolist() == [10, 0, 0]
    assert log["kv_tokens"].tolist() == [0, 11, 12]


def test_results_before_anything_has_happened():
    workload = Workload.from_tokens(prompts(10, 10), [1, 1], [0.0, 5.0], 4)
    sim = Simulator(cluster(), ENGINE)
    sim.reset(workload)
    sim.advance()
    records = sim.records()
    assert records["request"].tolist() == [0]
    assert records["worker"].tolist() == [-1]
    assert np.isnan(records["finish"][0])


def test_the_event_log_says_why_a_request_waits():
    # 8 pages: the first request holds 5 of them and grows; the second needs 5.
    workload = Workload.from_tokens(prompts(20, 20), [2, 1], [0.0, 0.5], 4)
    sim = Simulator(cluster(1, 8), ENGINE, router="round_robin", log_iterations=True)
    sim.reset(workload)
    sim.run()
    # At 1 s the head is refused, at 2 s the first request has ended.
    assert sim.iterations()["wait_reason"].tolist() == ["", "pages", ""]
    assert sim.records()["admitted"].tolist() == [0.0, 2.0]


def test_history_view_trims_the_oldest_tail():
    a, b = prompts(16, 12)
    workload = Workload.from_tokens([a, b, a, b], [1] * 4, [0.0, 10.0, 20.0, 30.0], 4)
    sim = Simulator(cluster(1), ENGINE, view="history", history_pages=5)
    sim.reset(workload)
    seen = []
    while (decision := sim.advance()).kind == "ROUTE":
        seen.append(sim.visible_hit(0, decision.request))
        sim.route(0)
    # a puts in 4 pages; b makes it 7, so a's last two go; a puts them back, and b's last two go.
    assert seen == [0, 0, 8, 4]


def test_prompt_pages_are_numbered_by_first_appearance():
    a, b = prompts(12, 8)
    workload = Workload.from_tokens([a, [*a[:8], 7, 7, 7, 7], b], [1] * 3, [0.0, 1.0, 2.0], 4)
    sim = Simulator(cluster(1), ENGINE)
    sim.reset(workload)
    pages = []
    while sim.advance().kind == "ROUTE":
        pages.append(sim.prompt_pages().tolist())
        sim.route(0)
    assert pages == [[0, 1, 2], [0, 1, 3], [4, 5]]


def test_warm_up_limit_and_truncation():
    workload = Workload.from_tokens(prompts(8, 8, 8, 8), [1] * 4, [0.0, 1.0, 2.0, 3.0], 4)
    sim = Simulator(cluster(), ENGINE)
    sim.reset(workload, warmup=1, warmup_router="least_loaded", limit=3, truncate=True)
    requests = []
    while (decision := sim.advance()).kind == "ROUTE":
        requests.append(decision.request)
        sim.route(1)
    assert requests == [1, 2]
    assert (decision.kind, decision.time) == ("TRUNCATED", 3.0)
    assert sim.records()["worker"].tolist() == [0, 1, 1]


def test_a_callable_routes():
    workload = Workload.from_tokens(prompts(8, 8, 8), [1] * 3, [0.0, 1.0, 2.0], 4)
    sim = Simulator(cluster(), ENGINE, router=lambda sim, decision: decision.request % 2)
    sim.reset(workload)
    sim.run()
    assert sim.records()["worker"].tolist() == [0, 1, 0]


def test_clairvoyant_eviction_hits_most():
    engine = EngineSpec(page_size=4, chunk_tokens=4096, max_running=1)
    for seed in range(5):
        workload = gsp(seed, 4, groups=6, prompts_per_group=12, lengths=(40, 80), output_tokens=1, rate=0.01)
        hits = {}
        for evictor in ("belady", "lru", "lru_node", "random", "rlt", "rlt_code"):
            sim = Simulator(cluster(1, 60), engine, evictor, "round_robin")
            sim.reset(workload, seed)
            sim.run()
            hits[evictor] = int(sim.records()["hit_tokens"].sum())
        assert hits["belady"] == max(hits.values())
        assert hits["belady"] > hits["lru"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"evictor": "fifo2"}, "evictor must be one of agent, lru, lru_node"),
        ({"router": "best"}, "router must be one of agent, random"),
        ({"view": "psychic"}, "view must be one of exact, history"),
        ({"history_pages": 0}, "history_pages must be an integer >= 1"),
        ({"metrics_period_s": float("nan")}, "metrics_period_s must be a finite number"),
        ({"debug": 1}, "debug must be True or False"),
        ({"cluster": 3}, "cluster must be a ClusterSpec"),
        ({"engine": None}, "engine must be an EngineSpec"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        Simulator(**{"cluster": cluster(), "engine": ENGINE, **change})


def test_bad_calls_are_named():
    sim = Simulator(cluster(), ENGINE)
    for early in (sim.advance, sim.records, sim.totals, sim.prompt_pages, lambda: sim.load(0)):
        with pytest.raises(RuntimeError, match="reset"):
            early()
    workload = Workload.from_tokens(prompts(8), [1], [0.0], 4)
    sim.reset(workload)
    with pytest.raises(RuntimeError, match="no ROUTE decision is due"):
        sim.route(0)
    with pytest.raises(RuntimeError, match="decide with advance"):
        sim.run()
    sim.advance()
    for worker in (-1, 2, 1.0, "1"):
        with pytest.raises(ValueError, match="worker must be an integer from 0 to 1"):
            sim.route(worker)
    with pytest.raises(RuntimeError, match="log_iterations=True"):
        sim.iterations()
    with pytest.raises(RuntimeError, match="log_draws=True"):
        sim.draws()


def test_workloads_that_can_not_be_served_are_named():
    sim = Simulator(cluster(2, 4), ENGINE)
    with pytest.raises(ValueError, match="workload must be a Workload"):
        sim.reset([1, 2])
    with pytest.raises(ValueError, match="pages of 8 tokens, the engine of 4"):
        sim.reset(Workload.from_tokens(prompts(8), [1], [0.0], 8))
    too_large = Workload.from_tokens(prompts(8, 16), [1, 2], [0.0, 1.0], 4)
    with pytest.raises(ValueError, match="request 1 needs 5 pages, the smallest worker has 4"):
        sim.reset(too_large)
    fitting = too_large.drop_oversized(4)
    assert (len(fitting), fitting.n_dropped) == (1, 1)
    sim.reset(fitting)

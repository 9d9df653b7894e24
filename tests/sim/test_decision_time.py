"""ROUTE decisions that take time (docs/semantics.md#d1-time), against cases by hand."""

import gymnasium as gym
import numpy as np
import pytest

from kvgym.cluster import ClusterSpec, Crash, EngineSpec, IterationCost, Link, Network, WorkerSpec
from kvgym.evaluation import play
from kvgym.sim import Simulator
from kvgym.workload import Workload

COST = IterationCost(overhead_ms=100.0, k=10.0, p=1.0)  # 0.1 s and 0.01 s per token
ENGINE = EngineSpec(page_size=1, chunk_tokens=16, max_running=8)


def simulator(prompts, arrivals, decision_s=0.05, workers=1, outputs=None, network=None, **options):
    cluster = ClusterSpec(tuple(WorkerSpec(40, COST) for _ in range(workers)), network)
    transfer = "never" if network is None else "auto"
    sim = Simulator(cluster, ENGINE, decision_s=decision_s, debug=True, transfer=transfer)
    sim.reset(Workload.from_tokens(prompts, outputs or [1] * len(prompts), arrivals, 1), **options)
    return sim


def run(sim, *targets):
    """Routes; returns admissions and finishes."""
    for worker in targets:
        assert sim.advance().kind == "ROUTE"
        sim.route(worker)
    assert sim.advance().kind == "DONE"
    return sim.records()["admitted"].tolist(), sim.records()["finish"].tolist()


def test_a_request_joins_its_queue_later_and_later_decisions_queue_behind():
    # Decided from 0 to 0.05, computed until 0.16; the one of 0.02 from 0.05 to 0.1, computed from 0.16 to 0.27; the
    # third waits for nobody.
    sim = simulator([[1], [2], [3]], [0.0, 0.02, 0.5])
    admitted, finish = run(sim, 0, 0, 0)
    assert admitted == pytest.approx([0.05, 0.16, 0.55])
    assert finish == pytest.approx([0.16, 0.27, 0.66])
    assert sim.records()["arrival"].tolist() == [0.0, 0.02, 0.5]


def test_no_time_is_as_it_was():
    admitted, finish = run(simulator([[1], [2], [3]], [0.0, 0.02, 0.5], decision_s=0.0), 0, 0, 0)
    assert admitted == pytest.approx([0.0, 0.11, 0.5])
    assert finish == pytest.approx([0.11, 0.22, 0.61])


def test_what_takes_effect_at_an_iteration_end_joins_the_next_iteration():
    # Until 0.16; the second decision takes effect at 0.16, the third arrives then and is decided until 0.21.
    sim = simulator([[1], [2], [3]], [0.0, 0.11, 0.16])
    assert run(sim, 0, 0, 0)[0] == pytest.approx([0.05, 0.16, 0.27])


def test_a_request_on_its_way_is_counted_by_the_router_and_not_by_the_engine():
    sim = simulator([[1, 2], [3]], [0.0, 0.02])
    sim.advance()
    sim.route(0)
    sim.advance()
    (row,) = sim.tables["workers"]
    assert sim.load(0) == (0, 0)
    assert (row["inflight"], row["waiting"], row["prefill_estimate"], row["queued_tokens"]) == (1, 1, 2, 0)


def test_a_request_on_its_way_to_a_worker_that_crashes_comes_back():
    # Decided until 0.05, but the worker is lost at 0.02: decided again from 0.05, when the router is free, to 0.1.
    sim = simulator([[1]], [0.0], workers=2, faults=[Crash(0, 0.02, 9.0)])
    admitted, finish = run(sim, 0, 1)
    assert (admitted, finish) == (pytest.approx([0.1]), pytest.approx([0.21]))
    assert sim.records()[["worker", "returns"]].tolist() == [(1, 1)]


def test_a_refusal_takes_time_too():
    sim = simulator([[1], [2]], [0.0, 0.02])
    sim.advance()
    sim.refuse()
    assert run(sim, 0)[0][1] == pytest.approx(0.1)


def test_the_warm_up_takes_none():
    sim = simulator([[1], [2]], [0.0, 1.0], warmup=1)
    assert run(sim, 0)[0] == pytest.approx([0.0, 1.05])


def test_rules_of_the_simulator_take_time_as_agents_do():
    cluster = ClusterSpec.uniform(1, 40, COST)
    sim = Simulator(cluster, ENGINE, router="least_loaded", decision_s=0.05)
    sim.reset(Workload.from_tokens([[1], [2], [3]], [1] * 3, [0.0, 0.02, 0.5], 1))
    sim.run()
    assert sim.records()["admitted"].tolist() == pytest.approx([0.05, 0.16, 0.55])


def test_a_transfer_is_decided_when_the_decision_takes_effect():
    # The prefix of 8 is on worker 0 since 0.05 + 0.18; 7 of its tokens take 0.007 s from 1.05 on, then one is computed.
    network = Network((0, 1), Link(0.0, 1e3), Link(0.0, 1e3))
    cluster = ClusterSpec(tuple(WorkerSpec(40, COST, kv_bytes_per_token=1) for _ in range(2)), network)
    sim = Simulator(cluster, ENGINE, decision_s=0.05, transfer="auto", debug=True)
    sim.reset(Workload.from_tokens([list(range(8))] * 2, [1, 1], [0.0, 1.0], 1))
    admitted, finish = run(sim, 0, 1)
    assert sim.records()["fetched_tokens"].tolist() == [0, 7]
    assert admitted == pytest.approx([0.05, 1.057])
    assert finish == pytest.approx([0.23, 1.167])


def test_each_decision_may_take_its_own_time():
    sim = simulator([[1], [2]], [0.0, 1.0], decision_s=None)
    for seconds in (0.3, 0.0):
        sim.advance()
        sim.charge(seconds)
        sim.route(0)
    sim.advance()
    assert sim.records()["admitted"].tolist() == pytest.approx([0.3, 1.0])
    with pytest.raises(ValueError, match="seconds must be a finite number from 0 to 3600, got -1"):
        sim.charge(-1)
    with pytest.raises(RuntimeError, match="decision_s"):
        simulator([[1]], [0.0], decision_s=0.0).charge(1.0)


def test_a_clone_goes_on_as_the_simulator_does():
    sim = simulator([[1], [2], [3]], [0.0, 0.02, 0.5])
    sim.advance()
    sim.route(0)
    copy = sim.clone()
    assert run(copy, 0, 0) == run(sim, 0, 0)


def test_a_scenario_may_say_how_long_a_decision_takes():
    overrides = {"warmup_requests": 20, "episode_requests": 100}
    env = gym.make("KVGym/Route-v0", scenario="sanity", scenario_overrides={**overrides, "decision_s": 0.25})
    base = gym.make("KVGym/Route-v0", scenario="sanity", scenario_overrides=overrides)
    costs = []
    for one in (base, env):
        one.reset(seed=0)
        over = False
        while not over:
            *_, over, _, info = one.step(0)
        costs.append(info["episode_metrics"]["J"])
    # On sanity worker 0 is never idle for long: what a request waits for on its way it does not wait for in the queue.
    assert costs[0] <= costs[1] <= costs[0] + 0.25 + 1e-9
    assert np.isfinite(costs).all()


class Slow:
    """Says that each decision took so long."""

    observation = "physical"
    environment = "KVGym/Route-v0"

    def __init__(self, seconds):
        self.measured_ns = round(seconds * 1e9)

    def reset(self, env, seed):
        pass

    def act(self, observation, info):
        return 0


def test_measured_seconds_are_charged_as_constant_ones_are():
    overrides = {"warmup_requests": 20, "episode_requests": 100}
    charged = play(Slow(0.125), "sanity", 0, overrides=overrides, charges=True)
    constant = play(Slow(0.125), "sanity", 0, overrides={**overrides, "decision_s": 0.125})
    free = play(Slow(0.125), "sanity", 0, overrides=overrides)
    assert charged.records_sha256 == constant.records_sha256 != free.records_sha256
    with pytest.raises(ValueError, match="agents that route"):
        play(type("Evicts", (Slow,), {"environment": "KVGym/Evict-v0"})(1.0), "multi-turn", 0, charges=True)

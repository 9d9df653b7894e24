"""Networks, transfers and faults of a scenario: how they are described, what is refused and how."""

import numpy as np
import pytest

from kvgym.cluster import Crash, Slowdown, load_catalogue
from kvgym.scenarios import get_scenario

WORKER = {"kv_tokens": 1600, "cost": {"c0": 10.0}, "kv_bytes_per_token": 1000}
FOUR = {"workers": [{**WORKER, "count": 4}], "recipe_args": {"lengths": [512]}}
LINK = {"latency_ms": 1.0, "gb_per_s": 1.0}
ALL = {"nodes": [0, 0, 1, 1], "inside": LINK, "between": LINK}


def made(**overrides):
    return get_scenario("gsp-stable", {**FOUR, **overrides})


def test_workers_per_node():
    network = made(network={"per_node": 3, "inside": "nvlink-h100", "between": LINK}).cluster.network
    assert network.nodes == (0, 0, 0, 1)
    assert network.inside == load_catalogue().links["nvlink-h100"]
    assert (network.between.latency_s, network.between.bytes_per_s) == (0.001, 1e9)
    assert made(network={"nodes": [5, 2, 5, 2], "inside": LINK, "between": LINK}).cluster.network.nodes == (5, 2, 5, 2)
    assert made(network={"per_node": 4, "inside": LINK}).cluster.network.between is None
    assert made(network={"per_node": 1, "between": LINK}).cluster.network.inside is None


def test_links_with_a_cost_per_page_and_overlap():
    layered = {"link": "rdma-8x-cx7", "overlap": True}
    network = made(network={**ALL, "inside": {**LINK, "page_us": 5}, "between": layered}).cluster.network
    assert (network.inside.page_s, network.inside.overlap) == (5e-6, False)
    known = load_catalogue().links["rdma-8x-cx7"]
    assert (network.between.bytes_per_s, network.between.overlap) == (known.bytes_per_s, True)


def test_a_network_grows_with_the_workers():
    scenario = made(network={"per_node": 2, "inside": LINK, "between": LINK}, n_workers=5)
    assert scenario.cluster.network.nodes == (0, 0, 1, 1, 2)


def test_a_network_alone_moves_nothing():
    assert made(network=ALL).transfers is False
    assert made(network=ALL, transfer="auto").transfers is True
    assert made(network=ALL, transfer="auto").simulator().settings.transfers


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"network": 5}, "network must be a mapping of names to values, got 5"),
        (
            {"network": {**ALL, "outside": LINK}},
            "network key must be one of nodes, per_node, inside, between; got",
        ),
        ({"network": {"inside": LINK}}, r"either nodes \(of each worker\) or per_node \(workers\), got \['inside'\]"),
        ({"network": {**ALL, "per_node": 2}}, r"either nodes .* or per_node .*, got \['between', 'inside', 'nodes', "),
        ({"network": {"per_node": 0, "inside": LINK}}, "per_node of the network must be an integer >= 1, got 0"),
        ({"network": {**ALL, "nodes": [0, 1]}}, "network must name the node of 4 workers, it names 2"),
        ({"network": {**ALL, "nodes": 3}}, "nodes must be the node of each worker, got 3"),
        ({"network": {**ALL, "nodes": [0, 0, 1, "b"]}}, "node of worker 3 must be an integer >= 0, got 'b'"),
        ({"network": {"per_node": 2, "inside": LINK}}, "no link between node 0 and node 1: give `between`"),
        ({"network": {"per_node": 2, "between": LINK}}, "no link inside node 0, which has 2 workers: give `inside`"),
        ({"network": {**ALL, "inside": "nvlink"}}, "inside must be one of .*nvlink-h100.*; got 'nvlink'"),
        ({"network": {**ALL, "between": ["x"]}}, "between must be one of .*rdma"),
        ({"network": {**ALL, "between": {**LINK, "gb_per_s": -1}}}, "gb_per_s of link between must be a finite"),
        ({"network": {**ALL, "between": {"gb_per_s": 1}}}, "between.*latency_ms"),
        ({"network": {**ALL, "between": {**LINK, "page_us": "x"}}}, "page_us of link between must be a finite"),
        ({"network": {**ALL, "inside": {**LINK, "overlap": "yes"}}}, "overlap of link inside must be True or False"),
        ({"network": ALL, "workers": [WORKER, {**WORKER, "kv_bytes_per_token": 5, "count": 3}]}, r"got \[5, 1000\]"),
        ({"network": ALL, "workers": [{"kv_tokens": 1600, "cost": {}, "count": 4}]}, r"above 0, .* got \[0\]"),
        ({"workers": [{**WORKER, "kv_bytes_per_token": -5}]}, "worker 0: kv_bytes_per_token must be an integer >= 0"),
        ({"transfer": "auto"}, 'transfer "auto" needs a network, the scenario has none'),
        ({"transfer": "always", "network": ALL}, "transfer must be one of never, auto; got 'always'"),
        (
            {"workers": [WORKER, {"model": "llama-3.1-70b", "gpu": "l4", "form": "published"}]},
            r"worker 1: llama-3.1-70b does not fit on 1 x l4: .* 131.41 GiB of weights .* 24.0 GiB = 21.60 GiB",
        ),
        (
            {"workers": [{"model": "llama-3.1-405b", "gpu": "h100", "tp": 8}]},
            "no fitted cost of llama-3.1-405b",
        ),
        ({"faults": [Crash(0, 1.0)]}, "faults must be a mapping of names to values"),
        ({"faults": {"crash_every": 5}}, "faults: .*'crash_every'"),
        ({"faults": {"crash_every_s": -5}}, "crash_every_s must be a finite number from 0"),
        ({"faults": {"down_s": 0}}, "down_s must be above 0, got 0"),
        (
            {"faults": {"schedule": [], "down_s": 5}},
            r"schedule alone or the fields of FaultRates, got \['down_s'",
        ),
        ({"faults": {"schedule": ["crash"]}}, "fault 0 must be a mapping of names to values, got 'crash'"),
        ({"faults": {"schedule": 5}}, "schedule must be a list of faults, got 5"),
        (
            {"faults": {"schedule": [{"worker": 0, "time_s": 1.0}]}},
            "kind of fault 0 must be one of crash, slow-down",
        ),
        ({"faults": {"schedule": [{"kind": "fire"}]}}, "kind of fault 0 must be one of crash, slow-down; got 'fire'"),
        ({"faults": {"schedule": [{"kind": "crash", "worker": 0}]}}, "fault 0: .*time_s"),
        (
            {"faults": {"schedule": [{"kind": "crash", "worker": 0, "time_s": 1, "factor": 2}]}},
            "fault 0: .*'factor'",
        ),
        (
            {"faults": {"schedule": [{"kind": "crash", "worker": 0, "time_s": -1}]}},
            "fault 0: time_s of a crash",
        ),
        (
            {"faults": {"schedule": [{"kind": "crash", "worker": 4, "time_s": 1}]}},
            "worker of a fault must be from 0",
        ),
        (
            {"faults": {"schedule": [{"kind": "crash", "worker": w, "time_s": 1 + w} for w in range(4)]}},
            "at 4 s all 4 are down",
        ),
        (
            {"faults": {"schedule": [{"kind": "crash", "worker": 1, "time_s": t, "down_s": 2} for t in (1, 2)]}},
            "faults of one kind must not overlap on a worker",
        ),
        ({"workers": [WORKER], "faults": {"crash_every_s": 9}}, "a cluster of one worker can't have crashes"),
    ],
)
def test_what_is_refused_is_named(overrides, message):
    with pytest.raises(ValueError, match=message):
        made(**overrides)


def test_one_worker_may_be_slow():
    scenario = made(workers=[WORKER], faults={"slow_every_s": 9})
    assert not scenario.fails
    assert all(isinstance(fault, Slowdown) for fault in scenario.fault_schedule(np.random.SeedSequence(0)))


def test_a_schedule_that_every_episode_has():
    schedule = [
        {"kind": "crash", "worker": 1, "time_s": 5.0, "down_s": 2.0},
        {"kind": "crash", "worker": 2, "time_s": 6.0},
        {"kind": "slow-down", "worker": 0, "time_s": 1.0, "duration_s": 3.0, "factor": 2.0},
    ]
    scenario = made(faults={"schedule": schedule})
    expected = (Crash(1, 5.0, 2.0), Crash(2, 6.0), Slowdown(0, 1.0, 3.0, 2.0))
    for number in range(3):
        assert scenario.fault_schedule(np.random.SeedSequence(number)) == expected
    assert scenario.fails
    assert not made(faults={"schedule": schedule[2:]}).fails
    assert made(faults={"schedule": []}).fault_schedule(np.random.SeedSequence(0)) == ()


def test_schedules_that_are_drawn_follow_the_workloads_seed():
    """Neither the rates of one kind, nor the cluster, nor the workload that is played change the stream."""
    scenario = made(faults={"crash_every_s": 50.0, "down_s": 5.0, "until_s": 500.0})
    seeds = [scenario.seeds(seed, "train", episode)[0] for seed, episode in ((0, 0), (0, 1), (1, 0))]
    schedules = [scenario.fault_schedule(seed) for seed in seeds]
    assert len(set(schedules)) == 3
    assert [scenario.fault_schedule(seed) for seed in seeds] == schedules
    again = scenario.seeds(0, "train", 0)[0]
    workload = scenario.workload(again)
    assert scenario.fault_schedule(again) == schedules[0]
    assert scenario.workload(scenario.seeds(0, "train", 0)[0]).content_hash() == workload.content_hash()
    plain = made()
    assert plain.workload(plain.seeds(0, "train", 0)[0]).content_hash() == workload.content_hash()


def test_no_scenario_has_faults_without_being_told():
    assert not made().fails and made().fault_schedule(np.random.SeedSequence(0)) == ()

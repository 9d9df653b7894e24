"""Links and networks: their times, and what is refused and how."""

import dataclasses
import math

import numpy as np
import pytest

from kvgym.cluster import (
    ClusterSpec,
    EngineSpec,
    IterationCost,
    Link,
    Network,
    WorkerSpec,
    find_link,
    load_catalogue,
    worker_spec,
)
from kvgym.sim import Simulator

LINK = Link(0.001, 1e9)
COST = IterationCost(c0=1.0)


def test_a_link_takes_its_latency_and_then_the_bytes():
    assert LINK.seconds(0, 1000) == 0.001
    assert LINK.seconds(500, 1000) == pytest.approx(0.0015, abs=1e-15)
    assert LINK.latency_ps() == 10**9 and LINK.ps_per_token(1000) == 1e6
    assert Link(0.0, 1e15).seconds(1, 1) == 1e-12  # nothing takes no time


def test_times_are_whole_picoseconds():
    assert Link(0.0, 3e12).seconds(1, 1) == 1e-12
    assert Link(0.0, 3e12).seconds(5, 1) == 2e-12
    assert Link(1.4e-12, 1e12).seconds(7, 1) == pytest.approx(8e-12, abs=1e-24)


def test_a_link_takes_time_for_each_page():
    link = Link(0.001, 1e9, page_s=1e-4)
    assert link.seconds(33, 1000, 16) == pytest.approx(0.001 + 33e-6 + 3e-4, abs=1e-15)
    assert Link(0.0, 1e15, page_s=2e-12).seconds(1, 1) == 2e-12  # not 1 ps more
    # 16 kB take 16 us by themselves, 116 us as a page.
    assert link.effective_bytes_per_s(1000, 16) == pytest.approx(16_000 / 116e-6)
    assert LINK.effective_bytes_per_s(1000, 16) == pytest.approx(1e9)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("latency_s", -1e-9, "latency_s must be a finite number from 0 to 3600, got -1e-09"),
        ("latency_s", 3601, "latency_s must be a finite number from 0 to 3600, got 3601"),
        ("latency_s", math.nan, "latency_s must be a finite number"),
        ("latency_s", "fast", "latency_s must be a finite number .* got 'fast'"),
        ("bytes_per_s", 0.0, "bytes_per_s must be a finite number >= 1, got 0.0"),
        ("bytes_per_s", -1e9, "bytes_per_s must be a finite number >= 1"),
        ("bytes_per_s", math.inf, "bytes_per_s must be a finite number"),
        ("page_s", -1e-6, "page_s must be a finite number from 0 to 1, got -1e-06"),
        ("page_s", None, "page_s must be a finite number"),
        ("overlap", 1, "overlap must be"),
    ],
)
def test_figures_of_a_link(field, value, message):
    with pytest.raises(ValueError, match=message):
        Link(**{"latency_s": 0.0, "bytes_per_s": 1e9, field: value})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 1), "tokens must be an integer >= 0, got -1"),
        ((1.5, 1), "tokens must be"),
        ((1, 0), "kv_bytes_per_token must be an integer >= 1, got 0"),
        ((1, 1, 0), "page_size must be an integer >= 1, got 0"),
    ],
)
def test_what_a_link_is_asked_for(arguments, message):
    with pytest.raises(ValueError, match=message):
        LINK.seconds(*arguments)


def test_nodes_are_any_integers():
    network = Network([np.int64(7), 3, 7], LINK, LINK)  # type: ignore[arg-type]
    assert network.nodes == (7, 3, 7) and type(network.nodes[0]) is int
    inside, between = Link(0.0, 1e9, "inside"), Link(0.0, 1e8, "between")
    network = Network((7, 3, 7), inside, between)
    assert [network.link(0, w).name for w in (1, 2)] == ["between", "inside"]
    assert hash(network) == hash(Network((7, 3, 7), inside, between))


def test_links_that_nobody_needs_may_be_left_out():
    assert Network((0, 1, 2), between=LINK).inside is None
    assert Network((0, 0, 0), LINK).between is None
    assert Network((5,)).link


@pytest.mark.parametrize(
    ("nodes", "links", "message"),
    [
        ((0, 1, 1), {"between": LINK}, "no link inside node 1, which has 2 workers: give `inside`"),
        ((4, 4, 2), {"inside": LINK}, "no link between node 4 and node 2: give `between`"),
        ((0, 0), {}, "no link inside node 0"),
        ((0, 1), {}, "no link between node 0 and node 1"),
        ((0, -1), {"inside": LINK}, "node of worker 1 must be an integer >= 0, got -1"),
        ((0, 0.5), {"inside": LINK}, "node of worker 1 must be an integer >= 0, got 0.5"),
        ((0, True), {"inside": LINK}, "node of worker 1 must be an integer"),
        (3, {"inside": LINK}, "nodes must be the node of each worker, got 3"),
        (None, {}, "nodes must be the node of each worker, got None"),
        ((0, 0), {"inside": "nvlink-h100"}, "inside must be a Link or None, got 'nvlink-h100'"),
        ((0, 1), {"between": 5}, "between must be a Link or None, got 5"),
    ],
)
def test_a_network_that_cannot_be(nodes, links, message):
    with pytest.raises(ValueError, match=message):
        Network(nodes, **links)


def test_links_of_the_catalogue():
    links = load_catalogue().links
    assert find_link(links, None, "inside") is None
    assert find_link(links, LINK, "inside") is LINK
    known = find_link(links, "nvlink-h100", "inside")
    assert known is links["nvlink-h100"] and known.name == "nvlink-h100" and known.source
    given = find_link(links, {"latency_ms": 0.5, "gb_per_s": 2}, "between")
    assert (given.latency_s, given.bytes_per_s) == (0.0005, 2e9)
    given = find_link(links, {"latency_ms": 0.5, "gb_per_s": 2, "page_us": 3, "overlap": True}, "between")
    assert (given.page_s, given.overlap) == (3e-6, True)
    changed = find_link(links, {"link": "nvlink-h100", "overlap": True}, "inside")
    assert changed == dataclasses.replace(links["nvlink-h100"], overlap=True)
    for link in links.values():
        assert 0 < link.latency_s < 0.1 and 1e9 <= link.bytes_per_s < 1e12 and not link.overlap


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nvlink-h101", "inside must be one of .*nvlink-h100.*rdma-8x-cx7.*; got 'nvlink-h101'"),
        (5, "inside must be one of .*nvlink-a100.*; got 5"),
        (["nvlink-h100"], "inside must be one of "),
        ({}, "inside.*latency_ms"),
        ({"latency_ms": 1.0}, "inside.*gb_per_s"),
        ({"latency_ms": 1.0, "gb_per_s": 1.0, "colour": 3}, "inside.*colour"),
        ({"latency_ms": -1.0, "gb_per_s": 1.0}, "latency_ms of link inside must be a finite number >= 0, got -1.0"),
        ({"latency_ms": 1.0, "gb_per_s": 0}, "gb_per_s of link inside must be a finite number"),
        ({"latency_ms": 1e9, "gb_per_s": 1}, "latency_s must be a finite number from 0 to 3600"),
        (
            {"latency_ms": 1, "gb_per_s": 1, "page_us": -2},
            "page_us of link inside must be a finite number >= 0, got -2",
        ),
        ({"latency_ms": 1, "gb_per_s": 1, "page_us": 2e6}, "page_s must be a finite number from 0 to 1, got 2.0"),
        ({"latency_ms": 1, "gb_per_s": 1, "overlap": 1}, "overlap of link inside must be True or False, got 1"),
        ({"link": "nvlink"}, "link inside must be one of .*nvlink-h100"),
        ({"link": "nvlink-h100", "gb_per_s": 3}, "link inside must have the fields .*link.*gb_per_s"),
    ],
)
def test_an_unknown_link_is_refused_with_those_that_there_are(given, message):
    with pytest.raises(ValueError, match=message):
        find_link(load_catalogue().links, given, "inside")


def workers(*sizes):
    return tuple(WorkerSpec(10, COST, size) for size in sizes)


@pytest.mark.parametrize(
    ("specs", "network", "message"),
    [
        (workers(5, 5), Network((0, 0, 0), LINK), "network must name the node of 2 workers, it names 3"),
        (workers(5, 5), Network((0,), LINK), "network must name the node of 2 workers, it names 1"),
        (workers(5, 6), Network((0, 0), LINK), r"the same kv_bytes_per_token above 0, .*; got \[5, 6\]"),
        (workers(0, 0), Network((0, 0), LINK), r"the same kv_bytes_per_token above 0, .*; got \[0\]"),
        (workers(5, 0), Network((0, 1), LINK, LINK), r"got \[0, 5\]"),
        (workers(5, 5), (0, 0), r"network must be a Network or None, got \(0, 0\)"),
        (workers(5, 5), "fast", "network must be a Network or None, got 'fast'"),
    ],
)
def test_clusters_that_cannot_be_connected(specs, network, message):
    with pytest.raises(ValueError, match=message):
        ClusterSpec(specs, network)


@pytest.mark.parametrize("size", [-1, 1.5, None, "5", True])
def test_bytes_of_a_token(size):
    with pytest.raises(ValueError, match="kv_bytes_per_token must be an integer >= 0, got"):
        WorkerSpec(10, COST, size)


def test_workers_of_one_model_may_differ_otherwise():
    big, small = worker_spec("llama-3.1-8b", "h100"), worker_spec("llama-3.1-8b", "l40")
    assert big.kv_bytes_per_token == small.kv_bytes_per_token == 2 * 2 * 32 * 8 * 128
    assert len(ClusterSpec((big, small), Network((0, 1), between=LINK))) == 2
    with pytest.raises(ValueError, match="they exchange KV of one model"):
        ClusterSpec((big, worker_spec("llama-3.1-70b", "h100", tp=4)), Network((0, 1), between=LINK))


def test_transfers_need_a_network():
    spec, engine = ClusterSpec(workers(5, 5)), EngineSpec()
    with pytest.raises(ValueError, match='transfer must be "never" in a cluster without a network, got "auto"'):
        Simulator(spec, engine, transfer="auto")
    for transfer in ("always", None, True):
        with pytest.raises(ValueError, match="transfer must be one of never, auto; got"):
            Simulator(spec, engine, transfer=transfer)
    connected = ClusterSpec(workers(5, 5), Network((0, 0), LINK))
    assert Simulator(connected, engine).settings.transfers is False  # a network alone changes nothing

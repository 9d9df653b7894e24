"""Transfers of known prompts over links of known figures, in times computed by hand."""

import dataclasses

import pytest

from kvgym.cluster import ClusterSpec, Crash, EngineSpec, IterationCost, Link, Network, Slowdown, WorkerSpec
from kvgym.sim import Simulator
from kvgym.workload import Workload

COST = IterationCost(overhead_ms=100.0, k=10.0, p=1.0)  # 0.1 s, and 0.01 s per token
ENGINE = EngineSpec(page_size=16, chunk_tokens=1000, max_running=8)  # so a token costs 0.0101 s
WORKER = WorkerSpec(100, COST, kv_bytes_per_token=1000)
INSIDE = Link(0.002, 1e6)  # 1 ms per token
BETWEEN = Link(0.010, 5e5)  # 2 ms per token
PREFIX = list(range(64))


def cluster(*nodes, inside=INSIDE, between=BETWEEN):
    return ClusterSpec((WORKER,) * len(nodes), Network(nodes, inside, between))


def serve(spec, rows, faults=(), **options):
    """Plays requests (arrival, prompt, worker), each with one output token; worker 0 serves for one that is down."""
    routes = [worker for *_, worker in rows]

    def router(simulator, decision):
        return routes[decision.request] * int(simulator.up()[routes[decision.request]])

    simulator = Simulator(spec, ENGINE, router=router, transfer="auto", debug=True, **options)
    arrivals, prompts = [arrival for arrival, *_ in rows], [prompt for _, prompt, _ in rows]
    simulator.reset(Workload.from_tokens(prompts, [1] * len(rows), arrivals, 16), faults=faults)
    simulator.run()
    return simulator


FIRST = (0.0, PREFIX, 0)
SECOND = (10.0, [*PREFIX, *range(100, 136)], 1)  # 100 tokens, of which worker 0 has 64


@pytest.mark.parametrize(("nodes", "kind", "seconds"), [((0, 0), "inside", 0.066), ((0, 7), "between", 0.138)])
def test_an_idle_link(nodes, kind, seconds):
    simulator = serve(cluster(*nodes), [FIRST, SECOND])
    (row,) = simulator.traffic()
    assert (row["source"], row["target"], row["kind"]) == (0, 1, kind)
    assert (row["transfers"], row["tokens"], row["bytes"], row["given_up"]) == (1, 64, 64_000, 0)
    assert row["seconds"] == pytest.approx(seconds, abs=1e-12)
    record = simulator.records()[1]
    assert record["admitted"] == pytest.approx(10.0 + seconds, abs=1e-12)
    # The other 36 tokens are computed then.
    assert record["first_token"] == pytest.approx(10.0 + seconds + 0.1 + 0.36, abs=1e-12)
    assert (record["hit_tokens"], record["fetched_tokens"]) == (64, 64)
    assert simulator.totals()[["loaded", "fetched"]].tolist() == [(4, 0), (2, 4)]


def test_the_last_token_is_always_computed():
    """Of 64 known tokens 48 are fetched, three pages."""
    simulator = serve(cluster(0, 0), [FIRST, (10.0, PREFIX, 1)])
    assert simulator.traffic()[["tokens", "seconds"]].tolist() == [(48, pytest.approx(0.05))]
    assert simulator.records()["first_token"][1] == pytest.approx(10.0 + 0.05 + 0.1 + 0.16)


@pytest.mark.parametrize(("cut", "fetches"), [(0.999, True), (1.001, False)])
def test_it_is_fetched_where_that_is_faster(cut, fetches):
    """64 tokens cost 64 x 0.0101 s = 0.6464 s."""
    link = Link(0.6464 * cut, 1e15)
    simulator = serve(cluster(0, 0, inside=link), [FIRST, SECOND])
    assert len(simulator.traffic()) == fetches
    first_token = 10.0 + 0.6464 * cut + 0.46 if fetches else 11.1
    assert simulator.records()["first_token"][1] == pytest.approx(first_token, abs=1e-9)


def test_transfers_wait_for_the_end_that_a_node_shares():
    """Two transfers from node 0 to node 1 follow each other; inside a node every worker has an end of its own."""
    rows = [FIRST, (1.0, PREFIX, 1), (10.0, SECOND[1], 2), (10.0, SECOND[1], 3)]
    simulator = serve(cluster(0, 0, 1, 1), rows)
    # At 10 s worker 3 would have 64 tokens after 0.138 + 0.138 s.
    assert simulator.records()["admitted"][2:] == pytest.approx([10.138, 10.276])
    rows = [FIRST, (10.0, SECOND[1], 1), (10.0, SECOND[1], 2)]
    simulator = serve(cluster(0, 0, 0), rows)  # worker 0 sends one after the other
    assert simulator.records()["admitted"][1:] == pytest.approx([10.066, 10.132])
    rows = [FIRST, (1.0, PREFIX, 1), (10.0, SECOND[1], 2), (10.0, SECOND[1], 3)]
    simulator = serve(cluster(0, 0, 0, 0), rows)  # two sources, two targets
    # Worker 1 fetched 48 tokens and computed 16; both sources have all 64, the one that is idle would be first.
    assert simulator.records()["admitted"][2:] == pytest.approx([10.066, 10.066])
    sources = simulator.traffic()[["source", "target"]].tolist()
    assert sources == [(0, 1), (0, 2), (1, 3)]


def offers(simulator, request):
    return [simulator.offer(w, request) for w in range(3)]


def test_an_offer_says_what_a_transfer_would_take():
    simulator = Simulator(cluster(0, 0, 1), ENGINE, transfer="auto")
    workload = Workload.from_tokens([PREFIX, SECOND[1], SECOND[1]], [1] * 3, [0.0, 10.0, 10.0], 16)
    simulator.reset(workload)
    simulator.advance()
    assert offers(simulator, 0) == [(0, 0.0)] * 3
    simulator.route(0)
    simulator.advance()
    assert offers(simulator, 1) == [
        (0, 0.0),
        (64, pytest.approx(0.066)),
        (64, pytest.approx(0.138)),
    ]
    simulator.route(1)
    simulator.advance()  # the end of worker 0 is busy up to 10.066, that of its node is not
    assert offers(simulator, 2) == [
        (0, 0.0),
        (64, pytest.approx(0.132)),
        (64, pytest.approx(0.138)),
    ]


def test_a_crash_of_the_source_in_mid_transfer():
    """At 10.03 s the transfer is given up, and all 100 tokens are computed."""
    simulator = serve(cluster(0, 0), [FIRST, SECOND], [Crash(0, 10.03, 5.0)])
    assert simulator.traffic()[["transfers", "tokens", "seconds", "given_up"]].tolist() == [(0, 0, 0.0, 1)]
    record = simulator.records()[1]
    assert record["first_token"] == pytest.approx(10.03 + 0.1 + 1.0)
    assert (record["fetched_tokens"], record["returns"]) == (0, 0)
    assert simulator.totals()["lost"].tolist() == [4, 0]


def test_a_crash_of_the_target_in_mid_iteration():
    """Worker 0 is busy from 0 to 0.3 s for nothing; worker 1 begins anew."""
    simulator = Simulator(cluster(0, 0), ENGINE, router=lambda s, d: int(s.up().argmax()), transfer="auto", debug=True)
    simulator.reset(Workload.from_tokens([PREFIX], [1], [0.0], 16), faults=[Crash(0, 0.3)])
    simulator.run()
    record = simulator.records()[0]
    assert (record["worker"], record["returns"], record["first_token"]) == (1, 1, pytest.approx(0.3 + 0.74))
    assert simulator.totals()["busy"].tolist() == pytest.approx([0.3, 0.74])


def test_a_straggler():
    """0.74 s take 2.22 s; an iteration that is in progress keeps its pace."""
    rows = [(0.0, PREFIX, 0), (1.0, PREFIX[::-1], 0)]
    simulator = serve(cluster(0, 0), rows, [Slowdown(0, 0.5, 0.6, 3.0)])
    assert simulator.records()["first_token"] == pytest.approx([0.74, 1.0 + 2.22])


def test_pages_of_another_size_take_the_same_time():
    """What a link moves are tokens: pages of 32 tokens, of which two are there."""
    engine = dataclasses.replace(ENGINE, page_size=32)
    simulator = Simulator(cluster(0, 0), engine, router="round_robin", transfer="auto", debug=True)
    simulator.reset(Workload.from_tokens([PREFIX, SECOND[1]], [1, 1], [0.0, 10.0], 32))
    simulator.run()
    assert simulator.traffic()["seconds"] == pytest.approx([0.066])


OVERLAP = Link(0.002, 1e6, overlap=True)
SLOW = Link(0.1, 64_000 / 0.5, overlap=True)  # 0.1 s and then half a second for the 64 tokens


def test_pages_cost_time():
    """Four pages of 16 tokens, 10 ms each: 0.066 s become 0.106 s, for the transfer and for what a router sees."""
    link = Link(0.002, 1e6, page_s=0.01)
    assert link.seconds(64, 1000, 16) == pytest.approx(0.106)
    simulator = serve(cluster(0, 0, inside=link), [FIRST, SECOND])
    assert simulator.traffic()["seconds"].tolist() == [pytest.approx(0.106)]
    assert simulator.records()["admitted"][1] == pytest.approx(10.106)


def test_computing_overlaps_with_the_rest():
    """Ready after the latency: 36 tokens from 10.002 to 10.462 s; the last layer is there at 10.066 s."""
    simulator = serve(cluster(0, 0, inside=OVERLAP), [FIRST, SECOND])
    record = simulator.records()[1]
    assert record["admitted"] == pytest.approx(10.002, abs=1e-12)
    assert record["first_token"] == pytest.approx(10.462, abs=1e-12)
    assert (record["hit_tokens"], record["fetched_tokens"]) == (64, 64)
    assert simulator.totals()[["loaded", "fetched"]].tolist() == [(4, 0), (2, 4)]
    assert simulator.traffic()[["transfers", "tokens", "seconds"]].tolist() == [(1, 64, pytest.approx(0.066))]


def test_an_iteration_waits_for_the_last_layer():
    """Ready at 10.1 s, 36 tokens take 0.46 s, the last layer comes at 10.6 s; the worker is busy until then."""
    simulator = serve(cluster(0, 0, inside=SLOW), [FIRST, SECOND], log_iterations=True)
    assert simulator.records()["first_token"][1] == pytest.approx(10.6, abs=1e-12)
    assert simulator.iterations()["duration"] == pytest.approx([0.74, 0.5])
    assert simulator.totals()["busy"] == pytest.approx([0.74, 0.5])


@pytest.mark.parametrize(("seconds", "fetches"), [(1.00, True), (1.02, False)])
def test_what_is_left_to_wait_for_is_compared(seconds, fetches):
    """64 tokens cost 0.6464 s; computing the other 36 hides 0.3636 s of the transfer, if it overlaps."""
    link = Link(0.0, 64_000 / seconds, overlap=True)
    assert len(serve(cluster(0, 0, inside=link), [FIRST, SECOND]).traffic()) == fetches
    assert len(serve(cluster(0, 0, inside=dataclasses.replace(link, overlap=False)), [FIRST, SECOND]).traffic()) == 0


@pytest.mark.parametrize(("latency", "fetches"), [(0.646, True), (0.647, False)])
def test_the_latency_is_always_waited_for(latency, fetches):
    link = Link(latency, 1e15, overlap=True)
    assert len(serve(cluster(0, 0, inside=link), [FIRST, SECOND]).traffic()) == fetches


def test_the_source_crashes_before_the_last_layer():
    """At 10.3 s: what has not come counts as come; the iteration in progress still lasts until 10.6 s."""
    simulator = serve(cluster(0, 0, inside=SLOW), [FIRST, SECOND], [Crash(0, 10.3, 1.0)])
    traffic = simulator.traffic()[["transfers", "tokens", "seconds", "given_up"]]
    assert traffic.tolist() == [(1, 64, pytest.approx(0.3), 0)]
    assert simulator.records()["first_token"][1] == pytest.approx(10.6, abs=1e-12)
    assert simulator.records()["returns"].tolist() == [0, 0]


def test_the_target_crashes_before_the_last_layer():
    """At 10.3 s: given up, and the request, which is being served, comes back once and is computed at its source."""
    simulator = serve(cluster(0, 0, inside=SLOW), [FIRST, SECOND], [Crash(1, 10.3, 1.0)])
    assert simulator.traffic()[["transfers", "given_up"]].tolist() == [(0, 1)]
    record = simulator.records()[1]
    assert (record["returns"], record["fetched_tokens"], record["worker"]) == (1, 0, 0)
    assert record["first_token"] == pytest.approx(10.3 + 0.46)
    assert simulator.totals()[["fetched", "lost"]].tolist() == [(0, 0), (4, 4)]

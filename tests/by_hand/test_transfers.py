"""Transfers (rules T1 to T5, E1, D2) against cases computed by hand.

With SIMPLE and chunks of 16, a token's share of prefill is 260 / 16 = 16.25 ps, so that 8 tokens are worth 130 ps; LINK
moves 8 tokens in 26 ps. A is the prompt 1 .. 8, which takes 180 ps to compute.
"""

from __future__ import annotations

import pytest

from tests.by_hand import hand
from tests.by_hand.hand import LINK, SIMPLE, A, B, engine, play, request, times
from tests.reference import RefCost, RefLink, RefNetwork

# ---- links and decisions --------------------------------------------------------------------------------------------


def test_a_transfer_that_pays():
    # A is on worker 0. A 9 goes to worker 1 at 1000: 26 < 130, so 8 pages are there at 1026. Admitted then with a hit
    # of 8, one token: 110 ps. At the end 8 pages were fetched there and one loaded.
    result = play([request(A), request((*A, 9), at=1000)], [20, 20], [0, 1], LINK)
    assert times(result, 1) == (1000, 1026, 1136)
    record = result.records[1]
    assert (record.hit_tokens, record.fetched_tokens, record.first_token_ps) == (8, 8, 1136)
    assert [(row.loaded, row.fetched, row.hit, row.recomputed) for row in result.totals] == [(8, 0, 0, 0), (1, 8, 8, 0)]
    assert result.links == {(0, 1): (1, 8, 26, 0)}
    assert result.offers == [((0, 0), (0, 0)), ((0, 0), (8, 26))]
    assert result.up == [(True, True)] * 2
    assert len(result.resident[1]) == 9


@pytest.mark.parametrize(("latency", "links"), [(129, {(0, 1): (1, 8, 129, 0)}), (130, {})])
def test_a_transfer_that_does_not_pay(latency, links):
    # Equal is not sooner: 9 tokens are computed in 190 ps. The router sees the offer all the same (30).
    result = play([request(A), request((*A, 9), at=1000)], [20, 20], [0, 1], RefLink(latency, 0.0))
    assert result.links == links
    assert times(result, 1) == ((1000, 1129, 1239) if links else (1000, 1000, 1190))
    assert result.offers[1] == ((0, 0), (8, latency))


def test_without_a_network_nothing_is_fetched():
    result = play([request(A), request((*A, 9), at=1000)], [20, 20], [0, 1])
    assert (times(result, 1), result.links) == ((1000, 1000, 1190), {})
    assert result.offers == [((0, 0), (0, 0))] * 2


@pytest.mark.parametrize(("latency", "pays"), [(130, True), (131, False)])
def test_the_share_counts_the_tokens_before(latency, pays):
    # a_s = 1. Worker 1 has 1 2. c = 6 tokens after h = 2: 6 x 16.25 + 6 x (2 + 3.5) = 130.5.
    cost = RefCost(SIMPLE.g, a_s=1.0, c_n=0.0, c_b=0.0, q=0)
    requests = [request(A), request((1, 2)), request((*A, 9), at=1000)]
    result = play(requests, [20, 20], [0, 1, 1], RefLink(latency, 0.0), cost=cost)
    assert result.links == ({(0, 1): (1, 6, latency, 0)} if pays else {})


def test_the_last_known_token_is_not_fetched():
    # Pages of 4. A again: min(8, 7) / 4 is one page, 4 tokens, 18 ps. Then 4 tokens: none of them is fetched.
    requests = [request(A), request(A, at=1000), request(A[:4], at=2000)]
    result = play(requests, [20, 20, 20], [0, 1, 2], LINK, settings=engine(page_size=4))
    assert result.links == {(0, 1): (1, 4, 18, 0)}
    assert (times(result, 1), times(result, 2)) == ((1000, 1018, 1158), (2000, 2000, 2140))


def test_the_best_source():
    # Worker 0 has 4 of the tokens, worker 1 all 8: worker 1. One more of worker 2's own: nothing to gain.
    requests = [request(A[:4]), request(A), request((*A, 9), at=1000), request((*A, 9, 10), at=2000)]
    assert play(requests, [20] * 3, [0, 1, 2, 2], LINK).links == {(1, 2): (1, 8, 26, 0)}


def test_of_equal_sources_the_one_that_is_there_first():
    # Workers 0 and 1 have A. To worker 3: both would end at 1026, worker 0. Then to worker 2: worker 0 sends until
    # 1026, worker 1 is free.
    requests = [request(A), request(A), request((*A, 9), at=1000), request((*A, 10), at=1000)]
    result = play(requests, [20] * 4, [0, 1, 3, 2], LINK)
    assert result.links == {(0, 3): (1, 8, 26, 0), (1, 2): (1, 8, 26, 0)}
    assert result.offers[3] == ((0, 0), (0, 0), (8, 26), (8, 52))  # end 3 receives until 1026


def test_inside_and_between():
    # Workers 1 and 2 share a node, their link is slow: 76. Worker 0 is as good a source, over the link between: 26.
    network = RefNetwork((0, 1, 1), RefLink(60, 2.0), LINK)
    requests = [request(A), request(A), request((*A, 9), at=1000)]
    workers = [(20, SIMPLE)] * 3
    assert hand.simulate(requests, workers, engine(), "lru", [0, 1, 2], network=network).links == {
        (0, 2): (1, 8, 26, 0)
    }
    network = RefNetwork((0, 1, 1), LINK, RefLink(60, 2.0))
    assert hand.simulate(requests, workers, engine(), "lru", [0, 1, 2], network=network).links == {
        (1, 2): (1, 8, 26, 0)
    }


def test_offers_are_what_the_view_shows():
    # A history of 4 pages believes that worker 0 has 4 tokens: 18 ps. The transfer itself looks at what is there: 26.
    result = play([request(A), request((*A, 9), at=1000)], [20, 20], [0, 1], LINK, history_pages=4)
    assert result.offers[1] == ((0, 0), (4, 18))
    assert result.links == {(0, 1): (1, 8, 26, 0)}


# ---- ends -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [(0, 0, 0), (0, 1, 2)])
def test_two_transfers_from_one_worker(nodes):
    # Both from worker 0: 1000 .. 1026 .. 1052; the second is planned for 52 ps, which is seen, and still pays. The
    # first request waits meanwhile and counts as queued.
    requests = [request(A), request((*A, 9), at=1000), request((*A, 10), at=1000)]
    result = play(requests, [20] * 3, [0, 1, 2], LINK, nodes)
    assert (times(result, 1), times(result, 2)) == ((1000, 1026, 1136), (1000, 1052, 1162))
    assert result.offers[2] == ((0, 0), (8, 52), (8, 52))
    assert result.visible[2] == (2, 1000, (8, 0, 0), (0, 1, 0), (0, 0, 0))


def test_a_queue_that_is_too_long_does_not_pay():
    # Planned ends of 26, 52, 78, 104, 130: the fifth is not below 130.
    requests = [request(A), *(request((*A, 9 + i), at=1000) for i in range(5))]
    assert sum(row[0] for row in play(requests, [20] * 6, range(6), LINK).links.values()) == 4


@pytest.mark.parametrize(
    ("nodes", "admitted"),
    [((0, 0, 1, 1), 1052), ((0, 0, 1, 2), 1052), ((0, 1, 2, 2), 1052), ((0, 0, 0, 0), 1026), ((0, 1, 2, 3), 1026)],
)
def test_a_nodes_shared_end(nodes, admitted):
    # Worker 0 to worker 2 and worker 1 to worker 3: if one node sends or receives both, the second waits.
    requests = [request(A), request(B), request((*A, 9), at=1000), request((*B, 9), at=1000)]
    result = play(requests, [20] * 4, [0, 1, 2, 3], LINK, nodes)
    assert (result.records[2].admitted_ps, result.records[3].admitted_ps) == (1026, admitted)


def test_inside_and_between_have_ends_of_their_own():
    # Worker 0 sends A to worker 1 (inside) and worker 2 (between) at the same time.
    requests = [request(A), request((*A, 9), at=1000), request((*A, 10), at=1000)]
    result = play(requests, [20] * 3, [0, 1, 2], LINK, (0, 0, 1))
    assert [result.records[i].admitted_ps for i in (1, 2)] == [1026, 1026]


@pytest.mark.parametrize("nodes", [(0, 0), (0, 1)])
def test_both_directions_at_once(nodes):
    requests = [request(A), request(B), request((*A, 9), at=1000), request((*B, 9), at=1000)]
    result = play(requests, [20, 20], [0, 1, 1, 0], LINK, nodes)
    assert [result.records[i].admitted_ps for i in (2, 3)] == [1026, 1026]
    assert result.links == {(0, 1): (1, 8, 26, 0), (1, 0): (1, 8, 26, 0)}


def test_nobody_overtakes_at_an_end():
    # 0 to 1 until 1026, then 0 to 2 until 1052. 3 to 2 was decided after that one: worker 2 receives it first.
    requests = [request(A), request(B), *(request((*tokens, 9 + i), at=1000) for i, tokens in enumerate((A, A, B)))]
    result = play(requests, [20] * 4, [0, 3, 1, 2, 2], LINK)
    assert [result.records[i].admitted_ps for i in (2, 3, 4)] == [1026, 1052, 1162]  # the last one: after an iteration
    assert result.links == {(0, 1): (1, 8, 26, 0), (0, 2): (1, 8, 26, 0), (3, 2): (1, 8, 26, 0)}
    assert result.offers[4][2] == (8, 78)


def test_an_arrival_at_the_end_of_a_transfer():
    # Request 1 joins worker 1 at 1026, before request 2 arrives there: one iteration, request 1 first. Request 3 finds
    # A on both workers and the sending end of worker 0 free again: to worker 2 it takes 26.
    requests = [request(A), request((*A, 9), at=1000), request([30], at=1026), request((*A, 11), at=1026)]
    result = play(requests, [20] * 3, [0, 1, 1, 2], LINK)
    assert result.iterations[1] == [(1026, 1146, 2, 2, 0, 0)]
    assert result.visible[2] == (2, 1026, (0, 0, 0), (0, 1, 0), (0, 0, 0))
    assert result.offers[3][2] == (8, 26)

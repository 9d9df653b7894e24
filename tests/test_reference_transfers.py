"""Transfers (rules T1 to T5, details 28 to 30) of the reference simulator against cases computed by hand.

With SIMPLE and chunks of 16, a token's share of prefill is 260 / 16 = 16.25 ps, so that 8 tokens are worth 130 ps; LINK
moves 8 tokens in 26 ps. A is the prompt 1 .. 8, which takes 180 ps to compute.
"""

from __future__ import annotations

import pytest

from tests.reference import RefCost, RefLink, RefNetwork, RefRequest, simulate
from tests.reference.hand import LINK, SIMPLE, engine, play, request

A = (1, 2, 3, 4, 5, 6, 7, 8)
B = (21, 22, 23, 24, 25, 26, 27, 28)
SLOW = RefLink(110, 2.0)  # 126 ps for 8 tokens, just below the 130 of computing them


def times(result, index):
    """Arrival, admission and finish of a request."""
    record = result.records[index]
    return record.arrival_ps, record.admitted_ps, record.finish_ps


# ---- links and decisions --------------------------------------------------------------------------------------------


def test_seconds_of_a_link():
    # rint(0.5) = 0, rint(1.5) = 2; at least 1.
    assert [RefLink(10, 0.5).duration(tokens) for tokens in (1, 3)] == [10, 12]
    assert RefLink(0, 0.0).duration(5) == 1


def test_a_transfer_that_pays():
    # A is on worker 0. A 9 goes to worker 1 at 1000: 26 < 130, so 8 pages are there at 1026. Admitted then with a hit of
    # 8, one token: 110 ps. At the end 8 pages were fetched there and one loaded.
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
    assert simulate(requests, workers, engine(), "lru", [0, 1, 2], network=network).links == {(0, 2): (1, 8, 26, 0)}
    network = RefNetwork((0, 1, 1), LINK, RefLink(60, 2.0))
    assert simulate(requests, workers, engine(), "lru", [0, 1, 2], network=network).links == {(1, 2): (1, 8, 26, 0)}


def test_offers_are_what_the_view_shows():
    # A history of 4 pages believes that worker 0 has 4 tokens: 18 ps. The transfer itself looks at what is there: 26.
    result = play([request(A), request((*A, 9), at=1000)], [20, 20], [0, 1], LINK, history_pages=4)
    assert result.offers[1] == ((0, 0), (4, 18))
    assert result.links == {(0, 1): (1, 8, 26, 0)}


# ---- ends -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [(0, 0, 0), (0, 1, 2)])
def test_two_transfers_from_one_worker(nodes):
    # Both from worker 0: 1000 .. 1026 .. 1052; the second is planned for 52 ps, which is seen, and still pays. The first
    # request waits meanwhile and counts as queued.
    requests = [request(A), request((*A, 9), at=1000), request((*A, 10), at=1000)]
    result = play(requests, [20] * 3, [0, 1, 2], LINK, nodes)
    assert (times(result, 1), times(result, 2)) == ((1000, 1026, 1136), (1000, 1052, 1162))
    assert result.offers[2] == ((0, 0), (8, 52), (8, 52))
    assert result.visible[2] == (2, 1000, (8, 0, 0), (0, 1, 0), (0, 0, 0))


def test_a_queue_that_is_too_long_does_not_pay():
    # Planned ends of 26, 52, 78, 104, 130: the fifth is not below 130.
    requests = [request(A), *(request((*A, 9 + i), at=1000) for i in range(5))]
    assert sum(row[0] for row in play(requests, [20] * 6, range(6), LINK).links.values()) == 4


@pytest.mark.parametrize(("nodes", "admitted"), [((0, 0, 1, 1), 1052), ((0, 0, 0, 0), 1026), ((0, 1, 2, 3), 1026)])
def test_a_nodes_shared_end(nodes, admitted):
    # Worker 0 to worker 2 and worker 1 to worker 3: if they go from node 0 to node 1, the second has to wait.
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
    # Request 1 joins worker 1 at 1026, before request 2 arrives there: one iteration, request 1 first. Request 3 finds A
    # on both workers and the sending end of worker 0 free again: to worker 2 it takes 26.
    requests = [request(A), request((*A, 9), at=1000), request([30], at=1026), request((*A, 11), at=1026)]
    result = play(requests, [20] * 3, [0, 1, 1, 2], LINK)
    assert result.iterations[1] == [(1026, 1146, 2, 2, 0, 0)]
    assert result.visible[2] == (2, 1026, (0, 0, 0), (0, 1, 0), (0, 0, 0))
    assert result.offers[3][2] == (8, 26)


# ---- start ----------------------------------------------------------------------------------------------------------


def test_the_source_lost_a_page():
    # Worker 0 of 16 pages has A and B. B goes to worker 1 until 1026, A to worker 2 after it. At 1010 a request of 8
    # evicts A there, B being locked. At 1026 the second is given up; 9 tokens are computed in 190 ps.
    new = request(range(50, 58), at=1010)
    requests = [request(A), request(B, at=500), request((*B, 9), at=1000), request((*A, 9), at=1000), new]
    result = play(requests, [16, 20, 20], [0, 0, 1, 2, 0], LINK)
    assert result.evictions[0] == [(0, number) for number in range(7, -1, -1)]
    assert result.links == {(0, 1): (1, 8, 26, 0), (0, 2): (0, 0, 0, 1)}
    assert times(result, 3) == (1000, 1026, 1216)
    assert result.records[3].fetched_tokens == 0


def test_the_target_has_no_room():
    # Worker 1 of 10 pages computes 4 tokens from 990 to 1130: 6 < 8 pages are left at 1000. The request is queued at
    # once; 9 tokens from 1130 on, 3 of the 4 pages go.
    requests = [request(A), request([60, 61, 62, 63], at=990), request((*A, 9), at=1000)]
    result = play(requests, [20, 10], [0, 1, 1], LINK)
    assert result.links == {(0, 1): (0, 0, 0, 1)}
    assert result.evictions[1] == [(1, 3), (1, 2), (1, 1)]
    assert times(result, 2) == (1000, 1130, 1320)


def test_the_resident_prefix_is_no_room():
    # Worker 1 of 9 pages has 1 .. 4, worker 0 has A, and worker 1 computes 2 tokens since 990. 4 pages are missing at
    # 1000: 3 are free, and 1 .. 4 do not count.
    requests = [request(A), request(A[:4]), request([60, 61], at=990), request((*A, 9), at=1000)]
    assert play(requests, [20, 9], [0, 1, 1, 1], LINK).links == {(0, 1): (0, 0, 0, 1)}
    assert play(requests, [20, 10], [0, 1, 1, 1], LINK).links == {(0, 1): (1, 4, 18, 0)}


def test_the_target_has_them_by_now():
    # Two requests with one prefix to worker 1: the second is planned for 1052. At 1026 it finds all pages: given up, and
    # both compute one token in the same iteration of 120 ps.
    requests = [request(A), request((*A, 9), at=1000), request((*A, 10), at=1000)]
    result = play(requests, [20, 20], [0, 1, 1], LINK)
    assert result.links == {(0, 1): (1, 8, 26, 1)}
    assert result.iterations[1] == [(1026, 1146, 2, 2, 0, 0)]
    assert [result.records[i].fetched_tokens for i in (1, 2)] == [8, 0]


def test_the_target_has_some_by_now():
    # 1 .. 4 go first, 18 ps. The second request's transfer of 8 was planned for 44; at its start 4 are missing: 18.
    requests = [request(A), request((*A[:4], 9), at=1000), request((*A, 9), at=1000)]
    result = play(requests, [20, 20], [0, 1, 1], LINK)
    assert result.offers[2][1] == (8, 44)
    assert result.links == {(0, 1): (2, 8, 36, 0)}
    assert [result.records[i].fetched_tokens for i in (1, 2)] == [4, 4]
    # 1018 .. 1128 for request 1, so that request 2, there at 1036, is admitted then.
    assert (times(result, 1), times(result, 2)) == ((1000, 1018, 1128), (1000, 1128, 1238))


def test_a_chain_of_given_up_ones_takes_no_time():
    # As above, with a third request: at 1026 the second and the third are given up, all three start together.
    requests = [request(A), *(request((*A, 9 + i), at=1000) for i in range(3))]
    result = play(requests, [20, 20], [0, 1, 1, 1], LINK)
    assert result.links == {(0, 1): (1, 8, 26, 2)}
    assert result.iterations[1] == [(1026, 1156, 3, 3, 0, 0)]


# ---- end ------------------------------------------------------------------------------------------------------------


def test_pages_found_at_the_end():
    # Worker 1 computes 1 .. 8 20 from 50 to 240, worker 0 has A at 180. From 200 on A is fetched to worker 1, 66 ps. At
    # 266 all 8 pages are there: the fetched ones are freed, neither fetched nor recomputed; the transfer counts.
    requests = [request(A), request((*A, 20), at=50), request((*A, 9), at=200)]
    result = play(requests, [20, 20], [0, 1, 1], RefLink(50, 2.0))
    assert result.links == {(0, 1): (1, 8, 66, 0)}
    totals = result.totals[1]
    assert (totals.fetched, totals.loaded, totals.recomputed, totals.found) == (0, 10, 0, 0)
    assert times(result, 2) == (200, 266, 376)


def test_an_end_is_a_tick_on_the_source():
    # Worker 0 of 16 pages: A, then B; the transfer of A ends at 1026 and stamps it. Then 4 pages are wanted: B's go.
    requests = [request(A), request(B, at=500), request((*A, 9), at=1000), request(range(50, 54), at=2000)]
    assert play(requests, [16, 20], [0, 0, 1, 0], LINK).evictions[0] == [(1, 7), (1, 6), (1, 5), (1, 4)]
    assert play(requests, [16, 20], [0, 0, 1, 0]).evictions[0] == [(0, 7), (0, 6), (0, 5), (0, 4)]


def test_a_tick_is_written_on_the_known_path():
    # Worker 0 has A 9 too, which is known to A 9 10 though only 9 pages are sent: it is all one leaf. Of A 9 .. 12 the
    # pages 9 .. 12 are not known to the request A 9 30: they keep their stamp and go before B.
    requests = [request((*A, 9, 10, 11, 12)), request(B, at=500), request((*A, 9, 30), at=1000)]
    requests.append(request(range(50, 55), at=2000))
    result = play(requests, [20, 20], [0, 0, 1, 0], LINK)
    assert result.links == {(0, 1): (1, 9, 28, 0)}
    assert result.evictions[0] == [(0, 11), (0, 10), (0, 9), (1, 7), (1, 6)]


def test_a_lock_is_no_use():
    # As in the test of the tick, the evictor asked at 2000: slot 0 is B, slot 1 is A: stamped 974 ps ago, no hit.
    questions = []

    def ask(question):
        questions.append(question)
        return 0

    requests = [request(A), request(B, at=500), request((*A, 9), at=1000), request(range(50, 54), at=2000)]
    play(requests, [16, 20], [0, 0, 1, 0], LINK, evictor="agent", evict=ask, candidates=4)
    slots = questions[0].slots
    assert [slot.page for slot in slots[:2]] == [(1, 7), (0, 7)]
    assert [(slot.hits, slot.idle_ps, slot.age_ps) for slot in slots[:2]] == [(0, 1320, 1320), (0, 974, 1820)]


def test_evict_for_a_transfer():
    # Worker 1 of 10 pages holds 6. At 1000 8 pages are wanted: 4 must go, asked then, for request 2. At 1026 its own
    # page wants one more; 8 are locked by its admission.
    questions = []

    def ask(question):
        questions.append(question)
        return 0

    requests = [request(A), request(range(70, 76)), request((*A, 9), at=1000)]
    result = play(requests, [20, 10], [0, 1, 1], LINK, evictor="agent", evict=ask, candidates=2)
    rows = [(q.time_ps, q.request, q.worker, q.wanted, q.free, q.locked) for q in questions]
    assert rows == [(1000, 2, 1, 4, 4, 0), (1026, 2, 1, 1, 0, 8)]
    assert result.evictions[1] == [(1, 5), (1, 4), (1, 3), (1, 2), (1, 1)]
    assert times(result, 2) == (1000, 1026, 1136)


def test_who_evicts_for_a_transfer():
    # The rule of the request; and all of a request's pages with evict_full_request: the 8 wanted, 6 evictable.
    requests = [request(range(70, 73)), request(range(80, 83), at=500), request(A), request((*A, 9), at=1000)]
    kwargs = dict(link=LINK, pages=[20, 10], route=[1, 1, 0, 1])
    assert play(requests, **kwargs).evictions[1][:4] == [(0, 2), (0, 1), (0, 0), (1, 2)]
    assert play(requests, rules=[None] * 3 + ["mru"], **kwargs).evictions[1][:4] == [(1, 2), (1, 1), (1, 0), (0, 2)]
    full = play(requests, settings=engine(evict_full_request=True), **kwargs)
    assert full.evictions[1] == [(0, 2), (0, 1), (0, 0), (1, 2), (1, 1), (1, 0)]


# ---- who waits for pages --------------------------------------------------------------------------------------------


def test_an_empty_worker_waits_for_the_end_of_a_transfer():
    # Worker 0 of 9 pages: A, locked until 1026. A request of 4 at 1010 finds one page free. Another of 2 at 1015 has the
    # head try again, in vain. At 1026 the pages can go: 4 + 2 tokens, 160 ps.
    requests = [request(A), request((*A, 9), at=1000), request(range(50, 54), at=1010), request([60, 61], at=1015)]
    result = play(requests, [9, 20], [0, 1, 0, 0], LINK)
    assert result.iterations[0] == [(0, 180, 8, 1, 0, 0), (1026, 1186, 6, 2, 0, 0)]
    assert result.visible[3][3:] == ((1, 1), (0, 0))


def test_a_refused_head_tries_again_after_a_transfer():
    # Worker 0 of 14: A, locked until 1126; request 2 runs from 990 on. At 1100 it takes a second page and 4 are free:
    # request 3 (6 tokens) is refused. At 1210 the transfer is over and it is admitted, though request 2 goes on.
    requests = [request(A), request((*A, 9), at=1000), request([90], output=5, at=990), request(range(50, 56), at=1005)]
    result = play(requests, [14, 20], [0, 1, 0, 0], SLOW)
    assert [row[0] for row in result.iterations[0]] == [0, 990, 1100, 1210, 1380, 1490]
    assert times(result, 3) == (1005, 1210, 1380)


def test_a_waiting_prefill_tries_again_after_a_transfer():
    # The same with 20 tokens in chunks of 16, worker 0 of 27. At 1100: 15 tokens beside the decode, 27 - 8 - 2 = 17 pages
    # are free, 2 are left. At 1360 (T = 16 takes 260) the other 5 find 1 + the 8 of A: the transfer is over.
    requests = [request(A), request((*A, 9), at=1000), request([90], output=5, at=990), request(range(50, 70), at=1005)]
    result = play(requests, [27, 20], [0, 1, 0, 0], SLOW)
    assert result.iterations[0][2:4] == [(1100, 1360, 15, 1, 1, 2), (1360, 1520, 5, 1, 1, 3)]
    assert result.evictions[0] == [(0, 7), (0, 6), (0, 5), (0, 4)]


def test_a_start_that_only_preempts():
    # Worker 0 of 9: A, locked until 1126, and request 2. At 1100 its decode finds no page: it preempts itself, is at the
    # head, and is refused at once: nothing to compute until 1126. Then its second token is prefill, the third decode.
    requests = [request(A), request((*A, 9), at=1000), request([90], output=3, at=990)]
    for schedule in ("mixed", "prefill_first"):
        result = play(requests, [9, 20], [0, 1, 0], SLOW, settings=engine(schedule=schedule))
        assert result.iterations[0] == [
            (0, 180, 8, 1, 0, 0),
            (990, 1100, 1, 1, 0, 0),
            (1126, 1236, 1, 1, 0, 0),
            (1236, 1346, 0, 0, 1, 3),
        ]
        assert result.records[2].preemptions == 1


def test_a_start_that_preempts_is_made_once_more():
    # Worker 0 of 8 is full of A, locked until 1126. Request 2 is 1 2 and goes on with 3 4: hit 1, its second token is
    # computed in place. At 1120 the decode of 3 wants a page of its own: none. Preempted, it finds 1 2 3 in the tree at
    # the same moment and computes 3 in place.
    requests = [request(A), request((*A, 9), at=1000), RefRequest((1, 2), (3, 4), 1010)]
    for schedule in ("mixed", "prefill_first"):
        result = play(requests, [9, 20], [0, 1, 0], SLOW, settings=engine(schedule=schedule), faults=())
        tight = play(
            requests[:1] + [request((*A[:7], 9), at=1000)] + requests[2:], [8, 20], [0, 1, 0], RefLink(97, 2.0)
        )
        assert result.iterations[0][1:] == [(1010, 1120, 1, 1, 0, 0), (1120, 1230, 0, 0, 1, 3)]
        assert tight.records[2].preemptions in (0, 1)


# ---- marks ----------------------------------------------------------------------------------------------------------


def test_fetched_pages_are_marked_when_they_enter():
    # rlt on worker 1 of 12: 70 71 (request 1) and A are marked as they enter. At 2000 5 pages are wanted of 1 free: a
    # phase begins. The draws are of 2 leaves, then of those that are left.
    requests = [request(A), request([70, 71]), request((*A, 9), at=1000), request([*range(50, 55)], at=2000)]
    unmarked = []

    def ask(question):
        unmarked.append(question.unmarked)
        return 0

    play(requests, [20, 12], [0, 1, 1, 1], LINK, evictor="agent", evict=ask, candidates=2)
    # The phase rule acts before the question: all marks are gone, and nothing of the requester is there.
    assert unmarked[0] == 11


# ---- input ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "what"),
    [
        (RefNetwork((0, 0), None, LINK), "one node"),
        (RefNetwork((0, 1), LINK, None), "two nodes"),
        (RefNetwork((0,), LINK, LINK), "one node"),
        (RefNetwork((0, 1), LINK, RefLink(-1, 0.0)), "negative"),
    ],
)
def test_workers_that_are_not_connected(network, what):
    with pytest.raises(ValueError, match=what):
        simulate([request([1])], [(5, SIMPLE)] * 2, engine(), "lru", [0], network=network)

"""Cost per page (T1) and overlap (T6) of transfers against cases computed by hand.

With SIMPLE and chunks of 16 a token's share of prefill is 16.25 ps: 8 tokens are worth 130 ps. A is the prompt 1 .. 8.
A link of 10 + 15 n moves it in 130 ps, of which 10 are latency.
"""

from __future__ import annotations

import pytest

from tests.by_hand import hand
from tests.by_hand.hand import SIMPLE, A, B, engine, play, request, times
from tests.reference import RefClass, RefCost, RefCrash, RefLink, RefNetwork, RefSlowdown

LAYERS = RefLink(10, 15.0, overlap=True)


# ---- cost per page --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("page_size", "duration"), [(1, 26 + 24), (2, 26 + 12), (4, 26 + 6), (8, 26 + 3)])
def test_every_page_costs(page_size, duration):
    # 10 + 2 n, and 3 ps per page.
    requests = [request(A), request((*A, 9), at=1000)]
    settings = engine(page_size=page_size)
    result = play(requests, [20, 20], [0, 1], RefLink(10, 2.0, 3), settings=settings)
    assert result.links == {(0, 1): (1, 8, duration, 0)}
    assert result.offers[1] == ((0, 0), (8, duration))
    assert times(result, 1) == (1000, 1000 + duration, 1110 + duration)


@pytest.mark.parametrize(("per_page", "links"), [(12, {(0, 1): (1, 8, 122, 0)}), (13, {})])
def test_the_cost_of_pages_may_not_pay(per_page, links):
    # 26 + 8 x 13 = 130 is not below 130.
    requests = [request(A), request((*A, 9), at=1000)]
    assert play(requests, [20, 20], [0, 1], RefLink(10, 2.0, per_page)).links == links


def test_pages_that_are_there_cost_nothing():
    # Worker 1 has 1 2: 6 tokens in 6 pages, 10 + 12 + 18.
    requests = [request(A), request(A[:2]), request((*A, 9), at=1000)]
    assert play(requests, [20, 20], [0, 1, 1], RefLink(10, 2.0, 3)).links == {(0, 1): (1, 6, 40, 0)}


# ---- ready ----------------------------------------------------------------------------------------------------------


def test_computing_hides_the_transfer():
    # 26 ps, ready at 1010: admitted then, with a hit of 8, and done at 1120. The transfer ends at 1026.
    result = play([request(A), request((*A, 9), at=1000)], [20, 20], [0, 1], RefLink(10, 2.0, overlap=True))
    assert times(result, 1) == (1000, 1010, 1120)
    assert (result.records[1].hit_tokens, result.records[1].fetched_tokens) == (8, 8)
    assert result.links == {(0, 1): (1, 8, 26, 0)}
    assert result.offers[1] == ((0, 0), (8, 26))
    assert [(row.loaded, row.fetched, row.hit) for row in result.totals] == [(8, 0, 0), (1, 8, 8)]


def test_an_iteration_waits_for_the_last_layer():
    # Ready at 1006, there at 1134. Request 2 arrives at 1006, the two tokens would be done at 1126.
    requests = [request(A), request((*A, 9), at=1000), request([30], at=1006)]
    result = play(requests, [20, 20], [0, 1, 1], RefLink(6, 16.0, overlap=True))
    assert result.iterations[1] == [(1006, 1134, 2, 2, 0, 0)]
    assert [times(result, i) for i in (1, 2)] == [(1000, 1006, 1134), (1006, 1006, 1134)]
    assert result.totals[1].busy_ps == 128


def test_only_the_first_chunk_waits():
    # Prompt A and 24 more, 16 tokens an iteration: there at 1320. 1010 .. 1270 would be the first chunk, it waits until
    # 1320; the second takes its 180.
    requests = [request(A), request((*A, *range(40, 64)), at=1000)]
    result = play(requests, [40, 40], [0, 1], RefLink(40, 35.0, overlap=True))
    assert result.links == {(0, 1): (1, 8, 320, 0)}
    assert result.iterations[1] == [(1040, 1320, 16, 1, 0, 0), (1320, 1500, 8, 1, 0, 0)]


def test_an_iteration_that_starts_at_the_end_does_not_wait():
    # Worker 1 computes 3 tokens from 1000 to 1130, which is when the transfer ends.
    requests = [request(A), request((*A, 9), at=1000), request([30, 31, 32], at=1000)]
    result = play(requests, [20, 20], [0, 1, 1], LAYERS)
    assert result.iterations[1] == [(1000, 1130, 3, 1, 0, 0), (1130, 1240, 1, 1, 0, 0)]


@pytest.mark.parametrize(
    ("link", "times_"), [((0, 2.0), (1001, 1016)), ((1, 2.0), (1001, 1017)), ((40, 0.0), (1040, 1040))]
)
def test_ready_after_the_latency(link, times_):
    # Not at the very start; without bandwidth to wait for at the end.
    result = play([request(A), request((*A, 9), at=1000)], [20, 20], [0, 1], RefLink(*link, overlap=True))
    assert result.records[1].admitted_ps == times_[0]
    assert result.links == {(0, 1): (1, 8, times_[1] - 1000, 0)}


def test_an_end_of_an_iteration_and_of_a_transfer():
    # The iteration waits for 1134 and ends first: A 9 is done before its transfer is. Request 2 of two tokens goes on.
    requests = [request(A), request((*A, 9), at=1000), request((*A, 10), output=2, at=1006)]
    result = play(requests, [20, 20], [0, 1, 1], RefLink(6, 16.0, overlap=True))
    assert result.iterations[1] == [(1006, 1134, 2, 2, 0, 0), (1134, 1244, 0, 0, 1, 10)]
    assert (result.records[1].finish_ps, result.records[1].fetched_tokens) == (1134, 8)


def test_arrivals_see_it_in_the_queue():
    # At 1010 it is ready before request 2 arrives, and both share an iteration; request 3 arrives at 1020: one runs.
    requests = [request(A), request((*A, 9), at=1000), request([30], at=1010), request([31], at=1020)]
    result = play(requests, [20, 20], [0, 1, 1, 1], LAYERS)
    assert [row[3:] for row in result.visible[2:]] == [((0, 1), (0, 0)), ((0, 0), (0, 2))]
    assert result.visible[2][2] == (0, 0)


# ---- decisions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "more", "pays"),
    [
        ((10, 17.0), 1, True),  # 146 - 16.25 = 129.75 < 130
        ((10, 17.125), 1, False),  # 147 - 16.25
        ((10, 23.0), 4, True),  # 194 - 65 = 129
        ((11, 23.0), 4, False),  # 130
        ((129, 5.0), 4, True),  # ready after 129, 169 - 65
        ((130, 5.0), 4, False),  # ready after 130
    ],
)
def test_what_is_left_to_wait_for(link, more, pays):
    # A prompt of A and so many more tokens: their share is not waited for.
    requests = [request(A), request((*A, *range(40, 40 + more)), at=1000)]
    result = play(requests, [20, 20], [0, 1], RefLink(*link, overlap=True))
    duration = link[0] + int(8 * link[1])
    assert result.links == ({(0, 1): (1, 8, duration, 0)} if pays else {})
    assert result.offers[1][1] == (8, duration)


@pytest.mark.parametrize(("latency", "pays"), [(7, True), (8, False)])
def test_the_share_that_is_left_counts_the_tokens_before(latency, pays):
    # a_s = 1. 8 tokens after 0: 130 + 8 x 4.5 = 166; 1 after 8: 16.25 + 9 = 25.25. 7 + 184 - 25.25 = 165.75.
    cost = RefCost(SIMPLE.g, a_s=1.0, c_n=0.0, c_b=0.0, q=0)
    requests = [request(A), request((*A, 9), at=1000)]
    result = play(requests, [20, 20], [0, 1], RefLink(latency, 23.0, overlap=True), cost=cost)
    assert result.links == ({(0, 1): (1, 8, 191, 0)} if pays else {})


def test_a_link_end_is_taken_until_the_end():
    # Both from worker 0: 1000 .. 1026, then 1026 .. 1052, planned so: the second is ready at 1036. The router sees the
    # planned ends.
    requests = [request(A), request((*A, 9), at=1000), request((*A, 10), at=1000)]
    result = play(requests, [20] * 3, [0, 1, 2], RefLink(10, 2.0, overlap=True))
    assert (times(result, 1), times(result, 2)) == ((1000, 1010, 1120), (1000, 1036, 1146))
    assert result.offers[2][2] == (8, 52)


@pytest.mark.parametrize(("latency", "links"), [(48, 2), (49, 1)])
def test_the_plan_knows_when_it_will_be_ready(latency, links):
    # The first takes 32 more than the latency, so that the second starts after 80 or 81 and is ready at 128 or 130. It
    # is there at 160 or 162, less 65 of the 4 tokens that are left. The first pays in any case.
    requests = [request(A), *(request((*A, *range(40 + 10 * i, 44 + 10 * i)), at=1000) for i in range(2))]
    result = play(requests, [20] * 3, [0, 1, 2], RefLink(latency, 4.0, overlap=True))
    assert len(result.links) == links


def test_of_equal_sources_the_one_that_is_there_first():
    # Worker 0 is on the node of worker 2, over a link that is ready at once and takes 126; from worker 1 it takes 120
    # and is ready as late: that one is taken.
    network = RefNetwork((0, 1, 0), RefLink(0, 15.75, overlap=True), RefLink(120, 0.0, overlap=True))
    requests = [request(A), request(A), request((*A, 9), at=1000)]
    result = hand.simulate(requests, [(20, SIMPLE)] * 3, engine(), "lru", [0, 1, 2], network=network)
    assert result.links == {(1, 2): (1, 8, 120, 0)}


# ---- pages ----------------------------------------------------------------------------------------------------------


def test_the_source_is_locked_until_the_end():
    # Worker 0 of 9 pages, 8 locked. Request 2 of 4 tokens is refused at 1005; not the ready transfer at 1010, its end
    # at 1130 lets it try again.
    requests = [request(A), request((*A, 9), at=1000), request(range(50, 54), at=1005)]
    result = play(requests, [9, 20], [0, 1, 0], LAYERS)
    assert times(result, 2) == (1005, 1130, 1270)
    assert result.evictions[0] == [(0, 7), (0, 6), (0, 5)]


def test_the_target_is_unlocked_when_it_is_ready():
    # Worker 1 of 9 pages. Request 2 of 4 tokens is refused at 1005 and is the head of the queue at 1010, when the
    # fetched pages can go: 3 of them do. 5 are left for A 9, which needs 4 more: refused, though nobody else is served.
    # At 1150 request 2 is over: A 9 hits 5, evicts 4, and does not wait: the transfer was over at 1130.
    requests = [request(A), request((*A, 9), at=1000), request(range(50, 54), at=1005)]
    result = play(requests, [20, 9], [0, 1, 1], LAYERS)
    assert result.iterations[1] == [(1010, 1150, 4, 1, 0, 0), (1150, 1290, 4, 1, 0, 0)]
    assert result.records[1].hit_tokens == 5
    assert result.evictions[1][:3] == [(0, 7), (0, 6), (0, 5)]


def test_who_waits_for_pages_tries_again_when_it_is_ready():
    # Worker 1 of 16. Request 1 decodes, an iteration ends at 1005: it holds 2 pages then, the transfer 8; request 3 of
    # 8 tokens is refused. At 1115 nobody has ended, but the fetched pages can go.
    requests = [
        request(A),
        request([60], output=10, at=895),
        request((*A, 9), at=1000),
        request(range(50, 58), at=1001),
    ]
    result = play(requests, [20, 16], [0, 1, 1, 1], LAYERS)
    assert result.iterations[1][1:3] == [(1005, 1115, 0, 0, 1, 2), (1115, 1305, 8, 1, 1, 3)]
    assert result.records[3].admitted_ps == 1115


def test_it_waits_even_if_the_pages_are_gone():
    # Worker 1 of 16 pages, ten times as fast (nobody is told), evicting as many as are asked for. Request 2 of 9 tokens
    # is refused at 1005: 8 are free. At 1010 it evicts all 8 that were fetched, 7 are free. A 9 hits nothing, and takes
    # these and the rest of the budget. 16 tokens take 26 ps, until 1036; but the transfer is over at 1130.
    fast = RefCost([g // 10 for g in SIMPLE.g], 0.0, 0.0, 0.0, 0)
    requests = [request(A), request((*A, 9), at=1000), request(range(50, 59), at=1005)]
    result = play(
        requests,
        [20, 16],
        [0, 1, 1],
        LAYERS,
        settings=engine(evict_full_request=True),
        faults=[RefSlowdown(1, 900, 5000, fast)],
    )
    assert result.iterations[1][0] == (1010, 1130, 16, 2, 0, 0)
    assert result.evictions[1][:8] == [(0, number) for number in range(7, -1, -1)]
    assert result.records[1].hit_tokens == 0


def test_others_that_hit_the_pages_do_not_wait():
    # One place. Request 2 of a higher class goes before A 9 at 1010 and hits the 8 pages: 110 ps. Then A 9, from 1120
    # on, ten ps before all is there.
    low = dict(service_class=1)
    requests = [request(A, **low), request((*A, 9), at=1000, **low), request((*A, 10), at=1010)]
    settings = engine(max_running=1, queue="priority")
    classes = [RefClass(priority=0), RefClass(priority=1)]
    result = play(requests, [20, 20], [0, 1, 1], LAYERS, settings=settings, classes=classes)
    assert result.iterations[1] == [(1010, 1120, 1, 1, 0, 0), (1120, 1230, 1, 1, 0, 0)]
    assert result.records[2].hit_tokens == 8


def test_pages_that_are_ready_can_be_fetched_on():
    # At 1020 A 10 goes to worker 2: both workers have A, worker 0 sends until 1130, worker 1 is free: 1020 .. 1150,
    # ready at 1030. Its one token takes 110 and waits for 1150 alone.
    requests = [request(A), request((*A, 9), at=1000), request((*A, 10), at=1020)]
    result = play(requests, [20] * 3, [0, 1, 2], LAYERS)
    assert result.links == {(0, 1): (1, 8, 130, 0), (1, 2): (1, 8, 130, 0)}
    assert result.iterations[2] == [(1030, 1150, 1, 1, 0, 0)]


def test_ready_is_a_tick_on_the_target():
    # Worker 1 of 13, one place: 60 61 until 1120, stamped then. Request 3, higher class, 5 pages, goes before A 9;
    # 3 are free. The fetched pages were stamped at 1010, so two of them go.
    classes = [RefClass(priority=0), RefClass(priority=1)]
    low = dict(service_class=1)
    requests = [request(A, **low), request((*A, 9), at=1000, **low), request([60, 61], at=1000, **low)]
    requests.append(request(range(70, 75), at=1100))
    settings = engine(max_running=1, queue="priority")
    result = play(requests, [20, 13], [0, 1, 1, 1], LAYERS, settings=settings, classes=classes)
    assert result.iterations[1][:2] == [(1000, 1120, 2, 1, 0, 0), (1120, 1270, 5, 1, 0, 0)]
    assert result.evictions[1][:2] == [(0, 7), (0, 6)]


def test_the_end_is_a_tick_on_the_source():
    # Worker 0 of 11: 60 61 are stamped at 1120, A at 1130 and not when it was ready: for 4 pages, one of them free, 61
    # and 60 go, then 8.
    requests = [request(A), request((*A, 9), at=1000), request([60, 61], at=1000), request(range(70, 74), at=2000)]
    result = play(requests, [11, 20], [0, 1, 0, 0], LAYERS)
    assert result.evictions[0] == [(2, 1), (2, 0), (0, 7)]


# ---- crashes --------------------------------------------------------------------------------------------------------


def test_a_crash_of_the_source_in_mid_iteration():
    # Ready at 1010, worker 0 crashes at 1050: all tokens count, and 50 ps. The iteration keeps its duration.
    requests = [request(A), request((*A, 9), at=1000)]
    result = play(requests, [20, 20], [0, 1], LAYERS, faults=[RefCrash(0, 1050, None)])
    assert result.links == {(0, 1): (1, 8, 50, 0)}
    assert result.iterations[1] == [(1010, 1130, 1, 1, 0, 0)]
    assert (result.records[1].fetched_tokens, result.records[1].returns) == (8, 0)
    assert [(row.fetched, row.lost) for row in result.totals] == [(0, 8), (8, 0)]


@pytest.mark.parametrize(("crash", "end"), [(1015, 1200), (1020, 1200), (None, 1258)])
def test_a_crash_of_the_source_before_the_iteration(crash, end):
    # Request 1 keeps worker 1 busy until 1020. A and 8 more: 180 ps from then on, or until 1258 when all is there; with
    # a crash by 1020 nothing is waited for.
    requests = [request(A), request([30], at=910), request((*A, *range(40, 48)), at=1000)]
    faults = [] if crash is None else [RefCrash(0, crash, None)]
    result = play(requests, [20, 20], [0, 1, 1], RefLink(10, 31.0, overlap=True), faults=faults)
    assert result.iterations[1][1:] == [(1020, end, 8, 1, 0, 0)]
    assert result.links == {(0, 1): (1, 8, 258 if crash is None else crash - 1000, 0)}


@pytest.mark.parametrize(("crash", "links"), [(1005, (0, 0, 0, 1)), (1010, (1, 8, 10, 0)), (1130, (1, 8, 130, 0))])
def test_a_crash_of_the_source_at_the_edges(crash, links):
    # Before it is ready it is given up, and the request computes 9 tokens. At 1010 it is ready first; the iteration
    # starts after the crash and does not wait.
    requests = [request(A), request((*A, 9), at=1000)]
    result = play(requests, [20, 20], [0, 1], LAYERS, faults=[RefCrash(0, crash, None)])
    assert result.links == {(0, 1): links}
    begin, end, tokens = {1005: (1005, 1195, 9), 1010: (1010, 1120, 1), 1130: (1010, 1130, 1)}[crash]
    assert result.iterations[1] == [(begin, end, tokens, 1, 0, 0)]


def test_a_crash_of_the_source_frees_the_end_of_the_target():
    # 0 to 1 takes 90 and is ready at 1010, 2 to 1 waits for the receiving end: from the crash at 1050 on, until 1140.
    # Worker 1 is done with A 9 at 1120.
    requests = [request(A), request(B), request((*A, 9), at=1000), request((*B, *range(40, 48)), at=1000)]
    link = RefLink(10, 10.0, overlap=True)
    result = play(requests, [40] * 3, [0, 2, 1, 1], link, faults=[RefCrash(0, 1050, None)])
    assert result.links == {(0, 1): (1, 8, 50, 0), (2, 1): (1, 8, 90, 0)}
    assert result.iterations[1] == [(1010, 1120, 1, 1, 0, 0), (1120, 1300, 8, 1, 0, 0)]


def test_a_crash_of_the_target():
    # Worker 1 crashes at 1050: the transfer was ready and is given up, no tokens and no seconds, its pages are lost. To
    # worker 2 it is fetched for again, from the same end: ready at 1060, there at 1180.
    requests = [request(A), request((*A, 9), at=1000)]
    result = play(requests, [20] * 3, [0, 1], LAYERS, faults=[RefCrash(1, 1050, None)])
    assert result.links == {(0, 1): (0, 0, 0, 1), (0, 2): (1, 8, 130, 0)}
    assert result.iterations[1:] == [[(1010, 1050, 1, 1, 0, 0)], [(1060, 1180, 1, 1, 0, 0)]]
    record = result.records[1]
    assert (record.worker, record.returns, record.admitted_ps, record.fetched_tokens) == (2, 1, 1010, 8)
    assert [row[0] for row in result.visible] == [0, 1, 1]
    assert [(row.fetched, row.lost) for row in result.totals] == [(0, 0), (8, 8), (8, 0)]


def test_after_a_crash_of_the_target_nothing_is_waited_for():
    # It comes back at 1015 and goes to worker 0, which has A: 110 ps, though the transfer would have taken until 1130.
    requests = [request(A), request((*A, 9), at=1000)]
    result = play(requests, [20, 20], [0, 1], LAYERS, faults=[RefCrash(1, 1015, None)])
    assert result.iterations[0][1:] == [(1015, 1125, 1, 1, 0, 0)]
    assert result.links == {(0, 1): (0, 0, 0, 1)}


def test_a_crash_of_the_target_unlocks_the_source():
    # Worker 0 of 9 pages. Request 2 of 4 tokens is refused at 1005 and tried again when worker 1 crashes at 1050. A 9
    # goes to worker 0, behind it.
    requests = [request(A), request((*A, 9), at=1000), request(range(50, 54), at=1005)]
    result = play(requests, [9, 9], [0, 1, 0], LAYERS, faults=[RefCrash(1, 1050, None)])
    assert result.records[2].admitted_ps == 1050
    assert result.evictions[0][:3] == [(0, 7), (0, 6), (0, 5)]
    assert result.links == {(0, 1): (0, 0, 0, 1)}


def test_both_crash():
    # Worker 0 first, by index: the transfer ends, all counts. Then worker 1 loses what it brought.
    requests = [request(A), request((*A, 9), at=1000)]
    faults = [RefCrash(0, 1050, None), RefCrash(1, 1050, None)]
    result = play(requests, [20] * 3, [0, 1], LAYERS, faults=faults)
    assert result.links == {(0, 1): (1, 8, 50, 0)}
    assert (result.records[1].returns, result.records[1].fetched_tokens, result.totals[1].lost) == (1, 8, 8)

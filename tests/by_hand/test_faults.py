"""Faults (rules F1 to F6) against cases computed by hand."""

from __future__ import annotations

import pytest

from tests.by_hand.hand import LINK, TWICE, A, B, engine, one_by_one, play, private, request, times
from tests.reference import (
    RefCrash,
    RefLink,
    RefRequest,
    RefSlowdown,
    least_loaded,
    prefix_affinity,
    round_robin,
)

# ---- crashes --------------------------------------------------------------------------------------------------------


def test_crash_in_mid_iteration():
    # A on worker 0 would be done at 180. Worker 0 crashes at 100: back to the router, (0 + 1) mod 2 = worker 1, 180 ps
    # there. Worker 0 was busy for 100, nothing had entered its tree.
    result = play([request(A)], [20, 20], [0], faults=[RefCrash(0, 100, None)])
    assert result.iterations == [[(0, 100, 8, 1, 0, 0)], [(100, 280, 8, 1, 0, 0)]]
    record = result.records[0]
    assert (record.worker, record.returns, record.preemptions, record.fetched_tokens) == (1, 1, 0, 0)
    assert (times(result, 0), record.first_token_ps) == ((0, 0, 280), 280)
    assert [(row.busy_ps, row.loaded, row.lost) for row in result.totals] == [(100, 0, 0), (180, 8, 0)]
    assert [row[:2] for row in result.visible] == [(0, 0), (0, 100)]
    assert result.up == [(True, True), (False, True)]


@pytest.mark.parametrize(("crash", "again"), [(300, 300), (240, 240), (349, 349)])
def test_crash_in_mid_run(crash, again):
    # Prompt 3, output 5: tokens at 130, 240, 350, 460, 570 on worker 0. Up to 349 two are out (at 240: the iteration
    # that ends with the crash has ended) and 4 pages are in the tree, lost. On worker 1 5 tokens are known: prefill of
    # 150 ps emits the third, then two decodes of 110. It keeps its first token, admission and hit.
    result = play([request([1, 2, 3], output=5)], [20, 20], [0], faults=[RefCrash(0, crash, 1000)])
    record = result.records[0]
    assert (times(result, 0), record.first_token_ps, record.hit_tokens) == ((0, 0, again + 370), 130, 0)
    assert result.iterations[1] == [
        (again, again + 150, 5, 1, 0, 0),
        (again + 150, again + 260, 0, 0, 1, 6),
        (again + 260, again + 370, 0, 0, 1, 7),
    ]
    assert [(row.loaded, row.lost) for row in result.totals] == [(4, 4), (7, 0)]
    assert result.totals[0].busy_ps == crash


def test_crash_just_after_the_next_iterations_end():
    # At 350 the third token is out, 6 known ones.
    result = play([request([1, 2, 3], output=5)], [20, 20], [0], faults=[RefCrash(0, 350, 1000)])
    assert result.iterations[1][0] == (350, 510, 6, 1, 0, 0)


def test_who_finishes_at_the_crash_does_not_come_back():
    result = play([request(A)], [20, 20], [0], faults=[RefCrash(0, 180, None)])
    assert (result.records[0].finish_ps, result.records[0].returns, result.totals[0].lost) == (180, 0, 8)
    assert result.resident[0] == set()


def test_queued_and_running_come_back_before_arrivals():
    # max_running 1: request 2 runs, request 3 is queued on worker 0. At 110 both come back, by index, before request 1
    # arrives, since request 0 is over. All on worker 1 then.
    requests = [request([5]), RefRequest((6,), private(1), None, predecessor=0), request(A), request(B)]
    faults = [RefCrash(0, 110, None)]
    result = play(requests, [20, 20], [1, 1, 0, 0], settings=engine(max_running=1), faults=faults)
    assert [row[:2] for row in result.visible] == [(0, 0), (2, 0), (3, 0), (2, 110), (3, 110), (1, 110)]
    assert result.visible[5][3:] == ((0, 2), (0, 0))
    assert [record.returns for record in result.records] == [0, 0, 1, 1]
    assert [record.admitted_ps for record in result.records] == [0, 470, 0, 290]
    assert [record.arrival_ps for record in result.records] == [0, 110, 0, 0]


def test_a_worker_returns_cold():
    # A is on worker 0 at 180; down from 200 to 300. At 1000 nothing is there, in all views.
    requests = [request(A), request((*A, 9), at=250), request((*A, 9), at=1000)]
    for view in ({}, {"history_pages": 20}, {"speculative": True}):
        result = play(requests, [20, 20], [0, 0, 0], faults=[RefCrash(0, 200, 300)], **view)
        assert [row[2] for row in result.visible] == [(0, 0), (0, 0), (0, 8)]
        assert [record.worker for record in result.records] == [0, 1, 0]
        assert (result.records[2].hit_tokens, result.totals[0].lost, result.totals[0].loaded) == (0, 8, 17)


def test_what_is_seen_of_a_worker_that_is_down():
    result = play([request(A), request(A, at=250)], [20, 20], [0, 1], LINK, faults=[RefCrash(0, 200, 300)])
    assert (result.visible[1], result.up[1]) == ((1, 250, (0, 0), (0, 0), (0, 0)), (False, True))
    assert result.offers[1] == ((0, 0), (0, 0))
    assert result.links == {}


def test_random_streams_go_on():
    # Worker 0 of 2 pages, evictor random: 1 and 2, then 3 draws one of two, the only draw before the crash; after it 4
    # and 5, then 6 draws the next one. A log of both is used up.
    requests = one_by_one([1], [2], [3], [4], [5], [6])
    draws = [iter([(2, (1, 0)), (2, (3, 0))]), iter([])]
    result = play(requests, [2, 2], [0] * 6, evictor="random", draws=draws, faults=[RefCrash(0, 25_000, 26_000)])
    assert result.evictions[0] == [(1, 0), (3, 0)]
    assert (result.totals[0].lost, result.resident[0]) == (2, {(4, 0), (5, 0)})


def test_two_crashes_at_once():
    # Workers 0 and 1 crash at 100: request 0 goes to (1 + 1) mod 3 = 2; request 1 would go to (0 + 1) mod 3, which is
    # down: worker 2. In index order, whoever crashed first.
    faults = [RefCrash(1, 100, None), RefCrash(0, 100, None)]
    result = play([request(A), request(B)], [20] * 3, [1, 0], faults=faults)
    assert [row[:2] for row in result.visible] == [(0, 0), (1, 0), (0, 100), (1, 100)]
    assert [record.worker for record in result.records] == [2, 2]
    assert result.iterations[2] == [(100, 360, 16, 2, 0, 0)]


def test_a_return_comes_before_a_crash():
    # At 100 worker 1 is back and worker 0 crashes: to worker 1. At 150 it is the other way round: to (0 + 2) mod 2 = 0.
    faults = [RefCrash(1, 50, 100), RefCrash(0, 100, 150), RefCrash(1, 150, 160)]
    result = play([request(A)], [20, 20], [0], faults=faults)
    assert [row[1] for row in result.visible] == [0, 100, 150]
    assert result.up == [(True, True), (False, True), (True, False)]
    assert (result.records[0].returns, result.records[0].finish_ps) == (2, 330)


# ---- slow-downs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begin", "end", "ends"),
    [
        (100, 200, [130, 350, 460, 570]),  # the first is in progress, the second starts at 130 and takes 220
        (130, 131, [130, 350, 460, 570]),  # begins as the second starts
        (100, 130, [130, 240, 350, 460]),  # is over as the second starts
        (0, 1, [260, 370, 480, 590]),
    ],
)
def test_iterations_that_start_in_a_slowdown(begin, end, ends):
    faults = [RefSlowdown(0, begin, end, TWICE)]
    result = play([request([1, 2, 3], output=4)], [20], [0], faults=faults)
    assert [row[1] for row in result.iterations[0]] == ends


def test_estimates_do_not_know_of_a_slowdown():
    # Worker 1 takes twice as long, still a transfer of 130 ps does not pay.
    requests = [request(A), request((*A, 9), at=1000)]
    faults = [RefSlowdown(1, 900, 5000, TWICE)]
    result = play(requests, [20, 20], [0, 1], RefLink(130, 0.0), faults=faults)
    assert (result.links, result.records[1].finish_ps) == ({}, 1000 + 380)


def test_a_slowdown_outlives_a_crash():
    # Worker 0 is slow from 0 to 1000, down from 100 to 200; at 300 it is slow.
    faults = [RefSlowdown(0, 0, 1000, TWICE), RefCrash(0, 100, 200)]
    assert play([request(A, at=300)], [20, 20], [0], faults=faults).records[0].finish_ps == 300 + 360


# ---- routing --------------------------------------------------------------------------------------------------------


def test_round_robin_takes_the_next_one_that_is_up():
    result = play([request([index]) for index in range(5)], [20] * 3, round_robin, faults=[RefCrash(1, 0, None)])
    assert [record.worker for record in result.records] == [0, 2, 0, 2, 0]


def test_least_loaded_and_prefix_affinity_pass_over_who_is_down():
    # Worker 0 would be the least loaded; worker 2 has nothing but is up.
    faults = [RefCrash(0, 0, None)]
    requests = [request([index]) for index in range(3)]
    for rule in (least_loaded, prefix_affinity):
        assert [record.worker for record in play(requests, [20] * 3, rule, faults=faults).records] == [1, 2, 1]


def test_waiting_for_a_transfer_is_load():
    # At 1000 request 2 is sent to worker 1 and waits for its transfer: the next goes to worker 0, the one after it to
    # worker 0 or 1, equal loads: 0.
    requests = [request(A), *(request((*A, 9 + i), at=1000) for i in range(3))]

    def route(view, index):
        return [0, 1][index] if index < 2 else least_loaded(view, index)

    result = play(requests, [40, 40], route, LINK)
    assert [record.worker for record in result.records] == [0, 1, 0, 0]
    assert [row[3] for row in result.visible[2:]] == [(0, 1), (1, 1)]


def test_given_workers_that_are_down_are_passed_over():
    requests = [request([index]) for index in range(4)]
    result = play(requests, [20] * 4, [0, 1, 2, 3], faults=[RefCrash(1, 0, 9), RefCrash(2, 0, 9)])
    assert [record.worker for record in result.records] == [0, 3, 3, 3]


def test_rules_are_asked_at_each_routing():
    asked = []

    def rule(index):
        asked.append(index)
        return "lru"

    play([request(A)], [20, 20], [0], rules=rule, faults=[RefCrash(0, 100, None)])
    assert asked == [0, 0]


# ---- input ----------------------------------------------------------------------------------------------------------


def test_schedules_that_can_be():
    # One after the other, without a gap.
    faults = [RefCrash(0, 10, 20), RefCrash(1, 20, 30), RefCrash(1, 30, 40), RefSlowdown(0, 5, 10, TWICE)]
    faults.append(RefSlowdown(0, 10, 20, TWICE))
    assert play([request([1])], [5, 5], [0], faults=faults).records[0].returns == 2

"""Pages of transfers: locked, allocated, entered (T3 to T5, E1), computed by hand.

Times are those of test_transfers: 8 tokens of A take 26 ps over LINK, 126 over SLOW, and computing n takes
100 + 10 n.
"""

from __future__ import annotations

import pytest

from tests.by_hand.hand import LINK, SLOW, A, B, engine, play, request, times
from tests.reference import RefCrash, RefLink, RefRequest

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
    # Two requests with one prefix to worker 1: the second is planned for 1052. At 1026 it finds all pages: given up,
    # and both compute one token in the same iteration of 120 ps.
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
    rows = [(q.time_ps, q.request, q.worker, q.wanted, q.decisions_left, q.free, q.locked) for q in questions]
    assert rows == [(1000, 2, 1, 4, 4, 4, 0), (1026, 2, 1, 1, 1, 0, 8)]
    assert result.evictions[1] == [(1, 5), (1, 4), (1, 3), (1, 2), (1, 1)]
    assert times(result, 2) == (1000, 1026, 1136)


def test_who_evicts_for_a_transfer():
    # The rule of the request; and all of a request's pages with evict_full_request: the 8 wanted, 6 evictable.
    requests = [request(range(70, 73)), request(A), request(range(80, 83), at=500), request((*A, 9), at=1000)]
    kwargs = dict(link=LINK, pages=[20, 10], route=[1, 0, 1, 1])
    assert play(requests, **kwargs).evictions[1][:4] == [(0, 2), (0, 1), (0, 0), (2, 2)]
    assert play(requests, rules=[None] * 3 + ["mru"], **kwargs).evictions[1][:4] == [(2, 2), (2, 1), (2, 0), (0, 2)]
    full = play(requests, settings=engine(evict_full_request=True), **kwargs)
    assert full.evictions[1] == [(0, 2), (0, 1), (0, 0), (2, 2), (2, 1), (2, 0)]


# ---- who waits for pages --------------------------------------------------------------------------------------------


def test_an_empty_worker_waits_for_the_end_of_a_transfer():
    # Worker 0 of 9 pages: A, locked until 1026. A request of 4 at 1010 finds one page free. Another of 2 at 1015 has
    # the head try again, in vain. At 1026 the pages can go: 4 + 2 tokens, 160 ps.
    requests = [request(A), request((*A, 9), at=1000), request(range(50, 54), at=1010), request([60, 61], at=1015)]
    result = play(requests, [9, 20], [0, 1, 0, 0], LINK)
    assert result.iterations[0] == [(0, 180, 8, 1, 0, 0), (1026, 1186, 6, 2, 0, 0)]
    assert result.visible[3][3:] == ((1, 1), (0, 0))


def test_a_refused_head_tries_again_after_a_transfer():
    # Worker 0 of 14: A, locked until 1126; request 1 runs from 990 on. At 1100 it takes a second page and 4 are free:
    # request 3 (6 tokens) is refused. At 1210 the transfer is over and it is admitted, though request 1 goes on.
    requests = [request(A), request([90], output=5, at=990), request((*A, 9), at=1000), request(range(50, 56), at=1005)]
    result = play(requests, [14, 20], [0, 0, 1, 0], SLOW)
    assert [row[0] for row in result.iterations[0]] == [0, 990, 1100, 1210, 1380, 1490]
    assert times(result, 3) == (1005, 1210, 1380)


@pytest.mark.parametrize("faults", [(), [RefCrash(0, 1120, None)]])
def test_a_refused_head_tries_again_where_the_pages_went(faults):
    # Worker 1 of 14: 8 pages taken from 1000 to 1126, or until worker 0 crashes; request 1 runs from 940 on. At 1050 it
    # takes a second page and 4 are free: request 3 (6 tokens) is refused. At 1160 it is admitted beside the decode.
    requests = [request(A), request([90], output=5, at=940), request((*A, 9), at=1000), request(range(50, 56), at=1005)]
    result = play(requests, [20, 14], [0, 1, 1, 1], SLOW, faults=faults)
    assert result.iterations[1][1:3] == [(1050, 1160, 0, 0, 1, 2), (1160, 1330, 6, 1, 1, 3)]
    assert times(result, 3) == (1005, 1160, 1330)


def test_a_waiting_prefill_tries_again_after_a_transfer():
    # Worker 0 of 26: A, locked from 1000 to 1126. Request 1 decodes from 840 on, request 2 has 20 tokens: 15 beside the
    # first decode, until 1100. Then the decode takes the last page (26 - 8 - 2 - 15 = 1) and the rest, 5, waits. At
    # 1210 the transfer is over: 1 + 5 pages of A go, though no request ended.
    requests = [request(A), request([90], output=6, at=730), request(range(50, 70), at=740), request((*A, 9), at=1000)]
    result = play(requests, [26, 30], [0, 0, 0, 1], SLOW)
    assert result.iterations[0][1:5] == [
        (730, 840, 1, 1, 0, 0),
        (840, 1100, 15, 1, 1, 2),
        (1100, 1210, 0, 0, 1, 3),
        (1210, 1370, 5, 1, 1, 4),
    ]
    assert result.evictions[0][:6] == [(0, number) for number in range(7, 1, -1)]


def test_a_start_that_only_preempts():
    # Worker 0 of 9: A, locked until 1126, and request 1. At 1100 its decode finds no page: it preempts itself, is at
    # the head, and is refused at once: nothing to compute until 1126. Then its second token is prefill, the third
    # decode.
    requests = [request(A), request([90], output=3, at=990), request((*A, 9), at=1000)]
    for schedule in ("mixed", "prefill_first"):
        result = play(requests, [9, 20], [0, 0, 1], SLOW, settings=engine(schedule=schedule))
        assert result.iterations[0] == [
            (0, 180, 8, 1, 0, 0),
            (990, 1100, 1, 1, 0, 0),
            (1126, 1236, 1, 1, 0, 0),
            (1236, 1346, 0, 0, 1, 3),
        ]
        assert result.records[1].preemptions == 1


@pytest.mark.parametrize("schedule", ["mixed", "prefill_first"])
def test_a_start_that_preempts_is_made_once_more(schedule):
    # Worker 0 of 8: 1 .. 4 and 21 .. 24, sent to workers 1 (inside) and 2 (between) from 1000 to 1060. Request 2 is 1 2
    # and goes on with 3 4: from 945 to 1055 it computes 2 in place. Then its decode wants a page of its own: none. It
    # preempts itself, and at the same moment it finds 1 2 3 in the tree: 3 is computed in place.
    requests = [request(A[:4]), request(B[:4], at=500), RefRequest((1, 2), (3, 4), 945)]
    requests += [request((*A[:4], 9), at=1000), request((*B[:4], 9), at=1000)]
    settings = engine(schedule=schedule)
    result = play(requests, [8, 20, 20], [0, 0, 0, 1, 2], RefLink(52, 2.0), (0, 0, 1), settings)
    assert result.links == {(0, 1): (1, 4, 60, 0), (0, 2): (1, 4, 60, 0)}
    assert result.iterations[0][2:] == [(945, 1055, 1, 1, 0, 0), (1055, 1165, 1, 1, 0, 0)]
    assert result.records[2].preemptions == 1


# ---- marks ----------------------------------------------------------------------------------------------------------


def test_fetched_pages_are_marked_when_they_enter():
    # rlt on worker 1 of 12: 70 is marked, request 2 decodes from 900 on, A is there at 1026. At 1120 request 2 wants
    # its fourth page, none is free: A is marked, too, so a phase begins and the draw is of 70 and 8. 70 goes; A 9 needs
    # one page and is refused. At 1230 request 2 has ended; its last page, the fourth, is the only candidate.
    requests = [request(A), request([70]), request([90], output=4, at=790), request((*A, 9), at=1000)]
    draws = [iter([]), iter([(2, (1, 0)), (1, (2, 3))])]
    result = play(requests, [20, 12], [0, 1, 1, 1], LINK, evictor="rlt", draws=draws)
    assert times(result, 3) == (1000, 1230, 1340)

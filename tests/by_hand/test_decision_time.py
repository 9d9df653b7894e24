"""Decisions that take time (rule D1 Time) against cases computed by hand; D = 100 + 10 T."""

from __future__ import annotations

from tests.by_hand.hand import LINK, A, B, Script, play, request, times
from tests.reference import RefCrash, RefLink, RefRequest, least_loaded


def loads(result):
    """Per decision: request, time, queued and running per worker."""
    return [(row[0], row[1], row[3], row[4]) for row in result.visible]


def test_one_at_a_time():
    # Asked at 0, 0, 100; effects at 50, 100, 150. Worker 0: request 0 in 50 .. 160, request 2 waits from 150 on. Nobody
    # is queued at 100, where the effect of request 1 comes after the decision about request 2.
    requests = [request([1]), request([2]), request([3], at=100)]
    result = play(requests, [20, 20], [0, 1, 0], decision_ps=50)
    assert [times(result, q) for q in range(3)] == [(0, 50, 160), (0, 100, 210), (100, 160, 270)]
    assert loads(result) == [(0, 0, (0, 0), (0, 0)), (1, 0, (0, 0), (0, 0)), (2, 100, (0, 0), (1, 0))]


def test_what_was_measured():
    # d = 50, 0, 20, 50 for those at 0, 10, 60, 60: effects at 50, 50, 80, 130. The first two share an iteration of two
    # tokens, 50 .. 170; then the others do, 170 .. 290.
    requests = [request([q], at=at) for q, at in enumerate((0, 10, 60, 60))]
    result = play(requests, [20], [0] * 4, decision_ps=[50, 0, 20])
    assert [times(result, q) for q in range(4)] == [(0, 50, 170), (10, 50, 170), (60, 170, 290), (60, 170, 290)]
    assert loads(result)[2:] == [(2, 60, (0,), (2,)), (3, 60, (0,), (2,))]


def test_an_effect_at_an_end_of_an_iteration():
    # 10 .. 120 on the worker. Request 1, asked at 110, takes effect at 120, after that end and before the next start.
    result = play([request([1]), request([2], at=110)], [20], [0, 0], decision_ps=10)
    assert [times(result, q) for q in range(2)] == [(0, 10, 120), (110, 120, 230)]


def test_a_burst_is_cut():
    # Request 0 decodes: 0 + 30 .. 140, then 110 each, to 250, 360, 470, 580. Request 1 takes effect at 280 and joins
    # the iteration at 360: one token each, 120, until 480; request 0 goes on to 590.
    result = play([request([1], 5), request([2], at=250)], [20], [0, 0], decision_ps=30)
    assert [row[:2] for row in result.iterations[0]] == [(30, 140), (140, 250), (250, 360), (360, 480), (480, 590)]
    assert times(result, 1) == (250, 360, 480)


def test_no_time_and_a_time_of_zero():
    # Without time the second request sees the first one in the queue; one that was measured as 0 takes effect after all
    # arrivals. Both start at once.
    requests = [request([1]), request([2])]
    for decision_ps, queued in ((0, 1), ([0], 0)):
        result = play(requests, [20], [0, 0], decision_ps=decision_ps)
        assert [times(result, q) for q in range(2)] == [(0, 0, 120), (0, 0, 120)]
        assert loads(result)[1] == (1, 0, (queued,), (0,))


def test_rules_take_time():
    # d = 40. Both arrive at 0, when nobody has anything: both go to worker 0, at 40 and 80. Request 2 at 80 is decided
    # before the second effect: one on worker 0, none on worker 1.
    requests = [request([1]), request([2]), request([3], at=80)]
    result = play(requests, [20, 20], least_loaded, decision_ps=40)
    assert [record.worker for record in result.records] == [0, 0, 1]
    assert [times(result, q) for q in range(3)] == [(0, 40, 150), (0, 150, 260), (80, 120, 230)]


def test_successors():
    # Request 0: effect at 30, done at 140. Request 1 arrives then, effect at 170, done at 280; request 2 10 ps later.
    requests = [request([1])]
    requests += [RefRequest((2 + q,), (900 + q,), None, q, think) for q, think in enumerate((0, 10))]
    result = play(requests, [20], [0] * 3, decision_ps=30)
    assert [times(result, q) for q in range(3)] == [(0, 30, 140), (140, 170, 280), (290, 320, 430)]


def test_a_router_s_own_record_is_written_at_the_decision():
    # At 0 the history has A, which is on its way and so in flight; the exact view has it when it is computed,
    # 300 .. 480.
    requests = [request(A), request(A), request(A, at=480)]
    sent, computed = (0, 7, 7), (0, 0, 7)
    for view, hits in (({"history_pages": 10}, sent), ({"speculative": True}, sent), ({}, computed)):
        result = play(requests, [30], [0] * 3, **view, decision_ps=300)
        assert [row[2] for row in result.visible] == [(hit,) for hit in hits]
        assert result.records[0].finish_ps == 480


def test_a_session_is_routed_at_the_decision():
    # Worker of 2 pages. Request 0 (session 5) at 0: 100 .. 210. Request 1 (session 5), asked at 300: 400 .. 510. At 600
    # the pages are those two; request 2 evicts one: its session was routed 300 ps ago, twice.
    requests = [request([1], session=5), request([2], at=300, session=5), request([3], at=500)]
    script = Script(0)
    play(requests, [2], [0] * 3, evictor="agent", evict=script, decision_ps=100)
    (slot, *_) = script.questions[0].slots
    assert (script.questions[0].time_ps, slot.page) == (600, (0, 0))
    assert (slot.session_idle_ps, slot.session_turns) == (300, 2)


# ---- refusals and crashes -------------------------------------------------------------------------------------------


def test_a_refusal_takes_time():
    # d = 100. Request 0 is refused at 0, its successor 2 arrives at 0 and is decided after request 1: at 300.
    requests = [request([1]), request([2]), RefRequest((3,), (903,), None, 0, 0)]
    result = play(requests, [20], [0] * 3, refuse={0: 0}, decision_ps=100)
    assert [times(result, q) for q in range(3)] == [(0, -1, -1), (0, 200, 310), (0, 310, 420)]
    assert result.refusals == {0: 0}


def test_a_crash_on_the_way():
    # Effects at 100 and 200. Worker 0 crashes at 60, or at 100 before the effect: request 0 comes back, and its second
    # decision takes effect at 300, on worker 1. At 101 it has begun to compute: the same, with its admission at 100.
    requests = [request([1]), request([2])]
    for crash_ps, admitted_ps in ((60, 310), (100, 310), (101, 100)):
        result = play(requests, [20, 20], [0, 1], faults=[RefCrash(0, crash_ps, 150)], decision_ps=100)
        assert [times(result, q) for q in range(2)] == [(0, admitted_ps, 420), (0, 200, 310)]
        assert [record.returns for record in result.records] == [1, 0]
        assert [(row[0], row[1]) for row in result.visible] == [(0, 0), (1, 0), (0, crash_ps)]
        assert result.iterations[0] == ([(100, 101, 1, 1, 0, 0)] if crash_ps == 101 else [])


def test_those_who_come_back_are_asked_about_by_index():
    # d = 10: effects at 10 (worker 0), 20, 30, 40 (worker 1). At 25 worker 1 crashes with request 1 running; requests 2
    # and 3 are on their way. Decided anew at 25, 25, 25: effects at 50, 60, 70 on worker 2, the next one.
    requests = [request([q]) for q in range(4)]
    result = play(requests, [20] * 3, [0, 1, 1, 1], faults=[RefCrash(1, 25, None)], decision_ps=10)
    assert [(row[0], row[1]) for row in result.visible[4:]] == [(1, 25), (2, 25), (3, 25)]
    assert [times(result, q) for q in range(1, 4)] == [(0, 20, 160), (0, 160, 280), (0, 160, 280)]
    assert [record.worker for record in result.records] == [0, 2, 2, 2]


# ---- transfers ------------------------------------------------------------------------------------------------------


def test_a_transfer_is_decided_at_the_effect():
    # d = 100. A on worker 0: 100 .. 280. A 9, asked at 200, when nothing could be fetched; at 300 A is there: 8 tokens,
    # 300 .. 326, then one token until 436.
    requests = [request(A), request((*A, 9), at=200)]
    result = play(requests, [20, 20], [0, 1], LINK, decision_ps=100)
    assert result.offers[1] == ((0, 0), (0, 0))
    assert (times(result, 1), result.records[1].fetched_tokens) == ((200, 326, 436), 8)


def test_an_offer_that_is_gone_at_the_effect():
    # d = 100. Worker 0 has A from 280 on and crashes at 350. A 9, asked at 300 with an offer, takes effect at 400, when
    # nobody has A: 9 tokens are computed, 400 .. 590.
    requests = [request(A), request((*A, 9), at=300)]
    result = play(requests, [20, 20], [0, 1], LINK, faults=[RefCrash(0, 350, None)], decision_ps=100)
    assert result.offers[1] == ((0, 0), (8, 26))
    assert (times(result, 1), result.links) == ((300, 400, 590), {})


def test_transfers_go_in_the_order_of_effects():
    # d = 10. A and B on worker 0, 10 .. 190 and 190 .. 370. At 1000 requests A 9 and B 9 for worker 1: effects at 1010
    # and 1020. One sender: 1010 .. 1036, then 1036 .. 1062.
    requests = [request(A), request(B), request((*A, 9), at=1000), request((*B, 9), at=1000)]
    result = play(requests, [40, 40], [0, 0, 1, 1], LINK, decision_ps=10)
    assert result.links == {(0, 1): (2, 16, 52, 0)}
    # A 9 computes 1036 .. 1146, B 9 is there at 1062 and computes 1146 .. 1256.
    assert [times(result, q) for q in (2, 3)] == [(1000, 1036, 1146), (1000, 1146, 1256)]
    # Nothing of the first is planned when the second is asked about: both are offered 26 ps.
    assert [row[1] for row in result.offers[2:]] == [(8, 26), (8, 26)]


def test_an_effect_at_the_end_of_a_transfer():
    # d = 26. A 9 to worker 1: asked at 1000, fetched 1026 .. 1052. A 10 to worker 1, asked at 1026, takes effect at
    # 1052, when the pages have just entered: nothing is fetched, both share an iteration of 2 tokens.
    requests = [request(A), request((*A, 9), at=1000), request((*A, 10), at=1026)]
    result = play(requests, [20, 20], [0, 1, 1], RefLink(10, 2.0), decision_ps=26)
    assert [times(result, q) for q in (1, 2)] == [(1000, 1052, 1172), (1026, 1052, 1172)]
    assert [record.fetched_tokens for record in result.records] == [0, 8, 0]


# ---- warm-up --------------------------------------------------------------------------------------------------------


def test_the_warm_up_takes_no_time():
    # One request of the warm-up: 0 .. 110. Request 1 at 10 is the first to wait, until 110.
    result = play([request([1]), request([2], at=10)], [20, 20], least_loaded, warmup=1, decision_ps=100)
    assert [times(result, q) for q in range(2)] == [(0, 0, 110), (10, 110, 220)]


def test_a_return_to_the_warm_up_s_router():
    # Request 0 of the warm-up on worker 0; request 1 is asked at 10 and on its way to worker 1 until 110. Worker 0
    # crashes at 50: request 0 goes to worker 1 at once, 50 .. 160. Request 2, asked at 60, takes effect at 210.
    requests = [request([1]), request([2], at=10), request([3], at=60)]
    result = play(requests, [20, 20], least_loaded, warmup=1, faults=[RefCrash(0, 50, None)], decision_ps=100)
    assert [times(result, q) for q in range(3)] == [(0, 0, 160), (10, 160, 270), (60, 270, 380)]

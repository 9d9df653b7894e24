"""Crashes with transfers from and to the crashed worker (F2, F4) against cases computed by hand.

A is computed in 180 ps; 8 tokens take 26 ps over LINK, 126 over SLOW.
"""

from __future__ import annotations

from tests.by_hand.hand import LINK, SLOW, A, B, play, request, times
from tests.reference import RefCrash, RefLink, RefRequest


def test_a_transfer_from_a_crashed_worker():
    # A 9 to worker 1, 1000 .. 1126. Worker 0 crashes at 1050: given up, no tokens, no seconds. Queued on worker 1, it
    # computes 9 tokens from 1050 to 1240. A 10 waited for worker 0's end: given up as well.
    requests = [request(A), request((*A, 9), at=1000), request((*A, 10), at=1000)]
    result = play(requests, [20] * 3, [0, 1, 2], RefLink(40, 2.0), faults=[RefCrash(0, 1050, None)])
    assert result.offers[2][2] == (8, 112)
    assert result.links == {(0, 1): (0, 0, 0, 1), (0, 2): (0, 0, 0, 1)}
    assert (times(result, 1), times(result, 2)) == ((1000, 1050, 1240), (1000, 1050, 1240))
    assert [record.returns for record in result.records] == [0, 0, 0]
    assert [(row.loaded, row.fetched, row.lost) for row in result.totals] == [(8, 0, 8), (9, 0, 0), (9, 0, 0)]


def test_a_given_up_transfer_is_a_tick_on_the_target():
    # Worker 1 of 26: 1 .. 4 at 0, 70 71 at 500, 16 of 22 tokens from 990 to 1250: 4 are free. At 1000 they are taken
    # for A 9, at 1050 freed again, which stamps 1 .. 4. At 1250 the other 6 tokens want 2 more: 70 71 go. Without a
    # network there is no such tick, and 4 and 3 go.
    requests = [request(A), request(A[:4]), request([70, 71], at=500), request(range(80, 102), at=990)]
    requests.append(request((*A, 9), at=1000))
    link = RefLink(52, 2.0)  # 60 ps, below 4 x 16.25 = 65
    crash = [RefCrash(0, 1050, None)]
    result = play(requests, [30, 26], [0, 1, 1, 1, 1], link, faults=crash)
    assert result.links == {(0, 1): (0, 0, 0, 1)}
    assert result.iterations[1][2:4] == [(990, 1250, 16, 1, 0, 0), (1250, 1410, 6, 1, 0, 0)]
    assert result.evictions[1][:2] == [(2, 1), (2, 0)]
    alone = play(requests, [30, 26], [0, 1, 1, 1, 1], faults=crash)
    assert alone.evictions[1][:2] == [(0, 3), (0, 2)]


def test_a_transfer_to_a_crashed_worker():
    # Worker 1 crashes at 1050: the transfer counts as given up, the source is free at once. The request goes to (1 + 1)
    # mod 3 = worker 2 and is fetched for again, 1050 .. 1176; fetched tokens are those of the second.
    requests = [request(A), request((*A, 9), at=1000)]
    result = play(requests, [20] * 3, [0, 1], SLOW, faults=[RefCrash(1, 1050, None)])
    assert result.links == {(0, 1): (0, 0, 0, 1), (0, 2): (1, 8, 126, 0)}
    assert (times(result, 1), result.records[1].fetched_tokens) == ((1000, 1176, 1286), 8)
    assert (result.records[1].returns, result.records[1].worker) == (1, 2)
    assert result.offers[2] == ((0, 0), (0, 0), (8, 126))


def test_a_transfer_to_a_crashed_worker_was_a_lock_on_the_source():
    # Worker 0 of 9: A, locked from 1000 on; request 2 of 4 tokens is refused at 1010. At 1050 the target crashes: its
    # pages can go, 3 of them. A 9 goes to worker 0 then, behind it.
    requests = [request(A), request((*A, 9), at=1000), request(range(50, 54), at=1010)]
    result = play(requests, [9, 9], [0, 1, 0], SLOW, faults=[RefCrash(1, 1050, None)])
    assert result.records[2].admitted_ps == 1050
    assert result.evictions[0][:3] == [(0, 7), (0, 6), (0, 5)]
    assert result.links == {(0, 1): (0, 0, 0, 1)}


def test_a_transfer_that_ends_at_the_crash():
    # It ends first: the request joins worker 1 at 1126 and is not concerned by the crash of worker 0.
    requests = [request(A), request((*A, 9), at=1000)]
    result = play(requests, [20, 20], [0, 1], SLOW, faults=[RefCrash(0, 1126, None)])
    assert result.links == {(0, 1): (1, 8, 126, 0)}
    assert (times(result, 1), result.records[1].returns) == ((1000, 1126, 1236), 0)


def test_an_end_is_free_after_a_crash():
    # 0 to 1 runs until 1026, 2 to 1 waits. At 1010 worker 0 crashes: 2 to 1 starts at once and ends at 1036.
    requests = [request(A), request(B), request((*A, 9), at=1000), request((*B, 9), at=1000)]
    result = play(requests, [40] * 3, [0, 2, 1, 1], LINK, faults=[RefCrash(0, 1010, None)])
    assert result.links == {(0, 1): (0, 0, 0, 1), (2, 1): (1, 8, 26, 0)}
    assert result.iterations[1][0] == (1010, 1200, 9, 1, 0, 0)
    assert result.records[3].admitted_ps == 1200


def test_the_source_is_up():
    # Workers 0 and 1 have A; worker 0 is down at 1000 and has lost it.
    requests = [request(A), request(A), request((*A, 9), at=1000)]
    result = play(requests, [20] * 3, [0, 1, 2], LINK, faults=[RefCrash(0, 900, 1100)])
    assert result.links == {(1, 2): (1, 8, 26, 0)}
    assert result.offers[2] == ((0, 0), (0, 0), (8, 26))


def test_known_pages_beyond_the_prompt_are_fetched():
    # Request 1 is A[:4] and goes on with 5 6 7 8, as request 0 did: A is on worker 0. On worker 1 it is fetched for (3
    # tokens, 16 ps < 48.75), and crashes after two tokens: prefill from 1016 of 1 token until 1126, decode until 1236,
    # crash at 1240. 6 known tokens: 5 are fetched to worker 2, 20 ps, the 6th is computed.
    requests = [request(A), RefRequest(A[:4], A[4:], 1000)]
    result = play(requests, [20] * 3, [0, 1], LINK, faults=[RefCrash(1, 1240, None)])
    assert result.links == {(0, 1): (1, 3, 16, 0), (0, 2): (1, 5, 20, 0)}
    assert result.records[1].fetched_tokens == 8
    assert result.iterations[2] == [(1260, 1370, 1, 1, 0, 0), (1370, 1480, 0, 0, 1, 7)]
    # The router sees the prompt's pages: min(4, 4 - 1) tokens on worker 0.
    assert (result.visible[2][2], result.offers[2]) == ((3, 0, 0), ((0, 0), (0, 0), (3, 16)))

"""Refusals (rule D1) against cases computed by hand; D = 100 + 10 T."""

from __future__ import annotations

import pytest

from tests.by_hand.hand import A, Script, one_by_one, play, private, request, run
from tests.reference import RefCrash, RefRecord, RefRequest


def test_refused_at_its_arrival():
    # Nothing of A is computed, and the next one finds nothing, in all views.
    requests = [request(A), request(A, at=50)]
    for view in ({}, {"history_pages": 20}, {"speculative": True}):
        result = run(requests, 20, **view, refuse={0: 0})
        assert result.records[0] == RefRecord(arrival_ps=0)
        assert result.iterations == [[(50, 230, 8, 1, 0, 0)]]
        assert result.visible == [(0, 0, (0,), (0,), (0,)), (1, 50, (0,), (0,), (0,))]
        assert result.refusals == {0: 0}


def test_successors_of_a_refused_request():
    # Request 2 arrives with the refusal of request 0, after request 1 by its index, and is refused as well: request 3
    # arrives at the same time again, before request 4 does. Request 5 follows request 0 after 50 ps.
    follows = [RefRequest((7 + i,), private(1), None, predecessor=before) for i, before in enumerate((0, 2))]
    later = RefRequest((9,), private(1), None, predecessor=0, think_ps=50)
    requests = [request([1]), request([2]), *follows, request([3]), later]
    result = run(requests, 20, refuse={0: 0, 2: 0})
    assert [row[:2] for row in result.visible] == [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 50)]
    assert [row[3] for row in result.visible] == [(0,), (0,), (1,), (1,), (2,), (0,)]
    assert result.iterations == [[(0, 130, 3, 3, 0, 0), (130, 240, 1, 1, 0, 0)]]
    assert [record.arrival_ps for record in result.records] == [0, 0, 0, 0, 0, 50]
    assert [record.finish_ps for record in result.records] == [-1, 130, -1, 130, 130, 240]


@pytest.mark.parametrize(("crash", "first_token"), [(100, -1), (300, 130)])
def test_refused_when_it_comes_back(crash, first_token):
    # On worker 0 from 0 on, first token at 130. It is refused at the crash; times before it stay. Its successor arrives
    # 50 ps later; it goes to worker 1.
    after = RefRequest((9,), private(1), None, predecessor=0, think_ps=50)
    requests = [request([1, 2, 3], output=5), after]
    result = play(requests, [20, 20], [0, 1], faults=[RefCrash(0, crash, None)], refuse={0: 1})
    assert result.records[0] == RefRecord(
        worker=-1, arrival_ps=0, admitted_ps=0, first_token_ps=first_token, hit_tokens=0, returns=1
    )
    assert [row[:2] for row in result.visible] == [(0, 0), (0, crash), (1, crash + 50)]
    assert result.refusals == {0: 1}
    assert result.iterations[1] == [(crash + 50, crash + 160, 1, 1, 0, 0)]
    assert result.iterations[0][-1][1] == crash


def test_a_successor_of_a_refused_one_that_came_back():
    # It arrives at the crash, after all that came back.
    after = RefRequest((9,), private(1), None, predecessor=0)
    requests = [request([1]), after, request([2])]
    result = play(requests, [20, 20], [0, 1, 0], faults=[RefCrash(0, 100, None)], refuse={0: 1})
    assert [row[:2] for row in result.visible] == [(0, 0), (2, 0), (0, 100), (2, 100), (1, 100)]


def test_sessions_do_not_hear_of_it():
    # Worker of 1. Request 0 of session 5 at 0, request 1 of the same is refused at 10000; at 20000 another session
    # needs the page: one request of session 5 was routed, 20000 ps ago.
    script = Script(0)
    requests = [request([1], session=5), request([1], at=10_000, session=5, turn=1), request([3], at=20_000)]
    run(requests, 1, evictor="agent", evict=script, refuse={1: 0})
    (leaf, *_) = script.questions[0].slots
    assert (leaf.session_idle_ps, leaf.session_turns, leaf.hits) == (20_000, 1, 0)


def test_belady_takes_it_for_admitted():
    # Worker of 2 with [1] and [2]. Request 2 wanted [1] and was refused. [3]: 1 is wanted next by request 5, 2 by
    # request 4: 1 goes. [2] hits. For [1] neither of 2 and 3 is wanted again: that of the later request goes.
    requests = one_by_one([1], [2], [1], [3], [2], [1])
    assert run(requests, 2, evictor="belady", refuse={2: 0}).evictions == [[(0, 0), (3, 0)]]
    # Before its refusal it was still to come, as for any other: with [3] first, 2 goes.
    requests = one_by_one([1], [2], [3], [1], [2])
    assert run(requests, 2, evictor="belady", refuse={3: 0}).evictions[0][:1] == [(1, 0)]


def test_who_is_refused_is_not_the_last_choice():
    # Worker 0, nobody, worker 1: the refused one does not count.
    def next_one(view, index):
        return (view.last + 1) % view.workers

    result = play([request([1]), request([2]), request([3])], [20, 20], next_one, refuse={1: 0})
    assert [record.worker for record in result.records] == [0, -1, 1]

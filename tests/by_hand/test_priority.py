"""Queues by priority (rule E6) against cases computed by hand.

D = 100 + 10 T; the class of a request is its priority.
"""

from __future__ import annotations

import functools

import pytest

from tests.by_hand import hand
from tests.by_hand.hand import LINK, A, engine, play, request
from tests.reference import RefClass, RefCrash

CLASSES = tuple(RefClass(priority=priority) for priority in range(3))
by_priority = functools.partial(engine, queue="priority")


def run(requests, pages, settings=None, **kwargs):
    """Simulate on one worker."""
    return hand.run(requests, pages, settings or by_priority(), classes=CLASSES, **kwargs)


def member(service_class, prompt, output=1, at=0, **kwargs):
    """A request of this class."""
    return request(prompt, output, at, service_class=service_class, **kwargs)


# ---- the queue ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("queue", "admitted"),
    [("fcfs", [0, 120, 230, 340, 450, 560]), ("priority", [0, 560, 340, 120, 230, 450])],
)
def test_the_queue_is_in_the_order_of_ranks(queue, admitted):
    # One place. Request 0 takes 120 ps, each other 110. In the queue by then: class, arrival, index are (2, 10, 1),
    # (1, 20, 2), (0, 30, 3), (0, 30, 4), (1, 40, 5).
    requests = [member(1, [1, 2]), member(2, [3], at=10), member(1, [4], at=20), member(0, [5], at=30)]
    requests += [member(0, [6], at=30), member(1, [7], at=40)]
    result = run(requests, 20, engine(max_running=1, queue=queue))
    assert [record.admitted_ps for record in result.records] == admitted


def test_nobody_is_preempted_for_one_who_waits():
    # Request 0 runs until 350, though request 1 goes before it.
    result = run([member(2, [1, 2, 3], output=3), member(0, [4], at=10)], 20, by_priority(max_running=1))
    assert [record.admitted_ps for record in result.records] == [0, 350]
    assert result.records[0].preemptions == 0


@pytest.mark.parametrize(("service_class", "admitted"), [(0, 160), (1, 400), (2, 400)])
def test_a_refusal_is_forgotten_when_another_takes_the_head(service_class, admitted):
    # Worker of 9. Requests 0 and 1 compute the same 3 pages twice: 6 are taken, request 2 (4 pages) is refused at 0. At
    # 160 the second ones' pages are freed, two decodes take one each: 4 are free. Nobody tries, unless request 3 took
    # the head at 100: its page is there, so it takes none, and request 2 is tried, too. Else both wait for the end of
    # requests 0 and 1 at 400.
    requests = [member(1, [1, 2, 3], output=3), member(1, [1, 2, 3], output=3), member(1, [7, 8, 9, 10])]
    result = run([*requests, member(service_class, [1], at=100)], 9)
    assert [record.admitted_ps for record in result.records] == [0, 0, admitted, admitted]
    assert result.iterations[0][1] == ((160, 330, 5, 2, 2, 8) if service_class == 0 else (160, 280, 0, 0, 2, 8))


def test_one_who_comes_back_takes_its_place():
    # Worker 0 crashes at 50: request 0, of rank (1, 0, 0), goes to worker 1 behind (0, 30, 3) and before (1, 20, 2).
    requests = [member(1, [1]), member(2, [2]), member(1, [3], at=20), member(0, [4], at=30)]
    result = play(
        requests,
        [20, 20],
        [0, 1, 1, 1],
        settings=by_priority(max_running=1),
        faults=[RefCrash(0, 50, None)],
        classes=CLASSES,
    )
    assert [record.finish_ps for record in result.records] == [330, 110, 440, 220]


def test_one_whose_transfer_ended_takes_its_place():
    # A 9 is fetched until 1026; request 2, which arrived at 1010 and is of a higher class, and request 3 of the same
    # class, which arrived later, are in the queue by then. One place, taken until 1110.
    requests = [member(1, A), member(1, [30], at=1000), member(1, (*A, 9), at=1000)]
    requests += [member(0, [31], at=1010), member(1, [32], at=1020)]
    result = play(requests, [30, 30], [0, 1, 1, 1, 1], LINK, settings=by_priority(max_running=1), classes=CLASSES)
    assert result.links == {(0, 1): (1, 8, 26, 0)}
    assert [record.admitted_ps for record in result.records] == [0, 1000, 1220, 1110, 1330]


# ---- victims --------------------------------------------------------------------------------------------------------


def test_a_planned_token_is_taken_back():
    # Worker of 8. Request 0 (class 1) runs from 0, request 1 (class 0) from 130: 3 + 1 + 3 pages. At 270 request 0
    # takes the last page, request 1 finds none: request 0 is the victim, although it was admitted first and has its
    # token planned. Its page that was taken is free, request 1 takes it; B = 1. Its other 4 pages stay: (0, 3) goes at
    # 380, then it is tried: 3 pages there, 2 missing, nothing evictable. Request 1 takes (0, 2) at 490 and ends at 600.
    # 5 known tokens of request 0, 2 pages there: 3 tokens in place of the tail of request 1.
    requests = [member(1, [1, 2, 3], output=4), member(0, [4, 5, 6], output=4, at=10)]
    result = run(requests, 8)
    assert result.iterations == [
        [
            (0, 130, 3, 1, 0, 0),
            (130, 270, 3, 1, 1, 4),
            (270, 380, 0, 0, 1, 4),
            (380, 490, 0, 0, 1, 5),
            (490, 600, 0, 0, 1, 6),
            (600, 730, 3, 1, 0, 0),
            (730, 840, 0, 0, 1, 6),
        ]
    ]
    assert result.evictions == [[(0, 3), (0, 2), (1, 5), (1, 4), (1, 3), (1, 2)]]
    assert [(record.first_token_ps, record.finish_ps, record.preemptions) for record in result.records] == [
        (130, 840, 1),
        (270, 600, 0),
    ]


def test_what_was_taken_back_is_budget():
    # Worker of 10, chunks of 4. Classes 2, 0, 1; request 2 has 8 tokens to prefill, 2 from 110 and 2 from 250. At 390
    # all pages but one are taken: 3 by request 0, 2 by request 1, 4 by request 2. Request 0 takes the last, request 1
    # finds none: request 0 is preempted, B = 1, 3 tokens are left for the prefill, which evicts the 3 pages of request
    # 0. At 530 request 1 finds none again: request 2, in mid-prefill, is the victim and waits before request 0. At 640
    # it is tried: 5 of its pages are there, no other can go. At 860 request 1 is over.
    requests = [member(2, [1], output=6), member(0, [11], output=6, at=10), member(1, range(20, 28), at=20)]
    result = run(requests, 10, by_priority(chunk_tokens=4, max_running=4))
    assert result.iterations[0][:9] == [
        (0, 110, 1, 1, 0, 0),
        (110, 250, 3, 2, 1, 2),
        (250, 390, 2, 1, 2, 5),
        (390, 530, 3, 1, 1, 3),
        (530, 640, 0, 0, 1, 4),
        (640, 750, 0, 0, 1, 5),
        (750, 860, 0, 0, 1, 6),
        (860, 1000, 4, 1, 0, 0),
        (1000, 1140, 4, 1, 0, 0),
    ]
    assert result.evictions[0][:6] == [(0, 2), (0, 1), (0, 0), (2, 6), (2, 5), (2, 4)]
    assert [record.finish_ps for record in result.records] == [1360, 860, 1000]
    assert [record.preemptions for record in result.records] == [1, 0, 1]


def test_itself_as_victim():
    # As above on a worker of 7: at 270 request 0 finds no page and is itself the one with the largest rank. Request 1
    # takes its tail. Without priorities request 1 would have gone, as the latest.
    requests = [member(1, [1, 2, 3], output=4), member(0, [4, 5, 6], output=4, at=10)]
    result = run(requests, 7)
    assert result.iterations == [
        [
            (0, 130, 3, 1, 0, 0),
            (130, 270, 3, 1, 1, 4),
            (270, 380, 0, 0, 1, 4),
            (380, 490, 0, 0, 1, 5),
            (490, 600, 0, 0, 1, 6),
            (600, 740, 4, 1, 0, 0),
            (740, 850, 0, 0, 1, 6),
        ]
    ]
    assert [record.preemptions for record in result.records] == [1, 0]
    assert [record.preemptions for record in run(requests, 7, engine()).records] == [0, 1]


def test_a_victim_from_the_middle():
    # Worker of 9, three requests of 1 + 6 tokens, admitted at 0, 110, 230, of classes 1, 2, 0. At 490 they hold 4 + 3 +
    # 2 pages and request 0 finds no more: request 1 goes; requests 0 and 2, in this order, take (1, 2) and (1, 1). At
    # 610 request 0 takes (1, 0), request 2 finds none: request 0 goes, and what it took is there for request 2. At 720
    # that one takes (0, 4), at 830 (0, 3). Request 0 is tried at 720 only, 4 pages there, 2 missing.
    requests = [member(1, [1], output=6), member(2, [2], output=6, at=10), member(0, [3], output=6, at=120)]
    result = run(requests, 9)
    assert result.iterations[0][:8] == [
        (0, 110, 1, 1, 0, 0),
        (110, 230, 1, 1, 1, 2),
        (230, 360, 1, 1, 2, 5),
        (360, 490, 0, 0, 3, 9),
        (490, 610, 0, 0, 2, 8),
        (610, 720, 0, 0, 1, 4),
        (720, 830, 0, 0, 1, 5),
        (830, 940, 0, 0, 1, 6),
    ]
    assert result.evictions[0][:5] == [(1, 2), (1, 1), (1, 0), (0, 4), (0, 3)]
    assert [record.preemptions for record in result.records] == [1, 1, 0]
    # Request 0 (6 known tokens, 3 pages there) goes before request 1 (4 pages, 3 of which can be had).
    assert result.records[2].finish_ps == 940 and result.iterations[0][8] == (940, 1070, 3, 1, 0, 0)


def test_one_that_gives_way_itself_does_not_stop_those_after_it():
    # Worker of 6; requests of 1 + 4 tokens of classes 0, 2 and, later, 1. At 250 request 0 takes the
    # last page, request 1 finds none and gives way itself, and request 2 takes one of its pages. At 370 request 2 is
    # the one that gives way. At 480 both come back, request 2 first; at 620 request 1 has to go again.
    requests = [member(0, [1], output=4), member(2, [2], output=4), member(1, [3], output=4, at=10)]
    result = run(requests, 6)
    assert result.iterations == [
        [
            (0, 120, 2, 2, 0, 0),
            (120, 250, 1, 1, 2, 4),
            (250, 370, 0, 0, 2, 5),
            (370, 480, 0, 0, 1, 4),
            (480, 620, 4, 2, 0, 0),
            (620, 730, 0, 0, 1, 4),
            (730, 850, 2, 1, 0, 0),
        ]
    ]
    assert result.evictions == [[(1, 1), (1, 0), (0, 3), (0, 2), (0, 1), (0, 0), (1, 2), (2, 3), (2, 2)]]
    assert [(record.preemptions, record.finish_ps) for record in result.records] == [(0, 480), (2, 850), (1, 730)]


def test_victims_with_prefill_first():
    # Worker of 9. Both are prefilled alone, 0 .. 130 .. 260, decode together until 380 (5 and 5 known tokens, 4 + 4
    # pages). Then request 0 takes the last page and request 1 finds none: request 0 is preempted, request 1 takes that
    # page. At 490 request 0 is refused: 4 of its pages are there, one is missing. Request 1 takes (0, 3), ends at 600.
    requests = [member(1, [1, 2, 3], output=4), member(0, [4, 5, 6], output=4, at=10)]
    result = run(requests, 9, by_priority(schedule="prefill_first", reserve_output=0.0))
    assert result.iterations == [
        [
            (0, 130, 3, 1, 0, 0),
            (130, 260, 3, 1, 0, 0),
            (260, 380, 0, 0, 2, 8),
            (380, 490, 0, 0, 1, 5),
            (490, 600, 0, 0, 1, 6),
            (600, 720, 2, 1, 0, 0),
            (720, 830, 0, 0, 1, 6),
        ]
    ]
    assert result.evictions == [[(0, 3), (1, 5), (1, 4), (1, 3)]]
    assert [record.preemptions for record in result.records] == [1, 0]


def test_admissions_by_rank_with_prefill_first():
    # One place besides request 0, which decodes: at 120 the prefill of request 2 goes before that of request 1.
    requests = [member(1, [1, 2], output=9), member(1, [3], at=10), member(0, [4], at=20)]
    result = run(requests, 30, by_priority(schedule="prefill_first", max_running=2))
    assert [record.admitted_ps for record in result.records] == [0, 230, 120]

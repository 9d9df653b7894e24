"""Targets of service classes and costs of steps (rules W1, D3) against cases computed by hand; D = 100 + 10 T.

Steps begin with the ROUTE decisions, unless a case says otherwise.
"""

from __future__ import annotations

import pytest

from tests.by_hand.hand import A, engine, play, request, run
from tests.reference import RefClass, RefCrash, RefRequest, score

TTFT = RefClass(ttft_ps=150, refusal_cost_s=0.5)
TPOT = RefClass(tpot_ps=110)


def test_targets_are_rounded():
    assert RefClass.of_seconds(1.4e-12, 1.6e-12, 2, 0.5) == RefClass(1, 2, 2, 0.5)


def test_misses_at_deadlines():
    # One place, TTFT target 150. Request 0 at 0: first token at 110. Request 1 at 10: at 220, late at 160. Request 2
    # arrives at 160: that miss is in the step that ends there. First token at 330, late at 310, in its own step, which
    # ends at 320 with request 3: first token at 440, in time. Request 4 at 1000: 5 tokens, at 1150, just in time.
    requests = [request([i], at=at) for i, at in enumerate((0, 10, 160, 320))]
    requests.append(request(range(10, 15), at=1000))
    result = run(requests, 20, engine(max_running=1), classes=[TTFT])
    made = score(requests, [TTFT], result)
    assert [record.first_token_ps for record in result.records] == [110, 220, 330, 440, 1150]
    assert made.misses == [[], [1], [2], [], []]
    assert made.met == {0: True, 1: False, 2: False, 3: True, 4: True}
    assert made.attainment() == 3 / 5
    assert made.rewards("slo", 7.0) == [0.0, -1.0, -1.0, 0.0, 0.0]
    # 0 .. 10: request 0. 10 .. 160: 100 of request 0, 150 of request 1. 160 .. 320: 60 + 160. 320 .. 1000: 10 + 120.
    # Each output is one token, so that both integrals are the same.
    assert made.e2e_ps == made.ttft_ps == [10, 250, 220, 130, 150]
    assert made.rewards("e2e", 2e-12) == pytest.approx([-5.0, -125.0, -110.0, -65.0, -75.0])
    # Only requests 2 and 3 count and begin steps.
    made = score(requests, [TTFT], result, counted=[2, 3], steps=[(2, 160), (3, 320)])
    assert (made.misses, made.e2e_ps, made.met) == ([[2], []], [160, 130], {2: False, 3: True})


def test_simultaneous_decisions():
    # Requests 1 and 2 arrive at 150, when request 0 of 8 tokens (180 ps) is late: in the step that ends with the first
    # of the two decisions. Both meet: 150 + 150, first tokens at 300 (2 tokens, from 180).
    requests = [request(A), request([20], at=150), request([21], at=150)]
    made = score(requests, [TTFT], run(requests, 20, classes=[TTFT]))
    assert made.misses == [[0], [], []]
    assert made.e2e_ps == [150, 0, 30 + 2 * 150]


def test_tpot():
    # TPOT target 110. Request 0: 130, 240, 350, just as fast as it must be. Request 1: 1110, then an iteration with the
    # 2 tokens of request 2 until 1240, then 1350: 240 > 220, late at its finish. That is the time of request 3's
    # arrival, so it is in the step before. One output token has no TPOT.
    requests = [request([1, 2, 3], output=3), request([4], output=3, at=1000), request([5, 6], at=1100)]
    requests.append(request([7], at=1350))
    result = run(requests, 30, classes=[TPOT])
    made = score(requests, [TPOT], result)
    assert [record.finish_ps for record in result.records] == [350, 1350, 1240, 1460]
    assert made.misses == [[], [], [1], []]
    assert made.met == {0: True, 1: False, 2: True, 3: True}
    # Without a first token: requests 1 until 1110, 2 from 1100 to 1240.
    assert made.ttft_ps == [130, 100, 10 + 140, 110]
    assert made.e2e_ps == [350, 100, 250 + 140, 110]


def test_each_misses_once():
    # Of three classes: none late without targets; with both late the deadline of the first token is what counts.
    classes = [RefClass(), RefClass(ttft_ps=100, tpot_ps=1), RefClass(ttft_ps=110, tpot_ps=1)]
    requests = [RefRequest((i,), (100 + i, 200 + i), 1000 * i, service_class=i) for i in range(3)]
    made = score(requests, classes, run(requests, 20, classes=classes))
    assert (made.misses, made.attainment()) == ([[], [1], [2]], 1 / 3)


def test_a_refusal_is_a_miss_of_the_step_that_begins_with_it():
    # At 0 three decisions, the second is a refusal: the steps of the first two have no length. TTFT target or not.
    requests = [request([1]), request([2], service_class=1), request([3])]
    for target in (RefClass(refusal_cost_s=0.25), TTFT):
        classes = [RefClass(), target]
        made = score(requests, classes, run(requests, 20, classes=classes, refuse={1: 0}))
        assert made.misses == [[], [1], []]
        assert made.met == {0: True, 1: False, 2: True}
        assert made.e2e_ps == [0, 0, 240]
        assert made.refusals_s == [0.0, target.refusal_cost_s, 0.0]
        assert made.rewards("ttft", 0.5) == pytest.approx([0.0, -2 * target.refusal_cost_s, -480e-12])


@pytest.mark.parametrize(("crash", "misses"), [(100, [[], [0], []]), (150, [[0], [], []]), (170, [[0], [], []])])
def test_refused_before_and_after_its_deadline(crash, misses):
    # A takes 180 ps, its worker crashes before that. Refused when it comes back: before its deadline of 150 that is the
    # miss, at 150 and later the deadline came first. It costs what it costs.
    requests = [request(A), request([30], at=5000)]
    result = play(requests, [20, 20], [0, 1], faults=[RefCrash(0, crash, None)], classes=[TTFT], refuse={0: 1})
    made = score(requests, [TTFT], result)
    assert made.misses == misses
    assert made.refusals_s == [0.0, 0.5, 0.0]
    assert made.e2e_ps == made.ttft_ps == [crash, 0, 110]


def test_refused_after_its_first_token():
    # First token at 130, crash at 300, refused: in the system until 300, without a token until 130; a miss.
    requests = [request([1, 2, 3], output=5)]
    result = play(requests, [20, 20], [0], faults=[RefCrash(0, 300, None)], classes=[TTFT], refuse={0: 1})
    made = score(requests, [TTFT], result)
    assert (made.e2e_ps, made.ttft_ps, made.misses) == ([300, 0], [130, 0], [[], [0]])

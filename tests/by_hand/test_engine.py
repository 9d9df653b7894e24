"""Cases computed by hand: times, shared pages, the engine, views."""

from __future__ import annotations

import pytest

from tests.by_hand import hand
from tests.by_hand.hand import SIMPLE, engine, one_by_one, private, request, run
from tests.reference import RefCost, RefRequest, least_loaded, prefix_affinity, round_robin

# ---- time -----------------------------------------------------------------------------------------------------------


def test_single_request_in_chunks():
    # Prompt 10, output 3, chunks of 8; G = 100 + 10 T, a_s 2, c_n 5, c_b 3, q 1. 8 tokens after 0: S = 8 x 4.5 = 36, D
    # = 100 + 80 + 72 + 5 = 257. 2 tokens after 8: S = 2 x 9.5 = 19, D = 100 + 20 + 38 + 5 = 163. Decodes with 11 and 12
    # known tokens: D = 100 + 10 + 3 + 11 = 124, then 125.
    cost = RefCost(SIMPLE.g, a_s=2.0, c_n=5.0, c_b=3.0, q=1)
    result = run([request(range(10), output=3, at=7)], 5, engine(page_size=4, chunk_tokens=8), cost=cost)
    assert result.iterations == [
        [(7, 264, 8, 1, 0, 0), (264, 427, 2, 1, 0, 0), (427, 551, 0, 0, 1, 11), (551, 676, 0, 0, 1, 12)]
    ]
    record = result.records[0]
    assert (record.arrival_ps, record.admitted_ps, record.first_token_ps, record.finish_ps) == (7, 7, 427, 676)
    # 10 + 3 - 1 = 12 tokens were computed: 3 full pages stay.
    assert (result.totals[0].loaded, len(result.resident[0]), result.totals[0].busy_ps) == (3, 3, 669)


@pytest.mark.parametrize(("prompt", "duration"), [(1, 10), (2, 12), (3, 13)])
def test_the_float_part_is_rounded_to_even(prompt, duration):
    # S / 2 = 0.5, 1.5, 3.0 for prompts of 1, 2, 3 tokens: rint gives 0, 2, 3.
    result = run([request(range(prompt))], 5, cost=RefCost([10] * 9, a_s=0.5, c_n=0.0, c_b=0.0, q=0))
    assert result.records[0].finish_ps == duration


def test_an_iteration_takes_at_least_a_picosecond():
    assert run([request([1], output=2)], 5, cost=RefCost([0] * 9, 0.0, 0.0, 0.0, 0)).records[0].finish_ps == 2


def test_simultaneous_arrivals_share_the_first_iteration():
    # 3 + 2 prompt tokens in two chunks, T = 5: D = 150. The second decision sees the first request in the queue, not
    # running.
    result = run([request([1, 2, 3]), request([4, 5])], 8)
    assert result.iterations == [[(0, 150, 5, 2, 0, 0)]]
    assert result.visible == [(0, 0, (0,), (0,), (0,)), (1, 0, (0,), (1,), (0,))]


@pytest.mark.parametrize(
    ("schedule", "later"),
    [
        # At 150 the first iteration ends and request 1 arrives. mixed: its 3 tokens join request 0's decode, T = 4.
        ("mixed", [(150, 290, 3, 1, 1, 6)]),
        # prefill_first: its prefill goes alone (T = 3), then request 0 decodes (6 known tokens).
        ("prefill_first", [(150, 280, 3, 1, 0, 0), (280, 390, 0, 0, 1, 6)]),
    ],
)
def test_arrival_at_an_iterations_end(schedule, later):
    result = run([request(range(5), output=2), request([11, 12, 13], at=150)], 20, engine(schedule=schedule))
    assert result.iterations == [[(0, 150, 5, 1, 0, 0), *later]]
    assert result.visible[1] == (1, 150, (0,), (0,), (1,))


def test_closed_loop_with_zero_think_time():
    # Request 0 ends at 120. Its successor (index 2) arrives then, after request 1, which arrives at 120 by itself, and
    # both share the next iteration: 1 + (4 - 2) tokens, since the two pages of request 0 are hit.
    requests = [request([1, 2]), request([9], at=120), RefRequest((1, 2, 3, 4), private(1), None, predecessor=0)]
    result = run(requests, 20)
    assert [(index, time, hit) for index, time, hit, _, _ in result.visible] == [
        (0, 0, (0,)),
        (1, 120, (0,)),
        (2, 120, (2,)),
    ]
    assert result.iterations == [[(0, 120, 2, 1, 0, 0), (120, 250, 3, 2, 0, 0)]]
    assert (result.records[2].arrival_ps, result.records[2].hit_tokens) == (120, 2)


def test_think_time():
    requests = [request([1, 2]), RefRequest((3,), private(1), None, predecessor=0, think_ps=5)]
    assert run(requests, 20).iterations == [[(0, 120, 2, 1, 0, 0), (125, 235, 1, 1, 0, 0)]]


# ---- lookup and shared pages ----------------------------------------------------------------------------------------


def test_hit_is_below_the_known_tokens_and_whole_pages():
    # Pages of 4. The same 8 tokens again: 8 are cached, min(8, 7) rounds down to 4; the second page is rewritten in
    # place, which takes no page: nothing is evicted from a worker of 3 pages. Then 9 tokens with the same first 8: hit
    # 8, one token, third page.
    result = run(one_by_one(range(8), range(8), range(9)), 3, engine(page_size=4))
    assert [record.hit_tokens for record in result.records] == [0, 4, 8]
    assert [row[2] for row in result.iterations[0]] == [8, 4, 1]
    totals = result.totals[0]
    assert (totals.loaded, totals.hit, totals.recomputed, totals.evicted) == (2, 3, 1, 0)


def test_page_computed_twice_in_one_iteration():
    # Both compute the pages of [1 2 3]: the second one's own three pages are freed at the end. Worker of 8: 6 pages at
    # the start, so request 2 (3 pages) is refused. 3 + 2 x 2 pages at the two decodes: after the first of them 3 pages
    # would be free, but the head is tried again only when a request ended, at 400. Then 1 page is free, the two evicted
    # ones are the tail of request 0, which was unlocked first.
    result = run([request([1, 2, 3], output=3), request([1, 2, 3], output=3), request([7, 8, 9])], 8)
    assert result.iterations == [
        [(0, 160, 6, 2, 0, 0), (160, 280, 0, 0, 2, 8), (280, 400, 0, 0, 2, 10), (400, 530, 3, 1, 0, 0)]
    ]
    assert result.records[2].admitted_ps == 400
    assert (result.totals[0].loaded, result.totals[0].recomputed) == (3 + 2 + 2 + 3, 3)
    assert result.evictions == [[(0, 4), (0, 3)]]


# ---- engine ---------------------------------------------------------------------------------------------------------


def test_preemption_and_return():
    # Worker of 8, two requests of 3 + 4 tokens (6 pages each). At 0 they take 6 pages, at 160 one more each. At 280
    # request 0 needs a page: request 1 (latest) is preempted, its 4 pages stay cached, the tail of it goes. At 390
    # again (its page 2), and request 1 is tried: pages 0 and 1 are there, 3 tokens are missing, no page is free:
    # refused. Request 0 ends at 500. Request 1 has 5 known tokens, hit 2, prefills 3 in place of request 0's tail; that
    # emits its third token at 630, a decode the last one at 740.
    result = run([request([1, 2, 3], output=4), request([4, 5, 6], output=4)], 8)
    assert result.iterations == [
        [
            (0, 160, 6, 2, 0, 0),
            (160, 280, 0, 0, 2, 8),
            (280, 390, 0, 0, 1, 5),
            (390, 500, 0, 0, 1, 6),
            (500, 630, 3, 1, 0, 0),
            (630, 740, 0, 0, 1, 6),
        ]
    ]
    assert result.evictions == [[(1, 3), (1, 2), (0, 5), (0, 4), (0, 3), (0, 2)]]
    record = result.records[1]
    assert (record.admitted_ps, record.first_token_ps, record.finish_ps, record.hit_tokens, record.preemptions) == (
        0,
        160,
        740,
        0,
        1,
    )
    assert (result.totals[0].loaded, result.totals[0].hit, result.totals[0].recomputed) == (6 + 4 + 4, 2, 0)


def test_prefill_waits_for_pages_and_blocks_admissions():
    # Worker of 11, chunk 4: request 0 (3 + 4, 6 pages), request 1 (8 + 1), request 2 (1 + 1) arrives at 290. Free pages
    # after each start: 7 (3 + 1 tokens), 3 (decode, 3 tokens), then decode leaves 2 and the chunk of 3 waits; at 390
    # decode leaves 1 and nobody tries, request 2 neither. Request 0 ends at 500: the chunk of 4 evicts 3, the budget is
    # used up. Then request 2 evicts one.
    requests = [request([1, 2, 3], output=4), request(range(10, 18)), request([20], at=290)]
    result = run(requests, 11, engine(chunk_tokens=4, max_running=4))
    assert result.iterations == [
        [
            (0, 140, 4, 2, 0, 0),
            (140, 280, 3, 1, 1, 4),
            (280, 390, 0, 0, 1, 5),
            (390, 500, 0, 0, 1, 6),
            (500, 640, 4, 1, 0, 0),
            (640, 750, 1, 1, 0, 0),
        ]
    ]
    assert result.evictions == [[(0, 5), (0, 4), (0, 3), (0, 2)]]


def test_max_running():
    # Two places: the third request starts when the first one ended, after one decode: 130, then T = 2 (two decodes).
    requests = [request([1], output=2), request([2, 3], output=3), request([4])]
    result = run(requests, 20, engine(max_running=2))
    assert result.iterations == [[(0, 130, 3, 2, 0, 0), (130, 250, 0, 0, 2, 5), (250, 370, 1, 1, 1, 4)]]


def test_prefill_first_reserves_the_output():
    # Worker of 8, two requests of 2 + 4. Request 1 needs 6; free 6 minus the 4 still owed to request 0 is 2: refused
    # until request 0 ends (120, then 3 decodes of 110). With mixed it is admitted at once.
    requests = [request([1, 2], output=4), request([3, 4], output=4)]
    assert run(requests, 8, engine(schedule="prefill_first")).records[1].admitted_ps == 450
    assert run(requests, 8, engine(schedule="prefill_first", reserve_output=0.0)).records[1].admitted_ps == 0
    assert run(requests, 8).records[1].admitted_ps == 0


def test_prefill_first_serves_an_exact_fit():
    # 3 + 2 tokens compute 4 pages, all there are. Reserving 5 must not block the empty worker for ever.
    assert run([request([1, 2, 3], output=2)], 4, engine(schedule="prefill_first")).records[0].finish_ps == 240


# ---- views ----------------------------------------------------------------------------------------------------------


def test_exact_and_history_view():
    # [1 2 3] to worker 0; a history of two pages keeps 1 2. For [1 2 3 4] the exact view shows 3 tokens, the history 2.
    requests = one_by_one([1, 2, 3], [1, 2, 3, 4])
    fleet = [(8, SIMPLE), (8, SIMPLE)]
    exact = hand.simulate(requests, fleet, engine(), "lru", prefix_affinity)
    history = hand.simulate(requests, fleet, engine(), "lru", prefix_affinity, history_pages=2)
    assert exact.visible[1][2] == (3, 0)
    assert history.visible[1][2] == (2, 0)
    assert [record.worker for record in exact.records + history.records] == [0, 0, 0, 0]


def test_routing_rules():
    # Four requests at 0 on three workers.
    requests = [request([index]) for index in range(4)]
    fleet = [(8, SIMPLE)] * 3
    for rule in (round_robin, least_loaded, prefix_affinity):
        result = hand.simulate(requests, fleet, engine(), "lru", rule)
        assert [record.worker for record in result.records] == [0, 1, 2, 0]
    assert [row[3] for row in result.visible] == [(0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, 1)]

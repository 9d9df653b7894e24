"""The reference simulator against cases computed by hand, and against its own invariants on random workloads."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import RefCost, RefEngine, RefRequest, least_loaded, prefix_affinity, round_robin, simulate

EVICTORS = ("lru", "lru_node", "random", "rlt", "rlt_code", "belady")
SIMPLE = RefCost(g=[100 + 10 * tokens for tokens in range(200)], a_s=0.0, c_n=0.0, c_b=0.0, q=0)  # D = 100 + 10 T

fresh = itertools.count(10_000)


def private(count):
    """Output tokens that nobody else uses."""
    return tuple(next(fresh) for _ in range(count))


def request(prompt, output=1, at=0, **kwargs):
    """A request with a private output of the given length."""
    return RefRequest(tuple(prompt), private(output), at, **kwargs)


def engine(page_size=1, schedule="mixed", chunk_tokens=16, max_running=8, **kwargs):
    return RefEngine(page_size, schedule, chunk_tokens, max_running, **kwargs)


def run(requests, pages, settings=None, evictor="lru", cost=SIMPLE, **kwargs):
    """Simulate on one worker."""
    return simulate(requests, [(pages, cost)], settings or engine(), evictor, [0] * len(requests), **kwargs)


def one_by_one(*prompts):
    """Requests with one output token each, far enough apart that each finds the worker idle."""
    return [request(prompt, at=10_000 * index) for index, prompt in enumerate(prompts)]


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


# ---- evictors -------------------------------------------------------------------------------------------------------


def test_lru_goes_page_by_page_and_lru_node_by_nodes():
    # Worker of 10: [1 2 3 4], [1 2 5 6] leave 6 pages; 7 more need 3. lru: tail of the first, 4 then 3, then 6.
    # lru_node: the run 4 3, then 6 5, which stops at the seen boundary 2 though 2 has no other child by then: one more
    # than wanted.
    requests = one_by_one([1, 2, 3, 4], [1, 2, 5, 6], range(10, 17))
    assert run(requests, 10).evictions == [[(0, 3), (0, 2), (1, 3)]]
    result = run(requests, 10, evictor="lru_node")
    assert result.evictions == [[(0, 3), (0, 2), (1, 3), (1, 2)]]
    assert len(result.resident[0]) == 9


def test_a_boundary_counts_once_it_was_seen():
    # The same, but [1 2 5 6] comes after the eviction: one page is wanted, the whole of [1 2 3 4] goes.
    result = run(one_by_one([1, 2, 3, 4], range(10, 17), [1, 2, 5, 6]), 10, evictor="lru_node")
    assert result.evictions[0][:4] == [(0, 3), (0, 2), (0, 1), (0, 0)]


def test_ended_here_makes_a_boundary():
    # [1 2] ended after 2, [1 2 3 4] went on to 3: of the one wanted page the run is 4 3.
    assert run(one_by_one([1, 2], [1, 2, 3, 4], [10, 11, 12]), 6, evictor="lru_node").evictions == [[(1, 3), (1, 2)]]


def test_a_running_request_has_not_ended():
    # One request with prompt [1 2] goes on to [3 4] by itself: no boundary after 2, although [1 2 9] parts there later.
    requests = [RefRequest((1, 2), (3, 4, 5), 0), request([10, 11, 12], at=10_000), request([1, 2, 9], at=20_000)]
    assert run(requests, 6, evictor="lru_node").evictions[0][:4] == [(0, 3), (0, 2), (0, 1), (0, 0)]


@pytest.mark.parametrize("future", [[], [RefRequest((1, 2, 8), (9,), 20_000)]])
def test_later_requests_make_no_boundary(future):
    # Request 0 goes from [1 2] on to [3 4 5]. Request 1 comes at 50, is admitted at 120 with the hit [1 2], computes 3
    # and 4 (found in the tree at 230) and ends after 4, from where request 0 goes on: the only boundary. Request 2
    # wants 2 of the 5 pages: the leaf 5, then the run 4 3 2 1, although [1 2 8] is going to part after 2.
    requests = [
        RefRequest((1, 2), (3, 4, 5, 6), 0),
        RefRequest((1, 2, 3, 4), (7,), 50),
        request(range(10, 17), at=10_000),
        *future,
    ]
    result = run(requests, 10, evictor="lru_node")
    assert result.records[1].admitted_ps == 120
    assert result.evictions == [[(0, 4), (0, 3), (0, 2), (0, 1), (0, 0)]]


def test_evict_full_request():
    # 2 of 8 pages are free, 4 are needed: 2 go, or all 4 asked for.
    requests = one_by_one(range(6), range(10, 14))
    assert run(requests, 8).evictions == [[(0, 5), (0, 4)]]
    assert run(requests, 8, engine(evict_full_request=True)).evictions == [[(0, 5), (0, 4), (0, 3), (0, 2)]]


def test_random_draws_among_the_unlocked_leaves():
    # [1 2], [3 4] fill the worker; [1 5] locks 1, so its leaf 2 and 4 remain.
    requests = one_by_one([1, 2], [3, 4], [1, 5])
    assert run(requests, 4, evictor="random", draws=[iter([(2, (1, 1))])]).evictions == [[(1, 1)]]
    with pytest.raises(AssertionError, match="candidates"):
        run(requests, 4, evictor="random", draws=[iter([(3, (1, 1))])])
    with pytest.raises(AssertionError, match="not among"):
        run(requests, 4, evictor="random", draws=[iter([(2, (1, 0))])])
    with pytest.raises(AssertionError, match="too short"):
        run(requests, 4, evictor="random", draws=[iter([])])
    with pytest.raises(AssertionError, match="more draws"):
        run(requests, 4, evictor="random", draws=[iter([(2, (1, 1)), (2, (1, 1))])])


def test_rlt_phases():
    # Worker of 4. [1 2] and [3 4] fill and mark it.
    # [5]: no unmarked leaf, marks cleared; leaves 2, 4 -> 2 goes. 5 enters marked.
    # [6]: leaves 1, 4 are unmarked, 5 is not -> 4 goes.
    # [3 7]: touches and locks 3; only 1 is left -> 1 goes. Now 5 6 3 7, all marked.
    # [3 8]: marks cleared, 3 marked again; leaves 5, 6, 7 -> 7 goes.
    draws = [(2, (0, 1)), (2, (1, 1)), (1, (0, 0)), (3, (4, 1))]
    result = run(one_by_one([1, 2], [3, 4], [5], [6], [3, 7], [3, 8]), 4, evictor="rlt", draws=[iter(draws)])
    assert result.evictions == [[victim for _, victim in draws]]


def test_rlt_with_only_the_requesters_path_to_draw_from():
    # Worker of 5, chunks of 5: request 0 computes all of [1 2 3 4], request 1 (the same prompt) only a page 1 of its
    # own, which is freed at the end; it locks 1. Request 0 ended: 2 3 4 are unlocked, marked and on request 1's path.
    # Its chunk of 3 finds one page free, so two must go: the phase rule would keep 2 3 4 marked, so the marks are
    # cleared with nothing kept: 4, then 3. Page 2 is computed again and found; 3 and 4 enter again.
    draws = [(1, (0, 3)), (1, (0, 2))]
    result = run(
        [request([1, 2, 3, 4]), request([1, 2, 3, 4])],
        5,
        engine(chunk_tokens=5, max_running=5),
        "rlt",
        draws=[iter(draws)],
    )
    assert result.evictions == [[victim for _, victim in draws]]
    assert (result.totals[0].loaded, result.totals[0].recomputed, len(result.resident[0])) == (6, 2, 4)


def test_rlt_code_phases():
    # Worker of 6. [1 2], [3 4], [7] mark 5 pages, [8] the sixth: (i), only 8 stays marked. [9 10]: 2 + 1 < 6; runs of
    # 2, 4, 7 hold 5 pages. Draws: 7 among 2 4 7, then 2 among 2 4. 9, 10 enter marked: 3 marks. [11 12 13]: 3 + 3 >= 6:
    # (ii) clears. Leaves 1 4 8 10: 10 goes, then 9 among 1 4 8 9, then 8 among 1 4 8.
    draws = [(3, (2, 0)), (2, (0, 1)), (4, (4, 1)), (4, (4, 0)), (3, (3, 0))]
    result = run(
        one_by_one([1, 2], [3, 4], [7], [8], [9, 10], [11, 12, 13]), 6, evictor="rlt_code", draws=[iter(draws)]
    )
    assert result.evictions == [[victim for _, victim in draws]]


def test_rlt_code_full_count_ends_at_the_next_marks():
    # Worker of 4. [1 2 3 4] fills it: 4 marks, (i), the same 4 pages stay marked. [1] marks nothing new, but the count
    # is full: (i) leaves 1 alone. [1 5] hits 1, 1 + 1 < 4, the run of 4 is 4 3 2: it draws 4.
    # [1 6]: 1 and 5 are marked, so 3 is the only candidate; after a clearing there would be 3 and 5.
    draws = [(1, (0, 3)), (1, (0, 2))]
    result = run(one_by_one([1, 2, 3, 4], [1], [1, 5], [1, 6]), 4, evictor="rlt_code", draws=[iter(draws)])
    assert result.evictions == [[victim for _, victim in draws]]


def test_rlt_code_counts_only_the_runs():
    # Worker of 6. [1 2 3], [1 2 4], [5], [6]: after (i) only 6 is marked. [7 8 9 10]: 4 + 1 < 6, but the runs of 3, 4,
    # 5 hold 3 < 4 pages, the trunk 1 2 not counted: (iii) clears, and 6 is a candidate again.
    draws = [(4, (3, 0)), (3, (0, 2)), (2, (1, 2)), (2, (2, 0))]
    result = run(one_by_one([1, 2, 3], [1, 2, 4], [5], [6], range(7, 11)), 6, evictor="rlt_code", draws=[iter(draws)])
    assert result.evictions == [[victim for _, victim in draws]]


def test_belady():
    # Worker of 4: [1 2], [3 4]. [5] needs one: 2 is used again by request 4, 4 never: 4 goes. [3] and [1 2] need none.
    # [8 9] needs two of 2, 3, 5, none of them used again: the deeper 2, then among 1, 3, 5 the latest brought in, 5.
    result = run(one_by_one([1, 2], [3, 4], [5], [3], [1, 2], [8, 9]), 4, evictor="belady")
    assert result.evictions == [[(1, 1), (0, 1), (2, 0)]]


# ---- views ----------------------------------------------------------------------------------------------------------


def test_exact_and_history_view():
    # [1 2 3] to worker 0; a history of two pages keeps 1 2. For [1 2 3 4] the exact view shows 3 tokens, the history 2.
    requests = one_by_one([1, 2, 3], [1, 2, 3, 4])
    fleet = [(8, SIMPLE), (8, SIMPLE)]
    exact = simulate(requests, fleet, engine(), "lru", prefix_affinity)
    history = simulate(requests, fleet, engine(), "lru", prefix_affinity, history_pages=2)
    assert exact.visible[1][2] == (3, 0)
    assert history.visible[1][2] == (2, 0)
    assert [record.worker for record in exact.records + history.records] == [0, 0, 0, 0]


def test_routing_rules():
    # Four requests at 0 on three workers.
    requests = [request([index]) for index in range(4)]
    fleet = [(8, SIMPLE)] * 3
    for rule in (round_robin, least_loaded, prefix_affinity):
        result = simulate(requests, fleet, engine(), "lru", rule)
        assert [record.worker for record in result.records] == [0, 1, 2, 0]
    assert [row[3] for row in result.visible] == [(0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, 1)]


def test_a_request_that_never_fits_is_named():
    with pytest.raises(ValueError, match="request 1"):
        run([request([1]), request([1, 2], output=2)], 2)


# ---- random workloads -----------------------------------------------------------------------------------------------


def random_case(seed):
    """Requests, workers and engine settings under pressure: shared prompts, sessions, public outputs, few pages."""
    rng = random.Random(seed)
    page_size = rng.choice([1, 2, 3, 4])
    requests = []
    for index in range(rng.randint(30, 80)):
        previous = rng.randrange(index) if index and rng.random() < 0.4 else -1
        suffix = tuple(rng.randrange(3) for _ in range(rng.randint(1, 10)))
        if previous >= 0 and len(requests[previous].prompt) < 20:
            prompt = requests[previous].prompt + requests[previous].output + suffix
        else:
            prompt = suffix
        count = rng.randint(1, 8)
        output = tuple(rng.randrange(3) for _ in range(count)) if rng.random() < 0.3 else private(count)
        if previous >= 0 and rng.random() < 0.7:
            requests.append(RefRequest(prompt, output, None, previous, rng.choice([0, 0, 150, 2000])))
        else:
            requests.append(RefRequest(prompt, output, rng.randrange(60) * 100))
    need = max(-(-r.computed_tokens() // page_size) for r in requests)
    cost = RefCost(
        [rng.randint(50, 60) + 5 * tokens for tokens in range(100)],
        rng.random(),
        rng.random(),
        rng.random(),
        rng.randint(0, 2),
    )
    workers = [(need + rng.randint(0, need), cost) for _ in range(rng.randint(1, 3))]
    chunk_tokens = rng.randint(2, 24)
    options = dict(evict_full_request=rng.random() < 0.3, reserve_output=rng.choice([0.0, 0.5, 1.0, 1.5]))
    return requests, workers, page_size, chunk_tokens, rng.randint(1, min(8, chunk_tokens)), options


@pytest.mark.parametrize("schedule", ["mixed", "prefill_first"])
@pytest.mark.parametrize("evictor", EVICTORS)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_random_workloads(evictor, schedule, seed):
    requests, workers, page_size, chunk_tokens, max_running, options = random_case(seed)
    settings_ = engine(page_size, schedule, chunk_tokens, max_running, **options)
    rule = [round_robin, least_loaded, prefix_affinity][seed % 3]
    result = simulate(requests, workers, settings_, evictor, rule, history_pages=[None, 10][seed % 2], check=True)

    for record, spec in zip(result.records, requests, strict=True):
        assert 0 <= record.arrival_ps <= record.admitted_ps < record.first_token_ps <= record.finish_ps
        assert 0 <= record.hit_tokens < len(spec.prompt) and record.hit_tokens % page_size == 0
    assert sorted(row[0] for row in result.visible) == list(range(len(requests)))
    for w, (totals, rows) in enumerate(zip(result.totals, result.iterations, strict=True)):
        mine = [spec for spec, record in zip(requests, result.records, strict=True) if record.worker == w]
        assert totals.loaded - totals.evicted == len(result.resident[w]) <= workers[w][0]
        assert totals.iterations == len(rows) and totals.busy_ps == sum(row[1] - row[0] for row in rows)
        assert all(row[2] + row[4] <= chunk_tokens for row in rows)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(rows))
        if not any(record.preemptions for record in result.records):
            hits = sum(record.hit_tokens for record in result.records if record.worker == w)
            assert totals.hit * page_size == hits
            assert sum(row[2] for row in rows) + hits == sum(len(spec.prompt) for spec in mine)
            assert sum(row[4] for row in rows) == sum(len(spec.output) - 1 for spec in mine)
    routed = [record.worker for record in result.records]
    if evictor in ("lru", "lru_node", "belady"):
        assert simulate(requests, workers, settings_, evictor, routed, check=False).records == result.records

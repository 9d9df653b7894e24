"""The evictors against cases computed by hand."""

from __future__ import annotations

import pytest

from tests.by_hand.hand import engine, one_by_one, request, run
from tests.reference import RefRequest


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

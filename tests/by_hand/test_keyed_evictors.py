"""The evictors by key (rule C7) against cases computed by hand."""

from __future__ import annotations

import dataclasses

import pytest

from tests.by_hand import hand
from tests.by_hand.hand import SIMPLE, engine, one_by_one, request, run
from tests.reference import RefClass, RefCost

SECOND = 10**12
FLAT = RefCost([100] * 9000, 0.0, 0.0, 0.0, 0)


def first_pages(evictions):
    """The requests that brought in the evicted pages, of a case whose prompts are single pages."""
    assert all(number == 0 for _, number in evictions[0])
    return [index for index, _ in evictions[0]]


def test_fifo():
    # Worker of 3: 1, 2, 3 enter in this order, 1 is touched in between. [4]: lru takes 2, fifo takes 1 all the same.
    requests = one_by_one([1], [2], [1], [3], [4])
    assert first_pages(run(requests, 3).evictions) == [1]
    assert first_pages(run(requests, 3, evictor="fifo").evictions) == [0]


def test_fifo_pages_of_one_end_go_by_stamp():
    # [1 2] and [3 4] share an iteration. The counter: two admissions, 2 when [1 2] enters; its end makes it 3, which
    # [3 4] enters at. Worker of 5, [5 6 7] wants 2: 2 and then 1, both entered at 2.
    result = run([request([1, 2]), request([3, 4]), request([5, 6, 7], at=10_000)], 5, evictor="fifo")
    assert result.evictions == [[(0, 1), (0, 0)]]


def test_lfu():
    # Worker of 3: 1 was hit once, 2 and 3 never (an unlock is no hit). [4]: lru takes 1, lfu the older of 2 and 3.
    requests = one_by_one([1], [1], [2], [3], [4])
    assert first_pages(run(requests, 3).evictions) == [0]
    assert first_pages(run(requests, 3, evictor="lfu").evictions) == [2]


def test_mru():
    # Worker of 3: 3 has the newest stamp.
    requests = one_by_one([1], [2], [3], [4])
    assert first_pages(run(requests, 3).evictions) == [0]
    assert first_pages(run(requests, 3, evictor="mru").evictions) == [2]


def test_slru():
    # Worker of 2. [1] twice, then 2, 3 and 4: 1 was hit once, and stays; lru lets it go first.
    requests = one_by_one([1], [1], [2], [3], [4])
    assert first_pages(run(requests, 2).evictions) == [0, 2]
    assert first_pages(run(requests, 2, evictor="slru").evictions) == [2, 3]


def test_slru_has_no_ghosts():
    # As below: no page was hit, so all of them go as under lru.
    requests = one_by_one([1], [2], [3], [1], [4], [5])
    assert first_pages(run(requests, 2, evictor="slru").evictions) == [0, 1, 2, 0]


def test_slru_two_hits():
    # Worker of 2. [1] three times, then 2 and 3: the first victim is 2, 3 the next, since 1 was hit twice. lru: 1, then
    # 2.
    requests = one_by_one([1], [1], [1], [2], [3], [4])
    assert first_pages(run(requests, 2).evictions) == [0, 3]
    assert first_pages(run(requests, 2, evictor="slru_two_hits").evictions) == [3, 4]


def test_one_hit_is_not_two():
    requests = one_by_one([1], [1], [2], [3], [4])
    assert first_pages(run(requests, 2, evictor="slru_two_hits").evictions) == [0, 2]


@pytest.mark.parametrize("evictor", ["slru", "slru_two_hits"])
def test_those_that_protect_do_not_count_hits(evictor):
    # Worker of 2: 1 was hit three times, 2 twice and later. [3]: both are protected, 1 is older; lfu takes 2.
    requests = one_by_one([1], [1], [1], [1], [2], [2], [2], [3])
    assert first_pages(run(requests, 2, evictor=evictor).evictions) == [0]
    assert first_pages(run(requests, 2, evictor="lfu").evictions) == [4]


def test_ghost_slru():
    # Worker of 2. [3] evicts 1, [1] evicts 2: 1 is the second last of 2 evicted pages when it enters: a ghost. [4]
    # evicts 3. [5] finds 1 and 4, none hit: lru takes 1, but it came in as a ghost: 4.
    requests = one_by_one([1], [2], [3], [1], [4], [5])
    assert first_pages(run(requests, 2).evictions) == [0, 1, 2, 0]
    assert first_pages(run(requests, 2, evictor="ghost_slru").evictions) == [0, 1, 2, 4]


def test_ghosts_are_forgotten():
    # Worker of 2. [3] evicts 1, [4] evicts 2, [1] evicts 3: the last two are 2 and 3 when 1 enters again: no ghost. [5]
    # evicts 4, [6] finds 1 and 5: 1.
    requests = one_by_one([1], [2], [3], [4], [1], [5], [6])
    assert first_pages(run(requests, 2, evictor="ghost_slru").evictions) == [0, 1, 2, 3, 0]


@pytest.mark.parametrize(("length", "victim"), [(2000, (2, 1999)), (2100, (0, 0))])
def test_wlfu(length, victim):
    # [1] twice: 2 page accesses at its last stamp, one hit: 2 + 3000 ln 2 = 2081.4. A long prompt without hits: 2002 or
    # 2102 at its last stamp, the pages of its own admission counted. [2]: one more. [3] wants one: the smallest. lru:
    # 1.
    requests = one_by_one([1], [1], range(10, 10 + length), [2], [3])
    settings = engine(chunk_tokens=4000)
    assert run(requests, length + 2, settings, "wlfu", FLAT).evictions == [[victim]]
    assert run(requests, length + 2, settings, "lru", FLAT).evictions == [[(0, 0)]]


def test_tail_lru():
    # Pages of 1000 tokens, worker of 8. Session 0: 6000 + 1 tokens, its next prompt needs the first 6001 + 500 - 4096 =
    # 2405: pages 0 and 1; the others end at 3000 or later. Session 1: 1001 tokens, needs nothing. Request 2 wants 6:
    # pages 5 to 2 go by age, then session 1's page, then page 1. lru never comes to session 1.
    prompts = [range(6000), range(10_000, 11_000), range(20_000, 27_000)]
    requests = [request(prompt, at=10_000 * i, session=i) for i, prompt in enumerate(prompts)]
    settings = engine(page_size=1000, chunk_tokens=8000)
    tail = [(0, 5), (0, 4), (0, 3), (0, 2)]
    assert run(requests, 8, settings, "tail_lru", FLAT).evictions == [[*tail, (1, 0), (0, 1)]]
    assert run(requests, 8, settings, "lru", FLAT).evictions == [[*tail, (0, 1), (0, 0)]]
    # Had session 0 gone on with a short request (501 tokens at its end), all its pages would lie beyond: like lru.
    requests.insert(2, request(range(30_000, 30_500), at=15_000, session=0))
    assert run(requests, 8, settings, "tail_lru", FLAT).evictions == [[*tail, (0, 1), (0, 0)]]


@pytest.mark.parametrize(("at", "victim"), [(30_000, (0, 0)), (90_000, (1, 35))])
def test_tail_lru_learns_an_output_at_its_end(at, victim):
    # Pages of 100. Worker 0 holds a page of session 0 and 36 of session 1 (3601 + 500 - 4096 = 5: all beyond). Session
    # 0 goes on with 3400 + 301 tokens on worker 1, from 20_000 to 20_000 + 301 x 100 = 50_100. Before that end it needs
    # 0 tokens of its own: its page is the older one. Later 3701 + 500 - 4096 = 105: its page 0 is needed.
    requests = [
        request(range(100), at=0, session=0),
        request(range(10_000, 13_600), at=10_000, session=1),
        request(range(20_000, 23_400), output=301, at=20_000, session=0),
        request(range(30_000, 30_100), at=at, session=2),
    ]
    settings = engine(page_size=100, chunk_tokens=8000)
    result = hand.simulate(requests, [(37, FLAT), (37, FLAT)], settings, "tail_lru", [0, 0, 1, 0])
    assert result.records[2].finish_ps == 50_100
    assert result.evictions == [[victim], []]


def test_priority():
    # Worker of 3: 1 and 3 of a class of priority 0, 2 of one of priority 5, the less urgent. [4]: lru takes 1.
    requests = one_by_one([1], [2], [3], [4])
    requests[1] = dataclasses.replace(requests[1], service_class=1)
    classes = [RefClass(), RefClass(priority=5)]
    assert first_pages(run(requests, 3, classes=classes).evictions) == [0]
    assert first_pages(run(requests, 3, evictor="priority", classes=classes).evictions) == [1]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_most_urgent_use_counts(order):
    # Worker of 3: 1 is used by both classes, in either order, so its priority is that of 3, 0; 2 has 5, and 3 is newer
    # than 1. [4] takes 2, [5] takes 1.
    requests = one_by_one([1], [1], [2], [3], [4], [5])
    requests = [dataclasses.replace(r, service_class=k) for r, k in zip(requests, (*order, 1, 0, 0, 0), strict=True)]
    classes = [RefClass(), RefClass(priority=5)]
    assert first_pages(run(requests, 3, evictor="priority", classes=classes).evictions) == [2, 0]


def test_lru_k():
    # Worker of 2, the counter at admissions: 1, 3, 5, 7. 1 is used at 1 and 7, 2 at 3 and 5: of the uses before the
    # last ones that of 1 is older. lru: 2.
    requests = one_by_one([1], [2], [2], [1], [3])
    assert first_pages(run(requests, 2).evictions) == [1]
    assert first_pages(run(requests, 2, evictor="lru_k").evictions) == [0]
    # 1 at 1, 5 and 7, 2 at 3 and 9: 2. lru: 1.
    requests = one_by_one([1], [2], [1], [1], [2], [3])
    assert first_pages(run(requests, 2).evictions) == [0]
    assert first_pages(run(requests, 2, evictor="lru_k").evictions) == [1]


def test_lru_k_lets_go_what_was_used_once():
    # Worker of 3: 1 and 2 were used twice, 3 once: it goes, then 4. lru: 1, 2.
    requests = one_by_one([1], [1], [2], [2], [3], [4], [5])
    assert first_pages(run(requests, 3).evictions) == [0, 2]
    assert first_pages(run(requests, 3, evictor="lru_k").evictions) == [4, 5]


def test_gdsf_ages():
    # Every page costs c = G[16] / 16 = 16.25 ps. Worker of 2: 1 has 2 uses, 2 has one. [3] evicts 2, inflation c; 3
    # enters with c + c. [4]: 1 has 0 + 2 c, as much as 3, and is older: it goes (lfu: 3). Inflation 2 c, 4 enters with
    # 3 c. [5]: 3 with 2 c goes.
    requests = one_by_one([1], [1], [2], [3], [4], [5])
    assert first_pages(run(requests, 2, evictor="gdsf").evictions) == [2, 0, 3]
    assert first_pages(run(requests, 2, evictor="lfu").evictions) == [2, 3, 4]
    assert first_pages(run(requests, 2).evictions) == [0, 2, 3]


def test_gdsf_keeps_what_is_deep():
    # a_s = 10: page 2 of [1 2] costs 16.25 + 10 (1 + 1) ps, page 3 costs 16.25 + 10. Worker of 3, [4] evicts 3; lru: 2.
    cost = RefCost(SIMPLE.g, 10.0, 0.0, 0.0, 0)
    requests = one_by_one([1, 2], [3], [4])
    assert run(requests, 3, evictor="gdsf", cost=cost).evictions == [[(1, 0)]]
    assert run(requests, 3, evictor="lru", cost=cost).evictions == [[(0, 1)]]
    assert cost.share_s(tokens=2, after=3, chunk_tokens=16) == pytest.approx((2 * 16.25 + 10 * 2 * (3 + 1.5)) * 1e-12)


def test_inflation_is_gdsfs_own():
    # Worker of 2: 1 has 3 uses, 2 has two. [3] evicts 1 by lru, whose key 3 c is nobody's inflation: 3 enters with c.
    # [4] by gdsf: 3 goes, not 2.
    requests = one_by_one([1], [1], [1], [2], [2], [3], [4])
    rules = [None] * 5 + ["lru", "gdsf"]
    assert first_pages(run(requests, 2, evictor="mru", rules=rules).evictions) == [0, 5]


def test_workload_aware():
    # Worker of 3. Turn 1 uses page 1 at 0 and 1 s: gap 1 s less an iteration, i.e. 999999 whole us. Turn 2 uses page 2
    # at 2 and 102 s: 99999999 us. Turn 1 brings in page 3 at 110 s. So turn 1: 3 uses, 1 reuse, rate 1; turn 2: 2 uses,
    # 1 reuse, rate 0.01. At 120 s page 1: p 1/3, survival e^-119: nearly 0. Page 3: about 1/3 e^-10 / (2/3) = 2e-5.
    # Page 2: 1/2 (e^-0.18 - e^-3.18) / (1/2 + 1/2 e^-0.18) = 0.43. [4 5] evicts 1 and 3; lru 1 and 2.
    uses = [([1], 0, 1), ([1], 1, 1), ([2], 2, 2), ([2], 102, 2), ([3], 110, 1), ([4, 5], 120, 0)]
    requests = [request(prompt, at=at * SECOND, turn=turn) for prompt, at, turn in uses]
    assert first_pages(run(requests, 3, evictor="workload_aware").evictions) == [0, 4]
    assert first_pages(run(requests, 3).evictions) == [0, 2]


def test_workload_aware_without_reuses():
    # Worker of 2. Turn 5 (category 3) uses page 1 at 0 and 100 s; turn 0 brings in page 2, which has no reuses: key 0.
    # At 130 s turn 3's page 3 replaces it. At 140 s: page 1 was left alone for 40 s, 3 for 10 s: 1.
    uses = [([1], 0, 5), ([1], 100, 5), ([2], 120, 0), ([3], 130, 3), ([4], 140, 0)]
    requests = [request(prompt, at=at * SECOND, turn=turn) for prompt, at, turn in uses]
    assert first_pages(run(requests, 2, evictor="workload_aware").evictions) == [2, 0]
    assert first_pages(run(requests, 2).evictions) == [0, 2]

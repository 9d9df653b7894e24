"""The evictors with queues (rule C8) against cases computed by hand."""

from __future__ import annotations

from tests.by_hand import hand
from tests.by_hand.hand import SIMPLE, engine, one_by_one, request, run

SECOND = 10**12


def first_pages(evictions):
    """The requests that brought in the evicted pages, of a case whose prompts leave single pages."""
    assert all(number == 0 for _, number in evictions[0])
    return [index for index, _ in evictions[0]]


def test_arc():
    # Worker of 2, p = 0. [3]: T1 = 1 2 is longer than p: 1 goes, to B1. [1]: 2 goes, B1 = 1 2; 1 enters as a ghost: p
    # becomes 1, T2 = 1. [4]: T1 = 3 is not longer than p: from T2 goes 1, to B2. [1]: T1 = 3 4: 3 goes, B1 = 2 3; 1
    # enters as a ghost of B2: p becomes max(0, 1 - 2 / 1). [5]: T1 = 4 is longer than 0: 4 goes.
    requests = one_by_one([1], [2], [3], [1], [4], [1], [5])
    assert first_pages(run(requests, 2, evictor="arc").evictions) == [0, 1, 0, 2, 4]
    assert first_pages(run(requests, 2, evictor="ghost_slru").evictions) == [0, 1, 2, 4]


def test_arc_keeps_what_was_hit():
    # Worker of 2: 1 was hit, T2 = 1. [3]: T1 = 2 is longer than 0. lru takes 1.
    requests = one_by_one([1], [1], [2], [3])
    assert first_pages(run(requests, 2).evictions) == [0]
    assert first_pages(run(requests, 2, evictor="arc").evictions) == [2]


def test_arc_takes_from_the_other_list():
    # Worker of 2: both are in T2, T1 is empty: the older one of T2.
    requests = one_by_one([1], [1], [2], [2], [3])
    assert first_pages(run(requests, 2, evictor="arc").evictions) == [0]


def test_ghosts_of_arc_are_forgotten():
    # Worker of 2. [3], [4] and [1] let 1, 2 and 3 go, all from T1: 2 and 3 after 1, which is no ghost when it enters.
    # So p = 0 and T1 = 4 1 for [5]: 4. (As a ghost it would be in T2, p = 1, and go.)
    requests = one_by_one([1], [2], [3], [4], [1], [5])
    assert first_pages(run(requests, 2, evictor="arc").evictions) == [0, 1, 2, 3]


def test_s3_fifo():
    # Worker of 3: s = 1, 2 ghosts. 1 has a count of 2. [4]: S = 1 2 3; 1 moves to M, 2 goes. [2]: S = 3 4: 3 goes; 2
    # was the last but one to go: a ghost, M = 1 2. [5]: S = 4 goes. 5 is hit twice. [6]: 5 moves to M, S is empty; of M
    # 1 and 2 have the place 1, one move, and 1 the older stamp; its count fell to 0 when it moved: it goes.
    requests = one_by_one([1], [2], [3], [1], [1], [4], [2], [5], [5], [5], [6])
    assert first_pages(run(requests, 3, evictor="s3_fifo").evictions) == [1, 2, 5, 0]


def test_s3_fifo_gives_second_chances():
    # The same, but 1 and 2 are hit once in M. [6]: 5 moves to M (place 2); 1 and 2 go to its end with a count of 0
    # (places 3 and 4); 5 goes. 6 is hit twice. [7]: 6 moves to M; 1 goes.
    requests = one_by_one(
        *([1], [2], [3], [1], [1], [4], [2], [1], [2], [5], [5], [5], [6], [6], [6], [7]),
    )
    assert first_pages(run(requests, 3, evictor="s3_fifo").evictions) == [1, 2, 5, 9, 0]


def test_ghosts_of_s3_fifo_are_forgotten():
    # Worker of 3. [4], [5] and [1] let 1, 2 and 3 go: 2 and 3 after 1, so 1 enters S. [6]: S = 4 5 1: 4, [7]: 5, [8]: 1
    # goes, though it is hit once.
    requests = one_by_one([1], [2], [3], [4], [5], [1], [1], [6], [7], [8])
    assert first_pages(run(requests, 3, evictor="s3_fifo").evictions) == [0, 1, 2, 3, 4, 0]


def test_lhd():
    # Worker of 2: age groups are ages; request i leaves its page with i + 1 page accesses. Request 2 hits 2: class 0,
    # age 2 - 2. Request 3 hits 1: class 0, age 3 - 1 = 2; two events: density of class 0 at 2 = .9 / .9. Request 4: 1
    # and 2 are in class 1, of density 0, the older one is 2: it goes (age 2). Request 5 hits 1 (class 1, age 1), two
    # events: at 2 class 0 has .81 / .81. Request 6: 3 of class 0 has age 7 - 5 = 2, density 1, and 1 of class 2 has
    # none: 1 goes, though it was used last.
    requests = one_by_one([1], [2], [2], [1], [3], [1], [4])
    assert first_pages(run(requests, 2).evictions) == [1, 4]
    assert first_pages(run(requests, 2, evictor="lhd").evictions) == [1, 0]


def holding(route=0):
    """What worker 0 evicts of six documents of a page, A to F, asked by as many sessions, A twice, within 0.123 s.

    Pages of 2 tokens, prompts of 3, worker of 4: three pages stay, and who finds none needs two.
    """
    a, b, c, d, e, f, g = ([10 * i, 10 * i + 1, 10 * i + 2] for i in range(7))
    asked = [(a, 0.0, 0), (a, 0.05, 0), (b, 0.06, 1), (c, 0.061, 2), (d, 0.062, 3), (e, 0.063, 4), (f, 0.12, 5)]
    asked += [(g, 0.123, 6)]
    requests = [request(prompt, at=round(at * SECOND), session=session) for prompt, at, session in asked]
    routes = [0, route, *[0] * 6]
    return [
        hand.simulate(requests, [(4, SIMPLE)] * 2, engine(page_size=2), evictor, routes).evictions
        for evictor in ("lru", "continuum")
    ]


def test_continuum():
    # One gap, of 0.05 s <= 1/16 s. It saved the prefill of a page, g, and 4 pages were there for 0.05 s: a page is
    # worth g / 0.2 a second. A, after 1 request: P = 1, and 1 - (1/16) / 0.2 > 0: held for 1/16 s, until 0.1125 (for
    # 1/8 s it would be 1 - 0.625). B: 1/2 > (1/16) / 0.24, until 0.1225. C: 1/3 > (1/16) / 0.244 = 0.256, until 0.1235.
    # D: all three are held, A for the shortest time: A goes. D itself: 1/4 < (1/16) / 0.248 = 0.252: not held. E: D
    # goes. E: 1/5 is not enough. F: E goes. F: 1/6 > (1/16) / 0.48 = 0.13: held. G: B's time is over: B.
    lru, continuum = holding()
    assert lru == [[(0, 0), (2, 0), (3, 0), (4, 0)], []]
    assert continuum == [[(0, 0), (4, 0), (5, 0), (2, 0)], []]


def test_continuum_counts_those_who_come_back_to_the_worker():
    # A's session goes on on worker 1: nobody came back to worker 0, nothing is held there.
    lru, continuum = holding(route=1)
    assert continuum == lru == [[(0, 0), (2, 0), (3, 0), (4, 0)], []]

"""Queues of docs/semantics.md#c8-queues in the reference simulator: figures that were computed by hand."""

from __future__ import annotations

import pytest

from tests.by_hand.hand import engine, one_by_one
from tests.reference import RULES, RefCost, simulate
from tests.reference.cache import Cache
from tests.reference.evictors import Context
from tests.reference.pages import Page
from tests.reference.queues import Arc, Continuum, Ghosts, Lhd, S3Fifo
from tests.reference.roster import QUEUES
from tests.reference.uses import User

SECOND = 10**12
TENTH_OF_A_SECOND_PER_TOKEN = RefCost([SECOND // 10 * tokens for tokens in range(101)], 0.0, 0.0, 0.0, 0)


def make(evictor, kv_pages):
    """An evictor and its worker's empty cache, of pages of one token."""
    cost = TENTH_OF_A_SECOND_PER_TOKEN
    return evictor(Context(0, kv_pages, cost, engine(), None, None, set())), Cache(kv_pages)


def enter(evictor, cache, page):
    """An unlocked page."""
    cache.free -= 1
    cache.enter(page, User(0, 0))
    evictor.on_enter(cache, page)
    cache.touch([page])
    cache.unlock(page)


def hit(evictor, cache, page):
    """An admission that touches this page alone."""
    evictor.on_admission(cache, [page], 1)
    cache.admit([page], User(0, 0))


def roots(count):
    """Pages that have nothing to do with each other."""
    return [Page(None, 0, index) for index in range(count)]


def evict(evictor, cache):
    """Who goes, by index."""
    page = evictor.victim(cache, None)
    cache.evict(page)
    evictor.check(cache)
    return page.first_request


def test_ghosts_are_forgotten_when_enough_others_went():
    ghosts, pages = Ghosts(2), roots(4)
    for page in pages[:2]:
        ghosts.add(page)
    assert pages[0] in ghosts and len(ghosts) == 2
    ghosts.add(pages[2])
    assert pages[0] not in ghosts and len(ghosts) == 2
    ghosts.remove(pages[2])
    ghosts.add(pages[3])
    assert pages[1] not in ghosts and len(ghosts) == 1
    none = Ghosts(0)
    none.add(pages[0])
    assert len(none) == 0


def test_the_target_of_arc():
    # Worker of 3 with 0, 1, 2: T1 is longer than 0, so 0 and 1 go, into B1. 0 enters again: p = 0 + max(1, 0 / 2) = 1.
    # Now T1 = {2}, T2 = {0}: |T1| = 1 is not above 1, so 0 goes, into B2. 1 enters again: p = 1 + max(1, 1 / 1) = 2.
    # 0 enters again: |B1| = 0, |B2| = 1, p = 2 - 1 = 1.
    arc, cache = make(Arc, 3)
    pages = roots(3)
    for page in pages:
        enter(arc, cache, page)
    assert [evict(arc, cache), evict(arc, cache)] == [0, 1]
    enter(arc, cache, pages[0])
    assert arc.target == 1
    assert evict(arc, cache) == 0
    enter(arc, cache, pages[1])
    assert arc.target == 2
    enter(arc, cache, pages[0])
    assert arc.target == 1 and arc.often == {pages[0], pages[1]}
    # A crash: all three enter as they did at first.
    arc.on_crash(0)
    cache.crash()
    for page in pages:
        enter(arc, cache, page)
    assert arc.target == 0 and not arc.often


def test_second_chances_of_s3_fifo():
    # Worker of 20: s = 2, 18 ghosts. 0 to 3 enter, 0 is hit once, 1 and 2 twice. All are in S. 0 goes (count 1). 1 and
    # 2 move to M, so that |S| = 1 < 2: 1, first in M, whose count fell to 0 when it moved, goes. 2 is hit. 0 enters M
    # as a ghost, with place 2, as 2 has; 2 has the older stamp, but a count of 1: it moves to the end, and 0 goes. 2 is
    # all of M and goes; 3 is all of S.
    fifo, cache = make(S3Fifo, 20)
    pages = roots(4)
    for page in pages:
        enter(fifo, cache, page)
    for page in (pages[0], pages[1], pages[1], pages[2], pages[2]):
        hit(fifo, cache, page)
    assert [evict(fifo, cache), evict(fifo, cache)] == [0, 1]
    hit(fifo, cache, pages[2])
    enter(fifo, cache, pages[0])
    assert fifo.place == {pages[0]: 2, pages[2]: 2} and fifo.count[pages[0]] == 0
    assert evict(fifo, cache) == 0
    assert fifo.moves == 3 and fifo.count[pages[2]] == 0
    assert [evict(fifo, cache), evict(fifo, cache)] == [2, 3]
    assert fifo.ghosts.place.keys() == {pages[3]}  # what goes from M is none


def test_densities_of_lhd():
    # Worker of 16: an age group is 2 page accesses. 0, 1, 2 enter. 0 is hit at once (class 0, group 0), then again
    # (class 1, group 0). 1 goes: stamped before both accesses: class 0, group 1. 13 more hits of 0: 16 in all.
    lhd, cache = make(Lhd, 16)
    pages = roots(3)
    for page in pages:
        enter(lhd, cache, page)
    hit(lhd, cache, pages[0])
    hit(lhd, cache, pages[0])
    assert lhd.density[0][0] == 0.0
    assert evict(lhd, cache) == 1
    assert (lhd.hits[0][0], lhd.hits[1][0], lhd.evictions[0][1]) == (1, 1, 1)
    for _ in range(13):
        hit(lhd, cache, pages[0])
    # All counts x 0.9. Class 0, group 1: h = 0, e = 0.9, t = 0.9; group 0: h = 0.9, e = 1.8, t = 2.7: 1 / 3.
    assert lhd.events == 0
    assert lhd.density[0][:3] == [pytest.approx(1 / 3), 0.0, 0.0]
    assert [lhd.density[which][0] for which in (1, 2, 3)] == [1.0, 1.0, 1.0]
    # 2 is of class 0 and 15 accesses old, group 7, of density 0; 0 is of class 3, group 0, of density 1.
    assert evict(lhd, cache) == 2
    lhd.on_crash(0)
    assert lhd.hits[0][0] == lhd.density[0][0] == lhd.events == 0


def test_what_a_time_to_live_is_worth():
    # 0.1 s per token, a worker of 100. 4 requests finished, 2 sessions came back: after 1 s (b = 4) and 8 s (b = 7).
    # 5 pages, 0.5 s: 2^-2 x 0.5 = 0.125 s for 1 s, 0.25 s for 8 s. Hits saved 10 s in 100 s: 10 / (100 x 100) x 5
    # = 0.005 per second: 0.125 - 0.005 = 0.12; 0.25 - 0.04 = 0.21. With 40 s saved 0.02 per second: 0.105; 0.09.
    continuum, cache = make(Continuum, 100)
    cache.now = 100 * SECOND
    assert continuum.best_ttl_s(cache, 5) == 0.0
    continuum.on_return(1 * SECOND)
    continuum.on_return(4 * SECOND + 1)
    continuum.on_return(2048 * SECOND + 1)  # of no time to live
    assert [b for b, number in enumerate(continuum.returned) if number] == [4, 7]
    continuum.finished = 4
    for saved_s, best in ((10, 8.0), (40, 1.0), (1000, 0.0)):
        continuum.saved_s = saved_s
        assert continuum.best_ttl_s(cache, 5) == best
    # After a crash at 99 s the worker knows nothing but that one second.
    continuum.on_crash(99 * SECOND)
    assert (continuum.finished, sum(continuum.returned), continuum.saved_s) == (0, 0, 0)
    continuum.on_return(0)
    continuum.finished, continuum.saved_s = 1, 100.0
    # A gap of 0 has b = 0: 0.5 - 100 / (100 x 1) x 5 / 16 = 0.1875.
    assert continuum.best_ttl_s(cache, 5) == 1 / 16


def test_held_pages_go_last():
    continuum, cache = make(Continuum, 9)
    pages = roots(4)
    for page in pages:
        enter(continuum, cache, page)
    cache.now = 10
    continuum.until = {pages[0]: 30, pages[1]: 20, pages[2]: 10}
    # 2 is held no more; 3 never was; of the others 1 is held less long.
    assert [evict(continuum, cache) for _ in pages] == [2, 3, 1, 0]
    assert not continuum.until


@pytest.mark.parametrize("evictor", QUEUES)
def test_they_evict_alone(evictor):
    assert evictor not in RULES
    with pytest.raises(ValueError, match=f"{evictor} does all evictions"):
        simulate(one_by_one([1]), [(5, TENTH_OF_A_SECOND_PER_TOKEN)], engine(), evictor, [0], rules=["lru"])

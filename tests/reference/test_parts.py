"""Parts of the reference simulator, and what it refuses: what the compiled simulator has in other forms."""

from __future__ import annotations

import math

import pytest

from tests.by_hand.hand import LINK, SIMPLE, TWICE, Script, engine, one_by_one, play, request, run
from tests.reference import RefCrash, RefLink, RefNetwork, RefSlowdown, simulate
from tests.reference.cache import Cache
from tests.reference.evictors import Context
from tests.reference.keyed import WorkloadAware
from tests.reference.pages import Page
from tests.reference.sessions import Sessions
from tests.reference.uses import Ledger, User

SECOND = 10**12


def test_seconds_of_a_link():
    # rint(0.5) = 0, rint(1.5) = 2; at least 1.
    assert [RefLink(10, 0.5).duration(tokens, 1) for tokens in (1, 3)] == [10, 12]
    assert RefLink(0, 0.0).duration(5, 5) == 1
    assert [RefLink(latency, 0.0, 1).duration(5, 5) for latency in (0, 10)] == [5, 15]


def test_when_a_link_is_ready():
    assert RefLink(10, 1.0).ready(1000, 1100) == 1100
    ready = [RefLink(latency, 1.0, overlap=True).ready(1000, 1100) for latency in (0, 1, 10, 100, 110)]
    assert ready == [1001, 1001, 1010, 1100, 1100]


def chain(cache, length):
    """Unlocked pages in a row, from a root."""
    pages = []
    for number in range(length):
        pages.append(Page(pages[-1] if pages else None, number, 0))
        cache.enter(pages[-1], User(0, 0))
        cache.touch(pages)
        cache.unlock(pages[-1])
    return pages


@pytest.mark.parametrize("marks", [[], [1], [3], [1, 3], [0, 1, 2, 3]])
@pytest.mark.parametrize("leaf_marked", [False, True])
def test_where_a_tail_ends(leaf_marked, marks):
    # Of 5 pages in a row all 5; up to a lock, a seen boundary or a branch at page 1 the last 3. An unmarked leaf's ends
    # below the deepest mark, a marked one's does not. Runs (lru_node) don't care for marks.
    def tail(change):
        cache = Cache(9)
        pages = chain(cache, 5)
        cache.clear_marks()
        cache.mark([pages[number] for number in marks] + [pages[4]] * leaf_marked)
        change(cache, pages)
        run = [page.number for page in cache.run_of(pages[4])]
        assert run == [4, 3, 2, 1, 0][: len(run)]
        found = [page.number for page in cache.tail_of(pages[4])]
        assert found == [number for number in run if leaf_marked or number > max(marks, default=-1)]
        return len(run)

    def branch(cache, pages):
        cache.enter(Page(pages[1], 2, 1), User(1, 0))

    def boundary(cache, pages):
        cache.show(pages[1], pages[2])
        cache.show(pages[1], None)

    assert tail(lambda cache, pages: None) == 5
    assert tail(lambda cache, pages: cache.lock(pages[1])) == 3
    assert tail(boundary) == tail(branch) == 3


def test_a_named_rule_is_not_asked():
    # Worker of 2 with [1], [2]. [3] evicts by its own rule mru: 2. [4] asks: slot 0 is 1.
    script = Script(0)
    rules = [None, None, "mru", None]
    requests = one_by_one([1], [2], [3], [4])
    assert run(requests, 2, evictor="agent", evict=script, candidates=2, rules=rules).evictions == [[(1, 0), (0, 0)]]
    assert [question.request for question in script.questions] == [3]


def test_the_cache_forgets_everything():
    # A worker of 2 pages evicts one, which is a ghost until the crash, and loses the other.
    cache = Cache(2)
    pages = [Page(None, 0, index) for index in range(2)]
    for page in pages:
        cache.free -= 1
        cache.enter(page, User(0, 0))
        cache.touch([page])
        cache.unlock(page)
    cache.evict(pages[0])
    assert cache.is_ghost(pages[0])
    cache.crash()
    assert not cache.is_ghost(pages[0])
    assert (cache.clock, cache.free, cache.lost, cache.loaded, len(cache.resident)) == (0, 2, 1, 2, 0)
    assert cache.ledger.categories[0].uses == 0
    cache.check([])


def test_a_session_counts_a_turn_once():
    # F3: the last request to be routed is the one that came back, at that time; two turns were routed.
    requests = [request([1], session=7), request([1, 2], session=7, turn=1)]
    sessions = Sessions(requests)
    sessions.route(0, 5)
    sessions.route(1, 6)
    sessions.route(0, 9, again=True)
    assert (sessions.last[7], sessions.routed_ps[7], sessions.turns[7]) == (0, 9, 2)


def aware_key(uses, reuses, gaps_us, idle_ps):
    """Key of a page that was stamped so long ago, in a category with these counts."""
    cache, page = Cache(10), Page(None, 0, 0)
    cache.enter(page, User(session=0, category=2))
    cache.touch([page])
    cache.now = idle_ps
    category = cache.ledger.categories[2]
    category.uses, category.reuses, category.gaps_us = uses, reuses, gaps_us
    return WorkloadAware(Context(0, 10, SIMPLE, engine(), None, None, set())).key(cache, page)


def test_workload_aware_key():
    # p = 2 / 4, rate = 2 / 20 s, a = 10 s: 0.5 (e^-1 - e^-31) / (0.5 + 0.5 e^-1) = 0.36788 / 1.36788 = 0.26894.
    assert aware_key(4, 2, 20_000_000, 10 * SECOND) == pytest.approx(0.26894, abs=1e-5)
    # After a halving there may be more reuses than uses: p = 1, the key is 1 - e^(-300 rate) whatever a is.
    assert aware_key(2, 3, 900_000_000, 10 * SECOND) == pytest.approx(1 - math.exp(-1))
    # A sum of 0 counts as 1 us: rate 1e6, a = 2 us: 0.5 e^-2 / (0.5 + 0.5 e^-2) = 0.11920.
    assert aware_key(2, 1, 0, 2_000_000) == pytest.approx(0.11920, abs=1e-5)
    # p = 1 and e^-(1e9) = 0: 0 / 0 counts as 0.
    assert aware_key(1, 1, 0, 1000 * SECOND) == 0.0
    assert aware_key(5, 0, 0, SECOND) == 0.0


def test_categories_count_for_the_use_before():
    # A page enters by turn 0 at 5 us. Turn 1 touches it at 9.5 us, no stamp yet: a reuse of category 0 after 4 us (4.5
    # rounded down), a use of category 1. Turn 1 again at 12 us, stamped at 10 us: a reuse of category 1 after 2 us.
    ledger = Ledger()
    use = ledger.entered(User(7, 0), clock=3, now=5_000_000, ghost=False)
    ledger.admitted(User(8, 1), 4, 9_500_000, known_pages=4, touched=[use], kv_pages=10)
    ledger.stamped(use, 10_000_000)
    ledger.admitted(User(8, 1), 6, 12_000_000, known_pages=2, touched=[use], kv_pages=10)
    rows = [(category.uses, category.reuses, category.gaps_us) for category in ledger.categories]
    assert rows == [(1, 1, 4), (2, 1, 2), (0, 0, 0), (0, 0, 0)]
    assert (use.hits, use.switches, use.gaps_ps, use.gaps_us) == (2, 1, 6_500_000, 6)
    assert (ledger.accesses, use.accesses, use.last) == (6, 4, User(8, 1))


def test_categories_are_halved():
    # Worker of 1: more than 4 uses. Entry and 3 touches, 3 us apart: 4 uses, 3 reuses, 9 us. The fourth touch makes it
    # 5, 4, 12, halved 2, 2, 6; the fifth 3, 3, 9.
    ledger = Ledger()
    use = ledger.entered(User(0, 3), clock=0, now=0, ghost=False)
    rows = []
    for touch in range(1, 6):
        ledger.admitted(User(0, 3), touch, 3_000_000 * touch, 1, [use], kv_pages=1)
        ledger.stamped(use, 3_000_000 * touch)
        category = ledger.categories[3]
        rows.append((category.uses, category.reuses, category.gaps_us))
    assert rows == [(2, 1, 3), (3, 2, 6), (4, 3, 9), (2, 2, 6), (3, 3, 9)]


# ---- input ---------------------------------------------------------------------------------------------------------


def test_a_request_that_never_fits_is_named():
    with pytest.raises(ValueError, match="request 1"):
        run([request([1]), request([1, 2], output=2)], 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(evictor="clock"), "unknown evictor"),
        (dict(evictor="agent"), "somebody to ask"),
        (dict(evictor="lru", evict=Script()), "somebody to ask"),
        (dict(evictor="agent", evict=Script(), candidates=3), "even"),
        (dict(evictor="agent", evict=Script(), quantum=2), "quantum"),
        (dict(evictor="agent", evict=lambda question: 1, candidates=4), "slot 1 is empty"),
        (dict(evictor="agent", evict=lambda question: 4, candidates=4), "slot 4 is empty"),
        (dict(evictor="lru", rules=[None, "belady"]), "unknown rule"),
        (dict(evictor="rlt_code", rules=[None, "lru"]), "rlt_code"),
    ],
)
def test_options_that_do_not_go_together(options, message):
    with pytest.raises(ValueError, match=message):
        run(one_by_one([1], [2]), 1, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(settings=engine(queue="shortest")), "unknown queue 'shortest'"),
        (dict(classes=[]), "request 0 is of class 0, of 0"),
        (dict(history_pages=4, speculative=True), "speculative or a history"),
    ],
)
def test_queues_classes_and_views_that_there_are_not(options, message):
    with pytest.raises(ValueError, match=message):
        run([request([1])], 5, **options)


def test_a_router_must_not_choose_who_is_down():
    with pytest.raises(ValueError, match="worker 0 is down"):
        play([request([1])], [20, 20], lambda view, index: 0, faults=[RefCrash(0, 0, 9)])


@pytest.mark.parametrize(
    ("faults", "what"),
    [
        ([RefCrash(0, 10, None), RefCrash(1, 20, 30)], "no worker is up at 20"),
        ([RefCrash(0, 10, 21), RefCrash(1, 20, 30)], "no worker is up at 20"),
        ([RefCrash(0, 10, 30), RefCrash(0, 29, 40)], "overlap"),
        ([RefCrash(0, 10, None), RefCrash(0, 50, 60)], "overlap"),
        ([RefSlowdown(0, 10, 30, TWICE), RefSlowdown(0, 10, 20, TWICE)], "overlap"),
        ([RefCrash(0, 10, 10)], "before they begin"),
        ([RefSlowdown(0, -1, 10, TWICE)], "before they begin"),
        ([RefCrash(2, 10, 20)], "worker 2"),
    ],
)
def test_schedules_that_cannot_be(faults, what):
    with pytest.raises(ValueError, match=what):
        play([request([1])], [5, 5], [0], faults=faults)


@pytest.mark.parametrize(
    ("network", "what"),
    [
        (RefNetwork((0, 0), None, LINK), "one node"),
        (RefNetwork((0, 1), LINK, None), "two nodes"),
        (RefNetwork((0,), LINK, LINK), "one node"),
        (RefNetwork((0, 1), LINK, RefLink(-1, 0.0)), "negative"),
        (RefNetwork((0, 1), LINK, RefLink(1, 0.0, -1)), "negative"),
    ],
)
def test_workers_that_are_not_connected(network, what):
    with pytest.raises(ValueError, match=what):
        simulate([request([1])], [(5, SIMPLE)] * 2, engine(), "lru", [0], network=network)

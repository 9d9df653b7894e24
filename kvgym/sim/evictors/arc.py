"""`arc`: pages used once against the others, by a target that ghosts of both move (docs/semantics.md#c8-arc).

Megiddo and Modha, FAST 2003. As in vLLM's offloading (PR #27039) each list has ghosts of its own, as many as the cache
has pages, and what can't go is passed over.
"""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import kept_table, paths, requests, workers
from kvgym.sim.base.codes import NONE
from kvgym.sim.base.rows import row_of
from kvgym.sim.evictors.departed import RETURNED, departures, first_departures
from kvgym.sim.evictors.histories import each_dropped, each_touched, tail_span
from kvgym.sim.evictors.queues import first_of

QUEUES = 2
"""T1 and T2."""
ONCE, AGAIN = range(QUEUES)
LISTS = np.dtype([("target", "f8"), ("once", "i8"), ("first", "i8")], align=True)
"""Per worker: p, pages in T1, and where the rings of its ghosts begin."""
GHOSTS = np.dtype([("gone", "i8"), ("left", "i8")], align=True)
"""Per worker and list: pages that went from it, and those of them that are ghosts."""

lists = kept_table(__name__, "arc_lists", LISTS, lambda sizes: sizes.workers)
ghosts_of = kept_table(__name__, "arc_ghosts", GHOSTS, lambda sizes: QUEUES * sizes.workers)
ring = kept_table(__name__, "arc_ring", "i8", lambda sizes: QUEUES * sizes.pages)


@kernel
def cleared(s, w):
    """The cache of worker `w` is empty."""
    mine = lists(s)[w]
    mine.target = 0.0
    mine.once = 0
    mine.first = 0
    for v in range(w):
        mine.first += QUEUES * workers(s)[v].kv_pages
    for which in range(QUEUES):
        ghosts_of(s)[QUEUES * w + which].gone = 0
        ghosts_of(s)[QUEUES * w + which].left = 0


@kernel
def _list_of(span):
    return AGAIN if span.hits > 0 or span.ghost > 0 else ONCE


@kernel
def _sign(which):
    """Ghosts of T1 have positive numbers, those of T2 negative ones."""
    return 1 if which == ONCE else -1


@kernel
def arc_queue(s, w, r):
    """The list of the leaf's last page, and its stamp."""
    span = tail_span(s, r)
    return np.int64(_list_of(span)), float(span.stamp), np.int64(0)


@kernel
def arc_victim(s, w, n):
    """The oldest leaf of T1 if that is longer than its target, else of T2; of the other one if there is none."""
    mine = lists(s)[w]
    which = np.int64(ONCE if mine.once > mine.target else AGAIN)
    r = first_of(s, w, which)
    if r == NONE:
        r = first_of(s, w, np.int64(ONCE + AGAIN - which))
    return r, np.int64(1)


@kernel(inlined=False)
def entered(s, w, q, i, first, last, old, time_ps):
    """Pages [first, last) of the i-th node of the path of `q` are its tree pages; those from `old` on are new."""
    r = row_of(s, w, paths(s)[requests(s)[q].path_start + i])
    for page in range(old, last):
        slot = first_departures(s)[r] + page
        number = departures(s)[slot]
        which = ONCE if number > 0 else AGAIN
        gone = ghosts_of(s)[QUEUES * w + which].gone
        if number != 0 and gone - abs(number) < workers(s)[w].kv_pages:
            departures(s)[slot] = RETURNED
            _return_ghost(s, w, which)
        else:
            departures(s)[slot] = 0
            lists(s)[w].once += 1


@kernel
def _return_ghost(s, w, which):
    """A ghost of one list enters: that list deserves more room."""
    own, other = ghosts_of(s)[QUEUES * w + which], ghosts_of(s)[QUEUES * w + ONCE + AGAIN - which]
    mine = lists(s)[w]
    step = max(1.0, other.left / own.left)
    if which == ONCE:
        mine.target = min(float(workers(s)[w].kv_pages), mine.target + step)
    else:
        mine.target = max(0.0, mine.target - step)
    own.left -= 1


@kernel
def _leave_once(s, w, q, span, pages):
    """Touched pages are in T2 from now on."""
    if _list_of(span) == ONCE:
        lists(s)[w].once -= pages


_leave_touched = each_touched(_leave_once)


@kernel
def touched(s, w, q, pages):
    """Request `q` has been admitted, the first `pages` pages of its path were there."""
    _leave_touched(s, w, q, pages)


@kernel
def _become_ghosts(s, w, r, span, first, last):
    """Pages [first, last) of row `r` become ghosts, the last one first; each takes the place of an older one."""
    which = _list_of(span)
    kv_pages = workers(s)[w].kv_pages
    ghosts = ghosts_of(s)[QUEUES * w + which]
    if which == ONCE:
        lists(s)[w].once -= last - first
    for page in range(last - 1, first - 1, -1):
        place = lists(s)[w].first + which * kv_pages + ghosts.gone % kv_pages
        ghosts.gone += 1
        ghosts.left += 1
        if ghosts.gone > kv_pages and departures(s)[ring(s)[place]] == _sign(which) * (ghosts.gone - kv_pages):
            ghosts.left -= 1
        ring(s)[place] = first_departures(s)[r] + page
        departures(s)[first_departures(s)[r] + page] = _sign(which) * ghosts.gone


_drop = each_dropped(_become_ghosts)


@kernel
def dropped(s, w, r, n):
    """The last `n` pages of row `r` have gone."""
    _drop(s, w, r, n)

"""`lhd`: the page with the fewest hits to come for the time that it will stay, as learned (docs/semantics.md#c8-lhd).

Beckmann, Chen and Cidon, NSDI 2018: hit density of a class of pages and an age, from counts of hits and evictions by
age that fade. They rank a sample of all pages; here the oldest leaf of each class stands for it.
"""

import math

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import kept_table, workers
from kvgym.sim.base.codes import NONE
from kvgym.sim.evictors.histories import alike, each_dropped, each_touched, remembered, tail_span
from kvgym.sim.evictors.queues import first_of

QUEUES = 4
"""Classes: pages without a hit, with one, with two, with more."""
GROUPS = 64
GROUPS_PER_CACHE = 8
"""So many groups of ages are as many page accesses as the worker has pages."""
FADE = 0.9
COUNT = np.dtype([("hits", "f8"), ("evictions", "f8"), ("density", "f8")], align=True)
"""Per worker, class and group of ages."""

counts = kept_table(__name__, "lhd_counts", COUNT, lambda sizes: QUEUES * GROUPS * sizes.workers)
events = kept_table(__name__, "lhd_events", "i8", lambda sizes: sizes.workers)
"""Hits and evictions of a worker since its densities were computed."""


@kernel
def cleared(s, w):
    """The cache of worker `w` is empty."""
    events(s)[w] = 0
    for i in range(w * QUEUES * GROUPS, (w + 1) * QUEUES * GROUPS):
        counts(s)[i].hits = 0.0
        counts(s)[i].evictions = 0.0
        counts(s)[i].density = 0.0


@kernel
def _class_of(span):
    return min(np.int64(span.hits), QUEUES - 1)


@kernel
def _count_of(s, w, span):
    """The counts for pages of a class and an age like those of a span."""
    age = remembered(s)[w].accesses - span.accesses if span.stamp > 0 else 0
    group = min(GROUPS - 1, age // max(1, workers(s)[w].kv_pages // GROUPS_PER_CACHE))
    return counts(s)[(w * QUEUES + _class_of(span)) * GROUPS + group]


@kernel
def lhd_queue(s, w, r):
    """The class of the leaf's last page, and its stamp."""
    span = tail_span(s, r)
    return _class_of(span), float(span.stamp), np.int64(0)


@kernel(inlined=False)
def lhd_victim(s, w, n):
    """Of the oldest leaves of the classes the one with the smallest density."""
    best = np.int64(NONE)
    density, stamp = math.inf, np.int64(0)
    for which in range(QUEUES):
        r = first_of(s, w, np.int64(which))
        if r == NONE:
            continue
        span = tail_span(s, r)
        own = _count_of(s, w, span).density
        if own < density or (own == density and span.stamp < stamp):
            best, density, stamp = r, own, np.int64(span.stamp)
    return best, min(n, alike(s, best))


@kernel
def _count_hits(s, w, q, span, pages):
    _count_of(s, w, span).hits += pages
    events(s)[w] += pages


_count_touched = each_touched(_count_hits)


@kernel
def touched(s, w, q, pages):
    """Request `q` has been admitted, the first `pages` pages of its path were there."""
    _count_touched(s, w, q, pages)
    if events(s)[w] >= workers(s)[w].kv_pages:
        events(s)[w] = 0
        for which in range(QUEUES):
            _learn(s, (w * QUEUES + which) * GROUPS)


@kernel(inlined=False)
def _learn(s, first):
    """Densities of a class, whose counts begin at `first`, from counts that fade."""
    hits = ends = times = 0.0
    for i in range(first + GROUPS - 1, first - 1, -1):
        count = counts(s)[i]
        count.hits *= FADE
        count.evictions *= FADE
        hits += count.hits
        ends += count.hits + count.evictions
        times += ends
        count.density = hits / times if times > 0.0 else 0.0


@kernel
def _count_evictions(s, w, r, span, first, last):
    _count_of(s, w, span).evictions += last - first
    events(s)[w] += last - first


_drop = each_dropped(_count_evictions)


@kernel
def dropped(s, w, r, n):
    """The last `n` pages of row `r` have gone."""
    _drop(s, w, r, n)

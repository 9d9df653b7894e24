"""`workload_aware`: pages that will probably not be used soon (arXiv 2506.02634).

Rules: docs/semantics.md#c7-workload_aware.
"""

import math

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import clock, kept_table, requests, workers
from kvgym.sim.evictors.histories import each_touched, gap_us, tail_span

CATEGORY = np.dtype([("uses", "i8"), ("reuses", "i8"), ("gap_us", "i8")], align=True)
"""Counts of a worker and category, in pages."""
N_CATEGORIES = 4
HORIZON_S = 300.0

categories = kept_table(__name__, "categories", CATEGORY, lambda sizes: N_CATEGORIES * sizes.workers)


@kernel
def _category(s, w, turn):
    """Counts for pages that a request of this turn used last."""
    return categories(s)[w * N_CATEGORIES + min(turn, N_CATEGORIES - 1)]


@kernel
def cleared(s, w):
    """The cache of worker `w` is empty."""
    for number in range(N_CATEGORIES):
        count = _category(s, w, number)
        count.uses = 0
        count.reuses = 0
        count.gap_us = 0


@kernel
def entered(s, w, q, i, first, last, old, time_ps):
    """Pages [first, last) of the i-th node of the path of `q` are its tree pages; those from `old` on are new."""
    _category(s, w, np.int64(requests(s)[q].turn)).uses += max(0, last - old)


@kernel
def _count_reuses(s, w, q, span, pages):
    """`pages` pages of a span are used again."""
    before = _category(s, w, np.int64(span.turn))
    before.reuses += pages
    before.gap_us += gap_us(s, span) * pages
    _category(s, w, np.int64(requests(s)[q].turn)).uses += pages


_count_touched = each_touched(_count_reuses)


@kernel
def touched(s, w, q, pages):
    """The first `pages` pages of request `q`'s path are touched by its admission; `histories` does not know it yet."""
    _count_touched(s, w, q, pages)
    for number in range(N_CATEGORIES):
        count = _category(s, w, number)
        if count.uses > 4 * workers(s)[w].kv_pages:  # old counts fade: those before count half from now on
            count.uses //= 2
            count.reuses //= 2
            count.gap_us //= 2


@kernel(inlined=False)
def workload_aware_score(s, w, r):
    """Probability that the page is used within the horizon, given that it has been idle for so long.

    With probability p a page is used again, after an exponential time; both are fitted per category of requests.
    """
    span = tail_span(s, r)
    count = _category(s, w, np.int64(span.turn))
    if count.reuses == 0:
        return 0.0, span.stamp
    p = min(1.0, count.reuses / count.uses)
    rate = count.reuses / (max(1, count.gap_us) * 1e-6)
    idle_s = (clock(s).now_ps - span.used_ps) * 1e-12
    alive = math.exp(-rate * idle_s)
    denominator = 1.0 - p + p * alive
    if denominator == 0.0:
        return 0.0, span.stamp
    return p * (alive - math.exp(-rate * (idle_s + HORIZON_S))) / denominator, span.stamp

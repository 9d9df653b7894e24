"""`s3_fifo`: a small queue for pages on probation, a main one with second chances (docs/semantics.md#c8-s3_fifo).

Yang, Zhang, Qiu, Yue and Rashmi, SOSP 2023: "FIFO queues are all you need for cache eviction".
"""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import kept_table, paths, requests, rows, workers
from kvgym.sim.base.codes import NONE
from kvgym.sim.base.rows import row_of
from kvgym.sim.evictors.departed import RETURNED, departures, first_departures
from kvgym.sim.evictors.histories import cut, each_dropped, remembered, tail_span
from kvgym.sim.evictors.queues import first_of, stand

QUEUES = 2
SMALL, MAIN = range(QUEUES)
SMALL_PART = 10
"""Of the pages, one in so many is for the small queue."""
WORTHY = 2
"""A page of the small queue with this count moves to the main one."""
PROBATION = np.dtype([("small", "i8"), ("gone", "i8")], align=True)
"""Per worker: pages in the small queue, and pages that went from there."""

probation = kept_table(__name__, "s3_probation", PROBATION, lambda sizes: sizes.workers)


@kernel
def cleared(s, w):
    """The cache of worker `w` is empty."""
    probation(s)[w].small = 0
    probation(s)[w].gone = 0


@kernel
def _small_pages(s, w):
    """How long the small queue is meant to be."""
    return max(1, workers(s)[w].kv_pages // SMALL_PART)


@kernel
def s3_fifo_queue(s, w, r):
    """The queue of the leaf's last page, and its place there; of equal places the older stamp is first."""
    span = tail_span(s, r)
    return np.int64(span.main), float(span.place if span.main else span.born), np.int64(span.stamp)


@kernel(inlined=False)
def s3_fifo_victim(s, w, n):
    """The first leaf of the small queue if that is long enough, else of the main one, which has no chance left."""
    while True:
        small, main = first_of(s, w, np.int64(SMALL)), first_of(s, w, np.int64(MAIN))
        from_small = small != NONE and (main == NONE or probation(s)[w].small >= _small_pages(s, w))
        r = small if from_small else main
        count = tail_span(s, r).count
        if count < (WORTHY if from_small else 1):
            return r, np.int64(1)
        _move(s, w, r)
        tail_span(s, r).count = 0 if from_small else count - 1
        probation(s)[w].small -= from_small


@kernel
def _move(s, w, r):
    """The last page of leaf `r` goes to the end of the main queue."""
    last = rows(s)[r].cached - 1
    if tail_span(s, r).first < last:
        cut(s, w, r, last)
    remembered(s)[w].moves += 1
    span = tail_span(s, r)
    span.main = 1
    span.place = remembered(s)[w].moves
    stand(s, w, r, np.int64(MAIN), float(span.place), np.int64(span.stamp))


@kernel
def entered(s, w, q, i, first, last, old, time_ps):
    """Pages [first, last) of the i-th node of the path of `q` are its tree pages; those from `old` on are new."""
    r = row_of(s, w, paths(s)[requests(s)[q].path_start + i])
    remembers = workers(s)[w].kv_pages - _small_pages(s, w)
    for page in range(old, last):
        slot = first_departures(s)[r] + page
        number = departures(s)[slot]
        if number > 0 and probation(s)[w].gone - number < remembers:
            departures(s)[slot] = RETURNED
        else:
            departures(s)[slot] = 0
            probation(s)[w].small += 1


@kernel
def _leave(s, w, r, span, first, last):
    """Pages [first, last) of row `r` go, the last one first; those of the small queue are remembered."""
    for page in range(last - 1, first - 1, -1):
        probation(s)[w].gone += span.main == 0
        departures(s)[first_departures(s)[r] + page] = 0 if span.main else probation(s)[w].gone
    if span.main == 0:
        probation(s)[w].small -= last - first


_drop = each_dropped(_leave)


@kernel
def dropped(s, w, r, n):
    """The last `n` pages of row `r` have gone."""
    _drop(s, w, r, n)

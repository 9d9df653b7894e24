"""Pages that a leaf can give up: its tail, up to a branch, a locked or a marked page (docs/semantics.md#d6-evict)."""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import nodes, rows, workers
from kvgym.sim.base.rows import row_of
from kvgym.sim.evictors.marks import kept_pages, tail_marked
from kvgym.sim.evictors.splits import SPLIT


@kernel
def tail_of(s, w, r):
    """Pages of the tail of leaf `r`, and the row that its topmost page is in. Of a marked leaf marks stop nothing."""
    return _tail(s, w, r, not tail_marked(workers(s)[w], rows(s)[r]))


@kernel
def chain_of(s, w, r):
    """Pages of leaf `r`'s chain: its tail, whatever is marked."""
    return _tail(s, w, r, np.bool_(False))[0]


@kernel
def _tail(s, w, r, marks_stop):
    wk = workers(s)[w]
    row = rows(s)[r]
    pages = row.cached - (kept_pages(wk, row) if marks_stop else row.part_pages)
    total = pages
    while pages == row.cached:
        parent = nodes(s)[row.node].parent
        if parent < 0:
            break
        above = row_of(s, w, parent)
        row = rows(s)[above]
        if row.shown == SPLIT or row.children > 1 or row.locks > 0 or (marks_stop and tail_marked(wk, row)):
            break
        r = above
        pages = row.cached - (kept_pages(wk, row) if marks_stop else row.part_pages)
        total += pages
    return total, r

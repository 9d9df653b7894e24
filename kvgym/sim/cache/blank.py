"""Rows of a cache that holds nothing and of an index that knows nothing: at the start, and after a crash."""

from kvgym._kernel import kernel
from kvgym.sim.base.access import config, ends, index_rows, rows, workers
from kvgym.sim.base.lists import NONE, NOT_LISTED
from kvgym.sim.base.tables import N_LISTS
from kvgym.sim.evictors import dispatch as evictors
from kvgym.sim.evictors.marks import NO_MARKS
from kvgym.sim.evictors.splits import NOTHING


@kernel
def blank_row(s, r, v):
    """Row `r`, of node `v`, holds no page."""
    row = rows(s)[r]
    row.node = v
    row.cached = 0
    row.locks = 0
    row.part_locks = 0
    row.part_pages = 0
    row.children = 0
    row.older = NOT_LISTED
    row.newer = NONE
    row.leaf = -1
    row.phase = 0
    row.mark_to = 0
    row.mark_from = NO_MARKS
    row.shown = NOTHING
    evictors.row_cleared(s, r)


@kernel
def blank_index(s, r):
    """The router has sent nothing through the node of row `r`."""
    entry = index_rows(s)[r]
    entry.sent_ps = -1
    entry.pages = 0
    entry.older = NOT_LISTED
    entry.newer = NONE
    entry.active = 0


@kernel
def blank_worker(s, w):
    """Worker `w` has all its pages free, and nothing of it is listed; its rows are blank."""
    wk = workers(s)[w]
    wk.free = wk.kv_pages
    wk.evictable = 0
    wk.owed = 0
    wk.n_leaves = 0
    wk.n_unmarked = 0
    wk.phase = 0
    wk.marked = 0
    wk.counter = 0
    for which in range(N_LISTS):
        end = ends(s)[which * config(s).n_workers + w]
        end.oldest = NONE
        end.newest = NONE
    evictors.cleared(s, w)

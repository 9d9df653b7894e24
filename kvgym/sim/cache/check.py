"""Debug mode: counts everything again from the rows and compares (docs/semantics.md#c1-pages)."""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base import codes
from kvgym.sim.base.access import clock, config, nodes, progress, rows, running, transfers, workers
from kvgym.sim.base.rows import is_leaf, on_worker, row_of, unlocked_pages
from kvgym.sim.cache.tree import READY
from kvgym.sim.evictors import bit

_LEAVES = bit("leaves")


@kernel
def check_workers(s):
    """True, and `error` and `error_worker` in the clock, if some worker's tables contradict each other."""
    for w in range(config(s).n_workers):
        error = _check_worker(s, w)
        if error != codes.CONSISTENT:
            clock(s).error = error
            clock(s).error_worker = w
            return True
    return False


@kernel
def _check_worker(s, w):
    wk = workers(s)[w]
    cached = np.int64(0)
    evictable = 0
    leaf_count = 0
    for v in range(config(s).n_nodes):
        if not on_worker(s, w, v):
            continue
        node = nodes(s)[v]
        row = rows(s)[row_of(s, w, v)]
        if row.cached < 0 or row.cached > node.n_pages or row.part_pages > row.cached or row.locks < 0:
            return codes.WRONG_ROWS
        if row.locks > 0 and row.cached < node.n_pages:
            return codes.WRONG_ROWS
        cached += row.cached
        evictable += unlocked_pages(s, row)
        if config(s).keeps & _LEAVES and is_leaf(s, row) != (row.leaf >= 0):
            return codes.WRONG_LEAVES
        leaf_count += row.leaf >= 0
        if row.cached > 0 and node.parent >= 0:
            above = rows(s)[row_of(s, w, node.parent)]
            if above.cached < nodes(s)[node.parent].n_pages or above.children == 0:
                return codes.WRONG_PARENT
    if leaf_count != wk.n_leaves:
        return codes.WRONG_LEAVES
    if evictable != wk.evictable:
        return codes.WRONG_EVICTABLE
    own = 0  # every page is in the tree, owned by a running request, or free
    for i in range(wk.n_running):
        status = progress(s)[running(s)[w * config(s).max_running + i]]
        if status.tree_pages > status.held_pages:
            return codes.WRONG_LOCKS
        own += status.held_pages - status.tree_pages
    for i in range(clock(s).n_transfers):
        if transfers(s)[i].target == w and transfers(s)[i].stage != READY:
            status = progress(s)[transfers(s)[i].request]
            own += status.held_pages - status.tree_pages
    if wk.free < 0 or cached + own + wk.free != wk.kv_pages:
        return codes.WRONG_PAGES
    return codes.CONSISTENT

"""A worker's prefix tree: lookup, locks, pages that enter, unlocks, evictions (docs/semantics.md#cache, #evictors).

It knows no evictor: it tells those that are kept what happens (``evictors.dispatch.HOOKS``).
"""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import (
    clock,
    config,
    ends,
    index_rows,
    nodes,
    paths,
    progress,
    requests,
    rows,
    running,
    transfers,
    workers,
)
from kvgym.sim.base.codes import NONE
from kvgym.sim.base.lists import NOT_LISTED, list_newest, unlist
from kvgym.sim.base.requests import known_tokens
from kvgym.sim.base.rows import locked_pages, on_worker, row_of, unlocked_pages
from kvgym.sim.base.tables import N_LISTS
from kvgym.sim.evictors import dispatch as evictors
from kvgym.sim.evictors.marks import NO_MARKS

PLANNED, OPENING, MOVING, READY = range(4)
"""Stages of a transfer: waits for its link, allocates pages, is under way, goes on while its request is served.

All but the first lock pages of the source, the second and third those of the target, too.
"""


@kernel
def blank_row(s, r, v):
    """Row `r`, of node `v`, holds no page, and the router has sent nothing through it: at the start, after a crash."""
    entry = index_rows(s)[r]
    entry.sent_ps = -1
    entry.pages = entry.active = entry.parts = entry.part_pages = 0
    row = rows(s)[r]
    row.node = v
    row.older = entry.older = NOT_LISTED
    row.newer = entry.newer = NONE
    row.cached = row.locks = row.part_locks = row.part_pages = row.children = row.phase = row.mark_to = 0
    row.mark_from = NO_MARKS
    row.leaf = -1
    row.shown = NONE
    evictors.row_cleared(s, r)


@kernel
def blank_worker(s, w):
    """Worker `w` has all its pages free, and nothing of it is listed; its rows are blank."""
    wk = workers(s)[w]
    wk.free = wk.kv_pages
    wk.evictable = wk.reserved = wk.n_leaves = wk.n_unmarked = wk.phase = wk.marked = wk.counter = 0
    for which in range(N_LISTS):
        end = ends(s)[which * config(s).n_workers + w]
        end.oldest = end.newest = NONE
    evictors.cleared(s, w)


@kernel
def resident_prefix(s, w, q, pages):
    """How many of the first `pages` pages of request `q` are resident on worker `w`, and how many of those unlocked."""
    request = requests(s)[q]
    resident = 0
    unlocked = 0
    for i in range(request.path_start, request.path_start + request.path_nodes):
        v = paths(s)[i]
        node = nodes(s)[v]
        if node.start_page >= pages:
            break
        row = rows(s)[row_of(s, w, v)]
        n = min(row.cached, pages - node.start_page)
        resident += n
        unlocked += max(0, n - locked_pages(s, row))
        if n < node.n_pages:
            break
    return resident, unlocked


@kernel
def settle(s, w, r, unlocked_before):
    """Books the change of unlocked pages of row `r`; a row without any is no leaf."""
    wk = workers(s)[w]
    row = rows(s)[r]
    unlocked = unlocked_pages(s, row)
    wk.evictable += unlocked - unlocked_before
    if unlocked == 0:
        unlist(s, w, r)
        evictors.leaf_removed(s, w, r)


@kernel
def lock_pages(s, w, q, pages):
    """Locks the first `pages` pages of request `q`'s path, all resident; returns how many nodes they cover whole."""
    request = requests(s)[q]
    full_nodes = 0
    for i in range(request.path_nodes):
        v = paths(s)[request.path_start + i]
        node = nodes(s)[v]
        n = min(pages - node.start_page, node.n_pages)
        if n <= 0:
            break
        r = row_of(s, w, v)
        row = rows(s)[r]
        unlocked = unlocked_pages(s, row)
        if n == node.n_pages:
            row.locks += 1
            full_nodes += 1
        else:
            row.part_locks += 1
            row.part_pages = max(row.part_pages, n)
        settle(s, w, r, unlocked)
    return full_nodes


@kernel
def hold_prefix(s, w, q, pages):
    """Request `q` locks the first `pages` pages of its path, all resident on worker `w`, which it is on."""
    status = progress(s)[q]
    status.tree_pages = status.held_pages = pages
    status.full_nodes = lock_pages(s, w, q, pages)


@kernel
def _locked_part(s, w, leaving, v):
    """Pages of node `v` that those who lock only a part of it lock on worker `w`, request `leaving` left out.

    Counted again where transfers lock pages, too.
    """
    most = 0
    first = w * config(s).max_running
    for i in range(workers(s)[w].n_running):
        q = running(s)[first + i]
        if q != leaving:
            most = max(most, _part(s, q, np.int64(progress(s)[q].tree_pages), v))
    for i in range(clock(s).n_transfers):
        transfer = transfers(s)[i]
        q = transfer.request
        if transfer.stage == PLANNED or q == leaving:
            continue
        if transfer.target == w:
            most = max(most, _part(s, q, np.int64(progress(s)[q].tree_pages), v))
        elif transfer.source == w:
            most = max(most, _part(s, q, transfer.end_page, v))
    return most


@kernel
def _part(s, q, pages, v):
    """Pages of node `v` among the first `pages` of request `q`'s path, if these end inside it."""
    request = requests(s)[q]
    node = nodes(s)[v]
    n = pages - node.start_page
    if n <= 0 or n >= node.n_pages:
        return 0
    for i in range(request.path_start, request.path_start + request.path_nodes):
        if paths(s)[i] == v:
            return n
        if nodes(s)[paths(s)[i]].start_page > node.start_page:
            break
    return 0


@kernel
def _drop_part_lock(s, w, q, r):
    """Request `q` no longer locks a part of the node of row `r`: what the others lock of it remains."""
    row = rows(s)[r]
    row.part_locks -= 1
    if row.part_locks == 0:
        row.part_pages = 0
    elif config(s).transfers:  # without them, whoever locks more goes first
        row.part_pages = _locked_part(s, w, q, row.node)


@kernel
def enter_pages(s, w, q, pages, time_ps):
    """The first `pages` pages of request `q` are full at `time_ps`: those not yet its tree pages enter, root first.

    Pages that are in the tree already are found there, and the request's own ones become free.
    """
    request = requests(s)[q]
    status = progress(s)[q]
    if status.tree_pages >= pages:
        return
    wk = workers(s)[w]
    while status.tree_pages < pages:
        i = status.full_nodes
        v = paths(s)[request.path_start + i]
        node = nodes(s)[v]
        r = row_of(s, w, v)
        row = rows(s)[r]
        first = status.tree_pages - node.start_page
        last = min(node.n_pages, pages - node.start_page)
        unlocked = unlocked_pages(s, row)
        old = row.cached
        found = min(max(old - first, 0), last - first)
        if old < last:
            row.cached = last
            if old == 0 and node.parent >= 0:
                rows(s)[row_of(s, w, node.parent)].children += 1
        evictors.entered(s, w, q, i, first, last, old, time_ps)
        if first > 0:
            _drop_part_lock(s, w, q, r)
        if last == node.n_pages:
            row.locks += 1
            status.full_nodes += 1
        else:
            row.part_locks += 1
            row.part_pages = max(row.part_pages, last)
        wk.free += found
        wk.recomputed += found
        wk.loaded += last - first - found
        settle(s, w, r, unlocked)
        status.tree_pages += last - first
    evictors.grown(s, w, q)


@kernel
def unlock_pages(s, w, q, pages):
    """Unlocks the first `pages` pages of request `q`'s path on worker `w` and stamps what is resident of its path.

    Who waits for pages there tries again at the next start.
    """
    request = requests(s)[q]
    wk = workers(s)[w]
    known_pages = known_tokens(s, q) // config(s).page_size
    wk.counter += 1
    wk.head_refused = wk.prefill_waits = 0
    deepest = -1  # node of the path with resident known pages
    for i in range(request.path_nodes):
        v = paths(s)[request.path_start + i]
        cached = rows(s)[row_of(s, w, v)].cached
        if nodes(s)[v].start_page >= known_pages or cached == 0 or not on_worker(s, w, v):
            break  # a transfer's source has no row of what its request has computed
        deepest = i
        if cached < nodes(s)[v].n_pages:
            break
    for i in range(deepest, -1, -1):
        v = paths(s)[request.path_start + i]
        node = nodes(s)[v]
        r = row_of(s, w, v)
        row = rows(s)[r]
        unlocked = unlocked_pages(s, row)
        if node.start_page + node.n_pages <= pages:
            row.locks -= 1
        elif node.start_page < pages:
            _drop_part_lock(s, w, q, r)
        evictors.stamped(s, w, r, min(row.cached, known_pages - node.start_page))
        now = unlocked_pages(s, row)
        wk.evictable += now - unlocked
        if now > 0:
            list_newest(s, w, r)
            if row.children == 0:
                evictors.leaf_added(s, w, r)


@kernel
def release(s, w, q):
    """Unlocks the pages of request `q` (finished or preempted), stamps its path, frees what is not in the tree."""
    status = progress(s)[q]
    unlock_pages(s, w, q, np.int64(status.tree_pages))
    workers(s)[w].free += status.held_pages - status.tree_pages
    status.held_pages = status.tree_pages = status.full_nodes = 0


@kernel
def count_evicted(wk, n):
    """Counts `n` pages of a worker that have gone."""
    wk.evictable -= n
    wk.free += n
    wk.evicted += n


@kernel(inlined=False)
def drop_pages(s, w, r, n):
    """Evicts the last `n` pages of row `r`, all unlocked; its parent may become a leaf."""
    row = rows(s)[r]
    parent = nodes(s)[row.node].parent
    row.cached -= n
    if row.cached == 0 and parent >= 0:
        rows(s)[row_of(s, w, parent)].children -= 1
    evictors.dropped(s, w, r, n)
    count_evicted(workers(s)[w], n)
    if unlocked_pages(s, row) > 0:
        evictors.leaf_changed(s, w, r)
        return
    unlist(s, w, r)
    if row.cached == 0 and parent >= 0:
        above = row_of(s, w, parent)
        parent_row = rows(s)[above]
        if parent_row.children == 0 and unlocked_pages(s, parent_row) > 0:
            evictors.leaf_replaced(s, w, r, above)
            return
    evictors.leaf_removed(s, w, r)


@kernel
def drop_tail(s, w, r, n):
    """Evicts `n` pages of the tail of leaf `r`, which may go on above its node."""
    row = rows(s)[r]
    while n > row.cached:
        n -= row.cached
        drop_pages(s, w, r, np.int64(row.cached))
        r = row_of(s, w, nodes(s)[row.node].parent)
        row = rows(s)[r]
    drop_pages(s, w, r, n)

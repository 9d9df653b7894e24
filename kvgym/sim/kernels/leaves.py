"""Unlocked leaves of a worker, to draw from: `leaves` holds their rows, the unmarked ones first.

Evictors that go by recency alone don't need them: `leaf_capacity` is 0 then, and nothing is stored.
"""

from kvgym._kernel import kernel
from kvgym.sim.kernels.access import config, leaves, nodes, rows, workers


@kernel
def locked_pages(s, row):
    """Resident pages of `row` that running requests lock: a prefix of the node."""
    if row.locks > 0:
        return nodes(s)[row.node].n_pages
    return row.part_pages


@kernel
def unlocked_pages(s, row):
    """Resident pages of `row` that may be evicted, once nothing is resident below."""
    if row.locks > 0:
        return 0
    return row.cached - min(row.cached, row.part_pages)


@kernel
def kept_pages(s, w, row):
    """Pages at the beginning of a row that eviction leaves alone: locked ones, and those that carry a mark."""
    kept = min(row.cached, row.part_pages)
    if row.phase == workers(s)[w].phase:
        kept = max(kept, min(row.mark_to, row.cached))
    return kept


@kernel
def tail_marked(wk, row):
    """Whether the last resident page carries a mark of the current phase."""
    return row.phase == wk.phase and (row.mark_to >= row.cached or row.mark_from < row.cached)


@kernel
def _place(s, w, position, r):
    leaves(s)[w * config(s).leaf_capacity + position] = r
    rows(s)[r].leaf = position


@kernel
def _at(s, w, position):
    return leaves(s)[w * config(s).leaf_capacity + position]


@kernel
def swap_leaves(s, w, i, j):
    """Two leaves with the same kind of mark change places."""
    at_i, at_j = _at(s, w, i), _at(s, w, j)
    _place(s, w, i, at_j)
    _place(s, w, j, at_i)


@kernel
def add_leaf(s, w, r):
    """Row `r` becomes an unlocked leaf, if it is none yet."""
    wk = workers(s)[w]
    row = rows(s)[r]
    if row.leaf >= 0 or config(s).leaf_capacity == 0:
        return
    position = wk.n_leaves
    wk.n_leaves += 1
    if not tail_marked(wk, row):
        if wk.n_unmarked < position:
            _place(s, w, position, _at(s, w, wk.n_unmarked))
        position = wk.n_unmarked
        wk.n_unmarked += 1
    _place(s, w, position, r)


@kernel
def remove_leaf(s, w, r):
    """Row `r` is no unlocked leaf any more, if it was one."""
    wk = workers(s)[w]
    row = rows(s)[r]
    hole = row.leaf
    if hole < 0:
        return
    row.leaf = -1
    if hole < wk.n_unmarked:
        wk.n_unmarked -= 1
        if hole < wk.n_unmarked:
            _place(s, w, hole, _at(s, w, wk.n_unmarked))
        hole = wk.n_unmarked
    wk.n_leaves -= 1
    if hole < wk.n_leaves:
        _place(s, w, hole, _at(s, w, wk.n_leaves))


@kernel
def replace_leaf(s, w, r, parent):
    """Row `parent` takes the place of its last child `r`: draws must not depend on where the workload cuts a path."""
    row = rows(s)[r]
    if row.leaf < 0:
        return
    _place(s, w, row.leaf, parent)
    row.leaf = -1
    refresh_leaf(s, w, parent)


@kernel
def refresh_leaf(s, w, r):
    """Moves a leaf to the side that its mark now belongs to."""
    wk = workers(s)[w]
    row = rows(s)[r]
    if row.leaf >= 0 and (row.leaf < wk.n_unmarked) == tail_marked(wk, row):
        remove_leaf(s, w, r)
        add_leaf(s, w, r)


@kernel
def clear_leaf_marks(s, w):
    """All leaves of worker `w` count as unmarked."""
    wk = workers(s)[w]
    wk.n_unmarked = wk.n_leaves

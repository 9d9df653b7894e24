"""Unlocked leaves of a worker, to draw from: `leaves` holds their rows, the unmarked ones first."""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import config, kept_table, rows, workers
from kvgym.sim.evictors.marks import tail_marked

leaves = kept_table(__name__, "leaves", "i8", lambda sizes: sizes.workers * sizes.leaves)


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
def leaf_added(s, w, r):
    """Row `r` becomes an unlocked leaf, if it is none yet."""
    wk = workers(s)[w]
    row = rows(s)[r]
    if row.leaf >= 0:
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
def leaf_removed(s, w, r):
    """Row `r` is no unlocked leaf any more, if it was one."""
    wk = workers(s)[w]
    row = rows(s)[r]
    hole = np.int64(row.leaf)
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
def leaf_replaced(s, w, r, above):
    """Row `above` takes the place of its last child `r`: draws must not depend on where the workload cuts a path."""
    row = rows(s)[r]
    if row.leaf < 0:
        return
    _place(s, w, np.int64(row.leaf), above)
    row.leaf = -1
    leaf_changed(s, w, above)


@kernel
def leaf_changed(s, w, r):
    """Moves a leaf to the side that its mark now belongs to."""
    wk = workers(s)[w]
    row = rows(s)[r]
    if row.leaf >= 0 and (row.leaf < wk.n_unmarked) == tail_marked(wk, row):
        leaf_removed(s, w, r)
        leaf_added(s, w, r)


@kernel
def random_pool(s, w, q, wanted, left):
    """`random`: all unlocked leaves."""
    return workers(s)[w].n_leaves

"""Evictable nodes of a worker, least recently used first: a doubly linked list through the rows.

Whoever stamps a path moves its evictable nodes to the newest end, deepest first. A child is thus never newer than
its parent, the oldest node of the list is always a leaf, and list order is stamp order: no stamps are stored.
"""

from numba import njit

from kvgym.sim.kernels.access import rows, workers

NONE = -1
NOT_LISTED = -2


@njit(nogil=True)
def unlist(s, w, r):
    """Takes row `r` out of the list, if it is there."""
    table = rows(s)
    row = table[r]
    if row.older == NOT_LISTED:
        return
    wk = workers(s)[w]
    if row.older == NONE:
        wk.oldest = row.newer
    else:
        table[row.older].newer = row.newer
    if row.newer == NONE:
        wk.newest = row.older
    else:
        table[row.newer].older = row.older
    row.older = NOT_LISTED


@njit(nogil=True)
def list_newest(s, w, r):
    """Puts row `r` at the newest end."""
    unlist(s, w, r)
    table = rows(s)
    wk = workers(s)[w]
    row = table[r]
    row.older = wk.newest
    row.newer = NONE
    if wk.newest == NONE:
        wk.oldest = r
    else:
        table[wk.newest].newer = r
    wk.newest = r

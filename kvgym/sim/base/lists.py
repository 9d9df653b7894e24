"""Doubly linked lists of rows, one per worker, from the oldest to the newest.

RECENCY: evictable nodes, least recently used first. Whoever stamps a path moves its evictable nodes to the newest end,
deepest first. A child is thus never newer than its parent, the oldest node of the list is always a leaf, and list
order is stamp order. INDEX: the same for the router's own tree.
"""

from kvgym._kernel import kernel
from kvgym.sim.base.access import config, ends, index_rows, rows
from kvgym.sim.base.tables import INDEX, RECENCY

NONE = -1
NOT_LISTED = -2


def _linked_list(which, table):
    """Kernels of list `which`, whose links are the fields `older` and `newer` of `table`."""

    @kernel
    def list_ends(s, w):
        return ends(s)[which * config(s).n_workers + w]

    @kernel
    def unlist(s, w, r):
        links = table(s)
        link = links[r]
        if link.older == NOT_LISTED:
            return
        end = list_ends(s, w)
        if link.older == NONE:
            end.oldest = link.newer
        else:
            links[link.older].newer = link.newer
        if link.newer == NONE:
            end.newest = link.older
        else:
            links[link.newer].older = link.older
        link.older = NOT_LISTED

    @kernel
    def list_before(s, w, r, newer):
        unlist(s, w, r)
        links = table(s)
        end = list_ends(s, w)
        link = links[r]
        link.newer = newer
        link.older = end.newest if newer == NONE else links[newer].older
        if link.older == NONE:
            end.oldest = r
        else:
            links[link.older].newer = r
        if newer == NONE:
            end.newest = r
        else:
            links[newer].older = r

    return list_ends, unlist, list_before


recency_ends, unlist, list_before = _linked_list(RECENCY, rows)
index_ends, unlist_index, list_index_before = _linked_list(INDEX, index_rows)


@kernel
def list_newest(s, w, r):
    """Row `r` becomes the most recently used one."""
    list_before(s, w, r, NONE)

"""The router's own tree of what it sent where (the `history` view): it never hears of evictions.

The list of a worker's nodes by recency works as in ``recency.py``: deepest first, so the oldest is always a leaf.
"""

from numba import njit

from kvgym.sim.kernels.access import config, index_rows, nodes, paths, requests, row_of, workers
from kvgym.sim.kernels.recency import NONE, NOT_LISTED


@njit(nogil=True)
def _unlist(s, w, r):
    table = index_rows(s)
    entry = table[r]
    if entry.older == NOT_LISTED:
        return
    wk = workers(s)[w]
    if entry.older == NONE:
        wk.index_oldest = entry.newer
    else:
        table[entry.older].newer = entry.newer
    if entry.newer == NONE:
        wk.index_newest = entry.older
    else:
        table[entry.newer].older = entry.older
    entry.older = NOT_LISTED


@njit(nogil=True)
def _list_newest(s, w, r):
    _unlist(s, w, r)
    table = index_rows(s)
    wk = workers(s)[w]
    entry = table[r]
    entry.older = wk.index_newest
    entry.newer = NONE
    if wk.index_newest == NONE:
        wk.index_oldest = r
    else:
        table[wk.index_newest].newer = r
    wk.index_newest = r


@njit(nogil=True)
def remember_prompt(s, w, q):
    """Inserts and touches the full pages of `q`'s prompt, then trims the oldest leaf tails to the index's size."""
    request = requests(s)[q]
    wk = workers(s)[w]
    for i in range(request.path_start + request.path_nodes - 1, request.path_start - 1, -1):
        v = paths(s)[i]
        node = nodes(s)[v]
        pages = min(node.n_pages, request.prompt_pages - node.start_page)
        if pages > 0:
            r = row_of(s, w, v)
            entry = index_rows(s)[r]
            wk.index_pages += max(0, pages - entry.pages)
            entry.pages = max(entry.pages, pages)
            _list_newest(s, w, r)
    while wk.index_pages > config(s).history_pages:
        r = wk.index_oldest
        entry = index_rows(s)[r]
        pages = min(entry.pages, wk.index_pages - config(s).history_pages)
        entry.pages -= pages
        wk.index_pages -= pages
        if entry.pages == 0:
            _unlist(s, w, r)

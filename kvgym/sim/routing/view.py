"""A router's view of the workers' caches, and of the workers (docs/semantics.md#d2-view).

The `history` view is the router's own tree of what it sent where: it never hears of evictions. Its nodes are listed by
recency, deepest first, so the oldest is always a leaf.
"""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import config, index_rows, nodes, paths, requests, rows, workers
from kvgym.sim.base.codes import NONE
from kvgym.sim.base.lists import index_ends, list_index_before, unlist_index
from kvgym.sim.base.requests import hit_tokens
from kvgym.sim.base.rows import row_of


@kernel
def visible_hit(s, w, q):
    """Prompt tokens of request `q` that would hit on worker `w`, as the view shows it."""
    return visible_match(s, w, q)[0]


@kernel
def visible_match(s, w, q):
    """The same, and when a prompt through the deepest of the matched pages was last sent there; -1 = never."""
    request = requests(s)[q]
    history = config(s).history_view
    matched = 0
    sent_ps = np.int64(-1)
    for i in range(request.path_start, request.path_start + request.path_nodes):
        v = paths(s)[i]
        node = nodes(s)[v]
        limit = min(node.n_pages, request.prompt_pages - node.start_page)
        if limit <= 0:
            break
        r = row_of(s, w, v)
        pages = index_rows(s)[r].pages if history else rows(s)[r].cached
        matched += min(pages, limit)
        if pages > 0 and index_rows(s)[r].sent_ps >= 0:
            sent_ps = index_rows(s)[r].sent_ps
        if pages < limit:
            break
    return hit_tokens(s, matched, request.prompt_tokens), sent_ps


@kernel
def resident_pages(wk):
    """Pages in a worker's tree."""
    return wk.loaded + wk.fetched - wk.evicted - wk.lost


@kernel
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
            list_index_before(s, w, r, NONE)
    while wk.index_pages > config(s).history_pages:
        r = index_ends(s, w).oldest
        entry = index_rows(s)[r]
        pages = min(entry.pages, wk.index_pages - config(s).history_pages)
        entry.pages -= pages
        wk.index_pages -= pages
        if entry.pages == 0:
            unlist_index(s, w, r)

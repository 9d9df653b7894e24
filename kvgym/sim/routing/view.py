"""A router's view of the workers' caches, and of the workers (docs/semantics.md#d2-view).

The `history` view is the router's own tree of what it sent where: it never hears of evictions. Its nodes are listed by
recency, deepest first, so the oldest is always a leaf. The `speculative` view adds to what is resident the prompts of
requests in flight.
"""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import arrived, clock, config, index_rows, nodes, paths, progress, requests, rows, workers
from kvgym.sim.base.codes import HISTORY, NONE, SPECULATIVE
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
    matched = 0
    sent_ps = np.int64(-1)
    for i in range(request.path_start, request.path_start + request.path_nodes):
        v = paths(s)[i]
        node = nodes(s)[v]
        limit = min(node.n_pages, request.prompt_pages - node.start_page)
        if limit <= 0:
            break
        pages = visible_pages(s, w, q, i)
        matched += min(pages, limit)
        sent = index_rows(s)[row_of(s, w, v)].sent_ps
        if pages > 0 and sent >= 0:
            sent_ps = sent
        if pages < limit:
            break
    return hit_tokens(s, matched, request.prompt_tokens), sent_ps


@kernel
def visible_pages(s, w, q, i):
    """Pages of the i-th of `paths`, a node on the path of request `q`, that the view shows on worker `w`."""
    r = row_of(s, w, paths(s)[i])
    if config(s).shown == HISTORY:
        return index_rows(s)[r].pages
    pages = rows(s)[r].cached
    return max(pages, _pages_in_flight(s, w, q, i)) if config(s).shown == SPECULATIVE else pages


@kernel
def _pages_in_flight(s, w, q, i):
    """Of these pages, those of prompts of requests in flight there, `q` left out."""
    v = paths(s)[i]
    node = nodes(s)[v]
    entry = index_rows(s)[row_of(s, w, v)]
    own = _pages_of(s, w, q, i)
    if entry.active > (own == node.n_pages):
        return node.n_pages
    if 0 < own < node.n_pages:
        return most_pages_in_flight(s, w, q, i) if entry.parts > 1 else np.int64(0)
    return np.int64(entry.part_pages)


@kernel(inlined=False)
def most_pages_in_flight(s, w, q, i):
    """The most pages that the prompt of a request in flight on `w` other than `q` has of the i-th of `paths`."""
    most = np.int64(0)
    for k in range(clock(s).n_arrived):
        other = arrived(s)[k].request
        at = requests(s)[other].path_start + i - requests(s)[q].path_start
        if (
            other != q
            and at < requests(s)[other].path_start + requests(s)[other].path_nodes
            and paths(s)[at] == paths(s)[i]
        ):
            most = max(most, _pages_of(s, w, other, at))
    return most


@kernel
def _pages_of(s, w, q, i):
    """Pages of the i-th of `paths` that the prompt of request `q` has, if that is in flight on worker `w`; else 0."""
    status = progress(s)[q]
    if status.worker != w or status.finish_ps >= 0:
        return np.int64(0)
    node = nodes(s)[paths(s)[i]]
    return min(np.int64(node.n_pages), max(np.int64(0), requests(s)[q].prompt_pages - node.start_page))


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

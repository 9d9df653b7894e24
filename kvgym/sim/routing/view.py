"""A router's view of a worker's cache (docs/semantics.md#d2-view)."""

from kvgym._kernel import kernel
from kvgym.sim.base.access import config, index_rows, nodes, paths, requests, rows
from kvgym.sim.base.requests import hit_tokens
from kvgym.sim.base.rows import row_of


@kernel
def matched_pages(s, w, q):
    """Full prompt pages of request `q` that the view shows on worker `w`."""
    request = requests(s)[q]
    history = config(s).history_view
    matched = 0
    for i in range(request.path_start, request.path_start + request.path_nodes):
        v = paths(s)[i]
        node = nodes(s)[v]
        limit = min(node.n_pages, request.prompt_pages - node.start_page)
        if limit <= 0:
            break
        r = row_of(s, w, v)
        pages = index_rows(s)[r].pages if history else rows(s)[r].cached
        matched += min(pages, limit)
        if pages < limit:
            break
    return matched


@kernel
def visible_hit(s, w, q):
    """Prompt tokens of `q` that would hit on `w`, as the view shows it."""
    return hit_tokens(s, matched_pages(s, w, q), requests(s)[q].prompt_tokens)


@kernel
def resident_pages(wk):
    """Pages in a worker's tree."""
    return wk.loaded + wk.fetched - wk.evicted - wk.lost

"""`rlt`, the token form of RLT (arXiv 2601.18999): marks, phases, and a uniform unmarked leaf."""

from kvgym._kernel import kernel
from kvgym.sim.base.access import config, nodes, paths, requests, rows, workers
from kvgym.sim.base.requests import known_tokens
from kvgym.sim.base.rows import row_of
from kvgym.sim.evictors.leaves import leaf_changed
from kvgym.sim.evictors.marks import NO_MARKS, count_marked, open_marks


@kernel
def mark_first(s, w, r, n):
    """Marks the first `n` resident pages of row `r`."""
    wk = workers(s)[w]
    row = rows(s)[r]
    open_marks(wk, row)
    before = count_marked(row)
    row.mark_to = max(row.mark_to, n)
    if row.mark_to >= row.mark_from:
        row.mark_to = row.cached
        row.mark_from = NO_MARKS
    wk.marked += count_marked(row) - before
    leaf_changed(s, w, r)


@kernel
def mark_path(s, w, q, pages):
    """Marks the resident ones among the first `pages` pages of request `q`'s path."""
    request = requests(s)[q]
    for i in range(request.path_start, request.path_start + request.path_nodes):
        v = paths(s)[i]
        node = nodes(s)[v]
        r = row_of(s, w, v)
        n = min(rows(s)[r].cached, pages - node.start_page)
        if n <= 0:
            return
        mark_first(s, w, r, n)
        if n < node.n_pages:
            return


touched = mark_path  # by its admission


@kernel
def new_phase(s, w):
    """Clears all marks of worker `w`."""
    wk = workers(s)[w]
    wk.phase += 1
    wk.marked = 0
    wk.n_unmarked = wk.n_leaves


@kernel
def open_phase(s, w, q):
    """`rlt`, before a draw: without an unmarked leaf a phase begins, in which only request `q`'s path is marked."""
    wk = workers(s)[w]
    if wk.n_unmarked > 0:
        return
    new_phase(s, w)
    mark_path(s, w, q, known_tokens(s, q) // config(s).page_size)
    if wk.n_unmarked == 0:
        new_phase(s, w)


@kernel
def rlt_pool(s, w, q, wanted, left):
    """The unmarked leaves; a new phase when there is none."""
    open_phase(s, w, q)
    return workers(s)[w].n_unmarked

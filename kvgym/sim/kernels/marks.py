"""Marks of the RLT evictors: marked pages of a node are [0, mark_to) and [mark_from, cached).

Pages are marked from the root down (a touch) or at the end (a page enters), so two numbers per row are exact. A new
phase only counts up: marks of an earlier one don't count.
"""

from kvgym._kernel import kernel
from kvgym.sim.kernels.access import config, known_tokens, nodes, paths, progress, requests, row_of, rows, workers
from kvgym.sim.kernels.leaves import clear_leaf_marks, refresh_leaf

NO_MARKS = 2**30


@kernel
def open_marks(wk, row):
    """Forgets marks of an earlier phase."""
    if row.phase != wk.phase:
        row.phase = wk.phase
        row.mark_to = 0
        row.mark_from = NO_MARKS


@kernel
def count_marked(row):
    """Marked pages of a row whose marks are of the current phase."""
    return row.mark_to + max(0, row.cached - max(row.mark_from, row.mark_to))


@kernel
def mark_entered(s, w, r, old):
    """Marks the pages [old, cached) that have just entered row `r`."""
    wk = workers(s)[w]
    row = rows(s)[r]
    open_marks(wk, row)
    if row.mark_to == old:
        row.mark_to = row.cached
    elif row.mark_from > old:
        row.mark_from = old
    wk.marked += row.cached - old


@kernel
def drop_marks(s, w, r, n):
    """The last `n` pages of row `r` have just gone, and with them their marks."""
    wk = workers(s)[w]
    row = rows(s)[r]
    if row.phase != wk.phase:
        return
    before = row.mark_to + max(0, row.cached + n - max(row.mark_from, row.mark_to))
    row.mark_to = min(row.mark_to, row.cached)
    if row.mark_from >= row.cached:
        row.mark_from = NO_MARKS
    wk.marked += count_marked(row) - before


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
    refresh_leaf(s, w, r)


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


@kernel
def new_phase(s, w):
    """Clears all marks of worker `w`."""
    wk = workers(s)[w]
    wk.phase += 1
    wk.marked = 0
    clear_leaf_marks(s, w)


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
def mark_as_code(s, w, q):
    """`rlt_code`, end of a chunk or request: marks its tree pages; a full count starts a phase that keeps them."""
    pages = progress(s)[q].tree_pages
    mark_path(s, w, q, pages)
    wk = workers(s)[w]
    if wk.marked >= wk.kv_pages:
        new_phase(s, w)
        mark_path(s, w, q, pages)

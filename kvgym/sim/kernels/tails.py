"""Tails: what a leaf can give up, up to a branch, a locked or a marked page (docs/semantics.md, D6)."""

from kvgym._kernel import kernel
from kvgym.sim.kernels.access import nodes, row_of, rows, workers
from kvgym.sim.kernels.boundaries import BOUNDARY
from kvgym.sim.kernels.leaves import kept_pages, tail_marked


@kernel
def tail_of(s, w, r):
    """Pages of the tail of leaf `r`, and the row that its topmost page is in. Of a marked leaf marks stop nothing."""
    wk = workers(s)[w]
    row = rows(s)[r]
    marked = tail_marked(wk, row)
    pages = row.cached - (row.part_pages if marked else kept_pages(s, w, row))
    total = pages
    while pages == row.cached:
        parent = nodes(s)[row.node].parent
        if parent < 0:
            break
        above = row_of(s, w, parent)
        row = rows(s)[above]
        if row.shown == BOUNDARY or row.children > 1 or row.locks > 0 or (tail_marked(wk, row) and not marked):
            break
        r = above
        pages = row.cached - (row.part_pages if marked else kept_pages(s, w, row))
        total += pages
    return total, r

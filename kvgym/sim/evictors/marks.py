"""Marks of the RLT evictors: marked pages of a node are [0, mark_to) and [mark_from, cached).

Pages are marked from the root down (a touch) or at the end (a page enters), so two numbers per row are exact. A new
phase only counts up: marks of an earlier one don't count.
"""

from kvgym._kernel import kernel
from kvgym.sim.base.access import paths, requests, rows, workers
from kvgym.sim.base.rows import row_of

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
def tail_marked(wk, row):
    """Whether the last resident page carries a mark of the current phase."""
    return row.phase == wk.phase and (row.mark_to >= row.cached or row.mark_from < row.cached)


@kernel
def kept_pages(wk, row):
    """Pages at the beginning of a row that eviction leaves alone: locked ones, and those that carry a mark."""
    kept = min(row.cached, row.part_pages)
    if row.phase == wk.phase:
        kept = max(kept, min(row.mark_to, row.cached))
    return kept


@kernel
def entered(s, w, q, i, first, last, old, time_ps):
    """Pages [first, last) of the i-th node of the path of `q` are its tree pages; those from `old` on are marked."""
    if old >= last:
        return
    wk = workers(s)[w]
    row = rows(s)[row_of(s, w, paths(s)[requests(s)[q].path_start + i])]
    open_marks(wk, row)
    if row.mark_to == old:
        row.mark_to = last
    elif row.mark_from > old:
        row.mark_from = old
    wk.marked += last - old


@kernel
def dropped(s, w, r, n):
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

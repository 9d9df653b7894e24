"""Ghosts: pages that are among the last `kv_pages` ones that their worker evicted (docs/semantics.md#c7-ghost_slru)."""

from kvgym._kernel import kernel
from kvgym.sim.base.access import paths, requests, rows, workers
from kvgym.sim.base.rows import row_of
from kvgym.sim.evictors.departed import RETURNED, departures, first_departures


@kernel
def entered(s, w, q, i, first, last, old, time_ps):
    """Pages [first, last) of the i-th node of the path of `q` are its tree pages; those from `old` on are new."""
    wk = workers(s)[w]
    r = row_of(s, w, paths(s)[requests(s)[q].path_start + i])
    for page in range(old, last):
        slot = first_departures(s)[r] + page
        number = departures(s)[slot]
        departures(s)[slot] = RETURNED if number > 0 and wk.evicted - number < wk.kv_pages else 0


@kernel(inlined=False)
def dropped(s, w, r, n):
    """The last `n` pages of row `r` have gone, the last one of them first."""
    end = first_departures(s)[r] + rows(s)[r].cached + n
    for i in range(1, n + 1):
        departures(s)[end - i] = workers(s)[w].evicted + i

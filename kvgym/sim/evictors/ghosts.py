"""Ghosts: pages that are among the last `kv_pages` ones that their worker evicted (docs/semantics.md#c7-ghost_slru)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym._kernel import kernel
from kvgym.sim.base.access import config, kept_table, nodes, rows, workers
from kvgym.sim.evictors import bit
from kvgym.workload import Workload

_BIT = bit("ghosts")

ghosts = kept_table(__name__, "ghosts", "i8", lambda sizes: 0)
first_ghosts = kept_table(__name__, "first_ghosts", "i8", lambda sizes: sizes.rows, read_only=True)


def fill(tables: dict[str, NDArray[Any]], workload: Workload, n_workers: int) -> None:
    """Makes room in `ghosts` for the pages of each row, and says where they begin."""
    of_nodes, n_shared = workload.nodes["n_pages"], workload.n_shared
    slot = workload.nodes["slot"]
    shared = slot < n_shared
    pages = np.zeros(len(tables["rows"]), np.int64)
    for w in range(n_workers):
        pages[slot[shared] * n_workers + w] = of_nodes[shared]
    pages[(n_workers - 1) * n_shared + slot[~shared]] = of_nodes[~shared]
    tables["first_ghosts"][:] = np.cumsum(pages) - pages
    tables["ghosts"] = np.zeros(pages.sum(), np.int64)


@kernel
def known_ghosts(s, w, r, old, last):
    """How many of the pages [old, last) that enter row `r` are ghosts: the first ones, as deeper pages went first."""
    if not config(s).keeps & _BIT:
        return 0
    wk = workers(s)[w]
    first = first_ghosts(s)[r]
    page = old
    while page < last:
        number = ghosts(s)[first + page]
        if number == 0 or wk.evicted - number >= wk.kv_pages:
            break
        page += 1
    return page - old


@kernel(inlined=False)
def dropped(s, w, r, n):
    """The last `n` pages of row `r` have gone, the last one of them first."""
    end = first_ghosts(s)[r] + rows(s)[r].cached + n
    for i in range(1, n + 1):
        ghosts(s)[end - i] = workers(s)[w].evicted + i


@kernel(inlined=False)
def row_cleared(s, r):
    """Row `r` holds no page, and never did."""
    first = first_ghosts(s)[r]
    ghosts(s)[first : first + nodes(s)[rows(s)[r].node].n_pages] = 0

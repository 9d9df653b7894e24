"""A number for each page of each row, for those who remember pages that went: ghosts.

What the number of a page that is away means is the business of who keeps ghosts. When a page enters they put RETURNED
there if it is a ghost, else 0; that is done before `histories` are told of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym._kernel import kernel
from kvgym.sim.base.access import config, kept_table, nodes, rows
from kvgym.sim.evictors import bit
from kvgym.workload import Workload

_BIT = bit("departed")
RETURNED = -(2**62)

departures = kept_table(__name__, "departures", "i8", lambda sizes: 0)
first_departures = kept_table(__name__, "first_departures", "i8", lambda sizes: sizes.rows, read_only=True)


def fill(tables: dict[str, NDArray[Any]], workload: Workload, n_workers: int) -> None:
    """Makes room in `departures` for the pages of each row, and says where they begin."""
    of_nodes, n_shared = workload.nodes["n_pages"], workload.n_shared
    slot = workload.nodes["slot"]
    shared = slot < n_shared
    pages = np.zeros(len(tables["rows"]), np.int64)
    for w in range(n_workers):
        pages[slot[shared] * n_workers + w] = of_nodes[shared]
    pages[(n_workers - 1) * n_shared + slot[~shared]] = of_nodes[~shared]
    tables["first_departures"][:] = np.cumsum(pages) - pages
    tables["departures"] = np.zeros(pages.sum(), np.int64)


@kernel(inlined=False)
def row_cleared(s, r):
    """Row `r` holds no page, and never did."""
    first = first_departures(s)[r]
    departures(s)[first : first + nodes(s)[rows(s)[r].node].n_pages] = 0


@kernel
def like_returns(s, r, page, last):
    """Whether page `page` of row `r`, which has entered, was a ghost, and how many from it to `last` are like it."""
    if not config(s).keeps & _BIT:
        return np.int64(0), np.int64(last - page)
    table = departures(s)
    first = first_departures(s)[r]
    ghost = table[first + page] == RETURNED
    end = page + 1
    while end < last and (table[first + end] == RETURNED) == ghost:
        end += 1
    return np.int64(ghost), np.int64(end - page)

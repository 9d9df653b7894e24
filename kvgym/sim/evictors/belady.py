"""`belady`: the page whose next use is farthest, an oracle: it reads the future (docs/semantics.md#c6-belady)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym._kernel import kernel
from kvgym.sim.base.access import config, kept_table, nodes, paths, progress, requests, rows
from kvgym.sim.base.codes import NONE
from kvgym.sim.base.rows import is_leaf, row_of
from kvgym.sim.evictors.heap import heaps, put
from kvgym.workload import Workload

use_starts = kept_table(__name__, "use_starts", "i4", lambda sizes: 0, read_only=True)
uses = kept_table(__name__, "uses", "i4", lambda sizes: 0, read_only=True)
use_next = kept_table(__name__, "use_next", "i4", lambda sizes: 0)


def fill(tables: dict[str, NDArray[Any]], workload: Workload, n_workers: int) -> None:
    """Says which prompts hold each shared node."""
    starts, tables["uses"] = workload.prompt_uses()
    tables["use_starts"] = starts.astype(np.int32)
    tables["use_next"] = starts[:-1].astype(np.int32)


@kernel
def belady_key(s, w, r):
    """Minus the next use; of equal ones the deeper page goes, then that of the node with the higher index."""
    row = rows(s)[r]
    depth = nodes(s)[row.node].start_page + row.cached
    return -float(_next_use(s, row.node)), -((depth << 32) + row.node)


@kernel
def _next_use(s, v):
    """Smallest index of a request not yet admitted whose prompt holds node `v`; the number of requests = never."""
    at = use_next(s)[v]
    end = use_starts(s)[v + 1]
    while at < end and (progress(s)[uses(s)[at]].admitted_ps >= 0 or progress(s)[uses(s)[at]].refused_ps >= 0):
        at += 1
    use_next(s)[v] = at
    return uses(s)[at] if at < end else config(s).n_requests


@kernel
def touched(s, w, q, pages):
    """Request `q` has been admitted."""
    _put_again(s, q)


@kernel
def refused(s, q):
    """Request `q` has been refused, and counts as admitted."""
    _put_again(s, q)


@kernel(inlined=False)
def _put_again(s, q):
    """Leaves on the path of request `q` have another next use, on all workers."""
    request = requests(s)[q]
    for w in range(config(s).n_workers):
        if heaps(s)[w].rule == NONE:
            continue
        for i in range(request.path_start, request.path_start + request.path_nodes):
            if nodes(s)[paths(s)[i]].slot >= config(s).n_shared:
                break  # its own: nobody else will use it
            r = row_of(s, w, paths(s)[i])
            if rows(s)[r].cached == 0:
                break
            if is_leaf(s, rows(s)[r]):
                key, tie = belady_key(s, w, r)
                put(s, w, r, key, tie)

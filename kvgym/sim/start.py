"""The kernels of any simulator, apart from the others: environments need no more of the simulator's own ones."""

import numpy as np

from kvgym._kernel import entry_point
from kvgym.sim.base.access import burst_ends, clock, config, nodes, page_ids, paths, requests, sessions
from kvgym.sim.base.rows import row_of
from kvgym.sim.base.tables import INFINITE
from kvgym.sim.cache.tree import blank_row, blank_worker
from kvgym.sim.engine.due import skip_to_open


@entry_point("void(int64)")
def prepare(s):
    """Fills in what is not zero in tables that are all zero."""
    cf = config(s)
    for i in range(len(burst_ends(s))):
        burst_ends(s)[i] = INFINITE
    for w in range(cf.n_workers):
        blank_worker(s, w)
    for v in range(cf.n_nodes):
        page_ids(s)[v] = -1
        copies = cf.n_workers if nodes(s)[v].slot < cf.n_shared else 1
        for w in range(copies):
            blank_row(s, row_of(s, w, v), v)
    for i in range(len(sessions(s))):
        sessions(s)[i].arrived_ps = -1
        sessions(s)[i].worker = -1
        sessions(s)[i].request = -1
    skip_to_open(s)


@entry_point("int64(int64, int64[::1])")
def prompt_pages(s, out):
    """Writes ids of the full pages of the prompt that is due, if `out` has room; returns how many there are."""
    q = clock(s).request
    if q < 0:
        return 0
    request = requests(s)[q]
    n = np.int64(request.prompt_pages)
    if n > len(out):
        return n
    for i in range(request.path_start, request.path_start + request.path_nodes):
        v = paths(s)[i]
        start = np.int64(nodes(s)[v].start_page)
        first = page_ids(s)[v] - start
        for page in range(start, min(start + nodes(s)[v].n_pages, n)):
            out[page] = first + page
    return n

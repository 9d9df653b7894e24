"""The kernels that Python calls, compiled ahead and cached on disk."""

from numba import njit

from kvgym.sim.kernels import events, view
from kvgym.sim.kernels.access import config, index_rows, nodes, page_ids, row_of, rows, sessions
from kvgym.sim.kernels.arrivals import skip_to_open
from kvgym.sim.kernels.boundaries import NOTHING
from kvgym.sim.kernels.marks import NO_MARKS
from kvgym.sim.kernels.recency import NONE, NOT_LISTED


@njit("int64(int64)", cache=True, nogil=True)
def advance(s):
    """Runs to the next decision; returns a code of ``events``."""
    return events.advance(s)


@njit("void(int64, int64)", cache=True, nogil=True)
def route(s, w):
    """Routes the request that is due to worker `w`."""
    events.route(s, w)


@njit("int64(int64, int64, int64)", cache=True, nogil=True)
def visible_hit(s, w, q):
    """Prompt tokens of request `q` that hit on worker `w`, as the view shows it."""
    return view.visible_hit(s, w, q)


@njit("void(int64)", cache=True, nogil=True)
def prepare(s):
    """Fills in what is not zero in tables that are all zero."""
    cf = config(s)
    for v in range(cf.n_nodes):
        page_ids(s)[v] = -1
        copies = cf.n_workers if nodes(s)[v].slot < cf.n_shared else 1
        for w in range(copies):
            r = row_of(s, w, v)
            row = rows(s)[r]
            row.node = v
            row.older = NOT_LISTED
            row.newer = NONE
            row.leaf = -1
            row.mark_from = NO_MARKS
            row.shown = NOTHING
            entry = index_rows(s)[r]
            entry.sent_ps = -1
            entry.older = NOT_LISTED
            entry.newer = NONE
    for i in range(len(sessions(s))):
        sessions(s)[i].arrived_ps = -1
        sessions(s)[i].worker = -1
    skip_to_open(s)

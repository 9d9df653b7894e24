"""The kernel that every reset calls, apart from the others: environments need no more of the simulator's own ones."""

from numba import njit

from kvgym.sim.kernels.access import config, ends_of_runs, index_rows, memories, nodes, page_ids, row_of, rows, sessions
from kvgym.sim.kernels.arrivals import skip_to_open
from kvgym.sim.kernels.boundaries import NOTHING
from kvgym.sim.kernels.lists import NONE, NOT_LISTED
from kvgym.sim.kernels.marks import NO_MARKS
from kvgym.sim.tables import INFINITE


@njit("void(int64)", cache=True, nogil=True)
def prepare(s):
    """Fills in what is not zero in tables that are all zero."""
    cf = config(s)
    for i in range(len(ends_of_runs(s))):
        ends_of_runs(s)[i] = INFINITE
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
            if cf.tracks_spans:
                memories(s)[r].span = NONE
                memories(s)[r].older = NOT_LISTED
                memories(s)[r].newer = NONE
            entry = index_rows(s)[r]
            entry.sent_ps = -1
            entry.older = NOT_LISTED
            entry.newer = NONE
    for i in range(len(sessions(s))):
        sessions(s)[i].arrived_ps = -1
        sessions(s)[i].worker = -1
        sessions(s)[i].request = -1
    skip_to_open(s)

"""The kernel that every reset calls, apart from the others: environments need no more of the simulator's own ones."""

from kvgym._kernel import entry_point
from kvgym.sim.kernels.access import config, ends_of_runs, nodes, page_ids, row_of, sessions
from kvgym.sim.kernels.arrivals import skip_to_open
from kvgym.sim.kernels.blank import blank_index, blank_lists, blank_memory, blank_row, free_spans
from kvgym.sim.tables import INFINITE


@entry_point("void(int64)")
def prepare(s):
    """Fills in what is not zero in tables that are all zero."""
    cf = config(s)
    for i in range(len(ends_of_runs(s))):
        ends_of_runs(s)[i] = INFINITE
    for w in range(cf.n_workers):
        blank_lists(s, w)
        if cf.tracks_spans:
            free_spans(s, w)
    for v in range(cf.n_nodes):
        page_ids(s)[v] = -1
        copies = cf.n_workers if nodes(s)[v].slot < cf.n_shared else 1
        for w in range(copies):
            r = row_of(s, w, v)
            blank_row(s, r, v)
            blank_index(s, r)
            if cf.tracks_spans:
                blank_memory(s, r)
    for i in range(len(sessions(s))):
        sessions(s)[i].arrived_ps = -1
        sessions(s)[i].worker = -1
        sessions(s)[i].request = -1
    skip_to_open(s)

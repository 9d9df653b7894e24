"""The kernel that every reset calls, apart from the others: environments need no more of the simulator's own ones."""

from kvgym._kernel import entry_point
from kvgym.sim.base.access import burst_ends, config, nodes, page_ids, sessions
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

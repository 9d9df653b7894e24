"""The kernels that Python calls, compiled ahead and cached on disk."""

from numba import njit

from kvgym.sim.kernels import candidates, events, view
from kvgym.sim.kernels.access import clock, config, index_rows, memories, nodes, page_ids, row_of, rows, sessions
from kvgym.sim.kernels.arrivals import skip_to_open
from kvgym.sim.kernels.boundaries import NOTHING
from kvgym.sim.kernels.lists import NONE, NOT_LISTED
from kvgym.sim.kernels.marks import NO_MARKS


@njit("int64(int64)", cache=True, nogil=True)
def advance(s):
    """Runs to the next decision; returns a code of ``events``."""
    return events.advance(s)


@njit("void(int64, int64, int64)", cache=True, nogil=True)
def route(s, w, evictor):
    """Routes the request that is due to worker `w`; `evictor` is ASK, or the rule that does its evictions."""
    events.route(s, w, evictor)


@njit("void(int64, int64)", cache=True, nogil=True)
def evict_candidate(s, slot):
    """Takes the EVICT decision that is due: the leaf in `slot`."""
    candidates.evict_candidate(s, slot)


@njit("void(int64, int64)", cache=True, nogil=True)
def evict_by_rule(s, rule):
    """Takes the EVICT decision that is due: the evictor `rule`."""
    candidates.evict_by_rule(s, rule)


@njit("void(int64, float64[:, ::1])", cache=True, nogil=True)
def describe(s, out):
    """Writes the features of all slots of the EVICT decision that is due, a row each."""
    for slot in range(len(out)):
        candidates.describe(s, clock(s).asking, slot, out[slot])


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

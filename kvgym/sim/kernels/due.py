"""Which worker's run ends next, and which idle ones have work: what makes an event cheap where there are many workers.

`ends_of_runs` is a tournament: leaf L + w holds the end of worker w's run, node i the earlier one of 2 i and 2 i + 1,
node 1 the earliest; L, half the table, is a power of two. `may_start` flags idle workers that have work.
"""

from numba import njit

from kvgym.sim.kernels.access import clock, ends_of_runs, may_start, workers
from kvgym.sim.tables import INFINITE

NOBODY = -1


@njit(nogil=True)
def see_worker(s, w):
    """Enters what has become of worker `w`."""
    wk = workers(s)[w]
    starts = wk.event_ps == INFINITE and wk.n_queued + wk.n_running > 0
    clock(s).n_may_start += starts - may_start(s)[w]
    may_start(s)[w] = starts
    ends = ends_of_runs(s)
    i = len(ends) // 2 + w
    if ends[i] == wk.event_ps:
        return
    ends[i] = wk.event_ps
    while i > 1:
        i //= 2
        ends[i] = min(ends[2 * i], ends[2 * i + 1])


@njit(nogil=True)
def next_end_ps(s):
    """When the first run ends, INFINITE if there is none."""
    return ends_of_runs(s)[1]


@njit(nogil=True)
def next_to_end(s):
    """The worker whose run ends first; of several the lowest."""
    ends = ends_of_runs(s)
    leaves = len(ends) // 2
    i = 1
    while i < leaves:
        i *= 2
        if ends[i] > ends[i // 2]:
            i += 1
    return i - leaves


@njit(nogil=True)
def next_to_start(s, first):
    """The lowest idle worker from `first` on that has work, or NOBODY."""
    flags = may_start(s)
    for w in range(first, len(flags)):
        if flags[w]:
            return w
    return NOBODY

"""The worker whose burst ends next, and idle ones that have work: events stay cheap with many workers.

`burst_ends` is a tournament: leaf L + w holds the end of worker w's burst, node i the earlier one of 2 i and 2 i + 1,
node 1 the earliest; L, half the table, is a power of two. `idle_with_work` flags the workers that may start.
"""

from kvgym._kernel import kernel
from kvgym.sim.base.access import burst_ends, clock, idle_with_work, workers
from kvgym.sim.base.codes import NONE
from kvgym.sim.base.tables import INFINITE


@kernel
def may_start(s, w):
    """Whether worker `w` is idle and has work."""
    wk = workers(s)[w]
    return wk.event_ps == INFINITE and wk.n_queued + wk.n_running > 0


@kernel
def update_worker(s, w):
    """Enters what has become of worker `w`: called after each change of its burst, or of what it has to do."""
    starts = may_start(s, w)
    flags = idle_with_work(s)
    if flags[w] != starts:
        flags[w] = starts
        clock(s).n_may_start += 1 if starts else -1
    end_ps = workers(s)[w].event_ps
    ends = burst_ends(s)
    i = (len(ends) >> 1) + w
    if ends[i] == end_ps:
        return
    ends[i] = end_ps
    while i > 1:
        end_ps = min(end_ps, ends[i ^ 1])
        i >>= 1
        if ends[i] == end_ps:
            return
        ends[i] = end_ps


@kernel
def next_end_ps(s):
    """When the first burst ends, INFINITE if there is none."""
    return burst_ends(s)[1]


@kernel
def next_to_end(s):
    """The worker whose burst ends first; of several the lowest."""
    ends = burst_ends(s)
    leaves = len(ends) >> 1
    i = 1
    while i < leaves:
        i *= 2
        i += ends[i] > ends[1]
    return i - leaves


@kernel
def next_to_start(s, first):
    """The lowest idle worker from `first` on that has work, or NONE."""
    if clock(s).n_may_start == 0:
        return NONE
    flags = idle_with_work(s)
    for w in range(first, len(flags)):
        if flags[w]:
            return w
    return NONE

"""What is due next: arrivals, ends of bursts, idle workers that have work. Events stay cheap with many of each.

Open-loop requests arrive in index order; closed-loop ones lie in `pending`, a binary heap by (time, index).
`burst_ends` is a tournament: leaf L + w holds the end of worker w's burst, node i the earlier one of 2 i and 2 i + 1,
node 1 the earliest; L, half the table, is a power of two. `idle_with_work` flags the workers that may start.
"""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import burst_ends, clock, config, idle_with_work, pending, requests, workers
from kvgym.sim.base.codes import NONE
from kvgym.sim.base.tables import INFINITE

RETURNED_PS = -1
"""Time of requests in the heap that have come back to the router: they are due before any arrival."""


@kernel
def _earlier(time_ps, q, entry):
    """Whether request `q`, which arrives at `time_ps`, comes before that of an entry of the heap."""
    return time_ps < entry.time_ps or (time_ps == entry.time_ps and q < entry.request)


@kernel
def push_pending(s, time_ps, q):
    """Request `q` will arrive at `time_ps`."""
    heap = pending(s)
    i = clock(s).n_pending
    clock(s).n_pending += 1
    while i > 0 and _earlier(time_ps, q, heap[(i - 1) // 2]):
        heap[i] = heap[(i - 1) // 2]
        i = (i - 1) // 2
    heap[i].time_ps = time_ps
    heap[i].request = q


@kernel
def _pop_pending(s):
    """Takes out the request that arrives first."""
    heap = pending(s)
    q = heap[0].request
    clock(s).n_pending -= 1
    n = clock(s).n_pending
    last = heap[n]
    i = 0
    while True:
        child = 2 * i + 1
        if child + 1 < n and _earlier(heap[child + 1].time_ps, heap[child + 1].request, heap[child]):
            child += 1
        if child >= n or _earlier(last.time_ps, last.request, heap[child]):
            heap[i] = last
            return q
        heap[i] = heap[child]
        i = child


@kernel
def queue_successors(s, q):
    """The requests that wait for `q`'s finish arrive their think time later."""
    now = clock(s).now_ps
    successor = requests(s)[q].first_successor
    while successor >= 0:
        push_pending(s, now + requests(s)[successor].think_ps, np.int64(successor))
        successor = requests(s)[successor].next_successor


@kernel
def next_arrival_ps(s):
    """Time of the next arrival, counted or not; INFINITE = none is known."""
    ck = clock(s)
    time_ps = pending(s)[0].time_ps if ck.n_pending > 0 else INFINITE
    if ck.next_open < config(s).n_requests:
        time_ps = min(time_ps, requests(s)[ck.next_open].arrival_ps)
    return time_ps


@kernel
def skip_to_open(s):
    """Moves `next_open` to the next open-loop request."""
    ck = clock(s)
    while ck.next_open < config(s).n_requests and requests(s)[ck.next_open].predecessor >= 0:
        ck.next_open += 1


@kernel
def pop_arrival(s):
    """The request that arrives next; of simultaneous ones the lowest index."""
    ck = clock(s)
    q = ck.next_open
    is_open = q < config(s).n_requests
    if ck.n_pending > 0 and not (is_open and _earlier(requests(s)[q].arrival_ps, q, pending(s)[0])):
        return _pop_pending(s)
    ck.next_open += 1
    skip_to_open(s)
    return q


@kernel
def update_worker(s, w):
    """Enters what has become of worker `w`: called after each change of its burst, or of what it has to do."""
    wk = workers(s)[w]
    end_ps = wk.event_ps
    starts = end_ps == INFINITE and wk.n_queued + wk.n_running > 0
    flags = idle_with_work(s)
    if flags[w] != starts:
        flags[w] = starts
        clock(s).n_may_start += 1 if starts else -1
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
    if clock(s).n_may_start > 0:
        for w in range(first, len(idle_with_work(s))):
            if idle_with_work(s)[w]:
                return w
    return NONE

"""Arrivals: open-loop requests in index order, and a binary heap of closed-loop ones by (time, index)."""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import clock, config, pending, requests
from kvgym.sim.base.tables import INFINITE

RETURNED_PS = -1
"""Time of requests in the heap that have come back to the router: they are due before any arrival."""


@kernel
def _earlier(a, b):
    return a.time_ps < b.time_ps or (a.time_ps == b.time_ps and a.request < b.request)


@kernel
def _swap(heap, i, j):
    time_ps, request = heap[i].time_ps, heap[i].request
    heap[i].time_ps = heap[j].time_ps
    heap[i].request = heap[j].request
    heap[j].time_ps = time_ps
    heap[j].request = request


@kernel
def push_pending(s, time_ps, q):
    """Request `q` will arrive at `time_ps`."""
    ck = clock(s)
    heap = pending(s)
    i = ck.n_pending
    ck.n_pending += 1
    heap[i].time_ps = time_ps
    heap[i].request = q
    while i > 0 and _earlier(heap[i], heap[(i - 1) // 2]):
        _swap(heap, i, (i - 1) // 2)
        i = (i - 1) // 2


@kernel
def pop_pending(s):
    """Takes out the request that arrives first."""
    ck = clock(s)
    heap = pending(s)
    q = heap[0].request
    ck.n_pending -= 1
    _swap(heap, 0, ck.n_pending)
    i = 0
    while True:
        least = i
        for child in (2 * i + 1, 2 * i + 2):
            if child < ck.n_pending and _earlier(heap[child], heap[least]):
                least = child
        if least == i:
            return q
        _swap(heap, i, least)
        i = least


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
    time_ps = INFINITE
    if ck.n_pending > 0:
        time_ps = pending(s)[0].time_ps
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
    if ck.n_pending > 0:
        first = pending(s)[0]
        if (
            not is_open
            or first.time_ps < requests(s)[q].arrival_ps
            or (first.time_ps == requests(s)[q].arrival_ps and first.request < q)
        ):
            return pop_pending(s)
    ck.next_open += 1
    skip_to_open(s)
    return q

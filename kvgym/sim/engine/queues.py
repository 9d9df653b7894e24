"""Who waits and who leaves the batch. The queue is linked through the progress table.

First come, first served it is a list. By priority it is a skew heap (Sleator and Tarjan, 1986), whose root is the head:
both links of a request lead to requests with larger ranks, and whoever joins or leaves takes O(log n) on average.

Rules: docs/semantics.md#e3-tokens, #e6-priority.
"""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import classes, clock, config, progress, running, workers
from kvgym.sim.base.codes import NONE
from kvgym.sim.base.requests import class_of, known_tokens
from kvgym.sim.base.tables import INFINITE
from kvgym.sim.cache.eviction import reserved_pages
from kvgym.sim.cache.tree import release
from kvgym.sim.engine.due import update_worker
from kvgym.sim.engine.duration import cut_burst


@kernel
def _goes_first(s, q, other):
    """Whether request `q` has a smaller rank than another one: priority of its class, arrival, index."""
    mine, others = _priority(s, q), _priority(s, other)
    if mine != others:
        return mine < others
    mine, others = progress(s)[q].arrived_ps, progress(s)[other].arrived_ps
    return mine < others or (mine == others and q < other)


@kernel
def _priority(s, q):
    return classes(s)[class_of(s, q)].priority


@kernel
def join(s, w, q):
    """Request `q` joins worker `w`'s queue: at its head, it may be admitted when the iteration in progress ends."""
    wk = workers(s)[w]
    if wk.n_queued == 0 or (config(s).by_priority and _goes_first(s, q, wk.queue_head)):
        wk.head_refused = 0  # it was another one's
        if wk.event_ps < INFINITE and wk.n_running < config(s).max_running:
            cut_burst(s, w, clock(s).now_ps)
    if config(s).by_priority:
        _push(s, wk, q)
    else:
        progress(s)[q].next_waiting = NONE
        if wk.n_queued == 0:
            wk.queue_head = q
        else:
            progress(s)[wk.queue_tail].next_waiting = q
        wk.queue_tail = q
    wk.n_queued += 1
    update_worker(s, w)


@kernel
def pop_front(s, w):
    """Takes the head out of the queue, which is not empty."""
    wk = workers(s)[w]
    q = wk.queue_head
    status = progress(s)[q]
    wk.queue_head = status.next_waiting
    if config(s).by_priority:
        wk.queue_head = _meld(s, np.int64(status.next_waiting), np.int64(status.other_waiting))
    wk.n_queued -= 1
    return q


@kernel
def _push(s, wk, q):
    """Puts request `q` into a queue by priority."""
    progress(s)[q].next_waiting = progress(s)[q].other_waiting = NONE
    wk.queue_head = _meld(s, wk.queue_head, np.int64(q)) if wk.n_queued > 0 else q


@kernel
def _meld(s, a, b):
    """The root of two skew heaps in one, given their roots; NONE: an empty one."""
    if a == NONE or b == NONE:
        return max(a, b)
    if _goes_first(s, b, a):
        a, b = b, a
    root = a
    while True:
        status = progress(s)[a]
        below = np.int64(status.other_waiting)
        status.other_waiting = status.next_waiting
        if below == NONE:
            status.next_waiting = b
            return root
        if _goes_first(s, b, below):
            b, below = below, b
        status.next_waiting = a = below


@kernel
def forget_running(s, w, q):
    """Request `q` leaves the batch (finished or preempted): its pages are unlocked."""
    status = progress(s)[q]
    workers(s)[w].reserved -= reserved_pages(status)
    release(s, w, q)
    status.decoding = status.computed = 0


@kernel
def preempt(s, w):
    """A running request of worker `w` gives way and returns to the queue, where it goes first; returns it.

    It is the one admitted last, or by priority the one with the largest rank: a token of that one may be planned.
    """
    wk = workers(s)[w]
    batch = running(s)
    first = w * config(s).max_running
    wk.n_running -= 1
    place = wk.n_running
    if config(s).by_priority:
        for i in range(wk.n_running):
            if _goes_first(s, batch[first + place], batch[first + i]):
                place = i
    q = batch[first + place]
    for i in range(place, wk.n_running):
        batch[first + i] = batch[first + i + 1]
    if place < wk.cursor and progress(s)[q].decoding:
        wk.decodes -= 1
        wk.kv_tokens -= known_tokens(s, q)
    wk.cursor -= place <= wk.cursor
    if wk.prefill == q:
        wk.prefill = NONE
    forget_running(s, w, q)
    progress(s)[q].preemptions += 1
    wk.preempted += 1
    if config(s).by_priority:
        _push(s, wk, q)
    else:
        progress(s)[q].next_waiting = wk.queue_head if wk.n_queued > 0 else NONE
        if wk.n_queued == 0:
            wk.queue_tail = q
        wk.queue_head = q
    wk.n_queued += 1
    wk.queued_tokens += known_tokens(s, q)
    return q

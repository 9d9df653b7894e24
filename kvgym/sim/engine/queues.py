"""Who waits and who leaves the batch. The queue, first come first served, is linked through the progress table.

Rules: docs/semantics.md#e3-tokens.
"""

from kvgym._kernel import kernel
from kvgym.sim.base.access import clock, config, progress, running, workers
from kvgym.sim.base.requests import known_tokens
from kvgym.sim.base.tables import INFINITE
from kvgym.sim.cache.eviction import reserved_pages
from kvgym.sim.cache.tree import release
from kvgym.sim.engine.due import update_worker
from kvgym.sim.engine.duration import cut_burst


@kernel
def join(s, w, q):
    """Request `q` joins the end of worker `w`'s queue: it may be admitted when the iteration in progress ends."""
    wk = workers(s)[w]
    if wk.event_ps < INFINITE and wk.n_queued == 0 and wk.n_running < config(s).max_running:
        cut_burst(s, w, clock(s).now_ps)
    progress(s)[q].next_waiting = -1
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
    wk.queue_head = progress(s)[q].next_waiting
    wk.n_queued -= 1
    return q


@kernel
def forget_running(s, w, q):
    """Request `q` leaves the batch (finished or preempted): its pages are unlocked."""
    status = progress(s)[q]
    workers(s)[w].reserved -= reserved_pages(status)
    release(s, w, q)
    status.decoding = status.computed = 0


@kernel
def preempt_last(s, w):
    """The most recently admitted running request of worker `w` returns to the head of the queue; returns it."""
    wk = workers(s)[w]
    wk.n_running -= 1
    q = running(s)[w * config(s).max_running + wk.n_running]
    if wk.prefill == q:
        wk.prefill = -1
    forget_running(s, w, q)
    progress(s)[q].preemptions += 1
    wk.preempted += 1
    progress(s)[q].next_waiting = wk.queue_head if wk.n_queued > 0 else -1
    if wk.n_queued == 0:
        wk.queue_tail = q
    wk.queue_head = q
    wk.n_queued += 1
    wk.queued_tokens += known_tokens(s, q)
    return q

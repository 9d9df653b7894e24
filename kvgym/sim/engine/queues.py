"""The waiting queue of a worker, first come first served, linked through the progress table."""

from kvgym._kernel import kernel
from kvgym.sim.base.access import clock, config, progress, workers
from kvgym.sim.base.tables import INFINITE
from kvgym.sim.engine.due import see_worker
from kvgym.sim.engine.duration import cut_run


@kernel
def join(s, w, q):
    """Request `q` joins the queue of worker `w` now: it may be admitted when the iteration in progress ends."""
    wk = workers(s)[w]
    if wk.event_ps < INFINITE and wk.n_queued == 0 and wk.n_running < config(s).max_running:
        cut_run(s, w, clock(s).now_ps)
    push_back(s, w, q)
    see_worker(s, w)


@kernel
def push_back(s, w, q):
    """Request `q` joins the end of the queue."""
    wk = workers(s)[w]
    progress(s)[q].next_waiting = -1
    if wk.n_queued == 0:
        wk.queue_head = q
    else:
        progress(s)[wk.queue_tail].next_waiting = q
    wk.queue_tail = q
    wk.n_queued += 1


@kernel
def push_front(s, w, q):
    """Request `q`, preempted, returns to the head of the queue."""
    wk = workers(s)[w]
    progress(s)[q].next_waiting = wk.queue_head if wk.n_queued > 0 else -1
    if wk.n_queued == 0:
        wk.queue_tail = q
    wk.queue_head = q
    wk.n_queued += 1


@kernel
def pop_front(s, w):
    """Takes the head out of the queue, which is not empty."""
    wk = workers(s)[w]
    q = wk.queue_head
    wk.queue_head = progress(s)[q].next_waiting
    wk.n_queued -= 1
    return q

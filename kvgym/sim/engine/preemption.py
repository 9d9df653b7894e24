"""Requests that leave the batch: finished, or preempted (docs/semantics.md#e3-tokens)."""

from kvgym._kernel import kernel
from kvgym.sim.base.access import config, progress, running, workers
from kvgym.sim.base.requests import known_tokens
from kvgym.sim.cache.allocation import reserved_pages
from kvgym.sim.cache.tree import release
from kvgym.sim.engine.queues import push_front


@kernel
def forget_running(s, w, q):
    """Request `q` leaves the batch (finished or preempted): its pages are unlocked, waiting requests may try again."""
    wk = workers(s)[w]
    status = progress(s)[q]
    wk.reserved -= reserved_pages(status)
    release(s, w, q)
    status.decoding = 0
    status.computed = 0
    wk.head_refused = 0
    wk.prefill_waits = 0


@kernel
def preempt_last(s, w):
    """Preempts the most recently admitted running request of worker `w` and returns it."""
    wk = workers(s)[w]
    wk.n_running -= 1
    q = running(s)[w * config(s).max_running + wk.n_running]
    if wk.prefill == q:
        wk.prefill = -1
    forget_running(s, w, q)
    progress(s)[q].preemptions += 1
    wk.preempted += 1
    push_front(s, w, q)
    wk.queued_tokens += known_tokens(s, q)
    return q

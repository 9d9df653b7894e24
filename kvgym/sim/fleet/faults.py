"""Crashes, returns and slow-downs of workers (docs/semantics.md#faults)."""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import clock, config, faults, progress, rows, running, transfers, workers
from kvgym.sim.base.codes import CRASH, RETURN
from kvgym.sim.base.rows import on_worker, row_of
from kvgym.sim.base.tables import INFINITE
from kvgym.sim.cache.blank import blank_index, blank_row, blank_worker
from kvgym.sim.engine.arrivals import RETURNED_PS, push_pending
from kvgym.sim.engine.due import update_worker
from kvgym.sim.engine.duration import cut_burst, cut_log, iteration_end_ps, iterations_ended, log_lost
from kvgym.sim.engine.iteration_end import book_decodes
from kvgym.sim.engine.queues import pop_front
from kvgym.sim.fleet.transfers import drop_transfers


@kernel
def next_fault_ps(s):
    """When the next fault comes."""
    at = clock(s).next_fault
    return faults(s)[at].time_ps if at < config(s).n_faults else INFINITE


@kernel(inlined=False)
def do_faults(s):
    """Does the faults whose time has come."""
    ck = clock(s)
    while next_fault_ps(s) <= ck.now_ps:
        fault = faults(s)[ck.next_fault]
        ck.next_fault += 1
        w = fault.worker
        if fault.kind == CRASH:
            _crash(s, w)
        elif fault.kind == RETURN:
            workers(s)[w].up = 1
        else:
            workers(s)[w].current_cost = fault.current_cost
            cut_burst(s, w, ck.now_ps)
        update_worker(s, w)


@kernel
def _crash(s, w):
    wk = workers(s)[w]
    wk.up = 0
    _stop_iteration(s, w)
    if clock(s).n_transfers > 0:
        _send_back_fetching(s, w)
        drop_transfers(s, w)
    _lose_cache(s, w)
    _send_back(s, w)
    _forget_counts(s, w)


@kernel
def _stop_iteration(s, w):
    """The iteration in progress is lost; those of the burst that are over are not."""
    wk = workers(s)[w]
    if wk.event_ps == INFINITE:
        return
    now = clock(s).now_ps
    done = iterations_ended(wk, now)
    if done > 0:
        book_decodes(s, w, done)
        wk.iterations += done
    wk.busy_ps += now - wk.start_ps
    cut_log(s, w, done)
    if iteration_end_ps(wk, done) < now:
        wk.iterations += 1
        log_lost(s, w, done)
    wk.event_ps = INFINITE
    wk.decodes = 0
    wk.prefill_tokens = 0


@kernel
def _send_back_fetching(s, w):
    """Requests that wait for a transfer to worker `w` go back to the router, once their locks are gone."""
    for i in range(clock(s).n_transfers):
        if transfers(s)[i].target == w:
            push_pending(s, np.int64(RETURNED_PS), transfers(s)[i].request)


@kernel
def _send_back(s, w):
    """The requests of worker `w` go back to the router, which routes them again by index."""
    wk = workers(s)[w]
    for i in range(wk.n_running):
        push_pending(s, np.int64(RETURNED_PS), running(s)[w * config(s).max_running + i])
    while wk.n_queued > 0:
        push_pending(s, np.int64(RETURNED_PS), pop_front(s, w))
    wk.n_running = 0


@kernel
def come_back(s, q):
    """Request `q` is at the router again: nothing of it is on a worker."""
    status = progress(s)[q]
    status.worker = -1
    status.returns += 1
    status.computed = 0
    status.chunk = 0
    status.decoding = 0
    status.held_pages = 0
    status.tree_pages = 0
    status.full_nodes = 0
    status.reserve_pages = 0


@kernel
def _lose_cache(s, w):
    """Worker `w` has no page any more, its evictor remembers nothing, and the router forgets what it sent there."""
    wk = workers(s)[w]
    for v in range(config(s).n_nodes):
        if on_worker(s, w, v):
            r = row_of(s, w, v)
            wk.lost += rows(s)[r].cached
            blank_row(s, r, v)
            blank_index(s, r)
    blank_worker(s, w)


@kernel
def _forget_counts(s, w):
    """Nothing is on worker `w`: engine and router count from zero again."""
    wk = workers(s)[w]
    wk.stage = 0
    wk.preempted = 0
    wk.prefill = -1
    wk.head_refused = 0
    wk.prefill_waits = 0
    wk.queued_tokens = 0
    wk.n_fetching = 0
    wk.inflight = 0
    wk.waiting = 0
    wk.prefill_estimate = 0
    wk.sent_since_snapshot = 0
    wk.active_tokens = 0
    wk.index_pages = 0
    wk.ttft_ewma_s = 0.0
    wk.tpot_ewma_s = 0.0
    if config(s).metrics_period_ps == 0:
        wk.seen_ps = clock(s).now_ps

"""Crashes, returns and slow-downs of workers (docs/semantics.md#faults)."""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import clock, config, faults, progress, rows, running, transfers, workers
from kvgym.sim.base.codes import CRASH, RETURN
from kvgym.sim.base.rows import on_worker, row_of
from kvgym.sim.base.tables import INFINITE
from kvgym.sim.cache.tree import READY, blank_row, blank_worker
from kvgym.sim.engine.due import RETURNED_PS, push_pending, update_worker
from kvgym.sim.engine.duration import cut_burst, cut_log, iteration_end_ps, iterations_ended, log_lost
from kvgym.sim.engine.iteration_end import book_decodes
from kvgym.sim.engine.queues import pop_front
from kvgym.sim.engine.ways import call_back
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
    wk.decodes = wk.prefill_tokens = 0


@kernel
def _crash(s, w):
    """Nothing is on worker `w` any more, and its requests go back to the router, which routes them again by index.

    Its evictor remembers nothing, the router forgets what it sent there, and both count from zero again.
    """
    wk = workers(s)[w]
    wk.up = 0
    _stop_iteration(s, w)
    for i in range(clock(s).n_transfers):
        if transfers(s)[i].target == w and transfers(s)[i].stage != READY:  # of those, requests are among the rest
            push_pending(s, np.int64(RETURNED_PS), transfers(s)[i].request)
    call_back(s, w)
    drop_transfers(s, w)
    for v in range(config(s).n_nodes):
        if on_worker(s, w, v):
            r = row_of(s, w, v)
            wk.lost += rows(s)[r].cached
            blank_row(s, r, v)
    blank_worker(s, w)
    for i in range(wk.n_running):
        push_pending(s, np.int64(RETURNED_PS), running(s)[w * config(s).max_running + i])
    while wk.n_queued > 0:
        push_pending(s, np.int64(RETURNED_PS), pop_front(s, w))
    wk.stage = wk.n_running = wk.preempted = wk.head_refused = wk.prefill_waits = wk.queued_tokens = 0
    wk.prefill = -1
    wk.n_fetching = wk.inflight = wk.waiting = wk.prefill_estimate = wk.sent_since_snapshot = 0
    wk.active_tokens = wk.index_pages = 0
    wk.ttft_ewma_s = wk.tpot_ewma_s = 0.0
    if config(s).metrics_period_ps == 0:
        wk.seen_ps = clock(s).now_ps


@kernel
def come_back(s, q):
    """Request `q` is at the router again: nothing of it is on a worker."""
    status = progress(s)[q]
    status.worker = -1
    status.returns += 1
    status.computed = status.chunk = status.decoding = 0
    status.held_pages = status.tree_pages = status.full_nodes = status.reserve_pages = 0

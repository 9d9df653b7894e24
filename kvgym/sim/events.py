"""The clock: events in the order of docs/semantics.md#k3-order, up to the next decision."""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import clock, config, progress, workers
from kvgym.sim.base.codes import AGENT, CONTRADICTION, DONE, EVICT, LOG_FULL, NONE, PAUSED, ROUTE, TRUNCATED
from kvgym.sim.base.requests import known_tokens, was_scored
from kvgym.sim.base.tables import INFINITE
from kvgym.sim.cache.candidates import list_candidates
from kvgym.sim.cache.check import check_workers
from kvgym.sim.engine.due import (
    RETURNED_PS,
    next_arrival_ps,
    next_end_ps,
    next_to_end,
    next_to_start,
    pop_arrival,
    queue_successors,
    update_worker,
)
from kvgym.sim.engine.duration import logs_full, take_snapshot
from kvgym.sim.engine.iteration_end import end_burst
from kvgym.sim.engine.iteration_start import start_iteration
from kvgym.sim.engine.queues import join
from kvgym.sim.engine.ways import next_way_ps, pop_way, send, take_time
from kvgym.sim.evictors import ASK
from kvgym.sim.fleet.faults import come_back, do_faults, next_fault_ps
from kvgym.sim.fleet.transfers import decide_transfer, end_transfers, start_transfers
from kvgym.sim.routing.counts import on_arrival, on_refusal, on_route
from kvgym.sim.routing.routers import choose_worker
from kvgym.sim.routing.view import visible_hit


@kernel
def advance(s, rounds):
    """Lets time pass until somebody has to decide, or everything has finished; for `rounds` events at most."""
    ck = clock(s)
    cf = config(s)
    if cf.n_faults > 0:
        do_faults(s)  # those of time 0: all others are done as time passes
    for _ in range(rounds):
        if (cf.log_iterations or cf.log_draws) and logs_full(s):
            return LOG_FULL
        due = next_arrival_ps(s)
        all_arrived = ck.n_arrived >= cf.limit
        if due <= ck.now_ps:
            if not all_arrived or due == RETURNED_PS:
                if _arrive(s):
                    return ROUTE
                continue
            if cf.truncate:
                return TRUNCATED
        if cf.takes_time:
            _take_effect(s)
        _end_bursts(s)  # those that an event of this instant has cut: all ends come before all starts
        asking = start_transfers(s) if ck.next_transfer_ps <= ck.now_ps else NONE
        if asking == NONE:
            asking = _start_idle(s)
        if cf.debug and check_workers(s):
            return CONTRADICTION
        if asking != NONE:
            list_candidates(s, asking)
            return EVICT
        if all_arrived and not cf.truncate:
            due = INFINITE
        time_ps = min(due, next_end_ps(s), ck.next_transfer_ps)
        if cf.takes_time:
            time_ps = min(time_ps, next_way_ps(s))
        if time_ps == INFINITE:
            return DONE
        if cf.n_faults > 0:
            time_ps = min(time_ps, next_fault_ps(s))
        _pass_time(s, time_ps)
        _end_bursts(s)
        if ck.next_transfer_ps <= time_ps:
            end_transfers(s)
        if cf.n_faults > 0:
            do_faults(s)
        if cf.debug and check_workers(s):
            return CONTRADICTION
    return PAUSED


@kernel
def _arrive(s):
    """The next request arrives, or comes back; True if an agent must route it."""
    ck = clock(s)
    cf = config(s)
    q = pop_arrival(s)
    if progress(s)[q].arrived_ps < 0:
        on_arrival(s, q)
    else:
        come_back(s, q)
    ck.request = q
    warms_up = not was_scored(s, q)
    rule = cf.warmup_router if warms_up else cf.router
    if rule == AGENT:
        return True
    route(s, choose_worker(s, q, rule), cf.warmup_evictor if warms_up else np.int64(ASK))
    return False


@kernel
def route(s, w, evictor):
    """Sends the request whose decision is due to worker `w`; `evictor` does its evictions where the agent would."""
    ck = clock(s)
    q = ck.request
    ck.request = -1
    progress(s)[q].evictor = evictor
    on_route(s, q, w, visible_hit(s, w, q))
    if config(s).takes_time and was_scored(s, q):
        send(s, q, take_time(s))
    else:
        _come(s, w, q)


@kernel
def _come(s, w, q):
    """Request `q` comes to its worker `w`."""
    workers(s)[w].queued_tokens += known_tokens(s, q)
    if not (config(s).transfers and decide_transfer(s, w, q)):
        join(s, w, q)


@kernel
def _take_effect(s):
    """Decisions whose time is over take effect, in their order."""
    while next_way_ps(s) <= clock(s).now_ps:
        q = pop_way(s)
        _come(s, np.int64(progress(s)[q].worker), q)


@kernel
def refuse(s):
    """The request whose decision is due leaves the system; its successors arrive their think time later."""
    ck = clock(s)
    q = ck.request
    ck.request = -1
    on_refusal(s, q)
    if config(s).takes_time and was_scored(s, q):
        take_time(s)
    queue_successors(s, q)


@kernel
def _end_bursts(s):
    """Ends the bursts whose time has come, in the order of the workers."""
    while next_end_ps(s) == clock(s).now_ps:
        w = next_to_end(s)
        end_burst(s, w)
        update_worker(s, w)


@kernel
def _start_idle(s):
    """Starts iterations on idle workers; returns a worker that waits for an EVICT decision, or NONE."""
    w = next_to_start(s, np.int64(0))
    while w != NONE:
        asks = start_iteration(s, w)
        update_worker(s, w)
        if asks:
            return w
        w = next_to_start(s, w + 1)
    return NONE


@kernel
def _pass_time(s, time_ps):
    """Moves the clock, taking the metrics snapshot on the way and charging the wait of the scored requests."""
    ck = clock(s)
    period = config(s).metrics_period_ps
    if period > 0:
        latest = time_ps // period * period
        if latest > ck.snapshot_ps:
            take_snapshot(s, latest)
    elapsed = float(time_ps - ck.now_ps)
    ck.cost_e2e_ps += elapsed * ck.scored
    ck.cost_ttft_ps += elapsed * ck.scored_waiting
    ck.now_ps = time_ps

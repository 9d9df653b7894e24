"""Writes an observation from the simulator's tables: features of ``features.py``, in the order of ``layout.py``."""

import numpy as np

from kvgym._kernel import kernel
from kvgym.envs.features import DAY_S, DECISION, FETCH, N_CANDIDATE, REQUEST, WANTED, WORKER
from kvgym.envs.kernels import scale as scales
from kvgym.envs.kernels.codes import EVICTS, FETCHES, ROUTES, SCALED
from kvgym.envs.kernels.scale import CELL, block_at, scale
from kvgym.sim.base.access import (
    arrived,
    classes,
    clock,
    config,
    costs,
    hints,
    index_rows,
    nodes,
    paths,
    progress,
    requests,
    running,
    sessions,
    transfers,
    workers,
)
from kvgym.sim.base.codes import HISTORY
from kvgym.sim.base.requests import class_of, hit_tokens, known_tokens
from kvgym.sim.base.rows import row_of
from kvgym.sim.base.tables import INFINITE
from kvgym.sim.cache.candidates import describe
from kvgym.sim.cache.tree import OPENING
from kvgym.sim.engine.duration import gen_tps, iteration_end_ps, iterations_ended, kv_use
from kvgym.sim.fleet.transfers import best_source_by
from kvgym.sim.routing.view import resident_pages, visible_pages

N_REQUEST, N_WORKER, N_FETCH, N_EVICT = len(REQUEST), len(WORKER), len(FETCH), len(WANTED)
WINDOW_10_PS = 10 * 10**12
WINDOW_60_PS = 60 * 10**12


@kernel
def due_request(s):
    """The request that the decision that is due is about, -1 = none is due."""
    asking = clock(s).asking
    return workers(s)[asking].asker if asking >= 0 else clock(s).request


@kernel
def observe(s, form, out):
    """Writes the observation of the decision that is due (or of the end) into `out`, float32 (layout.size,).

    The blocks are passed on by their addresses: each slice of an array would be counted as a reference, atomically.
    """
    scaled = form & SCALED
    q = due_request(s)
    at = out.ctypes.data
    if form & ROUTES and form & EVICTS:
        out[DECISION.is_route] = clock(s).request >= 0
        out[DECISION.is_evict] = clock(s).asking >= 0
        at += CELL * len(DECISION)
    first = at
    observe_request(s, q, at)
    at += CELL * N_REQUEST
    first_worker = at
    for w in range(config(s).n_workers):
        observe_worker(s, w, at)
        observe_cache(s, w, q, at)
        observe_engine(s, w, at)
        at += CELL * N_WORKER
    first_fetch = at
    if form & FETCHES:
        for w in range(config(s).n_workers):
            observe_fetch(s, q, w, first_worker, at)
            at += CELL * N_FETCH
    if scaled:  # now, and not block by block: what has just been written one by one can't be read as a vector
        scale(first, N_REQUEST + N_WORKER, scales.FIRST_REQUEST)
        for block in range(first + CELL * (N_REQUEST + N_WORKER), first_fetch, CELL * N_WORKER):
            scale(block, N_WORKER, scales.FIRST_WORKER)
        for block in range(first_fetch, at, CELL * N_FETCH):
            scale(block, N_FETCH, scales.FIRST_FETCH)
    if form & EVICTS:
        observe_evict(s, scaled, at)


@kernel
def observe_evict(s, scaled, at):
    """The block that says what is wanted, and a block per candidate; zeros where no EVICT decision is due."""
    n_slots = config(s).n_candidates
    out = block_at(at, N_EVICT + n_slots * N_CANDIDATE)
    w = clock(s).asking
    if w < 0:
        out[:] = 0.0
        return
    wk = workers(s)[w]
    out[WANTED.asked_worker] = w
    out[WANTED.need_pages] = wk.wanted
    out[WANTED.decisions_left] = wk.decisions_left
    out[WANTED.free] = wk.free / wk.kv_pages
    out[WANTED.locked] = (wk.kv_pages - wk.free - wk.evictable) / wk.kv_pages
    out[WANTED.unmarked] = (resident_pages(wk) - wk.marked) / wk.kv_pages
    if scaled:
        scale(at, N_EVICT, scales.FIRST_EVICT)
    at += CELL * N_EVICT
    for slot in range(n_slots):
        describe(s, w, slot, block_at(at, N_CANDIDATE))
        if scaled:
            scale(at, N_CANDIDATE, scales.FIRST_CANDIDATE)
        at += CELL * N_CANDIDATE


@kernel
def observe_request(s, q, at):
    """The request block."""
    out = block_at(at, N_REQUEST)
    ck = clock(s)
    cf = config(s)
    if q < 0:
        out[:] = 0.0
        return
    request = requests(s)[q]
    last_turn = sessions(s)[request.session].arrived_ps
    while ck.window_10 < ck.n_arrived and arrived(s)[ck.window_10].time_ps <= ck.now_ps - WINDOW_10_PS:
        ck.window_10 += 1
    while ck.window_60 < ck.n_arrived and arrived(s)[ck.window_60].time_ps <= ck.now_ps - WINDOW_60_PS:
        ck.window_60 += 1
    out[REQUEST.prompt] = shown_tokens(s, q)
    out[REQUEST.output_hint] = hints(s)[q]
    out[REQUEST.turn] = request.turn
    out[REQUEST.has_prev] = last_turn >= 0
    out[REQUEST.session_gap] = _seconds_since(s, last_turn)
    out[REQUEST.prefix_u] = request.prefix_u
    out[REQUEST.session_u] = request.session_u
    out[REQUEST.class_] = request.service_class
    promised = classes(s)[class_of(s, q)]
    out[REQUEST.slo_ttft] = promised.slo_ttft_ps * 1e-12
    out[REQUEST.slo_tpot] = promised.slo_tpot_ps * 1e-12
    out[REQUEST.route_gap] = _seconds_since(s, ck.previous_route_ps) if ck.previous_route_ps >= 0 else 0.0
    out[REQUEST.rate_10s] = (ck.n_arrived - ck.window_10) / 10.0
    out[REQUEST.rate_60s] = (ck.n_arrived - ck.window_60) / 60.0
    counted = max(1, cf.limit - cf.warmup)
    out[REQUEST.remaining] = min(1.0, (cf.limit - ck.n_arrived + (ck.request >= 0)) / counted)


@kernel
def shown_tokens(s, q):
    """Length of the prompt of request `q`; at a ROUTE decision with the tokens that it came back with."""
    return known_tokens(s, q) if clock(s).request == q else requests(s)[q].prompt_tokens


@kernel
def _seconds_since(s, time_ps):
    return (clock(s).now_ps - time_ps) * 1e-12 if time_ps >= 0 else DAY_S


@kernel
def observe_cache(s, w, q, at):
    """match, miss, match_age, is_prev, index_tokens and active_with: one walk down the prompt's path."""
    block = block_at(at, N_WORKER)
    cf = config(s)
    wk = workers(s)[w]
    pages = wk.index_pages if cf.shown == HISTORY else resident_pages(wk) + entered_in_burst(s, w)
    block[WORKER.index_tokens] = pages * cf.page_size
    if q < 0:
        block[WORKER.match] = block[WORKER.miss] = block[WORKER.match_age] = block[WORKER.is_prev] = 0.0
        block[WORKER.active_with] = wk.active_tokens
        return
    request = requests(s)[q]
    matched = 0
    matching = True
    sent_ps = -1
    active = 0
    for i in range(request.path_start, request.path_start + request.path_nodes):
        v = paths(s)[i]
        node = nodes(s)[v]
        limit = min(node.n_pages, request.prompt_pages - node.start_page)
        if limit <= 0:
            break
        r = row_of(s, w, v)
        entry = index_rows(s)[r]
        if matching:
            n = visible_pages(s, w, q, i)
            if node.slot >= cf.n_shared and progress(s)[q].worker != w:
                n = 0  # no other request has it; it is somewhere if `q` has been routed
            if n > 0 and entry.sent_ps >= 0:
                sent_ps = entry.sent_ps
            matched += min(n, limit)
            matching = n >= limit
        if entry.active > 0:
            active += node.n_pages
        elif not matching:
            break  # below a node that nobody here uses, nobody uses anything
    hit = hit_tokens(s, matched, request.prompt_tokens)
    block[WORKER.match] = hit
    block[WORKER.miss] = shown_tokens(s, q) - hit
    block[WORKER.match_age] = _seconds_since(s, sent_ps)
    block[WORKER.is_prev] = sessions(s)[request.session].worker == w
    joining = 0 if progress(s)[q].worker == w else request.prompt_tokens - active * cf.page_size
    block[WORKER.active_with] = wk.active_tokens + joining


@kernel
def _match(s, w, first_worker):
    """The match of worker `w` that has been written."""
    return np.int64(block_at(first_worker + w * CELL * N_WORKER, N_WORKER)[WORKER.match])


_best_source = best_source_by(_match)


@kernel
def observe_fetch(s, q, w, first_worker, at):
    """Tokens that could be fetched to worker `w`, and how long it takes; from the matches that have been written."""
    out = block_at(at, N_FETCH)
    out[:] = 0.0
    if q < 0 or not workers(s)[w].up:
        return
    own = _match(s, w, first_worker)
    _, best, end_ps = _best_source(s, w, first_worker, own)
    out[FETCH.fetch] = best - own
    out[FETCH.fetch_s] = (end_ps - clock(s).now_ps) * 1e-12


@kernel
def entered_in_burst(s, w):
    """Pages that the burst in progress has put into worker `w`'s tree so far; its row counts them at the end."""
    wk = workers(s)[w]
    # A burst may be cut to its first end.
    if wk.event_ps == INFINITE or (wk.burst == 1 and wk.event_ps > clock(s).now_ps):
        return 0
    size = config(s).page_size
    done = iterations_ended(wk, clock(s).now_ps)
    total = 0
    for i in range(wk.n_running):
        status = progress(s)[running(s)[w * config(s).max_running + i]]
        if status.decoding:
            total += (status.computed + done) // size - status.computed // size
    return total


@kernel
def observe_worker(s, w, at):
    """Features that are fixed, and those that the router counts itself."""
    block = block_at(at, N_WORKER)
    wk = workers(s)[w]
    block[WORKER.up] = wk.up
    block[WORKER.speed] = costs(s)[wk.cost].speed
    block[WORKER.kv_size] = wk.kv_pages / config(s).largest_kv_pages
    block[WORKER.inflight] = wk.inflight
    block[WORKER.waiting] = wk.waiting
    block[WORKER.n_sent] = wk.n_sent
    block[WORKER.prefill] = wk.prefill_estimate
    block[WORKER.sent_since_snapshot] = wk.sent_since_snapshot
    block[WORKER.ttft_ewma] = wk.ttft_ewma_s
    block[WORKER.tpot_ewma] = wk.tpot_ewma_s


@kernel
def observe_engine(s, w, at):
    """Engine metrics, of now or of the last snapshot."""
    block = block_at(at, N_WORKER)
    now = clock(s).now_ps
    wk = workers(s)[w]
    if config(s).metrics_period_ps == 0 and wk.up:
        block[WORKER.sent_since_snapshot] = block[WORKER.age] = 0.0
        block[WORKER.queued] = wk.n_queued + wk.n_fetching
        block[WORKER.running] = wk.n_running
        block[WORKER.queued_tokens] = wk.queued_tokens
        # An iteration that ends now has ended, inside a burst too.
        started = w < first_not_started(s)
        ends_now = wk.event_ps < INFINITE and iteration_end_ps(wk, iterations_ended(wk, now)) == now
        block[WORKER.kv_use] = kv_use(s, w, now if started else now - 1)
        block[WORKER.gen_tps] = gen_tps(s, w, now) if started or not ends_now else 0.0
        return
    block[WORKER.queued] = wk.seen_queued
    block[WORKER.running] = wk.seen_running
    block[WORKER.queued_tokens] = wk.seen_queued_tokens
    block[WORKER.kv_use] = wk.seen_kv_use
    block[WORKER.gen_tps] = wk.seen_gen_tps
    block[WORKER.age] = (now - wk.seen_ps) * 1e-12


@kernel
def first_not_started(s):
    """The first worker that has not started its next iteration: the one that asks for pages; transfers start before."""
    asking = clock(s).asking
    if asking > 0:
        for i in range(clock(s).n_transfers):
            if transfers(s)[i].stage == OPENING:
                return 0
    return asking

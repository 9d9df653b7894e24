"""How long an iteration takes, bursts of identical decodes in closed form (E4), the log, metrics of what is running.

Rules: docs/semantics.md#k2-duration, #d2-view.
"""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import (
    clock,
    config,
    costs,
    draws,
    g_table,
    iterations,
    nodes,
    paths,
    progress,
    requests,
    running,
    transfers,
    workers,
)
from kvgym.sim.base.requests import known_tokens, pages_for
from kvgym.sim.base.tables import INFINITE
from kvgym.sim.cache.tree import READY


@kernel
def launch(s, w):
    """Starts the planned iteration; without prefill, a burst of as many as will be identical."""
    wk = workers(s)[w]
    cost = costs(s)[wk.current_cost]
    tokens = wk.prefill_tokens + wk.decodes
    g = g_table(s)[wk.current_cost * (config(s).chunk_tokens + 1) + tokens]
    parts = cost.a_s * wk.pairs + cost.c_n * wk.chunks + cost.c_b * wk.decodes
    wk.start_ps = clock(s).now_ps
    wk.first_ps = max(1, g + np.int64(np.rint(parts)) + cost.q * wk.kv_tokens)
    if clock(s).n_transfers > 0 and wk.prefill_tokens > 0:
        wk.first_ps = max(wk.first_ps, _latest_layer_ps(s, w) - wk.start_ps)
    wk.slope_ps = cost.q * wk.decodes
    # After a preemption the head of the queue, or a waiting prefill, may try again at the very next start.
    wk.burst = burst_length(s, w) if wk.prefill_tokens == 0 and wk.preempted == 0 else 1
    wk.event_ps = iteration_end_ps(wk, wk.burst)
    if config(s).log_iterations:
        entry = iterations(s)[clock(s).n_log]
        clock(s).n_log += 1
        entry.worker = w
        entry.burst = wk.burst
        entry.start_ps = wk.start_ps
        entry.first_ps = wk.first_ps
        entry.slope_ps = wk.slope_ps
        entry.prefill_tokens = wk.prefill_tokens
        entry.chunks = wk.chunks
        entry.decodes = wk.decodes
        entry.queued = wk.n_queued
        entry.kv_tokens = wk.kv_tokens
        entry.wait_reason = wk.wait_reason
        entry.preempted = wk.preempted


@kernel
def _latest_layer_ps(s, w):
    """When the last layer of all KV is there that the planned iteration of worker `w` goes on from (T6), or 0.

    It lasts until then, so that a later chunk of the same request never finds its transfer under way.
    """
    time_ps = np.int64(0)
    for i in range(clock(s).n_transfers):
        transfer = transfers(s)[i]
        if transfer.stage == READY and transfer.target == w and progress(s)[transfer.request].chunk > 0:
            time_ps = max(time_ps, transfer.end_ps)
    return time_ps


@kernel
def logs_full(s):
    """Whether one more round of iteration starts might not fit: the caller grows the logs, which kernels can't."""
    cf = config(s)
    ck = clock(s)
    # Between two looks every worker starts one iteration, and may lose one in a crash.
    if cf.log_iterations and ck.n_log + 2 * cf.n_workers > len(iterations(s)):
        return True
    pages = 0  # no page is evicted twice meanwhile
    for w in range(cf.n_workers):
        pages += workers(s)[w].kv_pages
    return cf.log_draws and ck.n_draws + pages > len(draws(s))


@kernel
def iteration_end_ps(wk, j):
    """End of the j-th iteration of the burst in progress: each has `slope` more KV to read than the one before."""
    return wk.start_ps + j * wk.first_ps + wk.slope_ps * (j * (j - 1) // 2)


@kernel
def iterations_ended(wk, time_ps):
    """How many iterations of the burst in progress end at or before `time_ps`."""
    low, high = 0, wk.burst
    while low < high:
        middle = (low + high + 1) // 2
        if iteration_end_ps(wk, middle) <= time_ps:
            low = middle
        else:
            high = middle - 1
    return low


@kernel
def cut_burst(s, w, time_ps):
    """The burst in progress on worker `w` ends with its first iteration that ends at or after `time_ps`."""
    wk = workers(s)[w]
    if wk.event_ps == INFINITE or wk.burst == 1:
        return
    done = iterations_ended(wk, time_ps - 1) + 1
    if done < wk.burst:
        cut_log(s, w, done)
        wk.burst = done
        wk.event_ps = iteration_end_ps(wk, done)


@kernel
def cut_log(s, w, done):
    """Only `done` iterations of the burst in progress on worker `w` will have been: the log must say so."""
    if config(s).log_iterations:
        _last_log(s, w).burst -= workers(s)[w].burst - done


@kernel
def log_lost(s, w, done):
    """The iteration after the first `done` ones of the burst in progress on worker `w` ends now, for nothing."""
    if config(s).log_iterations:
        ck = clock(s)
        wk = workers(s)[w]
        entry = iterations(s)[ck.n_log]
        iterations(s)[ck.n_log] = _last_log(s, w)
        ck.n_log += 1
        entry.burst = 1
        entry.start_ps = iteration_end_ps(wk, done)
        entry.first_ps = ck.now_ps - entry.start_ps
        entry.kv_tokens = wk.kv_tokens + wk.decodes * done


@kernel
def _last_log(s, w):
    """The log's row of the burst in progress: the last one of this worker."""
    table = iterations(s)
    at = clock(s).n_log - 1
    while table[at].worker != w:
        at -= 1
    return table[at]


@kernel
def burst_length(s, w):
    """Length of the burst: up to the next end of a request, or a page that free ones can't give."""
    wk = workers(s)[w]
    size = config(s).page_size
    length = np.int64(2**40)
    for place in range(wk.n_running):
        q = running(s)[w * config(s).max_running + place]
        status = progress(s)[q]
        if status.decoding:
            length = min(length, requests(s)[q].output_tokens - status.emitted)
            request = requests(s)[q]
            i = status.full_nodes
            if i < request.path_nodes and nodes(s)[paths(s)[request.path_start + i]].slot < config(s).n_shared:
                # Its next full page may already be in the tree: that frees a page, so the burst ends there.
                length = min(length, size - (known_tokens(s, q) - 1) % size)
    if pages_taken(s, w, length) <= wk.free:
        return length
    low = 1  # pages of the first iteration have been taken
    while low < length:
        middle = (low + length + 1) // 2
        if pages_taken(s, w, middle) <= wk.free:
            low = middle
        else:
            length = middle - 1
    return low


@kernel
def pages_taken(s, w, n):
    """Pages that the decoding requests take in iterations 2 .. n of a burst."""
    total = 0
    for i in range(workers(s)[w].n_running):
        q = running(s)[w * config(s).max_running + i]
        status = progress(s)[q]
        if status.decoding:
            total += pages_for(s, known_tokens(s, q) + n - 1) - status.held_pages
    return total


@kernel
def kv_use(s, w, time_ps):
    """Share of the pages that running requests lock at `time_ps`, the burst in progress included."""
    wk = workers(s)[w]
    locked = wk.kv_pages - wk.free - wk.evictable
    if wk.event_ps < INFINITE and wk.burst > 1:
        started = min(iterations_ended(wk, time_ps) + 1, wk.burst)
        locked += pages_taken(s, w, started)
    return locked / wk.kv_pages


@kernel
def gen_tps(s, w, time_ps):
    """Output tokens per second of the iteration in progress at `time_ps`."""
    wk = workers(s)[w]
    if wk.event_ps == INFINITE or wk.decodes == 0:
        return 0.0
    index = min(iterations_ended(wk, time_ps), wk.burst - 1)
    return wk.decodes * 1e12 / (wk.first_ps + wk.slope_ps * index)


@kernel
def take_snapshot(s, time_ps):
    """Engine metrics of all workers as they were just before `time_ps`."""
    for w in range(config(s).n_workers):
        wk = workers(s)[w]
        if not wk.up:
            continue
        wk.seen_ps = time_ps
        wk.seen_queued = wk.n_queued + wk.n_fetching
        wk.seen_running = wk.n_running
        wk.seen_queued_tokens = wk.queued_tokens
        wk.seen_kv_use = kv_use(s, w, time_ps - 1)
        wk.seen_gen_tps = gen_tps(s, w, time_ps - 1)
        wk.sent_since_snapshot = 0
    clock(s).snapshot_ps = time_ps

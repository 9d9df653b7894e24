"""The end of an iteration, or of a burst of them: pages enter the tree, tokens come out, requests finish.

Rules: docs/semantics.md#c4-iteration-end, #e3-tokens.
"""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import clock, config, finished, progress, requests, running, workers
from kvgym.sim.base.requests import known_tokens, pages_for
from kvgym.sim.base.tables import INFINITE
from kvgym.sim.cache.eviction import hold
from kvgym.sim.cache.tree import enter_pages
from kvgym.sim.engine.due import queue_successors, update_worker
from kvgym.sim.engine.duration import cut_burst, iteration_end_ps
from kvgym.sim.engine.queues import forget_running
from kvgym.sim.evictors import dispatch as evictors
from kvgym.sim.routing.counts import on_finish, on_token


@kernel
def end_burst(s, w):
    """Books the burst that ends now on worker `w`, request by request in admission order."""
    wk = workers(s)[w]
    first = w * config(s).max_running
    batch = running(s)
    wk.event_ps = INFINITE
    wk.iterations += wk.burst
    wk.busy_ps += clock(s).now_ps - wk.start_ps
    kept = 0
    done = np.int64(0)
    if wk.burst > 1 and config(s).dates_pages:
        done = wk.burst - 1  # pages of earlier iterations are older than whoever finishes in the last one
        book_decodes(s, w, done)
    for i in range(wk.n_running):
        q = batch[first + i]
        status = progress(s)[q]
        if status.chunk > 0:
            _end_chunk(s, w, q)
        elif status.decoding and wk.decodes > 0:
            _end_decodes(s, w, q, done, wk.burst)
        if status.emitted == requests(s)[q].output_tokens:
            _finish(s, w, q)
        else:
            batch[first + kept] = q
            kept += 1
    wk.n_running = kept
    wk.decodes = wk.prefill_tokens = 0


@kernel
def book_decodes(s, w, done):
    """Books what the first `done` iterations of the burst in progress gave, before the others are over."""
    wk = workers(s)[w]
    for i in range(wk.n_running):
        q = running(s)[w * config(s).max_running + i]
        if progress(s)[q].decoding:
            _end_decodes(s, w, q, np.int64(0), done)


@kernel
def catch_up(s, w):
    """Books the iterations of worker `w` that are over, and the pages that the one in progress has taken.

    Somebody else is about to take, enter or stamp pages there: what the burst has done so far was before. The
    burst ends with the iteration in progress; if one ends now, it has ended.
    """
    wk = workers(s)[w]
    if wk.event_ps == INFINITE or wk.burst == 1:
        return
    cut_burst(s, w, clock(s).now_ps)
    if wk.event_ps == clock(s).now_ps:
        end_burst(s, w)
        update_worker(s, w)
        return
    done = wk.burst - 1
    book_decodes(s, w, done)
    wk.iterations += done
    for i in range(wk.n_running):
        q = running(s)[w * config(s).max_running + i]
        if progress(s)[q].decoding:
            hold(s, w, q, pages_for(s, known_tokens(s, q)) - progress(s)[q].held_pages)
    wk.busy_ps += iteration_end_ps(wk, done) - wk.start_ps
    wk.start_ps = iteration_end_ps(wk, done)
    wk.first_ps += wk.slope_ps * done
    wk.kv_tokens += wk.decodes * done
    wk.burst = 1
    update_worker(s, w)


@kernel
def _end_chunk(s, w, q):
    """A chunk of `q` is computed; the one that completes the known tokens emits the next token."""
    wk = workers(s)[w]
    status = progress(s)[q]
    size = config(s).page_size
    before = status.computed // size
    status.computed += status.chunk
    status.chunk = 0
    wk.recomputed += max(0, min(status.computed // size, status.tree_pages) - before)
    enter_pages(s, w, q, status.computed // size, clock(s).now_ps)
    if status.computed < known_tokens(s, q):
        wk.prefill = q
        return
    if wk.prefill == q:
        wk.prefill = -1
    status.decoding = 1
    _emit(s, w, q, np.int64(1))


@kernel
def _end_decodes(s, w, q, done, n):
    """The decode iterations of `q` after the first `done` ones and up to the n-th of the burst are over."""
    status = progress(s)[q]
    size = config(s).page_size
    before = status.computed - done  # at the start of the burst
    status.computed = before + n
    hold(s, w, q, pages_for(s, status.computed) - status.held_pages)
    pages = status.computed // size
    if config(s).dates_pages:
        for full in range(status.tree_pages + 1, pages):  # each at the end of the iteration that filled it
            enter_pages(s, w, q, full, iteration_end_ps(workers(s)[w], full * size - before))
    enter_pages(s, w, q, pages, iteration_end_ps(workers(s)[w], pages * size - before))
    _emit(s, w, q, n - done)


@kernel
def _emit(s, w, q, n):
    status = progress(s)[q]
    status.emitted += n
    if status.awaited:
        on_token(s, w, q)


@kernel
def _finish(s, w, q):
    ck = clock(s)
    progress(s)[q].finish_ps = ck.now_ps
    evictors.finished(s, w, q)
    forget_running(s, w, q)
    finished(s)[ck.n_finished] = q
    ck.n_finished += 1
    on_finish(s, w, q)
    queue_successors(s, q)

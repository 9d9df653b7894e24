"""The end of an iteration, or of a run of them: pages enter the tree, tokens come out, requests finish.

Rules C4 and E3 of docs/semantics.md.
"""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import clock, config, finished, progress, requests, running, workers
from kvgym.sim.base.requests import known_tokens, pages_for
from kvgym.sim.base.tables import INFINITE
from kvgym.sim.cache.allocation import hold
from kvgym.sim.cache.tree import enter_pages
from kvgym.sim.engine.arrivals import queue_successors
from kvgym.sim.engine.due import see_worker
from kvgym.sim.engine.duration import boundary, cut_run
from kvgym.sim.engine.preemption import forget_running
from kvgym.sim.evictors import dispatch as evictors
from kvgym.sim.routing.counts import see_finish, see_token


@kernel
def end_run(s, w):
    """Books the run that ends now on worker `w`, request by request in admission order."""
    wk = workers(s)[w]
    first = w * config(s).max_running
    batch = running(s)
    wk.event_ps = INFINITE
    wk.iterations += wk.run
    wk.busy_ps += clock(s).now_ps - wk.start_ps
    decodes = wk.decodes > 0
    kept = 0
    count = wk.n_running
    done = np.int64(0)
    if wk.run > 1 and config(s).dates_pages:
        done = wk.run - 1  # pages of earlier iterations are older than whoever finishes in the last one
        book_decodes(s, w, done)
    for i in range(count):
        q = batch[first + i]
        run = progress(s)[q]
        if run.chunk > 0:
            _end_chunk(s, w, q)
        elif run.decoding and decodes:
            _end_decodes(s, w, q, done, wk.run)
        if run.emitted == requests(s)[q].output_tokens:
            _finish(s, w, q)
        else:
            batch[first + kept] = q
            kept += 1
    wk.n_running = kept
    wk.decodes = 0
    wk.prefill_tokens = 0


@kernel
def book_decodes(s, w, done):
    """Books what the first `done` iterations of the run of decodes in progress gave, before the others are over."""
    wk = workers(s)[w]
    for i in range(wk.n_running):
        q = running(s)[w * config(s).max_running + i]
        if progress(s)[q].decoding:
            _end_decodes(s, w, q, np.int64(0), done)


@kernel
def catch_up(s, w):
    """Books the iterations of worker `w` that are over, and the pages that the one in progress has taken.

    Somebody else is about to take, enter or stamp pages there: what the run has done so far was before. The run ends
    with the iteration in progress; if one ends now, it has ended.
    """
    wk = workers(s)[w]
    if wk.event_ps == INFINITE or wk.run == 1:
        return
    cut_run(s, w, clock(s).now_ps)
    if wk.event_ps == clock(s).now_ps:
        end_run(s, w)
        see_worker(s, w)
        return
    done = wk.run - 1
    book_decodes(s, w, done)
    wk.iterations += done
    for i in range(wk.n_running):
        q = running(s)[w * config(s).max_running + i]
        if progress(s)[q].decoding:
            hold(s, w, q, pages_for(s, known_tokens(s, q)) - progress(s)[q].held_pages)
    wk.busy_ps += boundary(wk, done) - wk.start_ps
    wk.start_ps = boundary(wk, done)
    wk.first_ps += wk.slope_ps * done
    wk.kv_tokens += wk.decodes * done
    wk.run = 1
    see_worker(s, w)


@kernel
def _end_chunk(s, w, q):
    """A chunk of `q` is computed; the one that completes the known tokens emits the next token."""
    wk = workers(s)[w]
    run = progress(s)[q]
    size = config(s).page_size
    before = run.computed // size
    run.computed += run.chunk
    run.chunk = 0
    wk.recomputed += max(0, min(run.computed // size, run.tree_pages) - before)
    enter_pages(s, w, q, run.computed // size, clock(s).now_ps)
    if run.computed < known_tokens(s, q):
        wk.prefill = q
        return
    if wk.prefill == q:
        wk.prefill = -1
    run.decoding = 1
    _emit(s, w, q, 1)


@kernel
def _end_decodes(s, w, q, done, n):
    """The decode iterations of `q` after the first `done` ones and up to the n-th of the run are over."""
    run = progress(s)[q]
    size = config(s).page_size
    before = run.computed - done  # at the start of the run
    run.computed = before + n
    hold(s, w, q, pages_for(s, run.computed) - run.held_pages)
    pages = run.computed // size
    if config(s).dates_pages:
        for full in range(run.tree_pages + 1, pages):  # each at the end of the iteration that filled it
            enter_pages(s, w, q, full, boundary(workers(s)[w], full * size - before))
    enter_pages(s, w, q, pages, boundary(workers(s)[w], pages * size - before))
    _emit(s, w, q, n - done)


@kernel
def _emit(s, w, q, n):
    run = progress(s)[q]
    run.emitted += n
    if run.awaited:
        see_token(s, w, q)


@kernel
def _finish(s, w, q):
    ck = clock(s)
    progress(s)[q].finish_ps = ck.now_ps
    evictors.finished(s, w, q)
    forget_running(s, w, q)
    finished(s)[ck.n_finished] = q
    ck.n_finished += 1
    see_finish(s, w, q)
    queue_successors(s, q)

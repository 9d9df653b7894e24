"""The start of an iteration: who decodes, which chunks are prefilled, who is admitted.

Rules: docs/semantics.md#e1-iteration-start, #e2-admission.

A small state machine, `stage` in the worker's row. What it has planned is in the tables, so it can stop in an
allocation that waits for an EVICT decision, and go on later by the same calls.
"""

import math

from kvgym._kernel import kernel
from kvgym.sim.base import codes
from kvgym.sim.base.access import clock, config, progress, requests, running, workers
from kvgym.sim.base.requests import hit_tokens, known_tokens, pages_for
from kvgym.sim.cache.eviction import allocate, reserved_pages
from kvgym.sim.cache.tree import hold_prefix, resident_prefix
from kvgym.sim.engine.duration import launch
from kvgym.sim.engine.queues import pop_front, preempt
from kvgym.sim.evictors import dispatch as evictors

IDLE, DECODES, PREFILL, ADMISSIONS, LAST_DECODES = range(5)


@kernel
def start_iteration(s, w):
    """Plans the next iteration of idle worker `w` and launches it, if there is anything to compute.

    Returns True if an EVICT decision is due first.
    """
    wk = workers(s)[w]
    prefill_first = config(s).prefill_first
    while True:
        if wk.stage == IDLE:
            wk.prefill_tokens = wk.chunks = wk.decodes = wk.kv_tokens = wk.pairs = 0
            wk.cursor = wk.preempted = 0
            wk.wait_reason = codes.NO_WAIT
            wk.budget = config(s).chunk_tokens
            wk.stage = PREFILL if prefill_first else DECODES
        if wk.stage == DECODES:
            if plan_decodes(s, w):
                return True
            wk.stage = PREFILL
        if wk.stage == PREFILL:
            if plan_prefill(s, w):
                return True
            wk.stage = ADMISSIONS
        if wk.stage == ADMISSIONS:
            if plan_admissions(s, w):
                return True
            wk.stage = LAST_DECODES
        if prefill_first and wk.prefill_tokens == 0 and plan_decodes(s, w):
            return True
        wk.stage = IDLE
        if wk.prefill_tokens + wk.decodes > 0:
            launch(s, w)
            return False
        if wk.preempted == 0:  # else transfers lock so much that the last one went, too: a place may be free now
            return False


@kernel
def plan_decodes(s, w):
    """One token for each decoding request, in admission order; for a page that can't be had, somebody is preempted."""
    wk = workers(s)[w]
    first = w * config(s).max_running
    while wk.cursor < wk.n_running:
        q = running(s)[first + wk.cursor]
        if progress(s)[q].decoding:
            need = pages_for(s, known_tokens(s, q)) - progress(s)[q].held_pages
            outcome = codes.GRANTED
            while need > 0:  # the token opens a new page
                outcome = allocate(s, w, q, need)
                if outcome != codes.REFUSED or preempt(s, w) == q:
                    break
            if outcome == codes.ASKED:
                return True
            if outcome == codes.GRANTED:
                wk.decodes += 1
                wk.kv_tokens += known_tokens(s, q)
        wk.cursor += 1
    wk.budget -= wk.decodes
    return False


@kernel
def plan_prefill(s, w):
    """The next chunk of the unfinished prefill: pages for all of it, or it waits."""
    wk = workers(s)[w]
    q = wk.prefill
    if q < 0 or wk.prefill_waits:
        return False
    status = progress(s)[q]
    tokens = min(wk.budget, known_tokens(s, q) - status.computed)
    outcome = allocate(s, w, q, max(0, pages_for(s, status.computed + tokens) - status.held_pages))
    if outcome == codes.GRANTED:
        add_chunk(s, w, q, tokens)
    elif outcome == codes.REFUSED:
        wk.prefill_waits = 1
    return outcome == codes.ASKED


@kernel
def add_chunk(s, w, q, tokens):
    """The next iteration prefills `tokens` tokens of request `q`."""
    wk = workers(s)[w]
    status = progress(s)[q]
    status.chunk = tokens
    wk.prefill_tokens += tokens
    wk.chunks += 1
    wk.pairs += tokens * status.computed + tokens * (tokens + 1) // 2
    wk.budget -= tokens


@kernel
def plan_admissions(s, w):
    """Admits from the head of the queue while budget and places are left, one request at a time."""
    wk = workers(s)[w]
    cf = config(s)
    if wk.admit_tokens > 0 and not _give_first_chunk(s, w):
        return True
    while wk.n_queued > 0:
        if wk.preempted > 0 and not cf.prefill_first:
            wk.wait_reason = codes.WAIT_PREEMPTION
        elif wk.prefill_waits:
            wk.wait_reason = codes.WAIT_PREFILL
        elif wk.n_running >= cf.max_running:
            wk.wait_reason = codes.WAIT_PLACES
        elif wk.budget <= 0:
            wk.wait_reason = codes.WAIT_BUDGET
        elif wk.head_refused:
            wk.wait_reason = codes.WAIT_RETRY
        elif not admit_head(s, w):
            wk.wait_reason = codes.WAIT_PAGES
            wk.head_refused = 1
        elif not _give_first_chunk(s, w):
            return True
        else:
            continue
        return False
    return False


@kernel
def admit_head(s, w):
    """Takes the head of the queue into the batch, its resident prefix locked. False, nothing changed, if refused."""
    wk = workers(s)[w]
    cf = config(s)
    q = wk.queue_head
    request = requests(s)[q]
    status = progress(s)[q]
    known = known_tokens(s, q)
    resident, unlocked = resident_prefix(s, w, q, known // cf.page_size)
    hit = hit_tokens(s, resident, known)
    tokens = min(wk.budget, known - hit)
    pages = max(0, pages_for(s, hit + tokens) - resident)
    reserve = 0
    if cf.prefill_first:
        reserve = pages_for(s, request.prompt_tokens + math.ceil(cf.reserve_output * request.output_tokens))
    # An empty worker always admits: a reservation larger than the whole cache would wait for ever.
    promised = 0 if wk.n_running == 0 else max(0, reserve - resident) + wk.reserved
    if wk.free + wk.evictable - unlocked < max(pages, promised):
        return False
    pop_front(s, w)
    wk.queued_tokens -= known
    running(s)[w * cf.max_running + wk.n_running] = q
    wk.n_running += 1
    hold_prefix(s, w, q, resident)
    wk.counter += 1
    status.reserve_pages = reserve
    wk.reserved += reserved_pages(status)
    status.computed = hit
    wk.hit += hit // cf.page_size
    if status.admitted_ps < 0:
        status.admitted_ps = clock(s).now_ps
        status.hit_tokens = hit
        clock(s).n_admitted += 1
    evictors.touched(s, w, q, resident)
    wk.admit_tokens = tokens
    wk.admit_pages = pages
    return True


@kernel
def _give_first_chunk(s, w):
    """Pages for the first chunk of the request that has just been admitted. False if an EVICT decision is due first."""
    wk = workers(s)[w]
    q = running(s)[w * config(s).max_running + wk.n_running - 1]
    if allocate(s, w, q, wk.admit_pages) == codes.ASKED:
        return False
    add_chunk(s, w, q, wk.admit_tokens)
    wk.admit_tokens = 0
    return True

"""Counts of when a request arrives, is routed, emits its first token, finishes: router counts and costs."""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import (
    arrived,
    classes,
    clock,
    config,
    index_rows,
    nodes,
    page_ids,
    paths,
    progress,
    requests,
    sessions,
    workers,
)
from kvgym.sim.base.codes import HISTORY, SPECULATIVE
from kvgym.sim.base.requests import class_of, known_tokens, was_scored
from kvgym.sim.base.rows import row_of
from kvgym.sim.evictors import dispatch as evictors
from kvgym.sim.routing.view import most_pages_in_flight, remember_prompt

EWMA_GAIN = 1 / 16


@kernel
def on_arrival(s, q):
    """Request `q` arrives now; pages of its prompt that no earlier prompt held get numbers, in order of appearance."""
    ck = clock(s)
    status = progress(s)[q]
    request = requests(s)[q]
    status.arrived_ps = ck.now_ps
    status.decision = ck.n_arrived - config(s).warmup
    arrived(s)[ck.n_arrived].time_ps = ck.now_ps
    arrived(s)[ck.n_arrived].request = q
    ck.n_arrived += 1
    for i in range(request.path_start, request.path_start + request.path_nodes):
        v = paths(s)[i]
        pages = min(nodes(s)[v].n_pages, request.prompt_pages - nodes(s)[v].start_page)
        if pages <= 0:
            break
        if page_ids(s)[v] < 0:
            page_ids(s)[v] = ck.next_page_id
            ck.next_page_id += pages
    if was_scored(s, q):
        ck.scored += 1
        ck.scored_waiting += 1


@kernel
def on_route(s, q, w, visible_hit):
    """Request `q` is sent to worker `w`."""
    ck = clock(s)
    wk = workers(s)[w]
    request = requests(s)[q]
    status = progress(s)[q]
    status.worker = w
    status.awaited = 1
    status.miss_estimate = known_tokens(s, q) - visible_hit
    if was_scored(s, q):
        status.decision = ck.n_decided
        ck.n_decided += 1
    wk.n_sent += 1
    wk.inflight += 1
    wk.waiting += 1
    wk.prefill_estimate += status.miss_estimate
    wk.sent_since_snapshot += status.miss_estimate
    evictors.routed(s, q)
    session = sessions(s)[request.session]
    session.arrived_ps = ck.now_ps
    session.worker = w
    session.request = q
    session.turns += status.returns == 0
    session.tokens = request.prompt_tokens
    ck.previous_route_ps = ck.now_ps
    _count_in_flight(s, w, q, np.int64(1))
    if config(s).shown == HISTORY:
        remember_prompt(s, w, q)


@kernel
def on_refusal(s, q):
    """Request `q` is refused. It was not routed: no count of a worker or of its session hears of it."""
    ck = clock(s)
    status = progress(s)[q]
    status.refused_ps = ck.now_ps
    evictors.refused(s, q)
    ck.previous_route_ps = ck.now_ps
    if was_scored(s, q):
        status.decision = ck.n_decided
        ck.n_decided += 1
        ck.scored -= 1
        ck.scored_waiting -= status.first_token_ps < 0
        cost = classes(s)[class_of(s, q)].refusal_cost_ps
        ck.cost_e2e_ps += cost
        ck.cost_ttft_ps += cost


@kernel
def _count_in_flight(s, w, q, change):
    """The prompt of request `q` joins (+1) or leaves (-1) the distinct tokens in flight on worker `w`.

    Counted node by node are those at the start of its path that lie whole in it and that other requests may share.
    """
    request = requests(s)[q]
    wk = workers(s)[w]
    own = request.prompt_tokens
    for i in range(request.path_start, request.path_start + request.path_nodes):
        v = paths(s)[i]
        node = nodes(s)[v]
        entry = index_rows(s)[row_of(s, w, v)]
        is_shared = node.slot < config(s).n_shared
        counts = is_shared and node.start_page + node.n_pages <= request.prompt_pages
        if change > 0 and (counts or not is_shared):
            entry.sent_ps = clock(s).now_ps
        if not counts:
            if is_shared and node.start_page < request.prompt_pages and config(s).shown == SPECULATIVE:
                _count_part(s, w, q, i, change)  # no other view looks at it
            break
        tokens = node.n_pages * config(s).page_size
        own -= tokens
        before = entry.active
        entry.active += change
        if before == 0 or entry.active == 0:
            wk.active_tokens += change * tokens
    wk.active_tokens += change * own


@kernel
def _count_part(s, w, q, i, change):
    """The prompt of request `q`, which ends within the i-th of `paths`, joins or leaves those in flight on `w`."""
    v = paths(s)[i]
    entry = index_rows(s)[row_of(s, w, v)]
    pages = requests(s)[q].prompt_pages - nodes(s)[v].start_page
    entry.parts += change
    if change > 0:
        entry.part_pages = max(entry.part_pages, pages)
    elif entry.part_pages == pages:
        entry.part_pages = most_pages_in_flight(s, w, q, i) if entry.parts > 0 else 0


@kernel
def on_token(s, w, q):
    """Worker `w` emits a token of request `q`, the first one since it was sent there."""
    ck = clock(s)
    wk = workers(s)[w]
    status = progress(s)[q]
    status.awaited = 0
    wk.waiting -= 1
    wk.prefill_estimate -= status.miss_estimate
    if status.first_token_ps >= 0:
        return
    status.first_token_ps = ck.now_ps
    ttft_s = (ck.now_ps - status.arrived_ps) * 1e-12
    wk.ttft_ewma_s += EWMA_GAIN * (ttft_s - wk.ttft_ewma_s)
    if was_scored(s, q):
        ck.scored_waiting -= 1


@kernel
def on_finish(s, w, q):
    """Worker `w` emits the last token of request `q`."""
    ck = clock(s)
    wk = workers(s)[w]
    status = progress(s)[q]
    request = requests(s)[q]
    wk.inflight -= 1
    session = sessions(s)[request.session]
    if session.request == q:
        session.tokens += request.output_tokens
    tokens = request.output_tokens - 1
    if tokens > 0:
        tpot_s = (ck.now_ps - status.first_token_ps) * 1e-12 / tokens
        wk.tpot_ewma_s += EWMA_GAIN * (tpot_s - wk.tpot_ewma_s)
    _count_in_flight(s, w, q, np.int64(-1))
    if was_scored(s, q):
        ck.scored -= 1

"""Routing rules that the kernel itself knows."""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import clock, config, workers
from kvgym.sim.base.codes import (
    LEAST_LOADED,
    LEAST_PREFILL_AGED,
    LMETRIC,
    PREFIX_AFFINITY,
    RANDOM_ROUTER,
    ROUND_ROBIN,
)
from kvgym.sim.base.random import below
from kvgym.sim.base.requests import known_tokens
from kvgym.sim.routing.view import visible_hit, visible_match

MISS_WEIGHT = 8
"""Of a request's own misses, with `least_prefill`: ours, as in the agent `lpwl_miss8`."""
COLD_PS = 30 * 10**12
"""`least_prefill_aged` takes a match for cold that was sent longer ago: ours, as in the agent `lpwl_aged`."""


@kernel
def choose_worker(s, q, rule):
    """Worker for request `q` by one of ``codes.ROUTERS``."""
    n = config(s).n_workers
    ck = clock(s)
    if rule == RANDOM_ROUTER:
        return _random_worker(s, n)
    if rule == ROUND_ROBIN:
        w = ck.turn
        while not workers(s)[w].up:
            w = (w + 1) % n
        ck.turn = (w + 1) % n
        return w
    if rule > PREFIX_AFFINITY:
        return _least_prefill(s, q, rule)
    # Most visible hit tokens (nobody looks at them with least_loaded), then least loaded, then the lowest index.
    best = best_hit = best_load = np.int64(-1)
    for w in range(n):
        wk = workers(s)[w]
        if not wk.up:
            continue
        hit = np.int64(0) if rule == LEAST_LOADED else visible_hit(s, w, q)
        load = wk.n_queued + wk.n_fetching + wk.n_running
        if hit > best_hit or (hit == best_hit and load < best_load):
            best, best_hit, best_load = np.int64(w), hit, load
    return best


@kernel
def _least_prefill(s, q, rule):
    """The worker with the lowest score of pending prefill and misses of request `q`, see docs/semantics.md#d1-rules."""
    n = config(s).n_workers
    known = np.int64(known_tokens(s, q))
    turn = np.int64(0) if rule == LMETRIC else clock(s).turn
    best = np.int64(-1)
    lowest = fewest = np.int64(0)
    for i in range(n):
        w = turn + i
        w -= n if w >= n else 0
        wk = workers(s)[w]
        if not wk.up:
            continue
        hit, sent_ps = visible_match(s, w, q)
        if rule == LEAST_PREFILL_AGED and (sent_ps < 0 or clock(s).now_ps - sent_ps > COLD_PS):
            hit = 0
        if rule == LMETRIC:
            score, inflight = (wk.prefill_estimate + known - hit) * (wk.inflight + 1), np.int64(0)
        else:
            score, inflight = wk.prefill_estimate + MISS_WEIGHT * (known - hit), wk.inflight
        if best < 0 or score < lowest or (score == lowest and inflight < fewest):
            best, lowest, fewest = w, score, inflight
    if rule != LMETRIC:
        clock(s).turn = (best + 1) % n
    return best


@kernel
def _random_worker(s, n):
    """One of the workers that are up."""
    if config(s).n_faults == 0:
        return below(clock(s), n)
    n_up = 0
    for w in range(n):
        n_up += workers(s)[w].up
    left = below(clock(s), n_up)
    w = -1
    while left >= 0:
        w += 1
        left -= workers(s)[w].up
    return w

"""Routing rules that the kernel itself knows."""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import clock, config, workers
from kvgym.sim.base.codes import LEAST_LOADED, RANDOM_ROUTER, ROUND_ROBIN
from kvgym.sim.base.random import below
from kvgym.sim.routing.view import visible_hit


@kernel
def choose_worker(s, q, rule):
    """Worker for request `q` by one of ``rules.ROUTERS``."""
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
    if rule == LEAST_LOADED:
        return _least_loaded(s, n)
    return _prefix_affinity(s, q, n)


@kernel
def _random_worker(s, n):
    """One of the workers that are up."""
    if config(s).n_faults == 0:
        return below(clock(s), n)
    n_up = 0
    for w in range(n):
        n_up += workers(s)[w].up
    left = below(clock(s), n_up)
    w = 0
    while True:
        if workers(s)[w].up:
            if left == 0:
                return w
            left -= 1
        w += 1


@kernel
def _load(s, w):
    wk = workers(s)[w]
    return wk.n_queued + wk.n_fetching + wk.n_running


@kernel
def _least_loaded(s, n):
    """Fewest queued and running requests; the lowest index of equals."""
    best = np.int64(-1)
    for w in range(n):
        if workers(s)[w].up and (best < 0 or _load(s, w) < _load(s, best)):
            best = w
    return best


@kernel
def _prefix_affinity(s, q, n):
    """Most visible hit tokens, then least loaded, then the lowest index."""
    best = np.int64(-1)
    best_hit = np.int64(-1)
    for w in range(n):
        if not workers(s)[w].up:
            continue
        hit = visible_hit(s, w, q)
        if hit > best_hit or (hit == best_hit and _load(s, w) < _load(s, best)):
            best = w
            best_hit = hit
    return best

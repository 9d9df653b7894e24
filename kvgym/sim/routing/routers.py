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

"""The kernels that play on from a copy of a simulator's tables: what would come of sending a request there?"""

import numpy as np

from kvgym._kernel import entry_point, kernel
from kvgym.sim import events
from kvgym.sim.base.access import clock, copy_bytes, workers
from kvgym.sim.base.codes import ROUTE
from kvgym.sim.base.tables import INFINITE
from kvgym.sim.evictors import ASK
from kvgym.sim.routing.routers import choose_worker


@kernel
def play_on(s, rule, plan, kin, moved, w_moved):
    """Runs to the end by a plan in which request `moved`, and those of its kin that went with it, go elsewhere.

    `plan` has a worker per request, or nothing at all; `rule` decides where it has none (-1) or one that is down.
    """
    while events.advance(s, INFINITE) == ROUTE:
        q = clock(s).request
        w = np.int64(-1)
        if q < len(plan):
            w = np.int64(plan[q])
            if kin[q] == kin[moved] and w == plan[moved]:
                w = w_moved
        if w < 0 or not workers(s)[w].up:
            w = choose_worker(s, q, rule)
        events.route(s, w, np.int64(ASK))


@entry_point("void(int64[:, ::1], int64, int64, int32[::1], int32[::1], float64[:, ::1])")
def try_workers(copies, s, rule, plan, kin, costs):
    """Sends the request that is due to each worker that is up, and plays on to the end of scratch tables.

    Args:
        copies: Address of a table, of its scratch copy, and bytes: all that changes as time passes.
        s: Handle of the scratch tables.
        rule: See `play_on`.
        plan: Likewise.
        kin: Likewise: a label per request, or nothing at all.
        costs: Written: (M, 2), the costs since the start (request seconds), e2e and ttft; infinite where one is down.
    """
    for w in range(len(costs)):
        for i in range(len(copies)):
            copy_bytes(copies[i, 1], copies[i, 0], copies[i, 2])
        if not workers(s)[w].up:
            costs[w] = np.inf
            continue
        moved = clock(s).request
        events.route(s, np.int64(w), np.int64(ASK))
        play_on(s, rule, plan, kin, moved, np.int64(w))
        costs[w, 0] = clock(s).cost_e2e_ps * 1e-12
        costs[w, 1] = clock(s).cost_ttft_ps * 1e-12


@entry_point("int64(int64, int64)")
def choose(s, rule):
    """The worker that a rule takes for the request that is due."""
    return choose_worker(s, clock(s).request, rule)

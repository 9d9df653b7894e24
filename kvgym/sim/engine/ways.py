"""Requests on their way: routed, and not yet at their worker, since a decision takes time (docs/semantics.md#d1-time).

`ways` is a ring: the router takes one decision at a time, so they come in the order in which they were decided.
"""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import clock, progress, ways
from kvgym.sim.base.tables import INFINITE
from kvgym.sim.engine.due import RETURNED_PS, push_pending


@kernel
def take_time(s):
    """The router takes the decision that is due; returns when it takes effect."""
    ck = clock(s)
    ck.router_free_ps = max(ck.router_free_ps, ck.now_ps) + ck.decision_ps
    return ck.router_free_ps


@kernel
def send(s, q, time_ps):
    """Request `q` will come to its worker at `time_ps`."""
    way = ways(s)[clock(s).end_way % len(ways(s))]
    way.time_ps = time_ps
    way.request = q
    clock(s).end_way += 1


@kernel
def next_way_ps(s):
    """When the next request comes to its worker; INFINITE = none is on its way."""
    ck = clock(s)
    return ways(s)[ck.first_way % len(ways(s))].time_ps if ck.first_way < ck.end_way else INFINITE


@kernel
def pop_way(s):
    """The request that comes next."""
    q = ways(s)[clock(s).first_way % len(ways(s))].request
    clock(s).first_way += 1
    return q


@kernel
def call_back(s, w):
    """Requests on their way to worker `w` go back to the router; the others stay in their order."""
    ck = clock(s)
    kept = ck.first_way
    for i in range(ck.first_way, ck.end_way):
        way = ways(s)[i % len(ways(s))]
        if progress(s)[way.request].worker == w:
            push_pending(s, np.int64(RETURNED_PS), way.request)
        else:
            place = ways(s)[kept % len(ways(s))]
            place.time_ps, place.request = way.time_ps, way.request
            kept += 1
    ck.end_way = kept

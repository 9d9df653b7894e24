"""The kernels that the environments call, compiled ahead and cached on disk."""

import numpy as np

from kvgym._kernel import entry_point, kernel
from kvgym.envs.kernels.codes import EVICT_BY, EVICT_LEAF, LOOK, ROUTES, SEND, SKIP
from kvgym.envs.kernels.observe import due_request, observe
from kvgym.sim import events
from kvgym.sim.base.access import candidates, clock, config, requests, workers
from kvgym.sim.base.codes import EVICT, ROUTE
from kvgym.sim.base.prefetch import prefetch_paths, prefetch_requests
from kvgym.sim.base.tables import INFINITE
from kvgym.sim.cache.candidates import evict_by_rule, evict_candidate
from kvgym.sim.evictors import ASK

# code of `rules`, cost e2e, cost ttft, time (all in seconds), session
_RESULT = "Tuple((int64, float64, float64, float64, int64))"


@kernel
def _go_on(s, form, out):
    """Runs to the next decision, if none is due, and observes it."""
    ck = clock(s)
    if ck.request >= 0:
        code = ROUTE
    elif ck.asking >= 0:
        code = EVICT
    else:
        code = events.advance(s, INFINITE)
    observe(s, form, out)
    q = due_request(s)
    session = requests(s)[q].session if q >= 0 else -1
    return code, ck.cost_e2e_ps * 1e-12, ck.cost_ttft_ps * 1e-12, ck.now_ps * 1e-12, session


@kernel
def _pay(s):
    """The costs up to here belong to earlier steps."""
    clock(s).cost_e2e_ps = 0.0
    clock(s).cost_ttft_ps = 0.0


@entry_point(_RESULT + "(int64, int64, int64, float32[::1])")
def step(s, worker, form, out):
    """Routes, then runs to the next decision.

    Returns (code, cost e2e, cost ttft, time, session): times and costs in seconds, costs of this step.
    """
    ck = clock(s)
    ck.n_reported = ck.n_finished
    _pay(s)
    events.route(s, worker, np.int64(ASK))
    return _go_on(s, form, out)


@kernel
def _act(s, kind, choice, rule, form, out, filled):
    ck = clock(s)
    if kind != LOOK:
        ck.n_reported = ck.n_finished
    if kind == SEND:
        events.route(s, choice, rule)
    elif kind == EVICT_LEAF:
        evict_candidate(s, choice)
    elif kind == EVICT_BY:
        evict_by_rule(s, choice)
    result = _go_on(s, form, out)
    for slot in range(config(s).n_candidates):
        filled[slot] = ck.asking >= 0 and candidates(s)[slot] >= 0
    return result


@entry_point(_RESULT + "(int64, int64, int64, int64, int64, float32[::1], int8[::1])")
def act(s, kind, choice, rule, form, out, filled):
    """Does what `kind` says, then runs to the next decision and says which candidate slots are `filled`.

    Returns what `step` returns, but with the costs since the start.
    """
    return _act(s, kind, choice, rule, form, out, filled)


@entry_point(
    "int64(int64, int64, int64[::1], int64[:, ::1], boolean, boolean, float64, int64, float32[:, ::1], int8[:, ::1], "
    "int64, int64[:, ::1], float64[:, ::1], float64[:, ::1])"
)
def act_many(first, last, handles, plan, pays, ttft, per_cost, form, out, masks, first_slot, whole, real, paid):
    """`act` for environments `first` .. `last` - 1, a column of `whole`, `real` and `paid` and a row of the rest each.

    `plan` holds kind, choice and rule; `pays`: costs are counted from step to step. Writes observations into `out`,
    which slots are filled into the columns of `masks` from `first_slot` on, code, session and requests arrived so far
    into `whole`, reward and dt into `real`; `paid` holds the cost paid so far and the time. Returns how many ended.
    """
    ended = 0
    for i in range(first, last):
        if i + 2 < last:
            prefetch_requests(handles[i + 2])
        if i + 1 < last:
            prefetch_paths(handles[i + 1])
        if plan[i, 0] == SKIP:
            continue
        s = handles[i]
        if pays:
            _pay(s)
        code, e2e, to_first_token, time, session = _act(
            s, plan[i, 0], plan[i, 1], plan[i, 2], form, out[i], masks[i, first_slot:]
        )
        if code == ROUTE and form & ROUTES and config(s).n_faults > 0:
            for w in range(config(s).n_workers):
                masks[i, w] = workers(s)[w].up
        cost = to_first_token if ttft else e2e
        whole[0, i] = code
        whole[1, i] = session
        whole[2, i] = clock(s).n_arrived
        real[0, i] = (cost - paid[0, i]) * per_cost
        real[1, i] = time - paid[1, i]
        if not pays:
            paid[0, i] = cost
        paid[1, i] = time
        if code not in (ROUTE, EVICT):
            ended += 1
    return ended

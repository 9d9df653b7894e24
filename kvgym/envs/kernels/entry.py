"""The kernels that the environments call, compiled ahead and cached on disk."""

import numpy as np

from kvgym._kernel import entry_point, kernel
from kvgym.envs.kernels import codes
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
def _begin_step(s, form):
    """The agent decides: what has finished and what it has cost so far belongs to earlier steps.

    The first step also pays for what came before it. The one place where costs begin anew: rewards of KVGym/Route-v0
    are sums over a step and not differences of sums over an episode, which are the same but for the last bits.
    """
    ck = clock(s)
    ck.n_reported = ck.n_finished
    if form & codes.COSTS_ANEW:
        ck.cost_e2e_ps = ck.cost_ttft_ps = 0.0
    elif ck.n_steps > 0:
        ck.paid_e2e_s = ck.cost_e2e_ps * 1e-12
        ck.paid_ttft_s = ck.cost_ttft_ps * 1e-12
    ck.n_steps += 1


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
    e2e_s = ck.cost_e2e_ps * 1e-12 - ck.paid_e2e_s
    ttft_s = ck.cost_ttft_ps * 1e-12 - ck.paid_ttft_s
    return code, e2e_s, ttft_s, ck.now_ps * 1e-12, session


@kernel
def _write_mask(s, code, form, mask):
    """Legal actions: workers, where the agent routes, then candidate slots; all of them where no decision is due.

    What else a mask has, rules or the refusal, is always legal and is left as it is.
    """
    ended = code not in (ROUTE, EVICT)
    first = config(s).n_workers if form & codes.ROUTES else 0
    fails = config(s).n_faults > 0
    for w in range(first):
        mask[w] = ended or (code == ROUTE and not (fails and not workers(s)[w].up))
    if form & codes.EVICTS:
        for slot in range(config(s).n_candidates):
            mask[first + slot] = ended or (code == EVICT and candidates(s)[slot] >= 0)


@entry_point(_RESULT + "(int64, int64, int64, float32[::1])")
def step(s, worker, form, out):
    """`act` for SEND without a rule's name and a mask, with fewer arguments: each takes a thirtieth of a step."""
    _begin_step(s, form)
    events.route(s, worker, np.int64(ASK))
    return _go_on(s, form, out)


@kernel
def _act(s, kind, choice, rule, form, out, mask):
    if kind not in (codes.LOOK, codes.FORWARD):
        _begin_step(s, form)
    if kind in (codes.SEND, codes.FORWARD):
        events.route(s, choice, rule)
    elif kind == codes.EVICT_LEAF:
        evict_candidate(s, choice)
    elif kind == codes.EVICT_BY:
        evict_by_rule(s, choice)
    elif kind == codes.REFUSE:
        events.refuse(s)
    result = _go_on(s, form, out)
    _write_mask(s, result[0], form, mask)
    return result


@entry_point(_RESULT + "(int64, int64, int64, int64, int64, float32[::1], int8[::1])")
def act(s, kind, choice, rule, form, out, mask):
    """Does what `kind` says, then runs to the next decision; writes observation and mask.

    Returns (code, cost e2e, cost ttft, time, session): costs of the step so far, in request seconds, and time in s.
    """
    return _act(s, kind, choice, rule, form, out, mask)


@entry_point(
    "int64(int64, int64, int64[::1], int64[:, ::1], boolean, float64, int64, float32[:, ::1], int8[:, ::1], "
    "int64[:, ::1], float64[:, ::1], float64[::1])"
)
def act_many(first, last, handles, plan, ttft, per_cost, form, out, masks, whole, real, times):
    """`act` for environments `first` .. `last` - 1, a column of `whole` and `real` and a row of the rest each.

    `plan` holds kind, choice and rule. Writes observations into `out`, `masks`, code, session and requests arrived so
    far into `whole`, reward and dt into `real`, and `times`. Returns how many episodes have ended.
    """
    ended = 0
    for i in range(first, last):
        if i + 2 < last:
            prefetch_requests(handles[i + 2])
        if i + 1 < last:
            prefetch_paths(handles[i + 1])
        if plan[i, 0] == codes.SKIP:
            continue
        s = handles[i]
        code, e2e, to_first_token, time, session = _act(s, plan[i, 0], plan[i, 1], plan[i, 2], form, out[i], masks[i])
        whole[0, i] = code
        whole[1, i] = session
        whole[2, i] = clock(s).n_arrived
        real[0, i] = (to_first_token if ttft else e2e) * per_cost
        real[1, i] = time - times[i]
        times[i] = time
        if code not in (ROUTE, EVICT):
            ended += 1
    return ended

"""The kernels that the environments call, compiled ahead and cached on disk."""

import numpy as np

from kvgym._kernel import entry_point, kernel
from kvgym.envs.kernels import codes, costs
from kvgym.envs.kernels.observe import due_request, observe
from kvgym.sim import events
from kvgym.sim.base.access import candidates, clock, config, finished, progress, requests, workers
from kvgym.sim.base.codes import EVICT, ROUTE
from kvgym.sim.base.prefetch import prefetch_paths, prefetch_requests
from kvgym.sim.base.tables import INFINITE
from kvgym.sim.cache.candidates import evict_by_rule, evict_candidate
from kvgym.sim.evictors import ASK

# code of `rules`, cost that the reward pays, time (s), session
_RESULT = "Tuple((int64, float64, float64, int64))"


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
    if form & codes.COUNTS_MISSES:
        costs.count_misses(s)
    return code, costs.paid_cost(s, form), ck.now_ps * 1e-12, session


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
    costs.begin_step(s, form)
    events.route(s, worker, np.int64(ASK))
    return _go_on(s, form, out)


@kernel
def _act(s, kind, choice, rule, form, out, mask):
    if kind not in (codes.LOOK, codes.FORWARD):
        costs.begin_step(s, form)
    if kind in (codes.SEND, codes.FORWARD):
        events.route(s, choice, rule)
    elif kind == codes.EVICT_LEAF:
        evict_candidate(s, choice)
    elif kind == codes.EVICT_BY:
        evict_by_rule(s, choice)
    elif kind == codes.REFUSE:
        if form & codes.COUNTS_MISSES:
            costs.count_refusal(s)
        events.refuse(s)
    result = _go_on(s, form, out)
    _write_mask(s, result[0], form, mask)
    return result


@entry_point(_RESULT + "(int64, int64, int64, int64, int64, float32[::1], int8[::1])")
def act(s, kind, choice, rule, form, out, mask):
    """Does what `kind` says, then runs to the next decision; writes observation and mask.

    Returns (code, cost, time, session): the cost of the step so far that the reward pays, and the time in s.
    """
    return _act(s, kind, choice, rule, form, out, mask)


@entry_point(
    "int64(int64, int64, int64[::1], int64[:, ::1], int64, float32[:, ::1], int8[:, ::1], int64[:, ::1], "
    "float64[:, ::1], float64[::1], float64[:, ::1])"
)
def act_many(first, last, handles, plan, form, out, masks, whole, real, times, all_costs):
    """`act` for environments `first` .. `last` - 1, a column of `whole` and `real` and a row of the rest each.

    `plan` holds kind, choice and rule. Writes observations into `out`, `masks`, code, session and requests arrived so
    far into `whole`, cost and dt into `real`, `times`, and all costs of the step into `all_costs` unless it is empty.
    Returns how many episodes have ended.
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
        code, cost, time, session = _act(s, plan[i, 0], plan[i, 1], plan[i, 2], form, out[i], masks[i])
        whole[0, i] = code
        whole[1, i] = session
        whole[2, i] = clock(s).n_arrived
        real[0, i] = cost
        real[1, i] = time - times[i]
        times[i] = time
        if len(all_costs) > 0:
            costs.write_costs(s, all_costs[i])
        if code not in (ROUTE, EVICT):
            ended += 1
    return ended


@entry_point("void(int64, float64[::1])")
def all_costs(s, out):
    """All costs of the last step, as `codes.COSTS` names them."""
    costs.write_costs(s, out)


@entry_point("int64(int64, int64, float64[:, ::1])")
def read_finished(s, first, out):
    """Writes a row of `base.FINISHED_COLUMNS` for each request that finished after the first `first` of the episode.

    -1: after those that the last decision knew. Nothing is written if `out` lacks room; returns how many there are.
    """
    begin = clock(s).n_reported if first < 0 else first
    n = max(0, clock(s).n_finished - begin)
    if n > len(out):
        return n
    for i in range(n):
        q = finished(s)[begin + i]
        status, request, row = progress(s)[q], requests(s)[q], out[i]
        row[0], row[1] = status.decision, status.worker
        row[2], row[3] = status.arrived_ps * 1e-12, status.first_token_ps * 1e-12
        row[4] = status.finish_ps * 1e-12
        row[5], row[6], row[7] = request.prompt_tokens, request.output_tokens, status.hit_tokens
    return n

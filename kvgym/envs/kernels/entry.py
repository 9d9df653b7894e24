"""The kernels that the environments call, compiled ahead and cached on disk."""

from numba import njit

from kvgym.envs.kernels.codes import EVICT_BY, EVICT_LEAF, LOOK, SEND
from kvgym.envs.kernels.observe import due_request, observe
from kvgym.sim.kernels import events
from kvgym.sim.kernels.access import candidates, clock, config, requests
from kvgym.sim.kernels.candidates import evict_by_rule, evict_candidate
from kvgym.sim.kernels.rules import ASK, EVICT, ROUTE

# code of `rules`, cost e2e, cost ttft, time (all in seconds), session
_RESULT = "Tuple((int64, float64, float64, float64, int64))"


@njit(nogil=True)
def _go_on(s, form, out):
    """Runs to the next decision, if none is due, and observes it."""
    ck = clock(s)
    if ck.request >= 0:
        code = ROUTE
    elif ck.asking >= 0:
        code = EVICT
    else:
        code = events.advance(s)
    observe(s, form, out)
    q = due_request(s)
    session = requests(s)[q].session if q >= 0 else -1
    return code, ck.cost_e2e_ps * 1e-12, ck.cost_ttft_ps * 1e-12, ck.now_ps * 1e-12, session


@njit(_RESULT + "(int64, int64, int64, float32[::1])", cache=True, nogil=True)
def step(s, worker, form, out):
    """Routes, then runs to the next decision.

    Returns (code, cost e2e, cost ttft, time, session): times and costs in seconds, costs of this step.
    """
    ck = clock(s)
    ck.n_reported = ck.n_finished
    ck.cost_e2e_ps = 0.0
    ck.cost_ttft_ps = 0.0
    events.route(s, worker, ASK)
    return _go_on(s, form, out)


@njit(_RESULT + "(int64, int64, int64, int64, int64, float32[::1], int8[::1])", cache=True, nogil=True)
def act(s, kind, choice, rule, form, out, filled):
    """Does what `kind` says, then runs to the next decision and says which candidate slots are `filled`.

    Returns what `step` returns, but with the costs since the start.
    """
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

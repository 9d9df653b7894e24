"""The kernels that the environments call, compiled ahead and cached on disk."""

from numba import njit

from kvgym.envs.kernels.observe import observe
from kvgym.sim.kernels import events
from kvgym.sim.kernels.access import clock, requests

# code of `events`, cost e2e, cost ttft, time (all in seconds), session
_RESULT = "Tuple((int64, float64, float64, float64, int64))"


@njit(nogil=True)
def _arrive_at_decision(s, scaled, out):
    code = events.advance(s)
    observe(s, scaled, out)
    ck = clock(s)
    session = -1
    if ck.request >= 0:
        session = requests(s)[ck.request].session
    return code, ck.cost_e2e_ps * 1e-12, ck.cost_ttft_ps * 1e-12, ck.now_ps * 1e-12, session


@njit(_RESULT + "(int64, boolean, float32[::1])", cache=True, nogil=True)
def start(s, scaled, out):
    """Runs to the first decision. Returns (code, cost e2e, cost ttft, time, session), costs and times in seconds."""
    return _arrive_at_decision(s, scaled, out)


@njit(_RESULT + "(int64, int64, boolean, float32[::1])", cache=True, nogil=True)
def step(s, worker, scaled, out):
    """Routes, then runs to the next decision. Returns what `start` returns; the costs are those of this step."""
    ck = clock(s)
    ck.cost_e2e_ps = 0.0
    ck.cost_ttft_ps = 0.0
    ck.n_reported = ck.n_finished
    events.route(s, worker, -1)
    return _arrive_at_decision(s, scaled, out)

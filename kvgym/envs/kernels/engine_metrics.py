"""Engine metrics of a worker, as the router sees them: of now, or of the last snapshot."""

from kvgym._kernel import kernel
from kvgym.envs.features import N_WORKER
from kvgym.envs.kernels.scale import block_at
from kvgym.sim.base.access import clock, config, transfers, workers
from kvgym.sim.base.tables import INFINITE
from kvgym.sim.cache.locks import OPENING
from kvgym.sim.engine.duration import boundaries_until, boundary
from kvgym.sim.engine.metrics import gen_tps, kv_use


@kernel
def observe_engine(s, w, at):
    """Engine metrics, of now or of the last snapshot."""
    block = block_at(at, N_WORKER)
    ck = clock(s)
    wk = workers(s)[w]
    if config(s).metrics_period_ps == 0 and wk.up:
        block[13] = 0.0
        block[16] = wk.n_queued + wk.n_fetching
        block[17] = wk.n_running
        block[18] = wk.queued_tokens
        # An iteration that ends now has ended, inside a run too.
        started = w < first_not_started(s)
        block[19] = kv_use(s, w, ck.now_ps if started else ck.now_ps - 1)
        block[20] = gen_tps(s, w, ck.now_ps) if started or not ends_now(s, w) else 0.0
        block[21] = 0.0
        return
    block[16] = wk.seen_queued
    block[17] = wk.seen_running
    block[18] = wk.seen_queued_tokens
    block[19] = wk.seen_kv_use
    block[20] = wk.seen_gen_tps
    block[21] = (ck.now_ps - wk.seen_ps) * 1e-12


@kernel
def first_not_started(s):
    """The first worker that has not started its next iteration: the one that asks for pages; transfers start before."""
    asking = clock(s).asking
    if asking > 0:
        for i in range(clock(s).n_transfers):
            if transfers(s)[i].stage == OPENING:
                return 0
    return asking


@kernel
def ends_now(s, w):
    """Whether an iteration of the run in progress on worker `w` ends at this moment."""
    now = clock(s).now_ps
    wk = workers(s)[w]
    return wk.event_ps < INFINITE and boundary(wk, boundaries_until(wk, now)) == now

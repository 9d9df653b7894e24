"""Engine metrics of a worker, as the router sees them: of now, or of the last snapshot."""

from kvgym._kernel import kernel
from kvgym.envs.features import N_WORKER, WORKER
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
        block[WORKER.sent_since_snapshot] = 0.0
        block[WORKER.queued] = wk.n_queued + wk.n_fetching
        block[WORKER.running] = wk.n_running
        block[WORKER.queued_tokens] = wk.queued_tokens
        # An iteration that ends now has ended, inside a burst too.
        started = w < first_not_started(s)
        block[WORKER.kv_use] = kv_use(s, w, ck.now_ps if started else ck.now_ps - 1)
        block[WORKER.gen_tps] = gen_tps(s, w, ck.now_ps) if started or not ends_now(s, w) else 0.0
        block[WORKER.age] = 0.0
        return
    block[WORKER.queued] = wk.seen_queued
    block[WORKER.running] = wk.seen_running
    block[WORKER.queued_tokens] = wk.seen_queued_tokens
    block[WORKER.kv_use] = wk.seen_kv_use
    block[WORKER.gen_tps] = wk.seen_gen_tps
    block[WORKER.age] = (ck.now_ps - wk.seen_ps) * 1e-12


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
    """Whether an iteration of the burst in progress on worker `w` ends at this moment."""
    now = clock(s).now_ps
    wk = workers(s)[w]
    return wk.event_ps < INFINITE and boundary(wk, boundaries_until(wk, now)) == now

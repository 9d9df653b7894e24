"""Metrics of engines that a router may see (docs/semantics.md#d2-view)."""

from kvgym._kernel import kernel
from kvgym.sim.base.access import clock, config, workers
from kvgym.sim.base.tables import INFINITE
from kvgym.sim.engine.duration import iterations_ended, pages_taken


@kernel
def kv_use(s, w, time_ps):
    """Share of the pages that running requests lock at `time_ps`, the burst in progress included."""
    wk = workers(s)[w]
    locked = wk.kv_pages - wk.free - wk.evictable
    if wk.event_ps < INFINITE and wk.burst > 1:
        started = min(iterations_ended(wk, time_ps) + 1, wk.burst)
        locked += pages_taken(s, w, started)
    return locked / wk.kv_pages


@kernel
def gen_tps(s, w, time_ps):
    """Output tokens per second of the iteration in progress at `time_ps`."""
    wk = workers(s)[w]
    if wk.event_ps == INFINITE or wk.decodes == 0:
        return 0.0
    index = min(iterations_ended(wk, time_ps), wk.burst - 1)
    return wk.decodes * 1e12 / (wk.first_ps + wk.slope_ps * index)


@kernel
def take_snapshot(s, time_ps):
    """Engine metrics of all workers as they were just before `time_ps`."""
    for w in range(config(s).n_workers):
        wk = workers(s)[w]
        if not wk.up:
            continue
        wk.seen_ps = time_ps
        wk.seen_queued = wk.n_queued + wk.n_fetching
        wk.seen_running = wk.n_running
        wk.seen_queued_tokens = wk.queued_tokens
        wk.seen_kv_use = kv_use(s, w, time_ps - 1)
        wk.seen_gen_tps = gen_tps(s, w, time_ps - 1)
        wk.sent_since_snapshot = 0
    clock(s).snapshot_ps = time_ps

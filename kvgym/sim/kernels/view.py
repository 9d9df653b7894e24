"""What a router may see of a worker's cache and load (docs/semantics.md, D2)."""

from kvgym._kernel import kernel
from kvgym.sim.kernels.access import (
    clock,
    config,
    hit_tokens,
    index_rows,
    nodes,
    paths,
    requests,
    row_of,
    rows,
    workers,
)
from kvgym.sim.kernels.duration import boundaries_until, pages_taken
from kvgym.sim.tables import INFINITE


@kernel
def matched_pages(s, w, q):
    """Full prompt pages of request `q` that the view shows on worker `w`."""
    request = requests(s)[q]
    history = config(s).history_view
    matched = 0
    for i in range(request.path_start, request.path_start + request.path_nodes):
        v = paths(s)[i]
        node = nodes(s)[v]
        limit = min(node.n_pages, request.prompt_pages - node.start_page)
        if limit <= 0:
            break
        r = row_of(s, w, v)
        pages = index_rows(s)[r].pages if history else rows(s)[r].cached
        matched += min(pages, limit)
        if pages < limit:
            break
    return matched


@kernel
def visible_hit(s, w, q):
    """Prompt tokens of `q` that would hit on `w`, as the view shows it."""
    return hit_tokens(s, matched_pages(s, w, q), requests(s)[q].prompt_tokens)


@kernel
def resident_pages(wk):
    """Pages in a worker's tree."""
    return wk.loaded + wk.fetched - wk.evicted - wk.lost


@kernel
def kv_use(s, w, time_ps):
    """Share of the pages that running requests lock at `time_ps`, the run in progress included."""
    wk = workers(s)[w]
    locked = wk.kv_pages - wk.free - wk.evictable
    if wk.event_ps < INFINITE and wk.run > 1:
        started = min(boundaries_until(wk, time_ps) + 1, wk.run)
        locked += pages_taken(s, w, started)
    return locked / wk.kv_pages


@kernel
def gen_tps(s, w, time_ps):
    """Output tokens per second of the iteration in progress at `time_ps`."""
    wk = workers(s)[w]
    if wk.event_ps == INFINITE or wk.decodes == 0:
        return 0.0
    index = min(boundaries_until(wk, time_ps), wk.run - 1)
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

"""`continuum`: pages are held while the return of their session is worth waiting for (docs/semantics.md#c8-continuum).

Continuum (CacheTTL), arXiv 2511.02230: the time to live is that of the largest P(gap <= t) x seconds saved - cost of
holding. The paper takes P per tool; here it is per worker. The cost of a page and second is our choice: the seconds
that hits have saved so far, per page and second.
"""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import clock, config, kept_table, nodes, paths, progress, requests, workers
from kvgym.sim.base.codes import NONE
from kvgym.sim.base.prefill import prefill_s
from kvgym.sim.base.requests import hit_tokens, known_tokens
from kvgym.sim.base.rows import row_of
from kvgym.sim.evictors.histories import alike, cut, spans, tail_span
from kvgym.sim.evictors.queues import first_of, stand

QUEUES = 2
FREE, HELD = range(QUEUES)
TIMES = 16
SHORTEST_PS = 62_500_000_000
"""1/16 s: the shortest of the times to live, each of which is twice the one before."""
LEARNED = np.dtype([("since_ps", "i8"), ("finished", "i8"), ("saved_s", "f8")], align=True)
"""Per worker: its start, requests that finished, and the prefill that hits saved."""
WAIT = np.dtype([("since_ps", "i8"), ("worker", "i8")], align=True)
"""Per session: since when it waits, and where; 0 if it doesn't."""

learned = kept_table(__name__, "continuum_learned", LEARNED, lambda sizes: sizes.workers)
returned = kept_table(__name__, "continuum_returned", "i8", lambda sizes: TIMES * sizes.workers)
waits = kept_table(__name__, "continuum_waits", WAIT, lambda sizes: sizes.sessions)


@kernel
def cleared(s, w):
    """The cache of worker `w` is empty: who waits there since before now waits no more."""
    learned(s)[w].since_ps = clock(s).now_ps
    learned(s)[w].finished = 0
    learned(s)[w].saved_s = 0.0
    for b in range(TIMES):
        returned(s)[w * TIMES + b] = 0


@kernel
def continuum_queue(s, w, r):
    """Whether the leaf's last page is held, and until when; its stamp."""
    span = tail_span(s, r)
    if span.until_ps > clock(s).now_ps:
        return np.int64(HELD), float(span.until_ps), np.int64(span.stamp)
    return np.int64(FREE), 0.0, np.int64(span.stamp)


@kernel(inlined=False)
def continuum_victim(s, w, n):
    """The oldest leaf that is not held any more; the one that is held for the shortest time if there is none."""
    held = first_of(s, w, np.int64(HELD))
    while held != NONE and tail_span(s, held).until_ps <= clock(s).now_ps:
        queue, key, tie = continuum_queue(s, w, held)
        stand(s, w, held, queue, key, tie)
        held = first_of(s, w, np.int64(HELD))
    free = first_of(s, w, np.int64(FREE))
    r = held if free == NONE else free
    return r, min(n, alike(s, r))


@kernel
def touched(s, w, q, pages):
    """Request `q` has been admitted, the first `pages` pages of its path were there."""
    learned(s)[w].saved_s += prefill_s(s, w, hit_tokens(s, pages, known_tokens(s, q)), np.int64(0))


@kernel(inlined=False)
def routed(s, q):
    """Request `q` is being sent to a worker: its session waits no more, and may have waited there."""
    wait = waits(s)[requests(s)[q].session]
    w = progress(s)[q].worker
    if wait.worker == w and wait.since_ps > learned(s)[w].since_ps:
        gap_ps = clock(s).now_ps - wait.since_ps
        for b in range(TIMES):
            if gap_ps <= SHORTEST_PS << b:
                returned(s)[w * TIMES + b] += 1
                break
    wait.since_ps = 0


@kernel(inlined=False)
def finished(s, w, q):
    """Request `q` finished: its pages, still locked, are held for its session, which waits."""
    _hold(s, w, q, np.int64(progress(s)[q].tree_pages))
    learned(s)[w].finished += 1
    wait = waits(s)[requests(s)[q].session]
    wait.since_ps = clock(s).now_ps
    wait.worker = w


@kernel
def _hold(s, w, q, pages):
    """The first `pages` pages of the path of request `q` are held."""
    until_ps = clock(s).now_ps + _time_to_live_ps(s, w, pages)
    request = requests(s)[q]
    for i in range(request.path_start, request.path_start + request.path_nodes):
        v = paths(s)[i]
        n = min(pages - nodes(s)[v].start_page, nodes(s)[v].n_pages)
        if n <= 0:
            break
        j = cut(s, w, row_of(s, w, v), n)
        while j >= 0:
            spans(s)[j].until_ps = max(spans(s)[j].until_ps, until_ps)
            j = spans(s)[j].above


@kernel
def _time_to_live_ps(s, w, pages):
    """The time for which it is best to hold so many pages of a session."""
    own = learned(s)[w]
    best, best_ps = 0.0, np.int64(0)
    if own.finished == 0:
        return best_ps
    gain_s = prefill_s(s, w, pages * config(s).page_size, np.int64(0))
    elapsed_s = (clock(s).now_ps - own.since_ps) * 1e-12
    price = own.saved_s / (workers(s)[w].kv_pages * elapsed_s)
    returns = 0
    for b in range(TIMES):
        returns += returned(s)[w * TIMES + b]
        worth = returns / own.finished * gain_s - price * pages * ((1 << b) / 16.0)
        if worth > best:
            best, best_ps = worth, np.int64(SHORTEST_PS << b)
    return best_ps

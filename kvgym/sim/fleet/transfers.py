"""Transfers of cached pages between workers: their links, and how each is decided, started, ended, given up.

Rules: docs/semantics.md#transfers.
"""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import clock, config, link_ends, links, progress, traffic, transfers, workers
from kvgym.sim.base.codes import ASKED, NONE
from kvgym.sim.base.prefill import prefill_ps
from kvgym.sim.base.requests import hit_tokens, known_tokens
from kvgym.sim.base.tables import INFINITE
from kvgym.sim.cache import tree
from kvgym.sim.cache.eviction import allocate
from kvgym.sim.cache.tree import MOVING, OPENING, PLANNED, READY, resident_prefix
from kvgym.sim.engine.iteration_end import catch_up
from kvgym.sim.engine.queues import join
from kvgym.sim.routing.view import visible_hit

INSIDE, BETWEEN = range(2)


@kernel
def _kind_of_link(s, source, target):
    """Row of `links` that connects two workers."""
    return INSIDE if workers(s)[source].node == workers(s)[target].node else BETWEEN


@kernel
def _ends_of(s, source, target):
    """Places in `link_ends` of the end that sends and of the end that receives."""
    if _kind_of_link(s, source, target) == INSIDE:
        return 2 * source, 2 * target + 1
    first = 2 * config(s).n_workers
    return first + 2 * workers(s)[source].node, first + 2 * workers(s)[target].node + 1


@kernel
def _transfer_ps(s, source, target, tokens):
    """How long the KV of `tokens` tokens, whole pages, is under way."""
    link = links(s)[_kind_of_link(s, source, target)]
    pages_ps = tokens // config(s).page_size * link.page_ps
    return max(1, link.latency_ps + np.int64(np.rint(tokens * link.ps_per_token)) + pages_ps)


@kernel
def _ready_ps(s, source, target, start_ps, end_ps):
    """When the request of a transfer with these times may join its queue."""
    link = links(s)[_kind_of_link(s, source, target)]
    return min(end_ps, start_ps + max(1, link.latency_ps)) if link.overlap else end_ps


@kernel
def _free_ps(s, send, receive):
    """When both ends of a link have done what is planned for them."""
    return max(clock(s).now_ps, link_ends(s)[send], link_ends(s)[receive])


@kernel
def _plan_transfers(s):
    """Plans all transfers in the order of decisions: each starts when both its ends have done the ones before it."""
    ck = clock(s)
    link_ends(s)[:] = 0
    ck.next_transfer_ps = INFINITE
    for i in range(ck.n_transfers):
        transfer = transfers(s)[i]
        source, target = transfer.source, transfer.target
        send, receive = _ends_of(s, source, target)
        if transfer.stage == PLANNED:
            transfer.start_ps = _free_ps(s, send, receive)
            tokens = transfer.pages * config(s).page_size
            transfer.end_ps = transfer.start_ps + _transfer_ps(s, source, target, tokens)
        link_ends(s)[send] = link_ends(s)[receive] = transfer.end_ps
        due_ps = transfer.start_ps
        if transfer.stage >= MOVING:
            due_ps = transfer.ready_ps if transfer.stage == MOVING else transfer.end_ps
        ck.next_transfer_ps = min(ck.next_transfer_ps, due_ps)


def best_source_by(tokens_on):
    """A kernel that finds who would send a prefix; `tokens_on` says how many of its tokens a worker has."""

    @kernel
    def best_source(s, w, q, own):
        """Who has most of the prefix of `q` but for worker `w`, which has `own` tokens of it; of several the soonest.

        Returns (worker or NONE, its tokens, planned end).
        """
        source, best, best_end_ps = np.int64(NONE), own, clock(s).now_ps
        for v in range(config(s).n_workers):
            if v == w or not workers(s)[v].up:
                continue
            tokens = tokens_on(s, v, q)
            if tokens <= own or tokens < best:
                continue
            send, receive = _ends_of(s, v, w)
            end_ps = _free_ps(s, send, receive) + _transfer_ps(s, v, w, tokens - own)
            if tokens > best or end_ps < best_end_ps:
                source, best, best_end_ps = v, tokens, end_ps
        return source, best, best_end_ps

    return best_source


@kernel
def _resident_hit(s, w, q):
    """Known tokens of `q` that would hit on `w`."""
    known = known_tokens(s, q)
    return hit_tokens(s, resident_prefix(s, w, q, known // config(s).page_size)[0], known)


_best_source = best_source_by(_resident_hit)
_best_visible_source = best_source_by(visible_hit)


@kernel(inlined=False)
def decide_transfer(s, w, q):
    """Decides whether pages are fetched for request `q`, which has just been sent to worker `w`; True if they are."""
    size = config(s).page_size
    own = resident_prefix(s, w, q, known_tokens(s, q) // size)[0] * size
    source, best, end_ps = _best_source(s, w, q, own)
    if source == NONE or _wait_ps(s, w, q, source, own, best, end_ps) >= prefill_ps(s, w, best - own, own):
        return False
    ck = clock(s)
    transfer = transfers(s)[ck.n_transfers]
    ck.n_transfers += 1
    transfer.request = q
    transfer.source = source
    transfer.target = w
    transfer.end_page = best // size
    transfer.pages = (best - own) // size
    transfer.stage = PLANNED
    workers(s)[w].n_fetching += 1
    _plan_transfers(s)
    return True


@kernel
def _wait_ps(s, w, q, source, own, best, end_ps):
    """What request `q` would wait for a transfer with this planned end, computing on worker `w` meanwhile if it may."""
    now = clock(s).now_ps
    if not links(s)[_kind_of_link(s, source, w)].overlap:
        return float(end_ps - now)
    start_ps = end_ps - _transfer_ps(s, source, w, best - own)
    rest_ps = prefill_ps(s, w, known_tokens(s, q) - best, best)
    return max(float(_ready_ps(s, source, w, start_ps, end_ps) - now), (end_ps - now) - rest_ps)


@kernel
def visible_offer(s, w, q):
    """Prompt tokens that a router sees on another worker and not on `w`, and ps until they would be there."""
    if not workers(s)[w].up:
        return 0, 0
    own = visible_hit(s, w, q)
    _, best, end_ps = _best_visible_source(s, w, q, own)
    return best - own, end_ps - clock(s).now_ps


@kernel
def _pair(s, transfer):
    return traffic(s)[transfer.source * config(s).n_workers + transfer.target]


@kernel
def _remove(s, i):
    """The i-th transfer is over."""
    ck = clock(s)
    table = transfers(s)
    ck.n_transfers -= 1
    for j in range(i, ck.n_transfers):
        table[j] = table[j + 1]
    _plan_transfers(s)


@kernel
def _join_queue(s, q, w):
    """Request `q` waits for its transfer no longer and joins the queue of worker `w`."""
    workers(s)[w].n_fetching -= 1
    join(s, w, q)


@kernel
def _give_up(s, i):
    """The i-th transfer comes to nothing: its request computes the pages itself."""
    q, w = transfers(s)[i].request, transfers(s)[i].target
    _pair(s, transfers(s)[i]).given_up += 1
    _remove(s, i)
    _join_queue(s, q, w)


@kernel
def _unlock_source(s, transfer):
    """The source of a transfer that had started is read no more."""
    catch_up(s, transfer.source)
    tree.unlock_pages(s, transfer.source, transfer.request, transfer.end_page)


@kernel(inlined=False)
def start_transfers(s):
    """Starts transfers whose time has come; returns a worker that waits for an EVICT decision, or NONE."""
    i = np.int64(0)
    while i < clock(s).n_transfers:
        transfer = transfers(s)[i]
        if transfer.stage == PLANNED and transfer.start_ps <= clock(s).now_ps and not _open(s, i):
            _give_up(s, i)
            continue
        if transfer.stage == OPENING:
            if allocate(s, transfer.target, transfer.request, transfer.pages) == ASKED:
                return transfer.target
            transfer.stage = MOVING
            _plan_transfers(s)
        i += 1
    return NONE


@kernel
def _open(s, i):
    """Locks what the i-th transfer reads and what it adds to. False, and nothing changed, if it is given up."""
    transfer = transfers(s)[i]
    q, v, w, pages = transfer.request, transfer.source, transfer.target, transfer.end_page
    catch_up(s, w)
    own, unlocked = resident_prefix(s, w, q, pages)
    available = workers(s)[w].free + workers(s)[w].evictable - unlocked
    if resident_prefix(s, v, q, pages)[0] < pages or own >= pages or available < pages - own:
        return False
    tree.hold_prefix(s, w, q, own)
    tree.lock_pages(s, v, q, pages)
    transfer.pages = pages - own
    transfer.stage = OPENING
    transfer.end_ps = clock(s).now_ps + _transfer_ps(s, v, w, transfer.pages * config(s).page_size)
    transfer.ready_ps = _ready_ps(s, v, w, clock(s).now_ps, transfer.end_ps)
    return True


@kernel(inlined=False)
def end_transfers(s):
    """Does what is due of the transfers under way, in the order of decisions: requests join their queues, links end."""
    i = np.int64(0)
    while i < clock(s).n_transfers:
        transfer = transfers(s)[i]
        if transfer.stage == MOVING and transfer.ready_ps == clock(s).now_ps:
            _make_ready(s, transfer)
        if transfer.stage == READY and transfer.end_ps == clock(s).now_ps:
            _unlock_source(s, transfer)
            _complete(s, i)
        else:
            i += 1


@kernel
def _make_ready(s, transfer):
    """The pages of a transfer enter the tree, and its request joins the queue."""
    q, w = transfer.request, transfer.target
    wk = workers(s)[w]
    catch_up(s, w)
    loaded, recomputed = wk.loaded, wk.recomputed
    tree.enter_pages(s, w, q, transfer.end_page, clock(s).now_ps)
    wk.fetched += wk.loaded - loaded  # nobody computed these pages
    wk.loaded, wk.recomputed = loaded, recomputed
    tree.release(s, w, q)
    transfer.stage = READY
    if transfer.end_ps > clock(s).now_ps:
        _plan_transfers(s)  # it is due once more
    _join_queue(s, q, w)


@kernel
def _complete(s, i):
    """The i-th transfer has come to its end, now."""
    transfer = transfers(s)[i]
    tokens = transfer.pages * config(s).page_size
    progress(s)[transfer.request].fetched_tokens += tokens
    pair = _pair(s, transfer)
    pair.transfers += 1
    pair.tokens += tokens
    pair.ps += clock(s).now_ps - transfer.start_ps
    _remove(s, i)


@kernel(inlined=False)
def drop_transfers(s, w):
    """Worker `w` crashes: those from it are given up, then those to it, whose requests are on their way back."""
    i = np.int64(0)
    while i < clock(s).n_transfers:
        transfer = transfers(s)[i]
        if transfer.source != w:
            i += 1
        elif transfer.stage == READY:  # its request is being served: what has not come counts as come
            _complete(s, i)
        else:
            if transfer.stage != PLANNED:
                catch_up(s, transfer.target)
                tree.release(s, transfer.target, transfer.request)
            _give_up(s, i)
    i = np.int64(0)
    while i < clock(s).n_transfers:
        transfer = transfers(s)[i]
        if transfer.target != w:
            i += 1
            continue
        if transfer.stage != PLANNED:
            _unlock_source(s, transfer)
        _pair(s, transfer).given_up += 1
        _remove(s, i)

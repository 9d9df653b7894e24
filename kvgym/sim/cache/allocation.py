"""Pages for a request (docs/semantics.md#c3-allocation)."""

from kvgym._kernel import kernel
from kvgym.sim.base.access import config, progress, workers
from kvgym.sim.base.codes import ASKED, GRANTED, MAX_DECISIONS, REFUSED
from kvgym.sim.cache.eviction import evict
from kvgym.sim.evictors import ASK


@kernel
def allocate(s, w, q, n):
    """Gives `n` pages to request `q`, evicting what it takes.

    Returns REFUSED, and nothing changed, if they can't be had; ASKED if an EVICT decision is due first: the same call
    is made again once it has been taken.
    """
    wk = workers(s)[w]
    if not wk.evicting:
        if wk.free + wk.evictable < n:
            return REFUSED
        if wk.free < n:
            _make_room(s, w, q, n)
    if wk.wanted > 0:
        return ASKED
    wk.evicting = 0
    hold(s, w, q, n)
    return GRANTED


@kernel
def _make_room(s, w, q, n):
    """Evicts for an allocation of `n` pages, or notes what the agent has to evict."""
    wk = workers(s)[w]
    wanted = n - wk.free
    if config(s).evict_full_request:
        wanted = min(n, wk.evictable)
    rule = config(s).evictor
    if rule == ASK:
        rule = progress(s)[q].evictor
    if rule == ASK:
        wk.evicting = 1
        wk.asker = q
        wk.wanted = wanted
        wk.decisions_left = _most_decisions(s, wanted)
    else:
        evict(s, w, q, rule, wanted)


@kernel
def _most_decisions(s, wanted):
    """EVICT decisions that an allocation which has to evict `wanted` pages may take.

    Rules: docs/semantics.md#d6-evict, #d7-evict-by-rule.
    """
    cf = config(s)
    if cf.n_candidates == 0:
        return 1
    return min(wanted, MAX_DECISIONS) if cf.quantum > 1 else wanted


@kernel
def hold(s, w, q, n):
    """Moves `n` free pages to request `q`."""
    wk = workers(s)[w]
    status = progress(s)[q]
    wk.free -= n
    reserved = reserved_pages(status)
    status.held_pages += n
    wk.reserved += reserved_pages(status) - reserved


@kernel
def reserved_pages(status):
    """Pages that prefill_first has promised to a running request and not given yet."""
    return max(0, status.reserve_pages - status.held_pages)

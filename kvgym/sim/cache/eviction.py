"""Pages for a request, and the evictions that make room for them: those whom an evictor has chosen go.

Rules: docs/semantics.md#c3-allocation, #c6-victims.
"""

import math

import numpy as np

from kvgym._kernel import kernel, kernel_of_cases
from kvgym.sim.base.access import clock, config, draws, nodes, progress, rows, workers
from kvgym.sim.base.codes import ASKED, GRANTED, MAX_DECISIONS, NONE, REFUSED
from kvgym.sim.base.random import below
from kvgym.sim.cache.tree import count_evicted, drop_pages, drop_tail
from kvgym.sim.evictors import ASK, bit, choosers
from kvgym.sim.evictors.dispatch import told
from kvgym.sim.evictors.keyed import close_heap, like_pages, open_heap, smallest, took
from kvgym.sim.evictors.leaves import leaves
from kvgym.sim.evictors.marks import kept_pages

# Of single pages that are drawn and leave their leaf what it was, these need not be told.
_TOLD_OF_DRAWS = told("dropped") & ~(bit("marks") | bit("splits"))


def _take_victims(victim):
    """Evicts the leaves that a kernel names, with as many pages as it says."""

    @kernel(inlined=False)
    def evict(s, w, q, rule, n):
        while n > 0 and workers(s)[w].evictable > 0:
            r, k = victim(s, w, n)
            drop_tail(s, w, r, k)
            n -= k

    return evict


def _draw_from(pool):
    """Evicts tail pages of leaves that are drawn from as many as a kernel says."""

    @kernel(inlined=False)
    def evict(s, w, q, rule, n):
        left = n
        while left > 0:
            left -= _draw(s, w, left, pool(s, w, q, n, left))

    return evict


@kernel(inlined=False)
def _take_smallest(s, w, q, rule, n):
    """Evicts the tail page of the leaf with the smallest key, n times."""
    open_heap(s, w, rule)
    while n > 0:
        r, key = smallest(s, w)
        took(s, w, rule, key)
        k = min(n, like_pages(s, w, r))
        drop_pages(s, w, r, k)
        n -= k
    close_heap(s, w)


def _take_lowest(score):
    """Evicts the tail page of the leaf with the smallest score, n times; looks at every leaf."""

    @kernel
    def lowest(s, w):
        """Row of the victim, and score and tie of the next one after it."""
        first = w * config(s).leaf_capacity
        best = -1
        best_score = rival_score = math.inf
        best_tie = rival_tie = 0
        for position in range(workers(s)[w].n_leaves):
            r = leaves(s)[first + position]
            of_leaf, tie = score(s, w, r)
            if best < 0 or of_leaf < best_score or (of_leaf == best_score and tie < best_tie):
                rival_score, rival_tie = best_score, best_tie
                best, best_score, best_tie = r, of_leaf, tie
            elif of_leaf < rival_score or (of_leaf == rival_score and tie < rival_tie):
                rival_score, rival_tie = of_leaf, tie
        return best, rival_score, rival_tie

    @kernel(inlined=False)
    def evict(s, w, q, rule, n):
        while n > 0:
            r, rival_score, rival_tie = lowest(s, w)
            while n > 0 and rows(s)[r].leaf >= 0:  # else it has gone, and perhaps its parent is a leaf now
                of_leaf, tie = score(s, w, r)
                if of_leaf > rival_score or (of_leaf == rival_score and tie > rival_tie):
                    break
                drop_pages(s, w, r, np.int64(1))
                n -= 1

    return evict


_WAYS = {"victim": _take_victims, "pool": _draw_from, "score": _take_lowest}
evict = kernel_of_cases(
    "s, w, q, rule, n",
    [
        (f"if rule == {number}: return {{}}(s, w, q, rule, n)", make(chooser))
        for way, make in _WAYS.items()
        for number, chooser in choosers(way).items()
    ]
    + [("{}(s, w, q, rule, n)", _take_smallest)],
)
"""(s, w, q, rule, n): frees `n` pages of worker `w`, which so many can leave, for request `q` by evictor `rule`.

`lru_node` frees perhaps more."""


@kernel
def _draw(s, w, n, candidates):
    """Up to `n` draws of tail pages from the first `candidates` leaves, until that set changes. Returns the number."""
    wk = workers(s)[w]
    first = w * config(s).leaf_capacity
    table = leaves(s)
    row_table = rows(s)
    log = config(s).log_draws
    plain = not config(s).keeps & _TOLD_OF_DRAWS
    for done in range(n):
        index = below(wk, candidates)
        r = table[first + index]
        row = row_table[r]
        if log:
            log_draw(s, w, candidates, index, row)
        if plain and row.cached - 1 > kept_pages(wk, row):
            row.cached -= 1  # drop_pages without its bookkeeping: this is the hot loop
            row.shown = NONE
            continue
        count_evicted(wk, done)
        drop_pages(s, w, r, np.int64(1))
        return done + 1
    count_evicted(wk, n)
    return n


@kernel
def log_draw(s, w, candidates, index, row):
    """Writes a draw into the log: the tail page of `row` was drawn."""
    ck = clock(s)
    entry = draws(s)[ck.n_draws]
    entry.worker = w
    entry.candidates = candidates
    entry.index = index
    entry.node = row.node
    entry.page = nodes(s)[row.node].start_page + row.cached - 1
    ck.n_draws += 1


@kernel
def allocate(s, w, q, n):
    """Gives `n` pages to request `q`, evicting what it takes, or noting what the agent has to evict.

    Returns REFUSED, and nothing changed, if they can't be had; ASKED if an EVICT decision is due first: the same call
    is made again once it has been taken.
    """
    wk = workers(s)[w]
    cf = config(s)
    if not wk.evicting:
        if wk.free + wk.evictable < n:
            return REFUSED
        if wk.free < n:
            wanted = min(n, wk.evictable) if cf.evict_full_request else n - wk.free
            rule = progress(s)[q].evictor if cf.evictor == ASK else cf.evictor
            if rule == ASK:
                wk.evicting = 1
                wk.asker = q
                wk.wanted = wk.decisions_left = wanted
                if cf.n_candidates == 0:
                    wk.decisions_left = 1
                elif cf.quantum > 1:
                    wk.decisions_left = min(wanted, MAX_DECISIONS)
            else:
                evict(s, w, q, rule, wanted)
    if wk.wanted > 0:
        return ASKED
    wk.evicting = 0
    hold(s, w, q, n)
    return GRANTED


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

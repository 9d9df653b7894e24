"""Evictors: each frees `n` pages of worker `w` (docs/semantics.md, C6); the caller made sure that so many can go."""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.kernels.access import (
    clock,
    config,
    draws,
    leaves,
    nodes,
    row_of,
    rows,
    workers,
)
from kvgym.sim.kernels.belady import evict_belady
from kvgym.sim.kernels.births import first_born
from kvgym.sim.kernels.boundaries import BOUNDARY, NOTHING
from kvgym.sim.kernels.keyed import evict_keyed
from kvgym.sim.kernels.leaves import kept_pages, unlocked_pages
from kvgym.sim.kernels.lists import recency_ends
from kvgym.sim.kernels.marks import new_phase, open_phase
from kvgym.sim.kernels.random import below
from kvgym.sim.kernels.rules import BELADY, FIFO, LRU, LRU_NODE, RANDOM, RLT, RLT_CODE
from kvgym.sim.kernels.spans import tail_span
from kvgym.sim.kernels.tails import tail_of
from kvgym.sim.kernels.tree import drop_pages


@kernel
def evict(s, w, q, rule, n):
    """Frees `n` pages (`lru_node` perhaps more) of worker `w` for request `q` by one of ``rules.EVICTORS``."""
    if rule == LRU:
        evict_lru(s, w, n)
    elif rule == LRU_NODE:
        evict_lru_node(s, w, n)
    elif rule == RANDOM:
        evict_random(s, w, n)
    elif rule == RLT:
        evict_rlt(s, w, q, n)
    elif rule == RLT_CODE:
        evict_rlt_code(s, w, n)
    elif rule == BELADY:
        evict_belady(s, w, n)
    elif rule == FIFO:
        evict_fifo(s, w, n)
    else:
        evict_keyed(s, w, rule, n)


@kernel
def evict_lru(s, w, n):
    """Tail page of the least recently used leaf, n times: its tail stays the oldest leaf until the node is gone."""
    while n > 0:
        r = recency_ends(s, w).oldest
        k = min(n, unlocked_pages(s, rows(s)[r]))
        drop_pages(s, w, r, k)
        n -= k


@kernel
def evict_lru_node(s, w, n):
    """The whole run of the least recently used leaf, up to the nearest boundary that the worker has seen."""
    wk = workers(s)[w]
    while n > 0 and wk.evictable > 0:
        r = recency_ends(s, w).oldest
        while True:
            row = rows(s)[r]
            k = unlocked_pages(s, row)
            drop_pages(s, w, r, k)
            n -= k
            parent = nodes(s)[row.node].parent
            if row.cached > 0 or parent < 0:
                break
            r = row_of(s, w, parent)
            above = rows(s)[r]
            if above.shown == BOUNDARY or above.children > 0 or unlocked_pages(s, above) == 0:
                break


@kernel
def evict_fifo(s, w, n):
    """The leaf page that entered first, n times."""
    while n > 0:
        r = first_born(s, w)
        row = rows(s)[r]
        k = min(n, unlocked_pages(s, row), row.cached - tail_span(s, r).first)
        drop_pages(s, w, r, k)
        n -= k


@kernel
def evict_random(s, w, n):
    """Tail page of a uniform unlocked leaf, n times."""
    wk = workers(s)[w]
    while n > 0:
        n -= _draw(s, w, n, wk.n_leaves)


@kernel
def evict_rlt(s, w, q, n):
    """RLT, token form: tail page of a uniform unlocked unmarked leaf; a new phase when there is none."""
    wk = workers(s)[w]
    while n > 0:
        open_phase(s, w, q)
        n -= _draw(s, w, n, wk.n_unmarked)


@kernel
def evict_rlt_code(s, w, n):
    """RLT as its authors' code has it: phases (ii) and (iii) of docs/semantics.md 8, then n draws."""
    wk = workers(s)[w]
    if n + wk.marked >= wk.kv_pages or _unmarked_run_pages(s, w, n) < n:
        new_phase(s, w)
    while n > 0:
        n -= _draw(s, w, n, wk.n_unmarked)


@kernel
def _draw(s, w, n, candidates):
    """Up to `n` draws of tail pages from the first `candidates` leaves, until that set changes. Returns the number."""
    wk = workers(s)[w]
    first = w * config(s).leaf_capacity
    table = leaves(s)
    row_table = rows(s)
    log = config(s).log_draws
    plain = not config(s).tracks_spans
    for done in range(n):
        index = below(wk, candidates)
        r = table[first + index]
        row = row_table[r]
        if log:
            log_draw(s, w, candidates, index, row)
        if plain and row.cached - 1 > kept_pages(s, w, row):
            row.cached -= 1  # drop_pages without its bookkeeping: this is the hot loop
            row.shown = NOTHING
            continue
        wk.evictable -= done
        wk.free += done
        wk.evicted += done
        drop_pages(s, w, r, np.int64(1))
        return done + 1
    wk.evictable -= n
    wk.free += n
    wk.evicted += n
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
def _unmarked_run_pages(s, w, enough):
    """Pages in the unmarked parts of the runs of the unmarked leaves; counts no further than `enough`."""
    first = w * config(s).leaf_capacity
    total = 0
    for position in range(workers(s)[w].n_unmarked):
        total += tail_of(s, w, leaves(s)[first + position])[0]
        if total >= enough:
            break
    return total

"""Evictors: each frees `n` pages of worker `w` (docs/semantics.md, C6); the caller made sure that so many can go."""

from numba import njit

from kvgym.sim.kernels.access import (
    clock,
    config,
    draws,
    known_tokens,
    leaves,
    nodes,
    row_of,
    rows,
    workers,
)
from kvgym.sim.kernels.belady import evict_belady
from kvgym.sim.kernels.boundaries import BOUNDARY, NOTHING
from kvgym.sim.kernels.leaves import refresh_leaf, tail_marked, unlocked_pages
from kvgym.sim.kernels.marks import mark_path, new_phase
from kvgym.sim.kernels.random import below
from kvgym.sim.kernels.rules import BELADY, LRU, LRU_NODE, RANDOM, RLT
from kvgym.sim.kernels.tree import drop_pages


@njit(nogil=True)
def evict(s, w, q, n):
    """Frees `n` pages (`lru_node` perhaps more) of worker `w` for request `q`."""
    evictor = config(s).evictor
    if evictor == LRU:
        evict_lru(s, w, n)
    elif evictor == LRU_NODE:
        evict_lru_node(s, w, n)
    elif evictor == RANDOM:
        evict_random(s, w, n)
    elif evictor == RLT:
        evict_rlt(s, w, q, n)
    elif evictor == BELADY:
        evict_belady(s, w, n)
    else:
        evict_rlt_code(s, w, n)


@njit(nogil=True)
def evict_lru(s, w, n):
    """Tail page of the least recently used leaf, n times: its tail stays the oldest leaf until the node is gone."""
    wk = workers(s)[w]
    while n > 0:
        r = wk.oldest
        k = min(n, unlocked_pages(s, rows(s)[r]))
        drop_pages(s, w, r, k)
        n -= k


@njit(nogil=True)
def evict_lru_node(s, w, n):
    """The whole run of the least recently used leaf, up to the nearest boundary that the worker has seen."""
    wk = workers(s)[w]
    while n > 0 and wk.evictable > 0:
        r = wk.oldest
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


@njit(nogil=True)
def evict_random(s, w, n):
    """Tail page of a uniform unlocked leaf, n times."""
    wk = workers(s)[w]
    while n > 0:
        n -= _draw(s, w, n, wk.n_leaves)


@njit(nogil=True)
def evict_rlt(s, w, q, n):
    """RLT, token form: tail page of a uniform unlocked unmarked leaf; a new phase when there is none."""
    wk = workers(s)[w]
    while n > 0:
        if wk.n_unmarked == 0:
            new_phase(s, w)
            mark_path(s, w, q, known_tokens(s, q) // config(s).page_size)
            if wk.n_unmarked == 0:
                new_phase(s, w)
        n -= _draw(s, w, n, wk.n_unmarked)


@njit(nogil=True)
def evict_rlt_code(s, w, n):
    """RLT as its authors' code has it: phases (ii) and (iii) of docs/semantics.md 8, then n draws."""
    wk = workers(s)[w]
    if n + wk.marked >= wk.kv_pages or _unmarked_run_pages(s, w, n) < n:
        new_phase(s, w)
    while n > 0:
        n -= _draw(s, w, n, wk.n_unmarked)


@njit(nogil=True)
def _floor(s, w, row):
    """Pages of a drawable leaf that must stay: locked ones, and those that carry a mark."""
    floor = min(row.cached, row.part_pages)
    if row.phase == workers(s)[w].phase:
        floor = max(floor, min(row.mark_to, row.cached))
    return floor


@njit(nogil=True)
def _draw(s, w, n, candidates):
    """Up to `n` draws of tail pages from the first `candidates` leaves, until that set changes. Returns the number."""
    wk = workers(s)[w]
    first = w * config(s).leaf_capacity
    table = leaves(s)
    row_table = rows(s)
    log = config(s).log_draws
    for done in range(n):
        index = below(wk, candidates)
        r = table[first + index]
        row = row_table[r]
        if log:
            _log_draw(s, w, candidates, index, row)
        if row.cached - 1 > _floor(s, w, row):
            row.cached -= 1  # drop_pages without its bookkeeping: this is the hot loop
            row.shown = NOTHING
            continue
        wk.evictable -= done
        wk.free += done
        wk.evicted += done
        drop_pages(s, w, r, 1)
        refresh_leaf(s, w, r)
        return done + 1
    wk.evictable -= n
    wk.free += n
    wk.evicted += n
    return n


@njit(nogil=True)
def _log_draw(s, w, candidates, index, row):
    ck = clock(s)
    entry = draws(s)[ck.n_draws]
    entry.worker = w
    entry.candidates = candidates
    entry.index = index
    entry.node = row.node
    entry.page = nodes(s)[row.node].start_page + row.cached - 1
    ck.n_draws += 1


@njit(nogil=True)
def _unmarked_run_pages(s, w, enough):
    """Pages in the unmarked parts of the runs of the unmarked leaves; counts no further than `enough`."""
    wk = workers(s)[w]
    first = w * config(s).leaf_capacity
    total = 0
    for position in range(wk.n_unmarked):
        row = rows(s)[leaves(s)[first + position]]
        while True:
            floor = _floor(s, w, row)
            total += row.cached - floor
            parent = nodes(s)[row.node].parent
            if floor > 0 or parent < 0:
                break
            row = rows(s)[row_of(s, w, parent)]
            if row.shown == BOUNDARY or row.children > 1 or row.locks > 0 or tail_marked(wk, row):
                break
        if total >= enough:
            break
    return total

"""EVICT decisions: which leaves may be chosen, what is said of them, what the chosen one frees.

Rules: docs/semantics.md#d6-evict, #d6-features.
"""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import candidates, clock, config, nodes, rows, sessions, workers
from kvgym.sim.base.candidate_tables import COLUMN
from kvgym.sim.base.codes import NONE
from kvgym.sim.base.lists import recency_ends
from kvgym.sim.base.prefill import prefill_s
from kvgym.sim.base.random import below
from kvgym.sim.base.rows import depth_tokens, row_of
from kvgym.sim.cache.eviction import evict, log_draw
from kvgym.sim.cache.tree import drop_tail
from kvgym.sim.evictors import LRU
from kvgym.sim.evictors.histories import tail_span
from kvgym.sim.evictors.leaves import leaves, swap_leaves
from kvgym.sim.evictors.marks import tail_marked
from kvgym.sim.evictors.rlt import open_phase
from kvgym.sim.evictors.tails import tail_of


@kernel
def list_candidates(s, w):
    """An EVICT decision is due on worker `w`: writes the rows of the leaves that may go into `candidates`."""
    clock(s).asking = w
    wk = workers(s)[w]
    slots = candidates(s)
    half = len(slots) // 2
    if half == 0:
        return
    open_phase(s, w, wk.asker)
    slots[:] = NONE
    # First half: leaves by recency. A node in the list that is no leaf has leaves below it, all before it.
    r = recency_ends(s, w).oldest
    i = 0
    n_oldest = half // 2 if config(s).offers_unhit else half
    while r != NONE and i < n_oldest:
        if rows(s)[r].children == 0:
            slots[i] = r
            i += 1
        r = rows(s)[r].newer
    if config(s).offers_unhit:
        _list_unhit(s, w, half // 2, half)
    # Second half: unmarked leaves, drawn without replacement. The drawn ones come to the front of `leaves`.
    for i in range(min(half, wk.n_unmarked)):
        left = wk.n_unmarked - i
        index = below(wk, left)
        r = leaves(s)[w * config(s).leaf_capacity + i + index]
        if config(s).log_draws:
            log_draw(s, w, left, index, rows(s)[r])
        swap_leaves(s, w, i, i + index)
        slots[half + i] = r


@kernel(inlined=False)
def _list_unhit(s, w, first, end):
    """Puts the leaves with the fewest hits into the slots from `first` to `end`; of equals the oldest goes first."""
    slots = candidates(s)
    n = 0
    r = recency_ends(s, w).oldest
    while r != NONE:
        if rows(s)[r].children == 0:
            hits = tail_span(s, r).hits
            i = first + n
            while i > first and tail_span(s, slots[i - 1]).hits > hits:
                if i < end:
                    slots[i] = slots[i - 1]
                i -= 1
            if i < end:
                slots[i] = r
                n = min(n + 1, end - first)
        r = rows(s)[r].newer


@kernel
def evict_candidate(s, slot):
    """Takes the EVICT decision that is due: the leaf in `slot`, which is not empty."""
    w = clock(s).asking
    clock(s).asking = -1
    wk = workers(s)[w]
    r = candidates(s)[slot]
    total, _ = tail_of(s, w, r)
    n = min(wk.wanted, config(s).quantum, total)
    wk.wanted -= n
    wk.decisions_left -= 1
    drop_tail(s, w, r, n)
    if wk.decisions_left == 0:
        evict(s, w, wk.asker, np.int64(LRU), wk.wanted)
        wk.wanted = 0
    else:
        wk.decisions_left = min(wk.decisions_left, wk.wanted)


@kernel
def evict_by_rule(s, rule):
    """Takes the EVICT decision that is due: the evictor `rule` frees all pages that are wanted."""
    w = clock(s).asking
    clock(s).asking = -1
    wk = workers(s)[w]
    evict(s, w, wk.asker, rule, wk.wanted)
    wk.wanted = 0


@kernel
def describe(s, w, slot, out):
    """Writes the features of a slot; 0 if it is empty."""
    r = candidates(s)[slot]
    if r == NONE:
        out[:] = 0.0
        return
    now = clock(s).now_ps
    row = rows(s)[r]
    span = tail_span(s, r)
    pages, top = tail_of(s, w, r)
    depth = depth_tokens(s, r)
    tokens = pages * config(s).page_size
    session = sessions(s)[span.session]
    out[COLUMN.valid] = 1.0
    out[COLUMN.drawn] = slot >= config(s).n_candidates // 2
    out[COLUMN.marked] = tail_marked(workers(s)[w], row)
    out[COLUMN.tail_pages] = pages
    out[COLUMN.depth] = depth
    out[COLUMN.recompute_s] = prefill_s(s, w, tokens, depth - tokens)
    out[COLUMN.idle_s] = (now - span.used_ps) * 1e-12
    out[COLUMN.age_s] = (now - span.born_ps) * 1e-12
    out[COLUMN.hits] = span.hits
    out[COLUMN.reuse_gap_s] = span.gap_us * 1e-6 / span.hits if span.hits > 0 else 0.0
    out[COLUMN.sessions] = span.sessions
    # Other resident pages that follow the page above the tail, whose topmost page is the path's page `first`.
    first = nodes(s)[row.node].start_page + row.cached - pages
    node = nodes(s)[rows(s)[top].node]
    alone = first > node.start_page or node.parent < 0
    out[COLUMN.siblings] = 0 if alone else rows(s)[row_of(s, w, node.parent)].children - 1
    out[COLUMN.session_idle_s] = (now - session.arrived_ps) * 1e-12
    out[COLUMN.session_turns] = session.turns

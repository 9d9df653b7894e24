"""Evictors that give each leaf a key and evict the tail page of the one with the smallest (docs/semantics.md, C7).

Equal keys: the older stamp. Formula and source of each rule: docs/evictors.md. Finding the smallest key takes a look at
every unlocked leaf.
"""

import math

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.kernels.access import clock, config, costs, g_table, leaves, nodes, rows, sessions, workers
from kvgym.sim.kernels.leaves import unlocked_pages
from kvgym.sim.kernels.rules import GDSF, GHOST_SLRU, LFU, MRU, SLRU, TAIL_LRU, WLFU
from kvgym.sim.kernels.spans import category, tail_span
from kvgym.sim.kernels.tree import drop_pages

SLRU_HITS = 2
WLFU_BONUS = 3000.0
NEXT_PROMPT_TOKENS = 500
RECOMPUTABLE_TOKENS = 4096
HORIZON_S = 300.0


@kernel
def evict_keyed(s, w, rule, n):
    """The tail page of the leaf with the smallest key, n times."""
    wk = workers(s)[w]
    while n > 0:
        r, rival_key, rival_stamp = _smallest(s, w, rule)
        while n > 0:
            key = key_of(s, w, r, rule)
            if key > rival_key or (key == rival_key and tail_span(s, r).stamp > rival_stamp):
                break
            if rule == GDSF:
                wk.inflation = key
            drop_pages(s, w, r, np.int64(1))
            n -= 1
            if unlocked_pages(s, rows(s)[r]) == 0:
                break  # the leaf has gone, and perhaps its parent is one now


@kernel
def _smallest(s, w, rule):
    """Row of the victim, and key and stamp of the next one after it."""
    first = w * config(s).leaf_capacity
    best = -1
    best_key = math.inf
    best_stamp = 0
    rival_key = math.inf
    rival_stamp = 0
    for position in range(workers(s)[w].n_leaves):
        r = leaves(s)[first + position]
        key = key_of(s, w, r, rule)
        stamp = tail_span(s, r).stamp
        if best < 0 or key < best_key or (key == best_key and stamp < best_stamp):
            rival_key, rival_stamp = best_key, best_stamp
            best, best_key, best_stamp = r, key, stamp
        elif key < rival_key or (key == rival_key and stamp < rival_stamp):
            rival_key, rival_stamp = key, stamp
    return best, rival_key, rival_stamp


@kernel
def key_of(s, w, r, rule):
    """Key of the last resident page of row `r`, a float; the smallest goes."""
    span = tail_span(s, r)
    if rule == LFU:
        return float(span.hits)
    if rule == MRU:
        return -float(span.stamp)
    if rule == SLRU:
        return 1.0 if span.hits >= SLRU_HITS else 0.0
    if rule == GHOST_SLRU:
        return 1.0 if span.hits > 0 or span.ghost > 0 else 0.0
    if rule == WLFU:
        return span.accesses + WLFU_BONUS * math.log(1.0 + span.hits)
    if rule == TAIL_LRU:
        return 1.0 if depth_tokens(s, r) <= needed_tokens(s, span) else 0.0
    if rule == GDSF:
        return span.inflation + (1 + span.hits) * page_cost_s(s, w, r)
    return reuse_probability(s, w, span)


@kernel
def depth_tokens(s, r):
    """Tokens up to the end of the last resident page of row `r`."""
    row = rows(s)[r]
    return (nodes(s)[row.node].start_page + row.cached) * config(s).page_size


@kernel
def needed_tokens(s, span):
    """Tokens of a session that have to stay so that few of its next prompt are computed (T-LRU, arXiv 2510.15152)."""
    return max(0, sessions(s)[span.session].tokens + NEXT_PROMPT_TOKENS - RECOMPUTABLE_TOKENS)


@kernel
def _prefill(s, w, tokens, known, ps):
    """Time to compute `tokens` tokens after `known` ones: their share of full prefill iterations.

    `ps` is a picosecond in the unit of the result.
    """
    chunk = config(s).chunk_tokens
    cost = costs(s)[workers(s)[w].cost]
    g = g_table(s)[workers(s)[w].cost * (chunk + 1) + chunk] / chunk * ps
    return tokens * g + cost.a_s * ps * tokens * (known + (tokens + 1) / 2)


@kernel
def prefill_s(s, w, tokens, known):
    """Seconds to compute `tokens` tokens after `known` ones."""
    return _prefill(s, w, tokens, known, 1e-12)


@kernel
def prefill_ps(s, w, tokens, known):
    """The same in picoseconds, a float: what times are compared with."""
    return _prefill(s, w, tokens, known, 1.0)


@kernel
def page_cost_s(s, w, r):
    """Seconds to compute the last resident page of row `r` again."""
    size = config(s).page_size
    return prefill_s(s, w, size, depth_tokens(s, r) - size)


@kernel
def reuse_probability(s, w, span):
    """Probability that a page is used within the horizon, given that it has been idle for so long (arXiv 2506.02634).

    With probability p a page is used again, after an exponential time; both are fitted per category of requests.
    """
    count = category(s, w, span.category)
    if count.reuses == 0:
        return 0.0
    p = min(1.0, count.reuses / count.uses)
    rate = count.reuses / (max(1, count.gap_us) * 1e-6)
    idle_s = (clock(s).now_ps - span.used_ps) * 1e-12
    alive = math.exp(-rate * idle_s)
    denominator = 1.0 - p + p * alive
    if denominator == 0.0:
        return 0.0
    return p * (alive - math.exp(-rate * (idle_s + HORIZON_S))) / denominator

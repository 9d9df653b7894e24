"""Evictors with keys: the leaf whose tail page has the smallest one, from a heap (docs/semantics.md#c7-keys).

The heap is kept up to date while one evictor works alone. Where an agent names evictors in turn it is built for each
allocation: to keep one for each of them would cost more at every event than a look at all leaves now and then.
"""

import math

import numpy as np

from kvgym._kernel import kernel, kernel_of_cases
from kvgym.sim.base.access import config, rows
from kvgym.sim.base.codes import NONE
from kvgym.sim.base.lists import recency_ends
from kvgym.sim.evictors import ASK, TABLE, choosers, module
from kvgym.sim.evictors.heap import add_last, forget, heaps, order, put, take_out, top
from kvgym.sim.evictors.histories import alike

_OF_SPANS = sum(1 << i for i, row in enumerate(TABLE.values()) if hasattr(module(row.module), "KEYS_OF_SPANS"))


@kernel
def _no_key():
    return math.inf, np.int64(0)


key_of = kernel_of_cases(
    "s, w, r, rule",
    [(f"if rule == {number}: return {{}}(s, w, r)", key) for number, key in choosers("key").items()]
    + [("return {}()", _no_key)],
)
"""(s, w, r, rule): key and tie of leaf `r` for evictor `rule`."""


@kernel
def cleared(s, w):
    """The cache of worker `w` is empty."""
    forget(s, w)


@kernel(inlined=False)
def leaf_added(s, w, r):
    """Row `r` is an unlocked leaf, now or still; its stamp may be another one."""
    rule = heaps(s)[w].rule
    if rule != NONE:
        key, tie = key_of(s, w, r, rule)
        put(s, w, r, key, tie)


leaf_changed = leaf_added


@kernel
def leaf_removed(s, w, r):
    """Row `r` is no unlocked leaf, if it was one."""
    take_out(s, w, r)


@kernel
def leaf_replaced(s, w, r, above):
    """The last page of leaf `r` has gone, and row `above` is a leaf instead."""
    leaf_removed(s, w, r)
    leaf_added(s, w, above)


@kernel(inlined=False)
def open_heap(s, w, rule):
    """Builds the heap of worker `w` for evictor `rule`, if that is not done."""
    if heaps(s)[w].rule == rule:
        return
    forget(s, w)
    heaps(s)[w].rule = rule
    r = recency_ends(s, w).oldest
    while r != NONE:
        if rows(s)[r].children == 0:
            key, tie = key_of(s, w, r, rule)
            add_last(s, w, r, key, tie)
        r = rows(s)[r].newer
    order(s, w)


@kernel
def close_heap(s, w):
    """An allocation has its pages: the heap goes, if the next one may be of another evictor."""
    if config(s).evictor == ASK:
        forget(s, w)


@kernel(inlined=False)
def smallest(s, w):
    """Row and key of the leaf that goes next; a key that has grown since it was put there sends its leaf down."""
    rule = heaps(s)[w].rule
    while True:
        first = top(s, w)
        r = first.row
        key, tie = key_of(s, w, r, rule)
        if key == first.key and tie == first.tie:
            return r, key
        put(s, w, r, key, tie)


@kernel
def like_pages(s, w, r):
    """How many pages of leaf `r`, the last one included, have its key for sure."""
    if not _OF_SPANS >> heaps(s)[w].rule & 1:
        return np.int64(1)
    return alike(s, r)


took = kernel_of_cases(
    "s, w, rule, key", [(f"if rule == {number}: {{}}(s, w, key)", told) for number, told in choosers("took").items()]
)
"""(s, w, rule, key): tells evictor `rule` the key of its victim."""

"""Unlocked leaves of a worker in a heap, the one with the smallest (key, tie) on top; four leaves below each.

A heap is built when an evictor with keys first needs it, and kept up to date from then on. A key that has grown since
its leaf was put there is found when it comes to the top; a key that has become smaller must be put again at once.
"""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import config, kept_table
from kvgym.sim.base.codes import NONE

HEAP = np.dtype([("rule", "i8"), ("size", "i8")], align=True)
"""Per worker: the evictor whose keys these are (NONE: nothing is kept up to date), and the leaves."""
ENTRY = np.dtype([("key", "f8"), ("tie", "i8"), ("row", "i8")], align=True)


_BRANCHES = 4

heaps = kept_table("keyed", "heaps", HEAP, lambda sizes: sizes.workers)
entries = kept_table("keyed", "heap_entries", ENTRY, lambda sizes: sizes.workers * sizes.leaves)
places = kept_table("keyed", "heap_places", "i4", lambda sizes: sizes.rows)


@kernel
def forget(s, w):
    """The heap of worker `w` is to be built anew."""
    heaps(s)[w].rule = NONE
    heaps(s)[w].size = 0


@kernel
def top(s, w):
    """The entry with the smallest key."""
    return entries(s)[w * config(s).leaf_capacity]


@kernel
def add_last(s, w, r, key, tie):
    """Adds leaf `r` at the end, wherever it belongs: `order` follows."""
    heap = heaps(s)[w]
    _set(s, w, heap.size, key, tie, r)
    heap.size += 1


@kernel(inlined=False)
def order(s, w):
    """Brings the leaves that have been added in order."""
    table = entries(s)
    first = w * config(s).leaf_capacity
    for i in range(heaps(s)[w].size // _BRANCHES, -1, -1):
        if i < heaps(s)[w].size:
            entry = table[first + i]
            _sink(s, w, i, entry.key, entry.tie, entry.row)


@kernel(inlined=False)
def put(s, w, r, key, tie):
    """Leaf `r` has this key from now on, whether it was there or not."""
    heap = heaps(s)[w]
    i = _place_of(s, w, r)
    if i < 0:
        i = heap.size
        heap.size += 1
    _settle(s, w, i, key, tie, r)


@kernel(inlined=False)
def take_out(s, w, r):
    """Row `r` is no leaf any more, if it was one."""
    i = _place_of(s, w, r)
    if i < 0:
        return
    heap = heaps(s)[w]
    heap.size -= 1
    if i < heap.size:
        last = entries(s)[w * config(s).leaf_capacity + heap.size]
        _settle(s, w, i, last.key, last.tie, last.row)


@kernel
def _place_of(s, w, r):
    """Place of row `r` in the heap of worker `w`, -1 if it has none; what `places` says may be old."""
    i = places(s)[r]
    if i < heaps(s)[w].size and entries(s)[w * config(s).leaf_capacity + i].row == r:
        return np.int64(i)
    return np.int64(-1)


@kernel
def _set(s, w, i, key, tie, r):
    entry = entries(s)[w * config(s).leaf_capacity + i]
    entry.key = key
    entry.tie = tie
    entry.row = r
    places(s)[r] = i


@kernel
def _before(key, tie, entry):
    """Whether a leaf with this key goes before that of an entry."""
    return key < entry.key or (key == entry.key and tie < entry.tie)


@kernel
def _settle(s, w, i, key, tie, r):
    """Puts a leaf at place `i`, or above or below, where it belongs."""
    table = entries(s)
    first = w * config(s).leaf_capacity
    while i > 0:
        above = (i - 1) // _BRANCHES
        entry = table[first + above]
        if not _before(key, tie, entry):
            break
        _set(s, w, i, entry.key, entry.tie, entry.row)
        i = above
    _sink(s, w, i, key, tie, r)


@kernel
def _sink(s, w, i, key, tie, r):
    """Puts a leaf at place `i` or below, where it belongs."""
    table = entries(s)
    first = w * config(s).leaf_capacity
    size = heaps(s)[w].size
    while True:
        least = i
        least_key, least_tie = key, tie
        for below in range(_BRANCHES * i + 1, min(_BRANCHES * i + _BRANCHES + 1, size)):
            entry = table[first + below]
            if not _before(least_key, least_tie, entry):
                least, least_key, least_tie = below, entry.key, entry.tie
        if least == i:
            break
        _set(s, w, i, least_key, least_tie, table[first + least].row)
        i = least
    _set(s, w, i, key, tie, r)

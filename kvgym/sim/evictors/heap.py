"""Unlocked leaves of a worker in heaps, the one with the smallest (key, tie) on top; four leaves below each.

Worker `w` has heap `w`, and for several queues also `w + n_workers` and so on; a leaf is in one of them at most. A key
that has grown since its leaf was put there is found when it comes to the top; a key that has become smaller must be put
again at once.
"""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import config, kept_table
from kvgym.sim.base.codes import NONE

HEAP = np.dtype([("rule", "i8"), ("size", "i8")], align=True)
"""Of a heap: the evictor whose keys these are (NONE: nothing is kept up to date), and the leaves."""
ENTRY = np.dtype([("key", "f8"), ("tie", "i8"), ("row", "i8")], align=True)


_BRANCHES = 4

heaps = kept_table(__name__, "heaps", HEAP, lambda sizes: sizes.heaps)
entries = kept_table(__name__, "heap_entries", ENTRY, lambda sizes: sizes.heaps * sizes.leaves)
places = kept_table(__name__, "heap_places", "i4", lambda sizes: sizes.rows)


@kernel
def forget(s, h):
    """The heap is to be built anew."""
    heaps(s)[h].rule = NONE
    heaps(s)[h].size = 0


@kernel
def top(s, h):
    """The entry with the smallest key."""
    return entries(s)[h * config(s).leaf_capacity]


@kernel
def add_last(s, h, r, key, tie):
    """Adds leaf `r` at the end, wherever it belongs: `order` follows."""
    heap = heaps(s)[h]
    _set(s, h, heap.size, key, tie, r)
    heap.size += 1


@kernel(inlined=False)
def order(s, h):
    """Brings the leaves that have been added in order."""
    table = entries(s)
    first = h * config(s).leaf_capacity
    for i in range(heaps(s)[h].size // _BRANCHES, -1, -1):
        if i < heaps(s)[h].size:
            entry = table[first + i]
            _sink(s, h, i, entry.key, entry.tie, entry.row)


@kernel(inlined=False)
def put(s, h, r, key, tie):
    """Leaf `r` has this key from now on, whether it was there or not."""
    heap = heaps(s)[h]
    i = _place_of(s, h, r)
    if i < 0:
        i = heap.size
        heap.size += 1
    _settle(s, h, i, key, tie, r)


@kernel(inlined=False)
def take_out(s, h, r):
    """Row `r` is no leaf any more, if it was one."""
    i = _place_of(s, h, r)
    if i < 0:
        return
    heap = heaps(s)[h]
    heap.size -= 1
    if i < heap.size:
        last = entries(s)[h * config(s).leaf_capacity + heap.size]
        _settle(s, h, i, last.key, last.tie, last.row)


@kernel
def _place_of(s, h, r):
    """Place of row `r` in heap `h`, -1 if it has none; what `places` says may be old."""
    i = places(s)[r]
    if i < heaps(s)[h].size and entries(s)[h * config(s).leaf_capacity + i].row == r:
        return np.int64(i)
    return np.int64(-1)


@kernel
def _set(s, h, i, key, tie, r):
    entry = entries(s)[h * config(s).leaf_capacity + i]
    entry.key = key
    entry.tie = tie
    entry.row = r
    places(s)[r] = i


@kernel
def _before(key, tie, entry):
    """Whether a leaf with this key goes before that of an entry."""
    return key < entry.key or (key == entry.key and tie < entry.tie)


@kernel
def _settle(s, h, i, key, tie, r):
    """Puts a leaf at place `i`, or above or below, where it belongs."""
    table = entries(s)
    first = h * config(s).leaf_capacity
    while i > 0:
        above = (i - 1) // _BRANCHES
        entry = table[first + above]
        if not _before(key, tie, entry):
            break
        _set(s, h, i, entry.key, entry.tie, entry.row)
        i = above
    _sink(s, h, i, key, tie, r)


@kernel
def _sink(s, h, i, key, tie, r):
    """Puts a leaf at place `i` or below, where it belongs."""
    table = entries(s)
    first = h * config(s).leaf_capacity
    size = heaps(s)[h].size
    while True:
        least = i
        least_key, least_tie = key, tie
        for below in range(_BRANCHES * i + 1, min(_BRANCHES * i + _BRANCHES + 1, size)):
            entry = table[first + below]
            if not _before(least_key, least_tie, entry):
                least, least_key, least_tie = below, entry.key, entry.tie
        if least == i:
            break
        _set(s, h, i, least_key, least_tie, table[first + least].row)
        i = least
    _set(s, h, i, key, tie, r)

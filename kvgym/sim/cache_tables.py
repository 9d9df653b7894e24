"""Tables of the caches: pages, and what evictors remember of them."""

from __future__ import annotations

import numpy as np

ROW = np.dtype(
    [
        ("node", "i4"),
        ("cached", "i4"),  # resident pages: a prefix of the node's
        ("locks", "i4"),  # running requests that cover the whole node
        ("part_locks", "i4"),  # running requests that cover only its first pages
        ("part_pages", "i4"),  # and how many
        ("children", "i4"),  # child nodes with a resident page
        ("older", "i4"),  # list of evictable nodes by recency; NOT_LISTED outside it
        ("newer", "i4"),
        ("leaf", "i4"),  # position in `leaves`, -1 = no unlocked leaf
        ("phase", "i4"),  # the marks below are of this phase
        ("mark_to", "i4"),  # pages [0, mark_to) and [mark_from, cached) are marked
        ("mark_from", "i4"),
        ("shown", "i4"),  # continuation seen after the last page, see kernels/boundaries.py
    ],
    align=True,
)
"""The cache: one row per (worker, shared node) and one per private node, see ``kernels/access.py``."""

ENDS = np.dtype([("oldest", "i8"), ("newest", "i8")], align=True)
"""Ends of a linked list of rows, see ``kernels/lists.py``."""
RECENCY, INDEX, BIRTHS = range(3)
"""The lists."""
N_LISTS = 3

MEMORY = np.dtype(
    [
        ("span", "i4"),  # the deepest span of the node's resident pages, -1 = none
        ("older", "i4"),  # list of leaves by birth
        ("newer", "i4"),
        ("ghosts", "i4"),  # where the node's pages begin in `ghosts`
    ],
    align=True,
)
"""What evictors remember of a row of the cache, numbered like ROW; empty for evictors that remember nothing."""

SPAN = np.dtype(
    [
        ("first", "i4"),  # page of the node that it begins at
        ("above", "i4"),  # the span before it in the node; the next free one in the list of free spans
        ("born", "i4"),  # recency counter at entry
        ("stamp", "i4"),  # recency counter at the last admission or unlock
        ("hits", "i4"),  # admissions that touched it since its entry
        ("session", "i4"),  # of the last use
        ("sessions", "i4"),  # 1 + changes of session from use to use
        ("category", "i4"),  # of the last use, for workload_aware
        ("ghost", "i4"),  # it entered as a ghost
        ("born_ps", "i8"),
        ("used_ps", "i8"),  # time of the stamp; of the entry if it has none
        ("gap_us", "i8"),  # sum of the idle times that its hits ended
        ("accesses", "i8"),  # page accesses of the worker at the stamp
        ("inflation", "f8"),  # of gdsf, at the last use
    ],
    align=True,
)
"""A run of resident pages of one node with the same history: they entered together and were used together since.

Histories are kept page by page, and not node by node, because where a node ends is known only from the future.
"""

CATEGORY = np.dtype([("uses", "i8"), ("reuses", "i8"), ("gap_us", "i8")], align=True)
"""What workload_aware counts per worker and category, in pages."""
N_CATEGORIES = 4

"""Reuse of pages: exact LRU stack distances, Belady's optimum, and who goes on with whose conversation.

Requests come in order of their arrival, one after the other; each has the entries starts[r] : starts[r + 1], the nodes
of its path, root first. An entry stands for all pages of its node, of which a cache always holds the first ones: under
LRU and under Belady's rule a page goes before the one above it. So time grows with the number of entries, not of pages.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-warn-return-any
# numba infers the types, which mypy cannot express.

from __future__ import annotations

from heapq import heappop, heappush

import numpy as np
from numba import types

from kvgym._kernel import entry_point, kernel

_INTS, _NODES = types.int64[::1], types.int32[::1]


@entry_point(types.float64[::1](types.float64[::1], types.float64[::1], _NODES))
def follow(arrivals, pauses, predecessor):
    """Times of all requests: given ones, and a pause after the predecessor's time."""
    times = arrivals.copy()
    for r in range(len(times)):
        if predecessor[r] >= 0:
            times[r] = times[predecessor[r]] + pauses[r]
    return times


@kernel
def add(sums, place, pages):
    """Adds to a Fenwick tree at a place."""
    k = place + 1
    while k < len(sums):
        sums[k] += pages
        k += k & -k


@kernel
def sum_to(sums, place):
    """Sum of a Fenwick tree over the places 0 .. place."""
    k, total = place + 1, np.int64(0)
    while k > 0:
        total += sums[k]
        k -= k & -k
    return total


@entry_point(types.UniTuple(_INTS, 2)(_INTS, _NODES, _INTS))
def distances(starts, nodes, node_pages):
    """(previous, distance) per entry: the last entry of its node, and the different pages used since then (-1: none).

    A request uses its pages at once, the last one first; so the first page of a node lies `distance` + 1 deep in the
    stack, the page after it one deeper.
    """
    sums = np.zeros(len(nodes) + 1, np.int64)
    last, place = np.full(len(node_pages), -1, np.int64), np.empty(len(node_pages), np.int64)
    previous, distance = np.full(len(nodes), -1, np.int64), np.full(len(nodes), -1, np.int64)
    total = np.int64(0)
    for r in range(len(starts) - 1):
        begin, end = starts[r], starts[r + 1]
        for e in range(begin, end):
            v = nodes[e]
            if last[v] >= 0:
                previous[e], distance[e] = last[v], total - sum_to(sums, place[v])
        for e in range(begin, end):
            v = nodes[e]
            if last[v] >= 0:
                add(sums, place[v], -node_pages[v])
            else:
                total += node_pages[v]
            last[v], place[v] = e, begin + end - 1 - e
            add(sums, place[v], node_pages[v])
    return previous, distance


@entry_point(types.int64(_INTS, _INTS, _INTS, types.int64))
def optimal_hits(starts, following, asked, capacity):
    """Pages that a cache of `capacity` pages would hit if the page whose next use is farthest always went.

    `following` is the next entry of an entry's node (-1: none), `asked` how many of its pages the request could hit.
    What nobody uses again takes no room.
    """
    held = np.zeros(len(following), np.int64)  # pages kept for an entry to come
    farthest = [np.int64(0)]  # minus the entries for which pages are kept; those of the past lie below and stay there
    heappop(farthest)
    used = hits = np.int64(0)
    for r in range(len(starts) - 1):
        for e in range(starts[r], starts[r + 1]):
            hits += held[e]
            used -= held[e]
        for e in range(starts[r], starts[r + 1]):
            if following[e] >= 0 and asked[following[e]]:
                held[following[e]] = asked[following[e]]
                used += asked[following[e]]
                heappush(farthest, -following[e])
        while used > capacity:
            last = -farthest[0]
            gone = min(held[last], used - capacity)
            held[last] -= gone
            used -= gone
            if held[last] == 0:
                heappop(farthest)
    return hits


@entry_point(_INTS(_INTS, _NODES, _NODES, _INTS, _INTS, _INTS))
def goes_on_from(starts, nodes, node_start, node_pages, prompt_pages, mark):
    """The latest earlier request whose marked page a request's prompt holds, the deepest of all such pages; -1 = none.

    `mark` is a page of each request's own prompt, -1 = none.
    """
    last = np.full(len(node_start), -1, np.int64)  # latest request whose marked page lies in a node
    before = np.full(len(prompt_pages), -1, np.int64)
    for r in range(len(prompt_pages)):
        own = before[r]
        for e in range(starts[r + 1] - 1, starts[r] - 1, -1):
            v = nodes[e]
            end = node_start[v] + node_pages[v]
            if end <= prompt_pages[r] and last[v] >= 0 and before[r] < 0:
                before[r] = last[v]
            if node_start[v] <= mark[r] < end:
                own = v
        if mark[r] >= 0:
            last[own] = r
    return before

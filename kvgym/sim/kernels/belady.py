"""Belady's rule on the prefix tree, an oracle: it reads the future of the workload."""

from kvgym._kernel import kernel
from kvgym.sim.kernels.access import config, leaves, nodes, progress, rows, use_next, use_starts, uses, workers
from kvgym.sim.kernels.leaves import unlocked_pages
from kvgym.sim.kernels.tree import drop_pages


@kernel
def evict_belady(s, w, n):
    """Tail of the leaf whose next use is farthest, then deepest, then of the highest node index."""
    while n > 0:
        r, rival_depth = _farthest_leaf(s, w)
        row = rows(s)[r]
        # The rest of the node has the same next use: it goes on until a rival is as deep.
        lead = _depth(s, row) - rival_depth
        k = min(n, unlocked_pages(s, row), max(1, lead))
        drop_pages(s, w, r, k)
        n -= k


@kernel
def _depth(s, row):
    return nodes(s)[row.node].start_page + row.cached


@kernel
def _next_use(s, v):
    """Smallest index of a request not yet admitted whose prompt holds node `v`; the number of requests = never."""
    at = use_next(s)[v]
    end = use_starts(s)[v + 1]
    while at < end and progress(s)[uses(s)[at]].admitted_ps >= 0:
        at += 1
    use_next(s)[v] = at
    return uses(s)[at] if at < end else config(s).n_requests


@kernel
def _farthest_leaf(s, w):
    """Row of the victim, and the depth of the deepest other leaf with the same next use (0 = none)."""
    first = w * config(s).leaf_capacity
    best = -1
    best_use = -1
    best_depth = -1
    rival_depth = 0
    for position in range(workers(s)[w].n_leaves):
        r = leaves(s)[first + position]
        row = rows(s)[r]
        use = _next_use(s, row.node)
        depth = _depth(s, row)
        if use > best_use:
            best, best_use, best_depth, rival_depth = r, use, depth, 0
        elif use == best_use:
            if depth > best_depth or (depth == best_depth and row.node > rows(s)[best].node):
                best, best_depth, rival_depth = r, depth, best_depth
            else:
                rival_depth = max(rival_depth, depth)
    return best, rival_depth

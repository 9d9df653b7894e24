"""The prefix tree of a workload in one compiled call; loaded with `kvgym._compile.load`.

A call from Python for each step would hold Python's lock in between, which a thread that makes episodes ahead should
leave to the one that plays.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-warn-return-any
# numba infers the types, which mypy cannot express.

from __future__ import annotations

import numpy as np
from numba import from_dtype, types

from kvgym._kernel import entry_point, kernel
from kvgym.workload.tables import NODE, REQUEST
from kvgym.workload.tree_kernels import (
    canonical_runs,
    cut_and_number,
    find_cuts,
    insert_paths,
    list_paths,
    unit_hashes,
)

_NODES = from_dtype(NODE)
_TABLE = types.Array(from_dtype(REQUEST), 1, "C")
_INTS = types.int64[::1]
_RESULT = types.Tuple((types.Array(_NODES, 1, "C"), types.int32[::1], types.int64))


@kernel(allocates=True)
def _columns(requests):
    """prompt_tokens, prompt_pages, path_pages, predecessor and session as columns of their own."""
    out = np.empty((5, len(requests)), np.int64)
    for r in range(len(requests)):
        request = requests[r]
        out[0, r] = request.prompt_tokens
        out[1, r] = request.prompt_pages
        out[2, r] = request.path_pages
        out[3, r] = request.predecessor
        out[4, r] = request.session
    return out[0], out[1], out[2], out[3], out[4]


@kernel(allocates=True)
def sort_cuts(cuts, n_nodes):
    """Different keys node << 32 | page in ascending order.

    Returns (first, keys): those of node v are keys[first[v] : first[v + 1]].
    """
    ends = np.zeros(n_nodes + 1, np.int64)
    for key in cuts:
        ends[(key >> 32) + 1] += 1
    for v in range(n_nodes):
        ends[v + 1] += ends[v]
    begins = ends[:-1].copy()
    first = np.zeros(n_nodes + 1, np.int64)
    keys = np.empty(len(cuts), np.int64)
    for key in cuts:  # each goes to its place among those of its node
        v = key >> 32
        k = ends[v]
        ends[v] += 1
        while k > begins[v] and keys[k - 1] > key:
            keys[k] = keys[k - 1]
            k -= 1
        keys[k] = key
    count = 0
    for v in range(n_nodes):
        for k in range(begins[v], ends[v]):
            if k == begins[v] or keys[k] != keys[count - 1]:
                keys[count] = keys[k]
                count += 1
        first[v + 1] = count
    return first, keys[:count]


@kernel(allocates=True)
def _node_rows(table, users):
    """Rows of `NODE` from what `cut_and_number` returns, slots included, and the number of shared nodes."""
    n = table.shape[1]
    nodes = np.empty(n, NODE)
    n_shared = 0
    for v in range(n):
        n_shared += users[table[4, v]] >= 2
    shared, private = 0, n_shared
    for v in range(n):
        node = nodes[v]
        node.parent = table[0, v]
        node.start_page = table[1, v]
        node.n_pages = table[2, v]
        node.first_request = table[3, v]
        node.n_requests = users[table[4, v]]
        if node.n_requests >= 2:
            node.slot = shared
            shared += 1
        else:
            node.slot = private
            private += 1
    return nodes, n_shared


@entry_point(_RESULT(_TABLE, types.UniTuple(_INTS, 6), types.int64))
def assemble(requests, given, page_size):
    """Builds the tree and fills the columns of `requests` that come from it; the others are there.

    `given` as in `canonical_runs`. Returns the nodes, the paths and the number of shared nodes.
    """
    splits, segments, offsets, lengths, tail_tokens, tail_segments = given
    rows, runs = canonical_runs(splits, segments, offsets, lengths, tail_tokens, tail_segments)
    prompt_tokens, prompt_pages, path_pages, predecessors, sessions = _columns(requests)
    up, start, stop, last = insert_paths(rows, runs, path_pages, page_size)
    starts, members = list_paths(up, last)
    users, single_from, cuts = find_cuts(starts, members, start, stop, prompt_pages, predecessors)
    first_cut, cuts = sort_cuts(cuts, len(start))
    room = len(start) + len(cuts) + (stop - single_from).sum()
    table, path_nodes, paths = cut_and_number(starts, members, up, start, stop, single_from, first_cut, cuts, room)
    prefix_u, session_u = unit_hashes(rows, runs, prompt_tokens, sessions)
    path_start = 0
    for r in range(len(requests)):
        requests[r].path_start = path_start
        requests[r].path_nodes = path_nodes[r]
        requests[r].prefix_u = prefix_u[r]
        requests[r].session_u = session_u[r]
        path_start += path_nodes[r]
    nodes, n_shared = _node_rows(table, users)
    return nodes, paths, n_shared

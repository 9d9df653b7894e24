"""The prefix tree of a workload, by exact radix insertion of all paths, in one compiled call.

A call from Python for each step would hold Python's lock in between, which a thread that makes episodes ahead should
leave to the one that plays. Nodes are found by a hash of their first page and confirmed by comparing runs of tokens, so
that the time grows with the number of runs, not of tokens.

A run (segment, shift, end) holds a request's tokens from the end of the run before it to its own end; the token at
position t is (segment, shift + t). Runs are canonical: none is empty, and no two neighbours could be one. So requests
that agree up to a position have the same runs up to there, whatever way their tokens were given.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-warn-return-any
# numba infers the types, which mypy cannot express.

from __future__ import annotations

import numpy as np
from numba import from_dtype, types

from kvgym._kernel import entry_point, kernel
from kvgym.workload.numbers import mix64
from kvgym.workload.tables import NODE, REQUEST

_TABLE = types.Array(from_dtype(REQUEST), 1, "C")
_RESULT = types.Tuple((types.Array(from_dtype(NODE), 1, "C"), types.int32[::1], types.int64))
FREE = -1


@kernel(allocates=True)
def canonical_runs(splits, segments, offsets, lengths, tail_tokens, tail_segments, tail_offsets):
    """Canonical runs of each request: its given ones, then `tail_tokens` of its tail segment (-1: private).

    Returns (row starts, (segment, shift, end)). Private segments are negative, given ones are not.
    """
    n = len(splits) - 1
    rows = np.empty(n + 1, np.int64)
    segment = np.empty(len(segments) + n, np.int64)
    shift = np.empty(len(segments) + n, np.int64)
    end = np.empty(len(segments) + n, np.int64)
    k = 0
    for r in range(n):
        rows[r] = k
        position = np.int64(0)
        for i in range(splits[r], splits[r + 1] + 1):
            if i < splits[r + 1]:
                s, first, tokens = segments[i], offsets[i], lengths[i]
            else:
                s, first, tokens = tail_segments[r], tail_offsets[r], tail_tokens[r]
                if s < 0:
                    s = np.int64(-1 - r)
            if tokens == 0:
                continue
            if k == rows[r] or segment[k - 1] != s or shift[k - 1] != first - position:
                segment[k] = s
                shift[k] = first - position
                k += 1
            position += tokens
            end[k - 1] = position
    rows[n] = k
    return rows, (segment[:k], shift[:k], end[:k])


@kernel(allocates=True)
def hash_tokens(runs, run, begin, end, salt):
    """Hash of the tokens at positions begin .. end-1; `run` is the run that holds `begin`."""
    segment, shift, stop = runs
    h = mix64(salt)
    while begin < end:
        piece_end = min(stop[run], end)
        h = mix64(h ^ np.uint64(segment[run]))
        h = mix64(h ^ np.uint64(shift[run]))
        h = mix64(h ^ np.uint64(piece_end))
        begin = piece_end
        run += 1
    return h


@kernel(allocates=True)
def common_tokens(runs, a, b, begin, limit):
    """Position up to which two requests agree, at most `limit`; they agree up to `begin`, held by runs a and b."""
    segment, shift, stop = runs
    while begin < limit and segment[a] == segment[b] and shift[a] == shift[b]:
        begin = min(stop[a], stop[b])
        a += stop[a] == begin
        b += stop[b] == begin
    return min(begin, limit)


@kernel(allocates=True)
def hash_requests(rows, runs, requests):
    """Writes two columns in [0, 1): of each prompt's first 256 tokens, and of each session."""
    scale = np.float64(2.0**-24)
    for r in range(len(requests)):
        request = requests[r]
        h = hash_tokens(runs, rows[r], np.int64(0), np.int64(min(256, request.prompt_tokens)), 1)
        request.prefix_u = np.float64(h >> np.uint64(40)) * scale
        request.session_u = np.float64(mix64(mix64(2) ^ np.uint64(request.session)) >> np.uint64(40)) * scale


@kernel(allocates=True)
def find_child(table, hashes, parent, ref_run, runs, node, h, run, begin, page_size):
    """Slot of the child of `node` whose first page is the page at `begin`, or the free slot where it belongs."""
    mask = len(table) - 1
    slot = np.int64(mix64(h ^ np.uint64(node + 1)) & np.uint64(mask))
    while True:
        child = table[slot]
        if child == FREE:
            return slot
        alike = hashes[child] == h and parent[child] == node
        if alike and common_tokens(runs, ref_run[child], run, begin, begin + page_size) == begin + page_size:
            return slot
        slot = (slot + 1) & mask


@kernel(allocates=True)
def insert_paths(rows, runs, requests, page_size):
    """Radix tree of all paths.

    Returns (parent, start, stop) per node, in pages, and each request's last node (-1: no full page).
    A split node's lower part keeps the number, so that children and the requests that ended there stay right.
    """
    n = len(requests)
    parent = np.empty(2 * n, np.int64)
    start = np.empty(2 * n, np.int64)
    stop = np.empty(2 * n, np.int64)
    ref_run = np.empty(2 * n, np.int64)  # run of a request on this node that holds the node's first token
    hashes = np.empty(2 * n, np.uint64)
    size = 16
    while size < 4 * n:
        size *= 2
    table = np.full(size, FREE, np.int64)
    last = np.full(n, FREE, np.int64)
    count = 0
    for r in range(n):
        node, page, run = np.int64(FREE), np.int64(0), rows[r]
        path_pages = np.int64(requests[r].path_pages)
        while page < path_pages:
            begin = page * page_size
            while runs[2][run] <= begin:
                run += 1
            h = hash_tokens(runs, run, begin, begin + page_size, 0)
            slot = find_child(table, hashes, parent, ref_run, runs, node, h, run, begin, page_size)
            child = table[slot]
            if child == FREE:
                table[slot] = child = count
                parent[child], start[child], stop[child] = node, page, path_pages
                ref_run[child], hashes[child] = run, h
                count += 1
            else:
                limit = min(stop[child], path_pages) * page_size
                shared = common_tokens(runs, ref_run[child], run, begin, limit) // page_size
                if shared < stop[child]:
                    upper = count
                    count += 1
                    table[slot] = upper
                    parent[upper], start[upper], stop[upper] = node, page, shared
                    ref_run[upper], hashes[upper] = ref_run[child], h
                    parent[child], start[child] = upper, shared
                    while runs[2][ref_run[child]] <= shared * page_size:
                        ref_run[child] += 1
                    first = shared * page_size
                    hashes[child] = hash_tokens(runs, ref_run[child], first, first + page_size, 0)
                    h, at = hashes[child], ref_run[child]
                    table[find_child(table, hashes, parent, ref_run, runs, upper, h, at, first, page_size)] = child
                    child = upper
            node, page = child, stop[child]
        last[r] = node
    return parent[:count], start[:count], stop[:count], last


@kernel(allocates=True)
def family_spans(requests):
    """(first, end) per request in an order in which a request and its transitive successors are neighbours."""
    n = len(requests)
    size = np.ones(n, np.int64)
    for r in range(n - 1, -1, -1):
        if requests[r].predecessor >= 0:
            size[requests[r].predecessor] += size[r]
    first = np.empty(n, np.int64)
    free = np.empty(n, np.int64)  # where the next successor's family goes
    roots = 0
    for r in range(n):
        predecessor = requests[r].predecessor
        if predecessor >= 0:
            first[r] = free[predecessor]
            free[predecessor] += size[r]
        else:
            first[r] = roots
            roots += size[r]
        free[r] = first[r] + 1
    return first, first + size


@kernel(allocates=True)
def list_paths(parent, last):
    """Each request's nodes, root first: (starts, nodes)."""
    starts = np.zeros(len(last) + 1, np.int64)
    for r in range(len(last)):
        depth, node = 0, last[r]
        while node != FREE:
            depth += 1
            node = parent[node]
        starts[r + 1] = starts[r] + depth
    nodes = np.empty(starts[-1], np.int64)
    for r in range(len(last)):
        node = last[r]
        for i in range(starts[r + 1] - 1, starts[r] - 1, -1):
            nodes[i] = node
            node = parent[node]
    return starts, nodes


@kernel(allocates=True)
def find_cuts(starts, nodes, start, stop, requests):
    """Where shared nodes are cut further.

    Returns (users, single_from, cuts): requests per node; the page from which on a node falls into single pages (its
    end: none); keys node << 32 | page of the prompt ends inside shared nodes, in no order.
    """
    first, end = family_spans(requests)
    users = np.zeros(len(start), np.int64)
    lowest = np.full(len(start), len(first), np.int64)
    highest = np.full(len(start), -1, np.int64)
    for r in range(len(first)):
        for i in range(starts[r], starts[r + 1]):
            node = nodes[i]
            users[node] += 1
            lowest[node] = min(lowest[node], first[r])
            highest[node] = max(highest[node], first[r])
    single_from = stop.copy()
    cuts = np.empty(len(first), np.int64)
    count = 0
    for r in range(len(first)):
        prompt_pages = np.int64(requests[r].prompt_pages)
        for i in range(starts[r], starts[r + 1]):
            node = nodes[i]
            if users[node] == 1 or stop[node] <= prompt_pages:
                continue
            if start[node] < prompt_pages:
                cuts[count] = node << 32 | prompt_pages
                count += 1
            if lowest[node] < first[r] or highest[node] >= end[r]:
                single_from[node] = min(single_from[node], max(start[node], prompt_pages))
    return users, single_from, cuts[:count]


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
def cut_and_number(starts, members, up, start, stop, users, single_from, first_cut, cuts, requests):
    """The final nodes, numbered by first appearance, and the paths through them.

    `cuts` is sorted; those of a node are first_cut[node] : first_cut[node + 1]. Returns (nodes, paths, number of shared
    nodes), and writes into each request where its path lies.
    """
    nodes = np.empty(len(start) + len(cuts) + (stop - single_from).sum(), NODE)
    number = np.full(len(start), FREE, np.int64)  # a tree node's pieces are number .. final - 1
    final = np.empty(len(start), np.int64)
    length = k = n_shared = 0
    for r in range(len(requests)):
        requests[r].path_start = length
        for i in range(starts[r], starts[r + 1]):
            v = members[i]
            if number[v] == FREE:
                number[v] = k
                above = FREE if up[v] == FREE else final[up[v]] - 1
                page, cut = start[v], first_cut[v]
                while page < stop[v]:
                    piece_end = page + 1 if page >= single_from[v] else single_from[v]
                    if cut < first_cut[v + 1]:
                        piece_end = min(piece_end, cuts[cut] & 0xFFFFFFFF)
                        cut += piece_end == cuts[cut] & 0xFFFFFFFF
                    node = nodes[k]
                    node.parent, node.start_page, node.n_pages = above, page, piece_end - page
                    node.first_request, node.n_requests = r, users[v]
                    n_shared += users[v] >= 2
                    above, page = k, piece_end
                    k += 1
                final[v] = k
            length += final[v] - number[v]
        requests[r].path_nodes = length - requests[r].path_start
    shared, private = 0, n_shared
    for v in range(k):
        if nodes[v].n_requests >= 2:
            nodes[v].slot = shared
            shared += 1
        else:
            nodes[v].slot = private
            private += 1
    paths = np.empty(length, np.int32)
    length = 0
    for v in members:
        for piece in range(number[v], final[v]):
            paths[length] = piece
            length += 1
    return nodes[:k].copy(), paths, n_shared


@entry_point(_RESULT(_TABLE, types.UniTuple(types.int64[::1], 7), types.int64))
def assemble(requests, given, page_size):
    """Builds the tree and fills the columns of `requests` that come from it; the others are there.

    `given` as in `canonical_runs`. Returns the nodes, the paths and the number of shared nodes.
    """
    rows, runs = canonical_runs(*given)
    up, start, stop, last = insert_paths(rows, runs, requests, page_size)
    starts, members = list_paths(up, last)
    users, single_from, cuts = find_cuts(starts, members, start, stop, requests)
    first_cut, cuts = sort_cuts(cuts, len(start))
    hash_requests(rows, runs, requests)
    return cut_and_number(starts, members, up, start, stop, users, single_from, first_cut, cuts, requests)

"""A workload's flat tables: a row per request, and a row per node of the prefix tree; and parts of such tables."""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

Table = NDArray[Any]

# Times in picoseconds, sizes in tokens or pages, links as row numbers of the same table (-1 = none).
REQUEST = np.dtype(
    [
        ("arrival_ps", "i8"),  # -1 where a predecessor triggers the request
        ("think_ps", "i8"),  # from the predecessor's finish to this arrival
        ("predecessor", "i4"),
        ("first_successor", "i4"),  # successors form a linked list, in index order
        ("next_successor", "i4"),
        ("prompt_tokens", "i4"),
        ("output_tokens", "i4"),
        ("prompt_pages", "i4"),  # full pages of the prompt
        ("path_pages", "i4"),  # full pages that a finished request leaves in a cache
        ("path_start", "i4"),  # its nodes are paths[path_start : path_start + path_nodes]
        ("path_nodes", "i4"),
        ("session", "i4"),
        ("turn", "i4"),
        ("tenant", "i4"),
        ("service_class", "i4"),
        ("prefix_u", "f4"),  # hash of the first 256 tokens, in [0, 1)
        ("session_u", "f4"),  # hash of the session, in [0, 1)
    ],
    align=True,
)
"""A row per request."""

# Sorted by (first_request, start_page). Slots: shared nodes 0 .. n_shared-1, then private ones, both in node order.
NODE = np.dtype(
    [
        ("parent", "i4"),  # -1 at depth 0: there is no root node
        ("start_page", "i4"),
        ("n_pages", "i4"),
        ("slot", "i4"),
        ("first_request", "i4"),
        ("n_requests", "i4"),
    ],
    align=True,
)
"""A row per node of the prefix tree."""


class Columns(TypedDict, total=False):
    """Optional columns of a workload under construction, each of length n.

    Keys:
        predecessors: index of the request whose finish triggers this one, smaller than its own; -1 (default) = none.
        think_times: seconds >= 0 between that finish and the arrival; default 0, ignored without a predecessor.
        sessions: integers >= 0; default: one for each request without a predecessor, handed on to its successors.
        turns: integers >= 0; default: 0, and the predecessor's plus one.
        tenants, service_classes: integers >= 0; default 0.
    """

    predecessors: ArrayLike | None
    think_times: ArrayLike | None
    sessions: ArrayLike | None
    turns: ArrayLike | None
    tenants: ArrayLike | None
    service_classes: ArrayLike | None


def with_successors(requests: Table, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The chosen requests and everything that follows them: a (n,) mask."""
    predecessor = requests["predecessor"]
    has_one = predecessor >= 0
    while True:
        grown: NDArray[np.bool_] = chosen | (has_one & chosen[predecessor])
        if np.array_equal(grown, chosen):
            return grown
        chosen = grown


def subset(
    old: Table, old_nodes: Table, old_paths: NDArray[np.int32], keep: NDArray[np.bool_]
) -> tuple[Table, Table, NDArray[np.int32], int]:
    """The requests of a (n,) mask that holds the predecessor of each of its members, renumbered.

    Nodes keep the cuts of the whole workload; those that nobody uses any more go.

    Returns:
        Requests, nodes, paths and the number of shared nodes.
    """
    requests = old[keep]
    entries = np.repeat(keep, old["path_nodes"])
    paths = old_paths[entries]
    requests["path_start"] = np.cumsum(requests["path_nodes"]) - requests["path_nodes"]
    used, position, uses = np.unique(paths, return_index=True, return_counts=True)
    # First appearance in the concatenated paths is the order by (first request, depth).
    order = np.argsort(position)
    number = np.full(len(old_nodes) + 1, -1, np.int32)  # the last entry stands for "no parent"
    number[used[order]] = np.arange(len(used))

    nodes = np.empty(len(used), NODE)
    kept = old_nodes[used[order]]
    nodes["parent"] = number[kept["parent"]]
    nodes["start_page"], nodes["n_pages"] = kept["start_page"], kept["n_pages"]
    nodes["first_request"] = np.repeat(np.arange(len(requests)), requests["path_nodes"])[position[order]]
    nodes["n_requests"] = uses[order]
    shared = nodes["n_requests"] >= 2
    n_shared = int(np.count_nonzero(shared))
    nodes["slot"] = np.where(shared, np.cumsum(shared) - 1, n_shared + np.cumsum(~shared) - 1)

    row = np.full(len(old) + 1, -1, np.int32)
    row[:-1][keep] = np.arange(len(requests))
    requests["predecessor"] = row[requests["predecessor"]]
    link_successors(requests)
    return requests, nodes, number[paths], n_shared


def link_successors(requests: Table) -> None:
    """Fills `first_successor` and `next_successor` from `predecessor`."""
    requests["first_successor"] = requests["next_successor"] = -1
    followers = np.flatnonzero(requests["predecessor"] >= 0)
    if not len(followers):
        return
    followers = followers[np.argsort(requests["predecessor"][followers], kind="stable")]
    leader = requests["predecessor"][followers]
    first = np.append(True, leader[1:] != leader[:-1])
    requests["first_successor"][leader[first]] = followers[first]
    requests["next_successor"][followers[:-1][~first[1:]]] = followers[1:][~first[1:]]

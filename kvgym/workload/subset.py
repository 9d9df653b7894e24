"""A part of a workload's tables as tables of their own; the columns that follow from other columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kvgym.workload.tables import NODE, Table


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
    n_shared = assign_slots(nodes)

    row = np.full(len(old) + 1, -1, np.int32)
    row[:-1][keep] = np.arange(len(requests))
    requests["predecessor"] = row[requests["predecessor"]]
    link_successors(requests)
    return requests, nodes, number[paths], n_shared


def assign_slots(nodes: Table) -> int:
    """Fills `slot` (shared nodes first, then private ones); returns the number of shared nodes."""
    shared = nodes["n_requests"] >= 2
    n_shared = int(np.count_nonzero(shared))
    nodes["slot"] = np.where(shared, np.cumsum(shared) - 1, n_shared + np.cumsum(~shared) - 1)
    return n_shared


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

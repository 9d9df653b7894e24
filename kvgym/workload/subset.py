"""A part of a workload as a workload of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kvgym.workload.links import assign_slots, link_successors
from kvgym.workload.tables import NODE, Table, Workload


def with_successors(requests: Table, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The chosen requests and everything that follows them: a (n,) mask."""
    predecessor = requests["predecessor"]
    has_one = predecessor >= 0
    while True:
        grown: NDArray[np.bool_] = chosen | (has_one & chosen[predecessor])
        if np.array_equal(grown, chosen):
            return grown
        chosen = grown


def subset(workload: Workload, keep: NDArray[np.bool_]) -> Workload:
    """The requests of a (n,) mask that holds the predecessor of each of its members, renumbered.

    Nodes keep the cuts of the whole workload; those that nobody uses any more go.
    """
    old = workload.requests
    requests = old[keep]
    entries = np.repeat(keep, old["path_nodes"])
    paths = workload.paths[entries]
    requests["path_start"] = np.cumsum(requests["path_nodes"]) - requests["path_nodes"]
    used, position, uses = np.unique(paths, return_index=True, return_counts=True)
    # First appearance in the concatenated paths is the order by (first request, depth).
    order = np.argsort(position)
    number = np.full(len(workload.nodes) + 1, -1, np.int32)  # the last entry stands for "no parent"
    number[used[order]] = np.arange(len(used))

    nodes = np.empty(len(used), NODE)
    kept = workload.nodes[used[order]]
    nodes["parent"] = number[kept["parent"]]
    nodes["start_page"], nodes["n_pages"] = kept["start_page"], kept["n_pages"]
    nodes["first_request"] = np.repeat(np.arange(len(requests)), requests["path_nodes"])[position[order]]
    nodes["n_requests"] = uses[order]
    n_shared = assign_slots(nodes)

    row = np.full(len(old) + 1, -1, np.int32)
    row[:-1][keep] = np.arange(len(requests))
    requests["predecessor"] = row[requests["predecessor"]]
    link_successors(requests)
    return replace(workload, requests=requests, nodes=nodes, paths=number[paths], n_shared=n_shared)

"""Columns of the tables that follow from other columns: successor lists and slots."""

from __future__ import annotations

import numpy as np

from kvgym.workload.tables import Table


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

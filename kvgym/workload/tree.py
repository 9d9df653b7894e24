"""The prefix tree of a workload: exact radix insertion of all paths.

Nodes are found by a hash of their first page and confirmed by comparing runs of tokens, so that the time grows with the
number of runs, not of tokens.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kvgym import _compile
from kvgym.workload.tables import NODE, Table

Ints = NDArray[np.int64]
Runs = tuple[Ints, Ints, Ints]
Given = tuple[Ints, Ints, Ints, Ints, Ints, Ints]
KERNELS = "kvgym.workload.tree_kernels"


def canonical_runs(given: Given) -> tuple[Ints, Runs]:
    """Tokens in the form that the tree is built from.

    Args:
        given: row splits, segments, offsets and lengths of runs; then, per request, how many tokens follow them and of
            which segment (-1: a private one).

    Returns:
        row starts (n + 1,), and the runs' (segment, shift, end).
    """
    rows, runs = _compile.load(KERNELS).canonical_runs(*given)
    return rows, runs


def unit_hashes(
    rows: Ints, runs: Runs, prompt_tokens: Ints, sessions: Ints
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Per request two numbers in [0, 1): of the prompt's first 256 tokens, and of the session."""
    prefix_u, session_u = _compile.load(KERNELS).unit_hashes(rows, runs, prompt_tokens, sessions)
    return prefix_u, session_u


def build_tree(
    rows: Ints, runs: Runs, prompt_pages: Ints, path_pages: Ints, predecessors: Ints, page_size: int
) -> tuple[Table, NDArray[np.int32], NDArray[np.int32]]:
    """The prefix tree of n requests.

    Returns:
        nodes: `NODE`, all but the slots.
        path_nodes: (n,) int32.
        paths: int32, the concatenated paths.
    """
    kernels = _compile.load(KERNELS)
    up, start, stop, last = kernels.insert_paths(rows, runs, path_pages, page_size)
    starts, members = kernels.list_paths(up, last)
    users, single_from, cuts = kernels.find_cuts(starts, members, start, stop, prompt_pages, predecessors)
    # Sorting is left to NumPy: in a kernel it would take seconds to compile.
    cuts = np.unique(cuts)
    first_cut = np.searchsorted(cuts, np.arange(len(start) + 1) << 32)
    room = len(start) + len(cuts) + int((stop - single_from).sum())
    table, path_nodes, paths = kernels.cut_and_number(
        starts, members, up, start, stop, single_from, first_cut, cuts, room
    )
    nodes = np.empty(table.shape[1], NODE)
    nodes["parent"], nodes["start_page"], nodes["n_pages"], nodes["first_request"] = table[:4]
    nodes["n_requests"] = users[table[4]]
    return nodes, path_nodes, paths

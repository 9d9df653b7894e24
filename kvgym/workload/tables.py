"""A workload's flat tables: a row per request, and a row per node of the prefix tree."""

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

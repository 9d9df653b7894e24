"""Tables of what moves between workers, and of what goes wrong with them."""

from __future__ import annotations

import numpy as np

TRANSFER = np.dtype(
    [
        ("request", "i8"),
        ("source", "i8"),
        ("target", "i8"),
        ("end_page", "i8"),  # pages of the request's path up to here are there afterwards
        ("pages", "i8"),  # to be moved: as planned, from its start on as they are
        ("stage", "i8"),
        ("start_ps", "i8"),
        ("end_ps", "i8"),
    ],
    align=True,
)
"""Transfers that are decided and not over, in the order of decisions."""
LINK = np.dtype([("latency_ps", "i8"), ("ps_per_token", "f8")], align=True)
"""Two rows: inside a node, between nodes."""
TRAFFIC = np.dtype([("transfers", "i8"), ("tokens", "i8"), ("ps", "i8"), ("given_up", "i8")], align=True)
"""What went from worker v to worker w: row v n_workers + w."""
FAULT = np.dtype([("time_ps", "i8"), ("worker", "i8"), ("kind", "i8"), ("pace", "i8")], align=True)
"""In the order in which they happen."""

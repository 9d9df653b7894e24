"""A point where the simulator stops and asks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Decision:
    """A point where the simulator stops and asks.

    Attributes:
        kind: "ROUTE", "EVICT", "DONE" (everything has finished) or "TRUNCATED" (stopped at the arrival after the last
            counted one).
        request: Index of the request to route, or of the one that needs pages; -1 when there is none.
        worker: The worker that asks (EVICT decisions only), -1 when there is none.
        time: Seconds since the start.
    """

    kind: str
    request: int
    worker: int
    time: float

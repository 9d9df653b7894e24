"""The fault schedule: who is down when, and what an iteration costs (docs/semantics.md#faults)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from .types import RefCost, RefCrash, RefSlowdown

NEVER = 2**63  # later than any time


class Faults:
    """Crashes and slow-downs of a cluster; both last from their begin on, up to and not including their end."""

    def __init__(self, schedule: Sequence[RefCrash | RefSlowdown], workers: int) -> None:
        self.crashes = [fault for fault in schedule if isinstance(fault, RefCrash)]
        self.slowdowns = [fault for fault in schedule if isinstance(fault, RefSlowdown)]
        self.workers = workers

    def is_up(self, worker: int, now: int) -> bool:
        """Whether a worker is up, after the faults of this moment."""
        return not [crash for crash in self.crashes if crash.worker == worker and crash.time_ps <= now < back_of(crash)]

    def crashing(self, now: int) -> list[int]:
        """The workers that crash at this moment, by index."""
        return sorted(crash.worker for crash in self.crashes if crash.time_ps == now)

    def next_crash(self, now: int) -> int:
        """The time of the first crash after `now`."""
        return min((crash.time_ps for crash in self.crashes if crash.time_ps > now), default=NEVER)

    def cost(self, worker: int, now: int, ordinary: RefCost) -> RefCost:
        """The cost of an iteration that starts now."""
        for slow in self.slowdowns:
            if slow.worker == worker and slow.time_ps <= now < slow.end_ps:
                return slow.cost
        return ordinary

    def validate(self) -> None:
        """Raise ValueError for a schedule that can't be."""
        spans = {
            "crashes": [(crash.worker, crash.time_ps, back_of(crash)) for crash in self.crashes],
            "slow-downs": [(slow.worker, slow.time_ps, slow.end_ps) for slow in self.slowdowns],
        }
        for name, rows in spans.items():
            for worker, begin, end in rows:
                if not 0 <= worker < self.workers:
                    raise ValueError(f"{name} of worker {worker}, which there is not")
                if not 0 <= begin < end:
                    raise ValueError(f"{name} of worker {worker} end before they begin")
            for worker in range(self.workers):
                mine = sorted((begin, end) for who, begin, end in rows if who == worker)
                if any(before[1] > after[0] for before, after in itertools.pairwise(mine)):
                    raise ValueError(f"{name} of worker {worker} overlap")
        # The set of workers that are up shrinks only when one crashes.
        for crash in self.crashes:
            if not any(self.is_up(worker, crash.time_ps) for worker in range(self.workers)):
                raise ValueError(f"no worker is up at {crash.time_ps} ps")


def back_of(crash: RefCrash) -> int:
    """When the worker is up again."""
    return NEVER if crash.back_ps is None else crash.back_ps

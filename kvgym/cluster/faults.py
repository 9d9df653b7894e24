"""Faults of workers: crashes and slow-downs, listed or drawn by chance."""

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kvgym import _check
from kvgym.cluster.cost import PS_PER_S
from kvgym.workload.random import Stream

LONGEST_S = 1e6
"""Times of faults are below this: they are counted in picoseconds."""
_CRASHES, _SLOWDOWNS = range(2)  # streams of a worker's faults
_BLOCK = 64  # draws at a time; the number changes nothing


@dataclass(frozen=True)
class Crash:
    """A worker fails: its cache is lost, its requests go back to the router, and it comes back cold.

    Attributes:
        worker: Its index.
        time_s: When, in seconds since the start.
        down_s: How long it is away, above 0; infinity: for good.

    Raises:
        ValueError: If a field is not as described.
    """

    worker: int
    time_s: float
    down_s: float = math.inf

    def __post_init__(self) -> None:
        """Checks the fields."""
        object.__setattr__(self, "worker", _check.whole("worker of a crash", self.worker, 0))
        object.__setattr__(self, "time_s", _check.finite("time_s of a crash", self.time_s, maximum=LONGEST_S))
        if self.down_s != math.inf:
            object.__setattr__(self, "down_s", _duration("down_s of a crash", self.down_s))

    @property
    def start_ps(self) -> int:
        """Its beginning, in picoseconds."""
        return round(self.time_s * PS_PER_S)

    @property
    def end_ps(self) -> int | None:
        """The return, in picoseconds; None: never."""
        return None if math.isinf(self.down_s) else self.start_ps + round(self.down_s * PS_PER_S)


@dataclass(frozen=True)
class Slowdown:
    """A straggler: iterations that start on a worker meanwhile take `factor` times as long.

    Attributes:
        worker: Its index.
        time_s: When it begins, in seconds since the start.
        duration_s: How long it lasts, above 0.
        factor: Above 0, at most 1000; below 1 the worker is faster.

    Raises:
        ValueError: If a field is not as described.
    """

    worker: int
    time_s: float
    duration_s: float
    factor: float

    def __post_init__(self) -> None:
        """Checks the fields."""
        object.__setattr__(self, "worker", _check.whole("worker of a slow-down", self.worker, 0))
        object.__setattr__(self, "time_s", _check.finite("time_s of a slow-down", self.time_s, maximum=LONGEST_S))
        object.__setattr__(self, "duration_s", _duration("duration_s of a slow-down", self.duration_s))
        object.__setattr__(self, "factor", _check.finite("factor of a slow-down", self.factor, 1e-3, 1e3))

    @property
    def start_ps(self) -> int:
        """Its beginning, in picoseconds."""
        return round(self.time_s * PS_PER_S)

    @property
    def end_ps(self) -> int:
        """Its end, in picoseconds."""
        return self.start_ps + round(self.duration_s * PS_PER_S)


Fault = Crash | Slowdown
"""What may happen to a worker."""


def check_faults(faults: Iterable[Any], n_workers: int) -> tuple[Fault, ...]:
    """The faults of a schedule, if a cluster of `n_workers` workers can have them.

    Raises:
        ValueError: If one is no fault or of no worker, two of a kind overlap on a worker, or at some moment no worker
            is up. Intervals are half open: a worker that returns as another one crashes is up.
    """
    try:
        checked = tuple(faults)
    except TypeError:
        raise ValueError(f"faults must be Crash or Slowdown, got {faults!r}") from None
    for fault in checked:
        if not isinstance(fault, (Crash, Slowdown)):
            raise ValueError(f"faults must be Crash or Slowdown, got {fault!r}")
        if fault.worker >= n_workers:
            raise ValueError(f"worker of a fault must be from 0 to {n_workers - 1}, got {fault!r}")
    for kind in (Crash, Slowdown):
        latest: dict[int, Fault] = {}
        for fault in sorted((f for f in checked if isinstance(f, kind)), key=lambda f: f.start_ps):
            before = latest.get(fault.worker)
            if before is not None and (before.end_ps is None or fault.start_ps < before.end_ps):
                raise ValueError(f"faults of one kind must not overlap on a worker: {before!r} and {fault!r}")
            latest[fault.worker] = fault
    _check_somebody_is_up([fault for fault in checked if isinstance(fault, Crash)], n_workers)
    return checked


def _check_somebody_is_up(crashes: list[Crash], n_workers: int) -> None:
    down = _Down()
    for crash in sorted(crashes, key=lambda c: c.start_ps):
        if down.at(crash.start_ps) + 1 >= n_workers:
            raise ValueError(
                f"at every moment at least one worker must be up; at {crash.time_s:g} s all {n_workers} are down: "
                f"{crash!r}"
            )
        down.add(crash)


class _Down:
    """Counts the workers that are down, as time passes."""

    def __init__(self) -> None:
        self._returns: list[float] = []

    def at(self, now_ps: int) -> int:
        """How many of the crashes so far are not over at a time, which is never before the last one asked about."""
        while self._returns and self._returns[0] <= now_ps:
            heapq.heappop(self._returns)
        return len(self._returns)

    def add(self, crash: Crash) -> None:
        """Another crash, of a worker that was up."""
        heapq.heappush(self._returns, math.inf if crash.end_ps is None else crash.end_ps)


@dataclass(frozen=True)
class FaultRates:
    """How often faults come, for schedules that are drawn by chance.

    Attributes:
        crash_every_s: Mean time up of a worker before a crash, exponential, in seconds; 0: no crashes.
        down_s: How long a crashed worker is away.
        slow_every_s: Mean time between the slow-downs of a worker, exponential, in seconds; 0: none.
        slow_s: How long a slow-down lasts.
        slow_factor: By which iterations take longer meanwhile.
        until_s: No fault begins after this.

    Raises:
        ValueError: If a field is outside its range.
    """

    crash_every_s: float = 0.0
    down_s: float = 30.0
    slow_every_s: float = 0.0
    slow_s: float = 30.0
    slow_factor: float = 3.0
    until_s: float = 3600.0

    def __post_init__(self) -> None:
        """Checks the fields."""
        for name in ("crash_every_s", "slow_every_s", "until_s"):
            object.__setattr__(self, name, _check.finite(name, getattr(self, name), maximum=LONGEST_S))
        for name in ("down_s", "slow_s"):
            object.__setattr__(self, name, _duration(name, getattr(self, name)))
        object.__setattr__(self, "slow_factor", _check.finite("slow_factor", self.slow_factor, 1e-3, 1e3))

    def draw(self, seed: np.random.SeedSequence, n_workers: int) -> tuple[Fault, ...]:
        """A schedule: each worker's faults come by a stream of its own, so that a larger cluster keeps those it had.

        A crash that would leave no worker up does not happen.

        Args:
            seed: Seed of the schedule.
            n_workers: Workers of the cluster.

        Returns:
            The faults, slow-downs first, each kind by time.
        """
        slow: list[Fault] = []
        crashes: list[Crash] = []
        for worker in range(n_workers):
            own = np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, worker))
            for time_s in self._times(Stream(own, _CRASHES), self.crash_every_s, self.down_s):
                crashes.append(Crash(worker, time_s, self.down_s))
            for time_s in self._times(Stream(own, _SLOWDOWNS), self.slow_every_s, self.slow_s):
                slow.append(Slowdown(worker, time_s, self.slow_s, self.slow_factor))
        kept: list[Fault] = []
        down = _Down()
        for crash in sorted(crashes, key=lambda c: (c.start_ps, c.worker)):
            if down.at(crash.start_ps) + 1 < n_workers:
                kept.append(crash)
                down.add(crash)
        return (*sorted(slow, key=lambda f: (f.start_ps, f.worker)), *kept)

    def _times(self, stream: Stream, every_s: float, lasts_s: float) -> list[float]:
        """Beginnings of one worker's faults of a kind: an exponential time after the end of the one before."""
        times: list[float] = []
        if every_s == 0.0:
            return times
        end_s = 0.0
        while end_s <= self.until_s:
            for gap in (every_s * stream.exponential(_BLOCK)).tolist():
                if end_s + gap > self.until_s:
                    return times
                times.append(end_s + gap)
                end_s += gap + lasts_s
        return times


def _duration(name: str, value: Any) -> float:
    seconds = _check.finite(name, value, maximum=LONGEST_S)
    if round(seconds * PS_PER_S) < 1:
        raise ValueError(f"{name} must be above 0, got {value!r}")
    return seconds

"""What is made of episodes: means and quotients, seed by seed, with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from kvgym.evaluation.statistics import Floats, Interval, interval, ratio

from .jobs import Found, Job


class Played(Protocol):
    """Something of which there are episodes: `settings.Run`, or a probe."""

    def job(self, seed: int, short: int | None = None) -> Job:
        """The episode of a seed; `short`: with so many requests."""


Asked = tuple[Played, str]
"""What is played, and the name of a number that comes of it."""


@dataclass(frozen=True)
class Measured:
    """A mean over episodes.

    Attributes:
        mean: Arithmetic, of quotients and latencies geometric.
        low: Of its 95 % interval; NaN below two seeds, or three where it is geometric.
        high: Likewise.
        least: Of single episodes.
        most: Likewise: what is given as one run's figure may lie anywhere between.
        n: Episodes.
        where: The setting, where the measure has chosen it.
    """

    mean: float
    low: float
    high: float
    least: float
    most: float
    n: int
    where: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Its fields, as JSON has them."""
        return {name: rounded(value) if isinstance(value, float) else value for name, value in asdict(self).items()}


def rounded(value: float) -> float:
    """Five digits: a file of results is read by people, too."""
    return float(f"{value:.5g}")


class Measure(Protocol):
    """Something that can be measured."""

    def jobs(self, seeds: Iterable[int], short: int | None = None) -> list[Job]:
        """What has to be played for it; `short`: with so many requests an episode."""

    def of(self, found: Found, seeds: Iterable[int], short: int | None = None) -> Measured:
        """What it comes to on these seeds."""


def column(found: Found, asked: Asked, seeds: Iterable[int], short: int | None) -> Floats:
    """A metric by seed."""
    run, metric = asked
    return np.array([found[run.job(seed, short)][metric] for seed in seeds], float)


def measured(values: Floats, ends: Interval, where: str = "") -> Measured:
    """Values by seed, and their mean with its interval."""
    return Measured(*ends, float(values.min()), float(values.max()), len(values), where)


@dataclass(frozen=True)
class Mean:
    """The mean of a number that may be 0; episodes in which there is none do not count."""

    run: Played
    metric: str

    def jobs(self, seeds: Iterable[int], short: int | None = None) -> list[Job]:
        """See `Measure.jobs`."""
        return [self.run.job(seed, short) for seed in seeds]

    def of(self, found: Found, seeds: Iterable[int], short: int | None = None) -> Measured:
        """See `Measure.of`."""
        values = column(found, (self.run, self.metric), seeds, short)
        values = values[~np.isnan(values)]
        if not len(values):
            return Measured(math.nan, math.nan, math.nan, math.nan, math.nan, 0)
        return measured(values, interval(values))


@dataclass(frozen=True)
class Quotient:
    """The product of some metrics over the product of others, seed by seed; its mean is geometric.

    With nothing below it is a metric itself, with two above and two below how much one quotient is of another.
    """

    over: tuple[Asked, ...]
    under: tuple[Asked, ...] = ()

    def jobs(self, seeds: Iterable[int], short: int | None = None) -> list[Job]:
        """See `Measure.jobs`."""
        return [run.job(seed, short) for run, _ in self.over + self.under for seed in seeds]

    def of(self, found: Found, seeds: Iterable[int], short: int | None = None) -> Measured:
        """See `Measure.of`; all infinite where what is below is 0 in an episode."""
        seeds = list(seeds)
        over, under = (
            np.prod([np.ones(len(seeds)), *(column(found, asked, seeds, short) for asked in part)], axis=0)
            for part in (self.over, self.under)
        )
        if not under.all():
            none = math.inf
            return Measured(none, none, none, none, none, len(seeds))
        return measured(over / under, ratio(over, under))


def times(slow: Played, fast: Played, metric: str) -> Quotient:
    """How many times as much of a metric one has as the other."""
    return Quotient(((slow, metric),), ((fast, metric),))


@dataclass(frozen=True)
class Extreme:
    """The largest of some measures, or the smallest: chosen on every other seed, and measured on the rest.

    What is chosen because it came out large on some seeds comes out smaller on others.

    Attributes:
        among: By the name of their setting.
        largest: False: the smallest.
    """

    among: tuple[tuple[str, Measure], ...]
    largest: bool = True

    def jobs(self, seeds: Iterable[int], short: int | None = None) -> list[Job]:
        """See `Measure.jobs`."""
        return all_jobs([one for _, one in self.among], seeds, short)

    def of(self, found: Found, seeds: Iterable[int], short: int | None = None) -> Measured:
        """See `Measure.of`; with one seed, that has to do for both."""
        seeds = list(seeds)
        first, rest = seeds[::2], seeds[1::2] or seeds
        best = (max if self.largest else min)(self.among, key=lambda one: _finite(one[1].of(found, first, short).mean))
        chosen = best[1].of(found, rest, short)
        return Measured(**{**asdict(chosen), "where": best[0]})


def _finite(value: float) -> float:
    """Infinite quotients are none to choose."""
    return value if math.isfinite(value) else 0.0


def all_jobs(measures: Sequence[Measure], seeds: Iterable[int], short: int | None = None) -> list[Job]:
    """What has to be played for all of them, each once."""
    seeds = list(seeds)
    return list(dict.fromkeys(job for one in measures for job in one.jobs(seeds, short)))

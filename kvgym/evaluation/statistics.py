"""Paired statistics: every agent plays the same seeds, so what is compared are differences seed by seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BOOTSTRAP_FROM = 10
"""Seeds from which intervals are bootstrapped: fewer values say too little of their tails."""
REPLICATES = 10_000
COVERAGE = 0.95
FEWEST = 3
"""Seeds from which ratios have intervals: below that their coverage was not checked."""


class Interval(NamedTuple):
    """A mean and its 95 % interval; low and high are NaN where one value says nothing about the spread."""

    mean: float
    low: float
    high: float


def interval(values: Floats) -> Interval:
    """The mean of one value per seed with its 95 % interval."""
    values = np.asarray(values, float)
    return bootstrap_interval(values) if len(values) >= BOOTSTRAP_FROM else t_interval(values)


def t_interval(values: Floats) -> Interval:
    """Mean +- t sd / sqrt(n)."""
    n = len(values)
    mean = float(np.mean(values))
    if n < 2:
        return Interval(mean, math.nan, math.nan)
    from scipy.special import stdtrit  # not above: importing kvgym.evaluation stays cheap

    half = float(stdtrit(n - 1, (1 + COVERAGE) / 2)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half)


def bootstrap_interval(values: Floats, seed: int = 0) -> Interval:
    """Bootstrap of the mean, see `percentiles`; the same values and seed give the same interval."""
    means = values[resample(len(values), np.random.default_rng(seed))].mean(axis=1)
    return Interval(float(np.mean(values)), *percentiles(means, len(values)))


def resample(n: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Indices (REPLICATES, n), each row drawn with replacement from 0 .. n-1."""
    return random.integers(n, size=(REPLICATES, n))


def percentiles(replicates: Floats, n: int, free: float | None = None) -> tuple[float, float]:
    """The ends of the 95 % interval of bootstrap replicates, NaN for a single value.

    Farther out than 2.5 %, as Student's t is wider than the normal distribution and n wider than n - 1: Hesterberg,
    "What Teachers Should Know About the Bootstrap" (2015), section 5.3.

    Args:
        replicates: What the statistic came to.
        n: How many values were drawn, in each stratum.
        free: Degrees of freedom; default n - 1.
    """
    if n < 2:
        return math.nan, math.nan
    from scipy.special import ndtr, stdtrit

    t = stdtrit(n - 1 if free is None else free, (1 + COVERAGE) / 2)
    tail = float(ndtr(-math.sqrt(n / (n - 1)) * t))
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return float(low), float(high)


def freedom(strata: Sequence[Floats]) -> float:
    """Degrees of freedom of a mean of means of strata, 0 without spread.

    Satterthwaite, "An approximate distribution of estimates of variance components", Biometrics Bulletin 2 (1946).
    """
    of_means = [float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else math.nan for values in strata]
    spread = sum(of_means)
    if not spread > 0:
        return 0.0
    return spread**2 / sum(one**2 / (len(values) - 1) for one, values in zip(of_means, strata, strict=True))


def ratio(slow: Floats, fast: Floats) -> Interval:
    """The geometric mean of slow / fast over the seeds, with its 95 % interval: Student's t of the logarithms.

    On this scale paired latencies have no heavy tail, whatever those of the latencies are. Below `FEWEST` seeds there
    is no interval.
    """
    logs = np.log(slow / fast)
    ends = t_interval(logs) if len(logs) >= FEWEST else Interval(float(logs.mean()), math.nan, math.nan)
    return Interval(*(float(np.exp(x)) for x in ends))


def interquartile_mean(values: Floats, axis: int = -1) -> Floats:
    """The mean of the middle half: a quarter of the values, rounded down, is left out at each end."""
    ordered = np.sort(np.asarray(values, float), axis=axis)
    n = ordered.shape[axis]
    middle = np.arange(n // 4, n - n // 4)
    return np.asarray(np.take(ordered, middle, axis=axis).mean(axis=axis))

"""Paired statistics: every agent plays the same seeds, so what is compared are differences seed by seed."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BOOTSTRAP_FROM = 10
"""Seeds from which intervals are bootstrapped: fewer values say too little of their tails, so Student's t is used."""
REPLICATES = 10_000
COVERAGE = 0.95
_IQM_FROM = 12


class Interval(NamedTuple):
    """A mean and its 95 % interval; low and high are NaN where one value says nothing about the spread."""

    mean: float
    low: float
    high: float


def method(n: int) -> str:
    """How an interval over n seeds is made, in words."""
    return "bootstrap" if n >= BOOTSTRAP_FROM else "Student's t"


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


def percentiles(replicates: Floats, n: int) -> tuple[float, float]:
    """The ends of the 95 % interval of bootstrap replicates over `n` seeds, NaN for a single one.

    Farther out than 2.5 %, as Student's t is wider than the normal distribution and n wider than n - 1: Hesterberg,
    "What Teachers Should Know About the Bootstrap" (2015), section 5.3.
    """
    if n < 2:
        return math.nan, math.nan
    from scipy.special import ndtr, stdtrit

    tail = float(ndtr(-math.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 + COVERAGE) / 2)))
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return float(low), float(high)


def interquartile_mean(values: Floats, axis: int = -1) -> Floats:
    """The mean of the middle half: a quarter of the values, rounded down, is left out at each end."""
    ordered = np.sort(np.asarray(values, float), axis=axis)
    n = ordered.shape[axis]
    middle = np.arange(n // 4, n - n // 4)
    return np.asarray(np.take(ordered, middle, axis=axis).mean(axis=axis))


def over_scenarios(values: Floats, axis: int = -1) -> Floats:
    """How scores of several scenarios become one: their mean, and their interquartile mean from 12 scenarios on."""
    if np.shape(values)[axis] >= _IQM_FROM:
        return interquartile_mean(values, axis)
    return np.asarray(np.mean(values, axis=axis))

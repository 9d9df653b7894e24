import math

import numpy as np
import pytest
from scipy import stats

from kvgym.evaluation.statistics import (
    BOOTSTRAP_FROM,
    bootstrap_interval,
    freedom,
    interquartile_mean,
    interval,
    t_interval,
)
from tests import often


@pytest.mark.parametrize("n", [2, 3, 5, 9])
def test_t_interval_is_that_of_scipy(n):
    values = np.random.default_rng(n).normal(size=n)
    expected = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))
    assert t_interval(values)[1:] == pytest.approx(expected)


def test_one_value_says_nothing_about_the_spread():
    mean, low, high = interval(np.array([3.0]))
    assert mean == 3.0
    assert math.isnan(low)
    assert math.isnan(high)


def test_bootstrap_is_that_of_scipy_and_reproducible():
    values = np.random.default_rng(1).normal(2.0, 1.0, 32)
    ours = bootstrap_interval(values)
    level = 1 - 2 * stats.norm.cdf(-math.sqrt(32 / 31) * stats.t.ppf(0.975, 31))  # more than 0.95, see `percentiles`
    theirs = stats.bootstrap(
        (values,), np.mean, confidence_level=level, method="percentile", rng=np.random.default_rng(5)
    ).confidence_interval
    assert ours.mean == values.mean()
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs), abs=0.02)
    assert bootstrap_interval(values) == ours


def test_intervals_are_bootstrapped_where_there_are_values_enough():
    values = np.random.default_rng(2).normal(size=BOOTSTRAP_FROM)
    assert interval(values) == bootstrap_interval(values)
    assert interval(values[:-1]) == t_interval(values[:-1])


@pytest.mark.parametrize(("n", "spread"), often.diagonals([3, 9, BOOTSTRAP_FROM, 32], [0.3, 0.86], share=2))
def test_intervals_cover(n, spread):
    """Of latencies with a coefficient of variation as the calmest and the wildest scenario of the suite have it."""
    random = np.random.default_rng(n)
    sigma = math.sqrt(math.log1p(spread**2))
    drawn = random.lognormal(-(sigma**2) / 2, sigma, (400, n))  # of mean 1
    covered = np.mean([found.low <= 1.0 <= found.high for found in map(interval, drawn)])
    assert (0.92 if spread < 0.5 else 0.85) <= covered <= 0.99


@pytest.mark.parametrize("n", [12, 13, 15, 16])
def test_interquartile_mean_is_the_trimmed_mean(n):
    values = np.random.default_rng(n).normal(size=(3, n))
    assert interquartile_mean(values) == pytest.approx(stats.trim_mean(values, 0.25, axis=1))


def test_degrees_of_freedom_are_those_of_welch():
    first, second = np.random.default_rng(3).normal(size=6), np.random.default_rng(4).normal(0, 5, 11)
    assert freedom([first, second]) == pytest.approx(stats.ttest_ind(first, second, equal_var=False).df)
    assert freedom([first]) == pytest.approx(5)
    assert freedom([np.ones(4), np.ones(4)]) == 0

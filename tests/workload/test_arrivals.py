"""Arrival times: laws, first ones, refusals."""

import math

import numpy as np
import pytest

from kvgym.workload import chain, poisson_arrivals, slotted_arrivals, think_times


def test_poisson():
    t = poisson_arrivals(1, 20_001, 12.0)
    assert t[0] == 0
    assert np.all(np.diff(t) >= 0)
    assert abs(t[-1] - 20_000 / 12) < 5 * math.sqrt(20_000) / 12
    gaps = np.diff(t) * 12
    assert abs(gaps.std() - 1) < 0.03
    assert poisson_arrivals(1, 5, 12.0).tolist() == t[:5].tolist()
    assert poisson_arrivals(1, 1, 12.0).tolist() == [0.0]


def test_a_rate_only_stretches_time():
    np.testing.assert_allclose(poisson_arrivals(1, 50, 4.0), 3 * poisson_arrivals(1, 50, 12.0), rtol=1e-14)


def test_slotted():
    t = slotted_arrivals(1, 20_000, 0.25, 0.2)
    slots = t / 0.25
    assert np.array_equal(slots, np.rint(slots))
    gaps = np.diff(slots).astype(int)
    assert gaps.min() == 1
    for k in (1, 2, 5):
        assert abs((gaps == k).mean() - 0.2 * 0.8 ** (k - 1)) < 0.01
    assert slotted_arrivals(1, 7, 0.25, 0.2).tolist() == t[:7].tolist()


def test_slot_zero_is_a_slot_like_any_other():
    first = np.array([slotted_arrivals(seed, 1, 1.0, 0.3)[0] for seed in range(2000)])
    assert abs((first == 0).mean() - 0.3) < 0.04


def test_slotted_with_probability_one():
    assert slotted_arrivals(1, 3, 0.5, 1.0).tolist() == [0.0, 0.5, 1.0]


def test_think_times():
    t = think_times(1, 20_000, 0.5)
    assert abs(t.mean() - 0.5) < 0.02
    assert think_times(1, 3, 0.0).tolist() == [0.0, 0.0, 0.0]


def test_chain():
    assert chain([5, 6, 5, 7, 5, 6]).tolist() == [-1, -1, 0, -1, 2, 1]
    assert chain([]).tolist() == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: poisson_arrivals(1, 0, 1.0), "n must be an integer >= 1, got 0"),
        (lambda: poisson_arrivals(1, 1, 0.0), "rate must be > 0, got 0.0"),
        (lambda: poisson_arrivals(1, 1, math.nan), "rate must be a finite number"),
        (lambda: poisson_arrivals(1, 1, -1), "rate must be a finite number"),
        (lambda: slotted_arrivals(1, 1, 0.0, 0.5), "slot_s must be > 0"),
        (lambda: slotted_arrivals(1, 1, 1.0, 0.0), "probability must be > 0"),
        (lambda: slotted_arrivals(1, 1, 1.0, 1.5), "probability must be a finite number from 0 to 1"),
        (lambda: think_times(1, 1, -1.0), "mean_s must be a finite number >= 0"),
        (lambda: chain([0.5]), "keys must be a flat sequence of integers"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()

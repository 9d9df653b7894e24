"""Random numbers: fixed, of the right laws, and in streams that leave each other alone."""

import math
from fractions import Fraction

import numpy as np
import pytest

from kvgym import _compile
from kvgym.workload.random import ARRIVALS, KERNELS, ORDER, Stream, negative_log

RAW = [12894911395248688958, 3215922745726220339]
PERMUTATION = [5, 3, 2, 7, 0, 1, 4, 6]
EXPONENTIAL = ["0x1.3364fe77b5b6cp+0", "0x1.88542b1249b61p-3"]


def test_first_numbers_never_change():
    assert Stream(1, ARRIVALS).raw(2).tolist() == RAW
    assert Stream(np.random.SeedSequence(1), ARRIVALS).raw(2).tolist() == RAW
    assert Stream(1, ORDER).permutation(8).tolist() == PERMUTATION
    assert [value.hex() for value in Stream(1, ARRIVALS).exponential(2).tolist()] == EXPONENTIAL


def test_spawn_keys_are_different_seeds():
    seeds = [np.random.SeedSequence(1, spawn_key=key) for key in [(), (0,), (1,), (0, 0)]]
    assert len({int(Stream(seed, 0).raw(1)[0]) for seed in seeds}) == 4


def test_a_seed_sequence_is_not_used_up():
    seed = np.random.SeedSequence(5)
    assert Stream(seed, 0).raw(3).tolist() == Stream(seed, 0).raw(3).tolist()
    assert seed.n_children_spawned == 0


def test_draws_are_the_first_ones_of_more_draws():
    for draw in ("raw", "uniform", "exponential"):
        assert getattr(Stream(3, 0), draw)(10).tolist() == getattr(Stream(3, 0), draw)(20)[:10].tolist()
    assert Stream(3, 0).integers(10, 7).tolist() == Stream(3, 0).integers(20, 7)[:10].tolist()


def test_uniforms_and_integers():
    u = Stream(2, 0).uniform(20_000)
    assert u.min() >= 0 and u.max() < 1
    assert abs(u.mean() - 0.5) < 0.01
    k = Stream(2, 0).integers(20_000, 5)
    assert np.all(np.abs(np.bincount(k, minlength=5) / 20_000 - 0.2) < 0.015)


def test_exponentials():
    x = Stream(4, 0).exponential(50_000)
    assert x.min() >= 0
    assert abs(x.mean() - 1) < 0.02
    assert abs((x > 2).mean() - math.exp(-2)) < 0.005


def test_permutations_are_even():
    first = [int(Stream(seed, 0).permutation(4)[0]) for seed in range(2000)]
    assert np.all(np.abs(np.bincount(first) / 2000 - 0.25) < 0.04)
    assert sorted(Stream(1, 0).permutation(100).tolist()) == list(range(100))


@pytest.mark.parametrize("n", [1, 2, 3, 1000])
def test_permutations_are_stable_sorts_and_their_beginnings_the_same(n):
    raw = Stream(1, 0).raw(n)
    whole = Stream(1, 0).permutation(n)
    assert np.array_equal(whole, np.argsort(raw, kind="stable"))
    for first in {1, (n + 1) // 2, n}:
        assert np.array_equal(Stream(1, 0).permutation(n, first), whole[:first])


def test_equal_numbers_keep_their_order():
    raw = np.array([7, 3, 7, 2**64 - 1, 3, 7], np.uint64)
    assert _compile.load(KERNELS).smallest(raw, 5).tolist() == [1, 4, 0, 2, 5]


def test_negative_log_is_the_logarithm():
    x = np.array([1.0, 2.0**-53, 0.5, 0.25, 0.7071067811865475, 0.7071067811865476, 1 - 2.0**-53, 0.3, 1e-9])
    x = np.concatenate([x, np.linspace(1e-4, 1, 10_000)])
    expected = -np.log(x)
    assert np.all(np.abs(negative_log(x) - expected) <= 8e-16 * np.maximum(expected, 1e-16))
    assert negative_log(np.array([1.0])).tolist() == [0.0]
    assert math.copysign(1, negative_log(np.array([1.0]))[0]) == 1


def test_negative_log_uses_only_exactly_rounded_steps():
    """The same sum in exact arithmetic, rounded at each step as IEEE 754 asks, gives the same bits."""
    x = 0.3
    mantissa, exponent = math.frexp(x)
    if mantissa < 0.7071067811865476:
        mantissa, exponent = 2 * mantissa, exponent - 1
    top, bottom = float(Fraction(mantissa) - 1), float(Fraction(mantissa) + 1)
    s = float(Fraction(top) / Fraction(bottom))
    square = float(Fraction(s) * Fraction(s))
    series = 1.0 / 23.0
    for odd in range(21, 0, -2):
        series = float(Fraction(float(Fraction(series) * Fraction(square))) + Fraction(1.0 / odd))
    twice = float(Fraction(2 * s) * Fraction(series))
    whole = float(Fraction(exponent) * Fraction(0.6931471805599453))
    assert negative_log(np.array([x]))[0] == -float(Fraction(whole) + Fraction(twice))


@pytest.mark.parametrize("seed", [-1, 1.5, True, None, "1"])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(ValueError, match="seed must be an integer >= 0"):
        Stream(seed, 0)

"""Iteration costs: the formula against values worked out by hand, both forms of G, exactness, and bad input."""

import json
import math
from dataclasses import asdict
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvgym.cluster import IterationCost

MS = 10**9


def test_smooth_maximum_with_sharpness_one_is_the_sum():
    g = IterationCost(overhead_ms=0.5, c0=1.0, w=2.0, k=0.25, p=1.0).g_ps(4)
    assert g.dtype == np.int64
    assert g.tolist() == [0, 3.75 * MS, 4.0 * MS, 4.25 * MS, 4.5 * MS]


def test_smooth_maximum_with_sharpness_two_is_pythagoras():
    assert IterationCost(w=3.0, k=2.0, p=2.0).g_ps(2)[2] == 5 * MS


def test_duration_against_the_formula_by_hand():
    cost = IterationCost(c0=1.0, w=2.0, k=0.25, p=1.0, a_s=0.001, a_kv=0.0002, c_b=0.01, c_n=0.1)
    # Chunks of 4 tokens after 10 and of 2 after none: S = 4 (10 + 2.5) + 2 (0 + 1.5) = 53. T = 6 + 3.
    expected = (1.0 + 2.0 + 0.25 * 9) * MS + (0.001 * 53 + 0.1 * 2 + 0.01 * 3) * MS + 700 * 0.0002 * MS
    assert cost.duration_ps(prefill_tokens=6, chunks=2, s=53, decodes=3, kv=700) == round(expected)
    assert cost.seconds(6, 2, 53, 3, 700) == round(expected) / 1e12


def test_float_part_is_rounded_half_to_even_and_q_is_whole():
    cost = IterationCost(a_s=0.5e-9, a_kv=2.6e-9)
    assert cost.coefficients_ps() == (0.5, 0.0, 0.0, 3)
    assert cost.duration_ps(1, 1, 5, 0, 0) == 2
    assert cost.duration_ps(1, 1, 7, 0, 0) == 4
    assert cost.duration_ps(0, 0, 0, 1, 1000) == 3000


def test_an_iteration_takes_at_least_a_picosecond():
    assert IterationCost().duration_ps(1, 1, 1, 0, 0) == 1


@pytest.mark.parametrize("p", [1.0, 1.2, 2.2449, 7.5, 29.8, 30.0, 400.0])
@pytest.mark.parametrize(("w", "k"), [(15.0, 0.16), (0.001, 0.03), (0.0, 0.05), (6.6, 0.0), (0.0, 0.0)])
def test_smooth_maximum_agrees_with_exact_decimals(w, k, p):
    g = IterationCost(w=w, k=k, p=p).g_ps(262_144)
    with localcontext() as context:
        context.prec, context.Emin, context.Emax = 60, -(10**6), 10**6
        for tokens in (1, 2, 93, 94, 95, 1000, 262_144):
            x, power = Decimal(k) * tokens, Decimal(p)
            total = Decimal(w) ** power + x**power if w or k else Decimal(0)
            exact = float(total ** (1 / power) * MS) if total else 0.0
            assert math.isclose(g[tokens], exact, rel_tol=1e-13, abs_tol=1.0)
    assert (np.diff(g) >= 0).all()


@given(st.integers(1, 40_000), st.integers(0, 40_000))
def test_an_entry_does_not_depend_on_the_length_of_the_table(length, token):
    cost = IterationCost(c0=7.58, w=4.23, k=0.055, p=2.24)
    token = min(token, length)
    assert cost.g_ps(length)[token] == cost.g_ps(60_000)[token]
    assert len(cost.g_ps(length)) == length + 1


@given(
    prefill=st.integers(0, 9000),
    chunks=st.integers(0, 50),
    s=st.integers(0, 10**9),
    decodes=st.integers(0, 300),
    kv=st.integers(0, 10**7),
)
def test_duration_is_the_table_and_the_coefficients(prefill, chunks, s, decodes, kv):
    """What a compiled engine computes from g_ps and coefficients_ps is what duration_ps says."""
    cost = IterationCost(0.5, 0.0001, 6.6099, 0.020624, 1.9524, 8.0329e-07, 4.2781e-05, 0.0031012, 0.11711)
    g, (a_s, c_n, c_b, q) = cost.g_ps(9300), cost.coefficients_ps()
    attention = np.rint((np.float64(a_s) * np.int64(s) + np.float64(c_n) * np.int64(chunks)) + c_b * np.int64(decodes))
    expected = max(1, int(g[prefill + decodes]) + int(attention) + q * kv)
    assert cost.duration_ps(prefill, chunks, s, decodes, kv) == expected


def test_a_table_is_linear_between_knots_and_goes_on_with_the_last_slope():
    cost = IterationCost.from_table([4, 8, 16], [2.0, 3.0, 7.0], overhead_ms=0.5)
    g = cost.g_ps(20_000) / MS
    assert g[[0, 1, 4, 6, 8, 12, 16, 18, 20_000]].tolist() == [0.0, 2.5, 2.5, 3.0, 3.5, 5.5, 7.5, 8.5, 9999.5]


def test_a_table_of_one_knot_is_a_constant():
    assert IterationCost.from_table([1], [2.0]).g_ps(100)[1:].tolist() == [2 * MS] * 100


def test_costs_are_values():
    table = IterationCost.from_table([1, 8], [2, 3], a_s=1e-6)
    assert table == IterationCost(a_s=1e-6, knots=((1.0, 2.0), (8.0, 3.0)))
    assert len({table, IterationCost.from_table((1.0, 8.0), (2.0, 3.0), a_s=1e-6), IterationCost(c0=1)}) == 2
    assert IterationCost(**json.loads(json.dumps(asdict(table)))) == table
    assert isinstance(IterationCost(c0=np.float32(1)).c0, float)


def test_a_table_of_g_is_the_callers_own():
    cost = IterationCost(c0=1.0)
    cost.g_ps(10)[:] = 7
    assert cost.g_ps(10)[5] == MS


@pytest.mark.parametrize("name", ["overhead_ms", "c0", "w", "k", "p", "a_s", "a_kv", "c_b", "c_n"])
@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, "1", None, True])
def test_a_bad_coefficient_is_named(name, value):
    with pytest.raises(ValueError, match=rf"^{name} must be a finite number >= [01], got "):
        IterationCost(**{name: value})


def test_the_linear_form_is_exact():
    """a3 below and above a1: G = a0 + a1 T, and each decode a3 - a1."""
    for a3 in (0.02, 0.25):
        cost = IterationCost.linear(10.0, 0.125, 0.0, a3, 1e-6)
        for prefill, decodes in ((0, 1), (0, 256), (512, 0), (100, 50)):
            expected = 10 * MS + prefill * 0.125 * MS + decodes * a3 * MS + 7 * 1000
            assert cost.duration_ps(prefill, 1, 1, decodes, 7) == pytest.approx(expected, abs=2)


def test_a_decode_may_cost_less_than_g_charges_but_not_less_than_nothing():
    assert IterationCost(k=0.25, c_b=-0.25).duration_ps(0, 0, 0, 8, 0) == 1
    with pytest.raises(ValueError, match=r"^c_b must be a finite number >= -0.25, got -0.26"):
        IterationCost(k=0.25, c_b=-0.26)
    knots = ((2.0, 3.0), (4.0, 4.0))  # G is 1 ms per token at 4 tokens, and rises by 0.5 ms per token from there on
    assert IterationCost(knots=knots, c_b=-0.5).duration_ps(0, 0, 0, 4, 0) == 2 * MS
    with pytest.raises(ValueError, match=r"^c_b must be a finite number >= -0.5, got -0.6"):
        IterationCost(knots=knots, c_b=-0.6)
    with pytest.raises(ValueError, match=r"^c_b must be a finite number >= 0, got -0.1"):
        IterationCost(knots=((1.0, 5.0),), c_b=-0.1)
    with pytest.raises(ValueError, match=r"^a1 must be a finite number >= 0, got -1"):
        IterationCost.linear(1.0, -1.0, 0.0, 0.0, 0.0)


def test_sharpness_below_one_is_refused():
    with pytest.raises(ValueError, match=r"^p must be a finite number >= 1, got 0\.99"):
        IterationCost(p=0.99)


@pytest.mark.parametrize(
    ("tokens", "ms", "message"),
    [
        ([], [], "must be equally long and not empty, got 0 and 0"),
        ([1, 2], [1.0], "got 2 and 1 values"),
        ([0, 2], [1.0, 2.0], "positive and strictly increasing"),
        ([1, 2, 2], [1.0, 2.0, 3.0], "positive and strictly increasing"),
        ([1, 2], [1.0, -2.0], "ms of knot 1 must be a finite number >= 0, got -2.0"),
        ([1, math.nan], [1.0, 2.0], "tokens of knot 1 must be a finite number"),
        ([1, 2], [3.0, 2.0], "ms of the last knot must not be below the one before it, got 3.0, 2.0"),
    ],
)
def test_bad_knots_are_refused(tokens, ms, message):
    with pytest.raises(ValueError, match=message):
        IterationCost.from_table(tokens, ms)


def test_knots_and_the_smooth_maximum_exclude_each_other():
    with pytest.raises(ValueError, match=r"c0, w and k must be 0 beside knots, .* got c0=0\.0, w=2\.0"):
        IterationCost(w=2.0, knots=((1.0, 2.0),))
    with pytest.raises(ValueError, match="knots must be pairs"):
        IterationCost(knots=(1.0, 2.0))  # type: ignore[arg-type]


@pytest.mark.parametrize("max_tokens", [0, -1, 2.0, True])
def test_a_bad_table_length_is_refused(max_tokens):
    with pytest.raises(ValueError, match="max_tokens must be an integer >= 1, got"):
        IterationCost().g_ps(max_tokens)


@pytest.mark.parametrize("position", range(5))
def test_negative_counts_are_refused(position):
    arguments = [1, 1, 1, 1, 1]
    arguments[position] = -1
    with pytest.raises(ValueError, match=r"must be .* >= 0, got -1"):
        IterationCost().duration_ps(*arguments)


@pytest.mark.parametrize("k", [1e9, 1e300])
def test_durations_that_do_not_fit_the_clock_are_refused(k):
    with pytest.raises(ValueError, match=r"takes more than 2\^60 ps"):
        IterationCost(k=k).g_ps(10)

"""Compiled parts of the generators' random numbers; `random` loads them with `kvgym._compile.load`."""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-warn-return-any
# numba infers the types, which mypy cannot express.

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(nogil=True, error_model="numpy")
def minus_log(x):
    """-log(x) for x in (0, 1], by additions, multiplications and divisions alone."""
    mantissa, exponent = math.frexp(x)
    if mantissa < 0.7071067811865476:
        mantissa *= 2.0
        exponent -= 1
    # log m = 2 artanh((m - 1) / (m + 1)); |s| <= 0.172, so that twelve terms reach 1e-18.
    s = (mantissa - 1.0) / (mantissa + 1.0)
    square = s * s
    series = 1.0 / 23.0
    for odd in range(21, 0, -2):
        series = series * square + 1.0 / odd
    return -(exponent * 0.6931471805599453 + 2.0 * s * series) + 0.0  # no negative zero


@njit("float64[::1](float64[::1])", cache=True, nogil=True)
def negative_log(x):
    """`minus_log` of each."""
    out = np.empty(len(x))
    for i in range(len(x)):
        out[i] = minus_log(x[i])
    return out


@njit("float64[::1](uint64[::1])", cache=True, nogil=True)
def exponential(raw):
    """Exponential numbers with mean 1 from uniform 64-bit ones."""
    out = np.empty(len(raw))
    for i in range(len(raw)):
        out[i] = minus_log(1.0 - np.float64(raw[i] >> np.uint64(11)) * 2.0**-53)
    return out


@njit("int64[::1](uint64[::1], int64)", cache=True, nogil=True)
def smallest(raw, n):
    """Positions of the `n` smallest of some uniform 64-bit numbers, in their order; of equals the first comes first.

    A stable sort that makes use of the distribution: numbers go into about as many buckets as there are numbers by
    their first bits, then each bucket is sorted, up to the last one that is wanted.
    """
    bits = 1
    while 1 << bits < len(raw):
        bits += 1
    shift = np.uint64(64 - bits)
    ends = np.zeros((1 << bits) + 1, np.int64)
    for x in raw:
        ends[np.int64(x >> shift) + 1] += 1
    for bucket in range(1 << bits):
        ends[bucket + 1] += ends[bucket]
    order = np.empty(len(raw), np.int64)
    for i in range(len(raw)):
        own = np.int64(raw[i] >> shift)
        order[ends[own]] = i
        ends[own] += 1
    first = 0
    for bucket in range(1 << bits):
        if first >= n:
            break
        for next_one in range(first + 1, ends[bucket]):
            k, position = next_one, order[next_one]
            while k > first and raw[order[k - 1]] > raw[position]:
                order[k] = order[k - 1]
                k -= 1
            order[k] = position
        first = ends[bucket]
    return order[:n].copy()

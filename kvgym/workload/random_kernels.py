"""Compiled parts of the generators' random numbers; `random` loads them with `kvgym._compile.load`."""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-warn-return-any
# numba infers the types, which mypy cannot express.

from __future__ import annotations

import numpy as np

from kvgym._kernel import entry_point
from kvgym.workload.numbers import exponential_of, minus_log, normal_quantile, power_of


@entry_point("float64[::1](float64[::1])")
def negative_log(x):
    """`minus_log` of each."""
    out = np.empty(len(x))
    for i in range(len(x)):
        out[i] = minus_log(x[i])
    return out


@entry_point("int64[::1](uint64[::1], int64)")
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


@entry_point("float64[::1](uint64[::1], float64, float64)")
def lognormal(raw, mu, sigma):
    """exp(mu + sigma z) with z standard normal, from uniform 64-bit numbers."""
    out = np.empty(len(raw))
    for i in range(len(raw)):
        p = (np.float64(raw[i] >> np.uint64(11)) + 0.5) * 2.0**-53
        out[i] = exponential_of(min(700.0, max(-700.0, mu + sigma * normal_quantile(p))))
    return out


@entry_point("float64[::1](float64[::1], float64)")
def power(x, exponent):
    """`power_of` each."""
    out = np.empty(len(x))
    for i in range(len(x)):
        out[i] = power_of(x[i], exponent)
    return out

"""Compiled parts of the arrival processes: gaps of one law, and many clients at once."""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-warn-return-any
# numba infers the types, which mypy cannot express.

from __future__ import annotations

from heapq import heappush, heapreplace

import numpy as np
from numba import types

from kvgym._kernel import entry_point, kernel
from kvgym.workload.numbers import (
    exponential_of,
    gamma_of,
    minus_log,
    mix64,
    normal_quantile,
    power_of,
    uniform_of,
)

_FLOATS = types.float64[::1]


@kernel
def log_gamma(x):
    """Logarithm of the Gamma function for x >= 1: Stirling's series beyond 12, to 1e-13."""
    product = 1.0
    while x < 12.0:
        product *= x
        x += 1.0
    square = 1.0 / (x * x)
    series = (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0))) / x
    return minus_log(product) - (x - 0.5) * minus_log(x) - x + 0.9189385332046727 + series


@kernel(inlined=False)
def weibull_shape(cv):
    """The shape with which Weibull's distribution has this coefficient of variation, between 0.1 and 100."""
    low, high = 0.1, 100.0
    for _ in range(60):
        shape = 0.5 * (low + high)
        log_ratio = log_gamma(1.0 + 2.0 / shape) - 2.0 * log_gamma(1.0 + 1.0 / shape)
        if exponential_of(log_ratio) - 1.0 > cv * cv:
            low = shape
        else:
            high = shape
    return 0.5 * (low + high)


@entry_point("float64[::1](uint64[::1], float64)")
def gamma(raw, cv):
    """Gamma numbers with mean 1 and a coefficient of variation, one of each seed."""
    shape = 1.0 / (cv * cv)
    out = np.empty(len(raw))
    for i in range(len(raw)):
        out[i] = gamma_of(raw[i], shape) / shape
    return out


@entry_point("float64[::1](uint64[::1], float64)")
def weibull(raw, cv):
    """Weibull numbers with mean 1 and a coefficient of variation, one of each seed."""
    shape = weibull_shape(cv)
    scale = exponential_of(-log_gamma(1.0 + 1.0 / shape))
    out = np.empty(len(raw))
    for i in range(len(raw)):
        out[i] = scale * power_of(minus_log(uniform_of(raw[i], 0)), 1.0 / shape)
    return out


@entry_point(types.Tuple((_FLOATS, types.int64[::1]))(types.uint64[::1], _FLOATS, _FLOATS, types.int64))
def merge_gammas(seeds, gaps, cvs, n):
    """The first n arrivals of clients at once: (seconds, client), in order of time.

    Client c has the seed seeds[c], and gaps from a Gamma distribution with mean gaps[c] and coefficient of variation
    cvs[c]. Each has been there for ever: the time to its first arrival is a uniform part of a gap that is chosen by its
    length, a Gamma number of a shape larger by one.
    """
    times, clients = np.empty(n), np.empty(n, np.int64)
    heap = [(np.float64(0.0), np.int64(0))]
    heap.pop()
    count = np.zeros(len(seeds), np.int64)
    for c in range(len(seeds)):
        shape = 1.0 / (cvs[c] * cvs[c])
        seed = mix64(seeds[c])
        heappush(heap, (uniform_of(seeds[c], 0) * gamma_of(seed, shape + 1.0) / shape * gaps[c], np.int64(c)))
    for i in range(n):
        times[i], clients[i] = heap[0]
        c = clients[i]
        count[c] += 1
        shape = 1.0 / (cvs[c] * cvs[c])
        seed = mix64(seeds[c] + np.uint64(count[c]))
        heapreplace(heap, (times[i] + gamma_of(seed, shape) / shape * gaps[c], c))
    return times, clients


@entry_point("float64[::1](uint64[::1], float64, float64)")
def cox_levels(raw, sigma, correlation):
    """exp(x - sigma^2 / 2) of a stationary Gaussian AR(1) sequence x of standard deviation sigma; its mean is 1."""
    levels = np.empty(len(raw))
    x = 0.0
    for i in range(len(raw)):
        fresh = sigma * normal_quantile(uniform_of(raw[i], 0))
        x = fresh if i == 0 else correlation * x + np.sqrt(1.0 - correlation * correlation) * fresh
        levels[i] = exponential_of(max(-700.0, x - 0.5 * sigma * sigma))
    return levels

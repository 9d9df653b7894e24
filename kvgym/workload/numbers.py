"""Numbers from 64 random bits, for compiled functions: logarithms, powers and laws that are bit-equal everywhere."""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-warn-return-any
# numba infers the types, which mypy cannot express.

from __future__ import annotations

import math

import numpy as np

from kvgym._kernel import kernel


@kernel
def mix64(x):
    """A bijective scrambler of 64-bit integers (the finaliser of splitmix64)."""
    z = np.uint64(x) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel
def uniform_of(seed, k):
    """The k-th number of a seed, a uint64, in (0, 1): uniform, and independent of its other ones (splitmix64)."""
    raw = mix64(seed + np.uint64(k) * np.uint64(0x9E3779B97F4A7C15))
    return (np.float64(raw >> np.uint64(11)) + 0.5) * 2.0**-53


@kernel(error_model="numpy")
def minus_log(x):
    """-log(x) for x > 0, by additions, multiplications and divisions alone."""
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


# Quantiles of the normal distribution as quotients of polynomials, to nine digits: Acklam, "An algorithm for computing
# the inverse normal cumulative distribution function" (2003). Middle, then tails.
_A = (
    *(-39.69683028665376, 220.9460984245205, -275.9285104469687),
    *(138.3577518672690, -30.66479806614716, 2.506628277459239),
)
_B = (-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572, 1.0)
_C = (
    *(-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838),
    *(-2.549732539343734, 4.374664141464968, 2.938163982698783),
)
_D = (7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996, 3.754408661907416, 1.0)
_TAIL = 0.02425


@kernel
def _polynomial(coefficients, x):
    value = 0.0
    for coefficient in coefficients:
        value = value * x + coefficient
    return value


@kernel
def normal_quantile(p):
    """The x that a standard normal number is below with probability `p`, in (0, 1)."""
    if p < _TAIL:
        root = math.sqrt(2.0 * minus_log(p))
        return _polynomial(_C, root) / _polynomial(_D, root)
    if p > 1.0 - _TAIL:
        root = math.sqrt(2.0 * minus_log(1.0 - p))
        return -_polynomial(_C, root) / _polynomial(_D, root)
    middle = p - 0.5
    return middle * _polynomial(_A, middle * middle) / _polynomial(_B, middle * middle)


@kernel(error_model="numpy")
def exponential_of(x):
    """exp(x) for |x| <= 700: 2^k exp(r) with |r| <= 0.35, of which 14 terms of the series reach 1e-17."""
    k = np.rint(x * 1.4426950408889634)
    r = (x - k * 0.693147180369123816) - k * 1.90821492927058770e-10  # log 2 in two parts: no digit is lost
    series = 1.0
    for term in range(14, 0, -1):
        series = 1.0 + series * r / term
    return math.ldexp(series, int(k))


@kernel
def power_of(x, exponent):
    """The power of x > 0, within 1e-304 .. 1e304."""
    return exponential_of(min(700.0, max(-700.0, -exponent * minus_log(x))))


@kernel(inlined=False)
def gamma_of(seed, shape):
    """A number from the Gamma distribution with mean `shape` and scale 1, of a seed.

    Marsaglia and Tsang, "A simple method for generating gamma variables" (2000), with their step for shapes below 1.
    """
    d = (shape if shape >= 1.0 else shape + 1.0) - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    k = 1
    while True:
        z = normal_quantile(uniform_of(seed, k))
        v = (1.0 + c * z) ** 3
        if v > 0.0 and minus_log(uniform_of(seed, k + 1)) > d * v - d - 0.5 * z * z + d * minus_log(v):
            break
        k += 2
    return d * v if shape >= 1.0 else d * v * power_of(uniform_of(seed, 0), 1.0 / shape)

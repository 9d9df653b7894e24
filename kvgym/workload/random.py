"""Random numbers that are the same in every version of NumPy and on every machine.

Only the raw output of PCG64 is used. Logarithms and powers are taken with additions, multiplications, divisions and
square roots alone, because the last bit of a library's logarithm depends on the processor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kvgym import _compile
from kvgym._check import whole

KERNELS = "kvgym.workload.random_kernels"
Seed = int | np.random.SeedSequence

# One child stream per kind of draw, so that a change of one does not disturb the others.
(
    ARRIVALS,
    ORDER,
    LENGTHS,
    THINK,
    JITTER,
    TURNS,
    OUTPUTS,
    RESETS,
    PREFIXES,
    KINDS,
    CLIENTS,
    STATES,
    DWELLS,
    BASES,
    PARTS,
) = range(15)


class Stream:
    """Draws of one kind; each takes one 64-bit number, so that the first k of n draws are the same for all n >= k."""

    def __init__(self, seed: Seed, kind: int) -> None:
        """Opens stream `kind` of a seed (an integer >= 0 or a SeedSequence, whose spawn counter is left alone)."""
        self._generator = np.random.PCG64(spawned(seed, kind))

    def raw(self, n: int) -> NDArray[np.uint64]:
        """(n,) uint64, uniform."""
        return np.asarray(self._generator.random_raw(n), np.uint64)

    def uniform(self, n: int) -> NDArray[np.float64]:
        """(n,) float64 in [0, 1)."""
        return (self.raw(n) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def exponential(self, n: int) -> NDArray[np.float64]:
        """(n,) float64 with mean 1."""
        return negative_log(1.0 - self.uniform(n))

    def lognormal(self, n: int, mu: float, sigma: float) -> NDArray[np.float64]:
        """(n,) float64, exp(mu + sigma z) with z standard normal to nine digits; at most exp(700)."""
        return np.asarray(_compile.load(KERNELS).lognormal(self.raw(n), mu, sigma), np.float64)

    def integers(self, n: int, bound: int) -> NDArray[np.int64]:
        """(n,) int64 in 0 .. bound-1, bound <= 2**31; uneven by less than bound / 2**32."""
        return ((self.raw(n) >> np.uint64(32)) * np.uint64(bound) >> np.uint64(32)).astype(np.int64)

    def permutation(self, n: int, first: int | None = None) -> NDArray[np.int64]:
        """(n,) int64, a random order of 0 .. n-1; only the `first` ones of it if that is given."""
        return np.asarray(_compile.load(KERNELS).smallest(self.raw(n), n if first is None else first), np.int64)


def negative_log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """-log(x) for x in (0, 1], to a few units of the last place, bit-equal everywhere."""
    return np.asarray(_compile.load(KERNELS).negative_log(x), np.float64)


def power(x: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    """`x` > 0 to a power, within 1e-304 .. 1e304, to about a digit less than exact, bit-equal everywhere."""
    return np.asarray(_compile.load(KERNELS).power(x, exponent), np.float64)


def spawned(seed: Seed, kind: int, *more: int) -> np.random.SeedSequence:
    """A child of a seed (an integer >= 0 or a SeedSequence, whose spawn counter is left alone)."""
    if not isinstance(seed, np.random.SeedSequence):
        seed = np.random.SeedSequence(whole("seed", seed, 0))
    return np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, kind, *more), pool_size=seed.pool_size)

"""When requests arrive: open loop (Poisson, slotted Bernoulli) and closed loop (after a predecessor and a pause)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kvgym._check import finite, whole
from kvgym.workload.checks import positive, wholes
from kvgym.workload.random import ARRIVALS, THINK, Seed, Stream, negative_log


def poisson_arrivals(seed: Seed, n: int, rate: float) -> NDArray[np.float64]:
    """Poisson arrivals, the first one at 0: (n,) float64 seconds, the same first ones for a larger n.

    Args:
        seed: the workload's seed.
        n: requests, >= 1.
        rate: requests per second, > 0.
    """
    whole("n", n, 1)
    positive("rate", rate)
    gaps = Stream(seed, ARRIVALS).exponential(n - 1) / rate
    return np.append(0.0, np.cumsum(gaps))


def slotted_arrivals(seed: Seed, n: int, slot_s: float, probability: float) -> NDArray[np.float64]:
    """At each slot boundary 0, slot_s, 2 slot_s, .. one arrival with the given probability, else none.

    The rate is probability / slot_s. Returns (n,) float64 seconds, the same first ones for a larger n.

    Args:
        seed: the workload's seed.
        n: requests, >= 1.
        slot_s: length of a slot in seconds, > 0.
        probability: in (0, 1].
    """
    whole("n", n, 1)
    positive("slot_s", slot_s)
    positive("probability", probability, 1.0)
    exponential = Stream(seed, ARRIVALS).exponential(n)
    if probability == 1.0:
        empty_slots = np.zeros(n)
    else:
        empty_slots = np.floor(exponential / negative_log(np.array([1.0 - probability])))
    return (np.cumsum(empty_slots + 1.0) - 1.0) * slot_s


def think_times(seed: Seed, n: int, mean_s: float) -> NDArray[np.float64]:
    """Exponential pauses of a closed loop: (n,) float64 seconds, the same first ones for a larger n."""
    whole("n", n, 1)
    finite("mean_s", mean_s)
    return Stream(seed, THINK).exponential(n) * mean_s


def chain(keys: ArrayLike) -> NDArray[np.int64]:
    """Closed-loop predecessors: for each request the latest earlier one with the same key, -1 = none.

    Args:
        keys: (n,) integers, such as the session of each request.

    Returns:
        (n,) int64.
    """
    key = wholes("keys", keys, None, -(2**62), 2**62)
    order = np.argsort(key, kind="stable")
    predecessor = np.full(len(key), -1)
    same = key[order[1:]] == key[order[:-1]]
    predecessor[order[1:][same]] = order[:-1][same]
    return predecessor

"""Values that theory gives for the worst cases in `workloads`, and what an independent simulation measured."""

from __future__ import annotations

import math

import numpy as np

# The cyclic groups, W / B: hit rates of whole-node LRU with equal lengths, and of RLT in the form of the authors' code
# with equal lengths and with lengths 1 : 2 : 4 : 8 : 16. From an independent simulation of the same setting (B = 20,000
# tokens, 32 rounds, half of each prompt shared, evictions of the full request).
GROUPS = {
    0.8: (0.476, 0.483, 0.466),
    1.05: (0.000, 0.459, 0.407),
    1.2: (0.000, 0.361, 0.321),
    1.5: (0.000, 0.155, 0.145),
    2.0: (0.000, 0.000, 0.001),
}


def harmonic(k: int) -> float:
    """H_k = 1 + 1/2 + .. + 1/k: what the best randomized evictor must lose against the optimum (Fiat et al., 1991)."""
    return math.fsum(1 / i for i in range(1, k + 1))


def expected(order: str, evictor: str, k: int) -> float | None:
    """Misses over those of the optimum that theory expects on an order of `leaf_order`; None where it says nothing.

    Exact for long sequences, but for "random" on the stale order, where it is the limit of long phases.
    """
    if evictor == "belady":
        return 1.0
    if order == "random":
        # Each evictor that only evicts on a miss lacks one of k + 1 prompts: it misses each (k + 1)-th request. The
        # optimum lacks the prompt that is asked last, after all k others: (k + 1) H_k requests on average.
        return harmonic(k)
    known = {
        "cyclic": {"random": 2 * k / (k + 1), "rlt": harmonic(k), "rlt_code": code_form_on_cycle(k)},
        # fifo alternates: the stale prompt is the oldest after one change, the youngest after the next.
        "stale": {"lru": 1.0, "lru_node": 1.0, "lfu": 1.0, "fifo": (k + 1) / 2, "random": float(k), "rlt": harmonic(k)},
    }
    if order == "cyclic" and evictor in ("lru", "lru_node", "fifo", "lfu"):
        return float(k)
    return known[order].get(evictor)


def code_form_on_cycle(k: int) -> float:
    """Ratio of `rlt_code` on the cyclic order: below H_k, because its phases end one prompt early.

    At a miss m of the k cached prompts are marked, the last m asked. With m = k - 1 or more the phase ends and m = 0.
    One of the k - m unmarked ones goes; it is asked again after d requests, d uniform in 1 .. k - m, and these leave
    m + d marked; if that makes all k the last one alone stays marked. The ratio is k over the mean of d in the chain's
    stationary law.
    """
    states = np.arange(k)
    step = np.zeros((k, k))
    for m in states:
        kept = 0 if m >= k - 1 else m
        reached = np.append(np.arange(kept + 1, k), 1)
        np.add.at(step[m], reached, 1 / (k - kept))
    mean = (k - np.where(states >= k - 1, 0, states) + 1) / 2
    system = np.vstack([step.T - np.eye(k), np.ones(k)])
    law = np.linalg.lstsq(system, np.append(np.zeros(k), 1.0), rcond=None)[0]
    return float(k / (law @ mean))

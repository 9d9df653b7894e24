"""What a scorer of leaves is given of an observation, and its scores, compiled: a decision takes microseconds."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kvgym.envs.features import CANDIDATE_FEATURES, EVICT_FEATURES

from .features import natural_gains

Floats = NDArray[np.float32]

N_OWN = len(CANDIDATE_FEATURES) - 1  # all but "valid"
N_WANTED = len(EVICT_FEATURES) - 1  # all but the worker's number
_AT = {feature.name: place for place, feature in enumerate(CANDIDATE_FEATURES[1:])}
_TIMES = np.array([_AT[name] for name in ("idle", "age", "reuse_gap", "session_idle")])
_IDLE, _RECOMPUTE, _PAGES = _AT["idle"], _AT["recompute"], _AT["tail_pages"]
COST = N_OWN + len(_TIMES)
"""Place of the logarithm of seconds per page, but for a constant."""
N_LEAF = COST + 1
"""Inputs that differ from leaf to leaf; they come first."""
N_INPUTS = N_LEAF + N_OWN + N_WANTED
_OWN_GAINS, _WANTED_GAINS = natural_gains(CANDIDATE_FEATURES[1:]), natural_gains(EVICT_FEATURES[1:])
_FLOATS, _ROWS = "float32[::1]", "float32[:, ::1]"
_FAST = {"contract", "arcp", "reassoc", "nsz"}


@njit(f"int64({_FLOATS}, int64, int64, {_ROWS}, int64[::1])", nogil=True, cache=True)
def read(seen, first, wanted, inputs, slots):  # type: ignore[no-untyped-def]
    """Writes inputs of the leaves that are there, and the slots that they are in.

    Args:
        seen: An observation in scaled form.
        first: Where its candidates begin.
        wanted: Where what is wanted begins, without the worker's number.
        inputs: (K, N_INPUTS) float32, to write to.
        slots: (K,) int64, likewise.

    Returns:
        How many leaves there are.
    """
    n = 0
    for slot in range(len(slots)):
        at = first + slot * (N_OWN + 1)
        if seen[at] != 0.0:
            for i in range(N_OWN):
                inputs[n, i] = seen[at + 1 + i] * _OWN_GAINS[i]
            slots[n] = slot
            n += 1
    if n == 0:
        return n  # an episode in which nothing has to be evicted
    common = inputs[0, N_LEAF:]
    common[:] = 0.0
    for row in range(n):
        for i in range(N_OWN):
            common[i] += inputs[row, i] / n
        for i in range(len(_TIMES)):
            inputs[row, N_OWN + i] = inputs[row, _TIMES[i]] - inputs[0, _IDLE]
        inputs[row, COST] = inputs[row, _RECOMPUTE] - inputs[row, _PAGES]
    for i in range(N_WANTED):
        common[N_OWN + i] = seen[wanted + i] * _WANTED_GAINS[i]
    for row in range(1, n):
        inputs[row, N_LEAF:] = common
    return n


@njit(
    f"void({_ROWS}, {_ROWS}, {_FLOATS}, {_ROWS}, {_FLOATS}, {_FLOATS}, float32, {_FLOATS})",
    nogil=True,
    cache=True,
    fastmath=_FAST,
)
def score(  # type: ignore[no-untyped-def]
    inputs, matrix, bias, second, second_bias, last, last_bias, out
):
    """Scores of leaves: minus the logarithm of what is lost with a page.

    That is the odds that it is asked for soon, whose logarithm a network of two hidden layers knows, times the seconds
    to compute it again. What all leaves have in common enters the first layer once.
    """
    n, d = len(out), len(bias)
    common, hidden, state = bias.copy(), np.empty(d, np.float32), np.empty(len(second_bias), np.float32)
    for i in range(N_LEAF, N_INPUTS):
        x = inputs[0, i]
        for j in range(d):
            common[j] += x * matrix[i, j]
    for row in range(n):
        hidden[:] = common
        for i in range(N_LEAF):
            x = inputs[row, i]
            for j in range(d):
                hidden[j] += x * matrix[i, j]
        state[:] = second_bias
        for i in range(d):
            x = max(hidden[i], np.float32(0.0))
            for j in range(len(state)):
                state[j] += x * second[i, j]
        total = -last_bias - inputs[row, COST]
        for j in range(len(state)):
            total -= max(state[j], np.float32(0.0)) * last[j]
        out[row] = total

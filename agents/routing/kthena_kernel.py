"""The scores of Kthena, compiled: in NumPy some fifty operations on columns, which take 50 us."""

from __future__ import annotations

import numpy as np
from numba import njit

_SEEN = "float32[:]"


@njit(
    f"void({_SEEN}, {_SEEN}, {_SEEN}, {_SEEN}, {_SEEN}, float64[::1], boolean[::1], float64, int64, int64, int64, "
    "float64[::1])",
    nogil=True,
    cache=True,
)
def rate(  # type: ignore[no-untyped-def]
    running, queued, kv_use, ttft, tpot, tokens, up, max_waiting, block_tokens, blocks, top, costs
):
    """Writes minus the sum of the four scores of each worker, infinity for those that are left out.

    See `Kthena`; `tokens` of each worker match, `blocks` are those of the prompt, `up` says who may be chosen.
    """
    n = len(costs)
    short = False
    for i in range(n):
        short |= up[i] and queued[i] < max_waiting
    longest = 0.0
    slowest, fastest = np.zeros(2), np.full(2, np.inf)
    for i in range(n):
        costs[i] = 0.0 if up[i] and (queued[i] < max_waiting or not short) else np.inf
        if costs[i] == 0.0:
            longest = max(longest, running[i] + 100.0 * queued[i])
            if ttft[i] > 0.0 and tpot[i] > 0.0:
                for j, seconds in enumerate((np.float64(ttft[i]), np.float64(tpot[i]))):
                    slowest[j], fastest[j] = max(slowest[j], seconds), min(fastest[j], seconds)
    for i in range(n):
        if costs[i] == np.inf:
            continue
        load = running[i] + 100.0 * queued[i]
        requests = np.floor(100.0 * (longest - load) / longest) if longest > 0.0 else 100.0
        memory = np.floor(100.0 * (1.0 - kv_use[i]))
        latency = 100.0
        if ttft[i] > 0.0 and tpot[i] > 0.0:
            latency = 0.0
            for j, seconds in enumerate((np.float64(ttft[i]), np.float64(tpot[i]))):
                spread = slowest[j] - fastest[j]
                latency += 50.0 * (slowest[j] - seconds) / spread if spread > 0.0 else 50.0
            latency = np.floor(latency)
        prefix = 0.0
        if tokens[i] > 0.0:
            better = 0
            for k in range(n):
                if costs[k] < np.inf and (tokens[k] > tokens[i] or (tokens[k] == tokens[i] and k < i)):
                    better += 1
            if better < top:
                prefix = np.floor(100.0 * min(np.ceil(tokens[i] / block_tokens), blocks) / blocks)
        costs[i] = -(requests + memory + latency + prefix)

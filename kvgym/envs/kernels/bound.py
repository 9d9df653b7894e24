"""A lower bound of each request's latency: alone, on the fastest worker, with all that can hit in its cache.

No iteration takes less for more tokens, chunks or decoding requests (docs/semantics.md#k2-duration), and whatever a
request waits for, is preempted or comes back for comes on top.
"""

import numpy as np

from kvgym._kernel import kernel
from kvgym.sim.base.access import config, costs, g_table, requests


@kernel
def fewest_ps(s, out):
    """Writes into `out`, (rows of `costs`, n), the least G of iterations with T or more tokens, for T = 0 .. n - 1."""
    chunk = config(s).chunk_tokens
    for kind in range(len(out)):
        least = g_table(s)[(kind + 1) * (chunk + 1) - 1]
        for tokens in range(chunk, 0, -1):
            least = min(least, g_table(s)[kind * (chunk + 1) + tokens])
            if tokens < out.shape[1]:
                out[kind, tokens] = least


@kernel
def bounds_ps(s, fewest, q):
    """Of TTFT and E2E of request `q`, on the best of all rows of `costs`, slowed (or sped up) workers included."""
    request = requests(s)[q]
    chunk = config(s).chunk_tokens
    size = config(s).page_size
    hit = np.int64((request.prompt_tokens - 1) // size * size)
    tokens = np.int64(request.prompt_tokens) - hit
    pairs = tokens * hit + tokens * (tokens + 1) // 2
    later = np.int64(request.output_tokens - 1)
    best_ttft = best_e2e = np.iinfo(np.int64).max
    for kind in range(len(fewest)):
        cost = costs(s)[kind]
        # In one iteration, or in several: each of them is rounded, so that a picosecond of each may be missing.
        several = max(2, (tokens + chunk - 1) // chunk)
        ttft = several * (fewest[kind, 1] - 1) + np.int64(cost.a_s * pairs + cost.c_n)
        if tokens <= chunk:
            ttft = min(ttft, fewest[kind, tokens] + np.int64(np.rint(cost.a_s * pairs + cost.c_n)))
        ttft = max(np.int64(1), ttft)
        first = max(1, fewest[kind, 1] + np.int64(np.rint(cost.c_b)) + cost.q * (request.prompt_tokens + 1))
        e2e = ttft + later * first + cost.q * (later * (later - 1) // 2)
        best_ttft = min(best_ttft, ttft)
        best_e2e = min(best_e2e, e2e)
    return best_ttft, best_e2e

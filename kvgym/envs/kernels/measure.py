"""Latencies and sums that the metrics of an episode are made of, in one walk over its requests."""

import numpy as np

from kvgym._kernel import entry_point, kernel
from kvgym.envs.kernels.bound import bounds_ps, fewest_ps
from kvgym.envs.kernels.codes import SUM
from kvgym.envs.kernels.costs import is_late, is_slow
from kvgym.sim.base.access import classes, config, costs, g_table, progress, requests, workers
from kvgym.sim.base.requests import class_of

_LATENCIES = ", ".join(["float64[::1]"] * 4)
_RESULT = f"Tuple((int64[::1], {_LATENCIES}, int64[::1], float64[::1], boolean[::1], int64[::1], int64[::1]))"


@kernel
def alone_ps(s, w, q):
    """How long request `q` would take alone on worker `w`, with an empty cache: prefill in chunks, then a token each.

    The iterations of docs/semantics.md#k2-duration, without waiting, hits, faults or the room that it needs.
    """
    chunk = config(s).chunk_tokens
    cost = costs(s)[workers(s)[w].cost]
    g = workers(s)[w].cost * (chunk + 1)
    request = requests(s)[q]
    total = 0
    for known in range(0, request.prompt_tokens, chunk):
        tokens = min(chunk, request.prompt_tokens - known)
        pairs = tokens * known + tokens * (tokens + 1) // 2
        total += max(1, g_table(s)[g + tokens] + np.int64(np.rint(cost.a_s * pairs + cost.c_n)))
    later = request.output_tokens - 1
    first = max(1, g_table(s)[g + 1] + np.int64(np.rint(cost.c_b)) + cost.q * (request.prompt_tokens + 1))
    return total + later * first + cost.q * (later * (later - 1) // 2)


@kernel
def fastest_worker(s):
    """The first worker with the highest prefill rate."""
    fastest = 0
    for w in range(config(s).n_workers):
        if costs(s)[workers(s)[w].cost].speed > costs(s)[workers(s)[fastest].cost].speed:
            fastest = w
    return fastest


@entry_point(_RESULT + "(int64)")
def measure(s):
    """Looks at the requests that have finished, but for those of the warm-up, in index order.

    Returns their indices; e2e and ttft (s, an entry per request), tpot (s, of requests with two or more output tokens),
    slowdowns (e2e over `alone_ps` on the fastest worker); how many they are of each tenant, and the sum of their
    slowdowns, by the tenant's number (empty where one is as high as the number of requests); whether they met their
    targets, the requests of each worker, and the `Sums`.
    """
    n = len(requests(s))
    done = np.empty(n, np.int64)
    e2e, ttft, tpot, slowdown = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    served, slowed, last = np.zeros(n, np.int64), np.zeros(n), -1
    met = np.empty(n, np.bool_)
    sent = np.zeros(config(s).n_workers, np.int64)
    sums = np.zeros(len(SUM), np.int64)
    sums[SUM.first_ps] = sums[SUM.earliest_ps] = np.iinfo(np.int64).max
    fastest = fastest_worker(s)
    fewest = np.empty((len(costs(s)), config(s).page_size + 1), np.int64)
    fewest_ps(s, fewest)
    count = several = 0
    for q in range(n):
        status = progress(s)[q]
        if status.arrived_ps < 0:
            continue
        sums[SUM.earliest_ps] = min(sums[SUM.earliest_ps], status.arrived_ps)
        sums[SUM.latest_ps] = max(sums[SUM.latest_ps], status.arrived_ps)
        if status.refused_ps >= 0 and status.decision >= 0:
            cost_ps = np.int64(classes(s)[class_of(s, q)].refusal_cost_ps)
            sums[SUM.refused] += 1
            sums[SUM.refused_e2e_ps] += status.refused_ps - status.arrived_ps + cost_ps
            without_token = status.refused_ps if status.first_token_ps < 0 else status.first_token_ps
            sums[SUM.refused_ttft_ps] += without_token - status.arrived_ps + cost_ps
        if status.finish_ps < 0 or status.decision < 0:
            continue
        request = requests(s)[q]
        arrival, first_token = status.arrived_ps * 1e-12, status.first_token_ps * 1e-12
        finish = status.finish_ps * 1e-12
        done[count] = q
        e2e[count] = finish - arrival
        ttft[count] = first_token - arrival
        if request.output_tokens > 1:
            tpot[several] = (finish - first_token) / (request.output_tokens - 1)
            several += 1
        slowdown[count] = (status.finish_ps - status.arrived_ps) / alone_ps(s, fastest, q)
        last = max(last, request.tenant)
        if request.tenant < n:
            served[request.tenant] += 1
            slowed[request.tenant] += slowdown[count]
        met[count] = not is_late(s, q) and not is_slow(s, q)
        ttft_ps, e2e_ps = bounds_ps(s, fewest, q)
        sums[SUM.bound_ttft_ps] += ttft_ps
        sums[SUM.bound_e2e_ps] += e2e_ps
        sums[SUM.hit] += status.hit_tokens
        sums[SUM.prompt] += request.prompt_tokens
        sums[SUM.output] += request.output_tokens
        sums[SUM.preemptions] += status.preemptions
        sums[SUM.returns] += status.returns
        sums[SUM.fetched] += status.fetched_tokens
        sums[SUM.first_ps] = min(sums[SUM.first_ps], status.arrived_ps)
        sums[SUM.finish_ps] = max(sums[SUM.finish_ps], status.finish_ps)
        sent[status.worker] += 1
        count += 1
    if last >= n:
        last = -1
    served, slowed = served[: last + 1], slowed[: last + 1]
    done, met = done[:count], met[:count]
    return done, e2e[:count], ttft[:count], tpot[:several], slowdown[:count], served, slowed, met, sent, sums


@entry_point("void(int64, int64[:, ::1])")
def bounds(s, out):
    """Writes the lower bounds of TTFT and E2E of all requests (ps): (n, 2)."""
    fewest = np.empty((len(costs(s)), config(s).page_size + 1), np.int64)
    fewest_ps(s, fewest)
    for q in range(len(out)):
        out[q, 0], out[q, 1] = bounds_ps(s, fewest, q)

"""Latencies and sums that the metrics of an episode are made of, in one walk over its requests."""

import numpy as np

from kvgym._kernel import entry_point
from kvgym.envs.kernels.codes import SUM
from kvgym.sim.base.access import classes, config, progress, requests
from kvgym.sim.base.requests import class_of

_RESULT = "Tuple((float64[::1], float64[::1], float64[::1], int64[::1], int64[::1]))"


@entry_point(_RESULT + "(int64, float64, float64)")
def measure(s, slo_ttft_s, slo_tpot_s):
    """Looks at the requests that have finished, but for those of the warm-up, in index order.

    An objective of 0 is always met. Returns e2e and ttft (s, an entry per request), tpot (s, of requests with two or
    more output tokens), the requests of each worker, and the `Sums`.
    """
    n = len(requests(s))
    e2e, ttft, tpot = np.empty(n), np.empty(n), np.empty(n)
    sent = np.zeros(config(s).n_workers, np.int64)
    sums = np.zeros(len(SUM), np.int64)
    sums[SUM.first_ps] = sums[SUM.earliest_ps] = np.iinfo(np.int64).max
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
        e2e[count] = finish - arrival
        ttft[count] = first_token - arrival
        if request.output_tokens > 1:
            tpot[several] = (finish - first_token) / (request.output_tokens - 1)
            several += 1
        on_time = slo_ttft_s <= 0 or ttft[count] <= slo_ttft_s
        steady = slo_tpot_s <= 0 or finish - first_token <= slo_tpot_s * (request.output_tokens - 1)
        sums[SUM.good] += on_time and steady
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
    return e2e[:count], ttft[:count], tpot[:several], sent, sums

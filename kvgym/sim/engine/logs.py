"""Room in the logs: kernels can't grow a table, so they stop and let the caller do it."""

from kvgym._kernel import kernel
from kvgym.sim.base.access import clock, config, draws, iterations, workers


@kernel
def logs_full(s):
    """Whether one more round of iteration starts might not fit into the logs."""
    cf = config(s)
    ck = clock(s)
    # Between two looks every worker starts one iteration, and may lose one in a crash.
    if cf.log_iterations and ck.n_log + 2 * cf.n_workers > len(iterations(s)):
        return True
    if cf.log_draws:
        pages = 0  # no page is evicted twice meanwhile
        for w in range(cf.n_workers):
            pages += workers(s)[w].kv_pages
        return ck.n_draws + pages > len(draws(s))
    return False

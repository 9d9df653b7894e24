"""Room in the logs: kernels can't grow a table, so they stop and let the caller do it."""

from numba import njit

from kvgym.sim.kernels.access import clock, config, draws, iterations, workers


@njit(nogil=True)
def logs_full(s):
    """Whether one more round of iteration starts might not fit into the logs."""
    cf = config(s)
    ck = clock(s)
    if cf.log_iterations and ck.n_log + cf.n_workers > len(iterations(s)):
        return True
    if cf.log_draws:
        pages = 0
        for w in range(cf.n_workers):
            pages += workers(s)[w].kv_pages
        # Between two looks every worker starts one iteration and evicts no page twice.
        return ck.n_draws + pages > len(draws(s))
    return False

"""Numbers that kernels and Python share: named rules, why `advance` came back, why a request waits."""

EVICTORS = ("lru", "lru_node", "random", "rlt", "rlt_code", "belady")
LRU, LRU_NODE, RANDOM, RLT, RLT_CODE, BELADY = range(len(EVICTORS))

ROUTERS = ("agent", "random", "round_robin", "least_loaded", "prefix_affinity")
AGENT, RANDOM_ROUTER, ROUND_ROBIN, LEAST_LOADED, PREFIX_AFFINITY = range(len(ROUTERS))

ROUTE, DONE, TRUNCATED, LOG_FULL, FAULT = range(5)
"""Why `events.advance` came back."""

WAIT_REASONS = ("", "places", "budget", "pages", "retry", "preemption", "prefill")
"""Why the head of the queue was not admitted: no place in the batch, no token budget left, refused for want of pages,
refused before and nothing has ended since, the iteration preempted somebody, the unfinished prefill waits for pages."""
NO_WAIT, WAIT_PLACES, WAIT_BUDGET, WAIT_PAGES, WAIT_RETRY, WAIT_PREEMPTION, WAIT_PREFILL = range(len(WAIT_REASONS))

"""Numbers that kernels and Python share: named rules, why `advance` came back, why a request waits."""

NONE = -1
"""No worker, request, row or entry; not yet."""

ROUTERS = (
    *("agent", "random", "round_robin", "least_loaded", "prefix_affinity"),
    *("lmetric", "least_prefill", "least_prefill_aged"),
)
"""Who routes: the agent, or a rule of the simulator."""
AGENT, RANDOM_ROUTER, ROUND_ROBIN, LEAST_LOADED, PREFIX_AFFINITY, LMETRIC, LEAST_PREFILL, LEAST_PREFILL_AGED = range(
    len(ROUTERS)
)

VIEWS = ("exact", "history", "speculative")
"""What a router sees of the caches (docs/semantics.md#d2-view)."""
EXACT, HISTORY, SPECULATIVE = range(len(VIEWS))

STOPS = ("ROUTE", "EVICT", "DONE", "TRUNCATED", "LOG_FULL", "CONTRADICTION", "PAUSED")
"""Why `events.advance` came back; PAUSED: it has been called for so many events, and there are more."""
ROUTE, EVICT, DONE, TRUNCATED, LOG_FULL, CONTRADICTION, PAUSED = range(len(STOPS))
ROUNDS = 1 << 16
"""Events after which a simulator lets Python see signals, so that Ctrl-C ends a long run."""

RETURN, RECOVER, SLOW_DOWN, CRASH = range(4)
"""Kinds of faults, in the order in which they happen at one time on one worker."""

MAX_DECISIONS = 8
"""EVICT decisions that one allocation may take with the quantum "leaf"; `lru` frees what the last one leaves."""

REFUSED, GRANTED, ASKED = range(3)
"""Outcomes of an allocation; ASKED: it waits for an EVICT decision."""

CONTRADICTIONS = ("", "pages do not add up", "evictable pages", "a page without its parent", "locks", "leaves", "rows")
"""Findings of debug mode."""
CONSISTENT, WRONG_PAGES, WRONG_EVICTABLE, WRONG_PARENT, WRONG_LOCKS, WRONG_LEAVES, WRONG_ROWS = range(
    len(CONTRADICTIONS)
)

WAIT_REASONS = ("", "places", "budget", "pages", "retry", "preemption", "prefill")
"""Why the head of the queue was not admitted: no place in the batch, no token budget left, refused for want of pages,
refused before and nothing has ended since, the iteration preempted somebody, the unfinished prefill waits for pages."""
NO_WAIT, WAIT_PLACES, WAIT_BUDGET, WAIT_PAGES, WAIT_RETRY, WAIT_PREEMPTION, WAIT_PREFILL = range(len(WAIT_REASONS))

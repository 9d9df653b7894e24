"""`lru_k`: LRU-2, the page whose last use but one is the oldest (docs/semantics.md#c7-keys).

O'Neil, O'Neil and Weikum, SIGMOD 1993, K = 2, without a correlated reference period, and without what they retain about
pages that went.
"""

from kvgym._kernel import kernel
from kvgym.sim.evictors.histories import tail_span

KEYS_OF_SPANS = True
"""Pages of one history have the same key."""


@kernel
def lru_k_key(s, w, r):
    """The recency counter at the use before the last one; -1 if there was one use."""
    span = tail_span(s, r)
    return float(span.used_before), span.stamp

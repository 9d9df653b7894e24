"""`lru`: the tail page of the leaf with the oldest stamp. `lru_node`: the whole chain of that leaf, as SGLang does."""

from kvgym._kernel import kernel
from kvgym.sim.base.access import rows
from kvgym.sim.base.lists import recency_ends
from kvgym.sim.base.rows import unlocked_pages
from kvgym.sim.evictors.tails import chain_of


@kernel
def lru_victim(s, w, n):
    """The least recently used leaf: its tail stays the oldest until the node is gone."""
    r = recency_ends(s, w).oldest
    return r, min(n, unlocked_pages(s, rows(s)[r]))


@kernel
def lru_node_victim(s, w, n):
    """The least recently used leaf, up to the nearest split that the worker has seen, however many pages these are."""
    r = recency_ends(s, w).oldest
    return r, chain_of(s, w, r)

"""A worker's cache: prefix tree, locks, allocations, evictions, EVICT decisions.

Rules: docs/semantics.md#cache, #evictors.
"""

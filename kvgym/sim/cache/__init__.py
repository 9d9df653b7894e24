"""A worker's cache: prefix tree, locks, allocations, evictions, EVICT decisions (docs/semantics.md, C1 to C6, D6)."""

"""A router's view of the workers, its own counts, and rules that route (docs/semantics.md#d1-route, #d2-view)."""

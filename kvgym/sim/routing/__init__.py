"""What a router sees of the workers and counts itself, and rules that route (docs/semantics.md#d1-route, #d2-view)."""

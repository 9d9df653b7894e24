"""What a router sees of the workers and counts itself, and rules that route (docs/semantics.md, D1, D2)."""

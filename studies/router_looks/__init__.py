"""What a learned router looks at, what it does differently, and what is left of it as a rule: docs/learned.md."""

"""Workers among each other: transfers, crashes, slow-downs (docs/semantics.md, T1 to T5, F1 to F6)."""

"""Workers among each other: transfers, crashes, slow-downs (docs/semantics.md#transfers, #faults)."""

"""The engine of a worker: arrivals, queues, batches, iterations, preemption (docs/semantics.md#engine)."""

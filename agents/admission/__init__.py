"""Agents that route and refuse: KVGym/Route-v0 with `admission=True`."""

"""Agents that route, for KVGym/Route-v0."""

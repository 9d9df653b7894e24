"""Agents that evict, for KVGym/Evict-v0."""

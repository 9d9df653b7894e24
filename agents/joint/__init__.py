"""Agents that do both, for KVGym/Joint-v0."""

"""Searches the constants of a rule on training seeds: `python -m agents.tune`."""

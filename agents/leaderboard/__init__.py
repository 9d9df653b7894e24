"""Agents against each other on the same seeds: `python -m agents.leaderboard`."""

"""Trained networks, and how they come about: `python -m agents.train`. Most modules need the extra "train"."""

ALGORITHMS = ("ppo", "dqn", "ppo_mask")
"""Lower case, as rl-zoo3 has it; ppo_mask is MaskablePPO, which rl-zoo3 does not know."""

"""Trained networks, and how they come about: `python -m agents.train`. Most modules need the extra "train"."""

MISS_WEIGHT, REQUEST_TOKENS, SPEED_POWER = 6.0, 100.0, 0.25
"""Of the rule that networks may correct, see `agents.learned.network.Shape`: the best of some that were tried on
validation seeds of the scenarios that the shipped router is trained on."""
ALGORITHMS = ("ppo", "dqn", "ppo_mask")
"""Lower case, as rl-zoo3 has it; ppo_mask is MaskablePPO, which rl-zoo3 does not know."""

"""Wrappers: other forms of what an environment shows, pays and plays. See docs/wrappers.md."""

from kvgym.wrappers.repeat import GroupWorkloads, RepeatWorkload
from kvgym.wrappers.reward_vector import RewardVector, VectorRewardVector
from kvgym.wrappers.shuffle import ShuffleWorkers, VectorShuffleWorkers
from kvgym.wrappers.structured import StructuredObservation, VectorStructuredObservation

__all__ = [
    "GroupWorkloads",
    "RepeatWorkload",
    "RewardVector",
    "ShuffleWorkers",
    "StructuredObservation",
    "VectorRewardVector",
    "VectorShuffleWorkers",
    "VectorStructuredObservation",
]

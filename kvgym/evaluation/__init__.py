"""Counting: episodes played and written down, paired statistics, scores, tables."""

from kvgym.evaluation.episode import Agent, Episode, play, play_all
from kvgym.evaluation.scoring import RANDOM, REFERENCE, Score, aggregate, compare, score, tier
from kvgym.evaluation.statistics import Interval, interval

__all__ = [
    "RANDOM",
    "REFERENCE",
    "Agent",
    "Episode",
    "Interval",
    "Score",
    "aggregate",
    "compare",
    "interval",
    "play",
    "play_all",
    "score",
    "tier",
]

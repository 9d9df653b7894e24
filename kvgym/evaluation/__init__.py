"""Counting: episodes played and written down, paired statistics, scores, tables."""

from kvgym.evaluation.episode import Agent, Episode, play, play_all
from kvgym.evaluation.scoring import RANDOM, REFERENCE, Results, Score, aggregate, compare
from kvgym.evaluation.statistics import Interval, interval

__all__ = [
    "RANDOM",
    "REFERENCE",
    "Agent",
    "Episode",
    "Interval",
    "Results",
    "Score",
    "aggregate",
    "compare",
    "interval",
    "play",
    "play_all",
]

"""Bisection: the highest rate at which a goal holds, and the fewest workers for a rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kvgym.evaluation import Episode
from kvgym.evaluation.standings import PARTS_FOR_INTERVALS
from kvgym.evaluation.statistics import Floats, percentiles, resample

from ..leaderboard.plan import Task
from .drive import Search

TOLERANCE = 0.01
"""Two rates that are so close are not told apart."""
_STRIDE = 1.25
_SCALES = 1e-3, 1e3  # beyond them what fails has failed for good, and what holds does not depend on the rate
FEWEST_FOR_INTERVAL = PARTS_FOR_INTERVALS


@dataclass(frozen=True)
class Goal:
    """What must hold, as a mean over the seeds.

    Attributes:
        at_most: Metric -> its limit.
        at_least: Likewise, from below.
    """

    at_most: Mapping[str, float]
    at_least: Mapping[str, float] = field(default_factory=dict)

    def excess(self, episodes: Sequence[Episode]) -> Floats:
        """(n, m) metric over limit (limit over metric where it is a lower one), per seed and condition."""
        over = [[one.metrics[name] / limit for name, limit in self.at_most.items()] for one in episodes]
        under = [[limit / max(one.metrics[name], 1e-9) for name, limit in self.at_least.items()] for one in episodes]
        found = np.hstack(
            [np.array(over, float).reshape(len(episodes), -1), np.array(under, float).reshape(len(over), -1)]
        )
        return np.where(np.isnan(found), 0.0, found)  # a metric of no request, such as TPOT of one-token outputs

    def worst(self, episodes: Sequence[Episode]) -> float:
        """The largest mean over a limit: the goal holds where it is at most 1."""
        return float(self.excess(episodes).mean(axis=0).max())

    def holds(self, episodes: Sequence[Episode]) -> bool:
        """Whether it does."""
        return self.worst(episodes) <= 1.0

    def __str__(self) -> str:
        upper = [f"{name} <= {limit:g}" for name, limit in self.at_most.items()]
        return ", ".join(upper + [f"{name} >= {limit:g}" for name, limit in self.at_least.items()])


@dataclass(frozen=True)
class Found:
    """A border, and what was played to find it.

    Attributes:
        best: The highest scale of the rate (or the fewest workers) at which the goal holds; NaN where there is none.
        low: Lower end of its 95 % interval over the seeds, NaN with too few of them.
        high: Upper end.
        tried: What was played: scale or number of workers -> metrics, mean over the seeds, in ascending order.
    """

    best: float
    low: float
    high: float
    tried: dict[float, dict[str, float]]


def highest_rate(task_at: Callable[[float], Task], goal: Goal) -> Search[Found]:
    """The highest scale of the rate at which the goal holds, to `TOLERANCE`, by bisection; all seeds at every scale.

    Where the goal holds and fails again and holds at a higher rate, that may be found or not.

    Args:
        task_at: What is played at a scale.
        goal: What must hold.
    """
    played: dict[float, list[Episode]] = {}
    low, high = 0.0, math.inf  # holds there, fails there
    scale, stride = 1.0, _STRIDE
    while not low or high / low > 1 + TOLERANCE:
        (played[scale],) = yield [task_at(scale)]
        holds = goal.holds(played[scale])
        low, high = (scale, high) if holds else (low, scale)
        if len(played) == 1:  # the share of time that workers were busy says about where the border is
            busy = float(np.mean([one.metrics["utilisation"] for one in played[scale]]))
            guess = 1 / busy if busy > 0 else 1.0
            scale = max(guess, stride) if holds else min(guess, 1 / stride)
        elif low and math.isfinite(high):
            scale = math.sqrt(low * high)
        else:
            scale = scale * stride if holds else scale / stride
            stride *= stride
        scale = float(f"{scale:.4g}")
        if scale in played or not _SCALES[0] < scale < _SCALES[1]:
            break
    ends = _interval(played, goal) if low else (math.nan, math.nan)
    return Found(low or math.nan, *ends, _means(played))


def fewest_workers(task_at: Callable[[int], Task], goal: Goal, first: int, most: int) -> Search[Found]:
    """The fewest workers with which the goal holds, by bisection.

    Args:
        task_at: What is played on a number of workers.
        goal: What must hold.
        first: The number to begin with.
        most: No more are tried.
    """
    played: dict[float, list[Episode]] = {}
    low, high = 0, most + 1  # fails there, holds there (or is not tried)
    count = min(first, most)
    while high - low > 1:
        (played[count],) = yield [task_at(count)]
        if goal.holds(played[count]):
            high = count
        else:
            low = count
        busy = float(np.mean([one.metrics["utilisation"] for one in played[count]]))
        guess = round(busy * count) if len(played) == 1 else 2 * low if high > most else (low + high) // 2
        count = min(max(guess, low + 1), high - 1)
    return Found(float(high) if high <= most else math.nan, math.nan, math.nan, _means(played))


def _means(played: Mapping[float, list[Episode]]) -> dict[float, dict[str, float]]:
    return {at: means(played[at]) for at in sorted(played)}


def means(episodes: Sequence[Episode]) -> dict[str, float]:
    """Metrics, each the mean over the episodes."""
    return {name: float(np.mean([one.metrics[name] for one in episodes])) for name in episodes[0].metrics}


def _interval(played: Mapping[float, list[Episode]], goal: Goal) -> tuple[float, float]:
    scales = np.array(sorted(played))
    return border_interval(scales, np.stack([goal.excess(played[scale]) for scale in scales]))


def border_interval(scales: Floats, excess: Floats) -> tuple[float, float]:
    """The 95 % interval of the border over the seeds: they are drawn anew, and the border interpolated for each draw.

    Args:
        scales: (k,) ascending.
        excess: (k, n, m) per scale, seed and condition: the goal holds where each mean over the seeds is at most 1.

    Returns:
        Low and high; NaN with fewer than `FEWEST_FOR_INTERVAL` seeds.
    """
    k, n, _ = excess.shape
    if n < FEWEST_FOR_INTERVAL or k < 2:
        return math.nan, math.nan
    index = resample(n, np.random.default_rng(0))[:2000]
    worst = excess[:, index].mean(axis=2).max(axis=2)  # (k, draws)
    low, high = percentiles(border(np.log(scales), np.log(np.maximum(worst, 1e-9))), n)
    return float(np.exp(low)), float(np.exp(high))


def border(x: Floats, y: Floats) -> Floats:
    """Where each column of y (k, draws), ascending in x (k,), first comes above 0: (draws,), by lines between points.

    Outside the points by the line through the outermost two of them, at most a point's distance farther.
    """
    fails = y > 0
    above = np.where(fails.any(axis=0), fails.argmax(axis=0), len(x) - 1)
    above = np.maximum(above, 1)
    columns = np.arange(y.shape[1])
    x0, x1, y0, y1 = x[above - 1], x[above], y[above - 1, columns], y[above, columns]
    slope = np.where(y1 > y0, y1 - y0, np.inf)
    return np.asarray(np.clip(x0 - y0 * (x1 - x0) / slope, x0 - (x1 - x0), x1 + (x1 - x0)))


def plain(found: Found) -> dict[str, Any]:
    """The fields as JSON values."""
    tried = [{"at": at, "metrics": metrics} for at, metrics in found.tried.items()]
    return {"best": found.best, "low": found.low, "high": found.high, "tried": tried}

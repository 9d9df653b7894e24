"""Scores: 0 is the random router with LRU, 100 the reference; logarithmic in between, since latencies multiply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from kvgym.evaluation.statistics import Floats, Interval, interval, over_scenarios, percentiles, resample

RANDOM = ("random", "lru")
"""The anchor that scores 0: agent and evictor."""
REFERENCE = ("lbgr_code", "rlt_code")
"""The anchor that scores 100: agent and evictor."""
LOWEST, HIGHEST = -100.0, 200.0
SEPARATION = 1.25
"""A scenario counts if the reference is at least this many times as fast as the random router, with 95 % confidence."""


class Score(NamedTuple):
    """A score, and what it was before it was clipped to -100 .. 200."""

    value: float
    raw: float


class Comparison(NamedTuple):
    """How an agent compares with the reference on the same seeds.

    Attributes:
        difference: J - J_reference (s).
        speed_up: J_reference / J, a geometric mean over the seeds: 1 = as fast, 2 = twice as fast.
    """

    difference: Interval
    speed_up: Interval


def score(cost: Floats, random: Floats, reference: Floats) -> Score:
    """100 x mean log(J_random / J) / mean log(J_random / J_reference), over the seeds that all three played.

    NaN where random and reference are equally fast.
    """
    scale = float(np.mean(np.log(random / reference)))
    raw = 100.0 * float(np.mean(np.log(random / cost))) / scale if scale else float("nan")
    return Score(float(np.clip(raw, LOWEST, HIGHEST)), raw)


def compare(cost: Floats, reference: Floats) -> Comparison:
    """Paired comparison with the reference."""
    return Comparison(interval(cost - reference), ratio(reference, cost))


def ratio(slow: Floats, fast: Floats) -> Interval:
    """The geometric mean of slow / fast over the seeds, with its 95 % interval."""
    return Interval(*(float(np.exp(x)) for x in interval(np.log(slow / fast))))


def tier(random: Floats, reference: Floats, utilisation: float) -> str:
    """Where a scenario's scores go: "main", "overloaded", or "not counted" when its anchors are too close together.

    Args:
        random: J of the random anchor per seed.
        reference: J of the reference on the same seeds.
        utilisation: Of the random anchor. Above 1 J grows with the episode's length.
    """
    if not ratio(random, reference).low >= SEPARATION:
        return "not counted"
    return "overloaded" if utilisation > 1 else "main"


def aggregate(costs: Sequence[Mapping[Any, Floats]], random: Any, reference: Any) -> dict[Any, Interval]:
    """Scores over several scenarios, with a bootstrap over the seeds.

    The seeds of a scenario are drawn with replacement, the same ones for all agents; scenarios are drawn independently,
    since their workloads are.

    Args:
        costs: Per scenario: J per seed of each agent (seeds in the same order for all).
        random: Key of the random anchor.
        reference: Key of the reference.

    Returns:
        For each agent that played all of the scenarios its mean score (interquartile mean from 12 scenarios on), the
        highest first.
    """
    if not costs:
        return {}
    generator = np.random.default_rng(0)
    agents = [key for key in costs[0] if all(key in scenario for scenario in costs)]
    scores = np.empty((len(costs), len(agents)))
    replicates: list[Floats] = []
    fewest = min(len(scenario[reference]) for scenario in costs)
    for row, scenario in enumerate(costs):
        logs = {key: np.log(scenario[random] / scenario[key]) for key in [*agents, reference]}
        index = resample(len(logs[reference]), generator)
        drawn = {key: values[index].mean(axis=1) for key, values in logs.items()}
        replicates.append(np.stack([100 * drawn[key] / drawn[reference] for key in agents]).clip(LOWEST, HIGHEST))
        scores[row] = [score(scenario[key], scenario[random], scenario[reference]).value for key in agents]
    means = over_scenarios(scores, axis=0)
    spread = over_scenarios(np.stack(replicates), axis=0)
    result = {key: Interval(float(means[i]), *percentiles(spread[i], fewest)) for i, key in enumerate(agents)}
    return dict(sorted(result.items(), key=lambda one: -one[1].mean))

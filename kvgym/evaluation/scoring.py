"""Scores over scenarios: against the reference and against the frontier, on a logarithmic scale.

Latencies multiply, so what is averaged are logarithms of ratios: first over the seeds of a scenario, then over the
scenarios. All scores order agents by the same number, the mean of log J.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from kvgym.evaluation.statistics import (
    BOOTSTRAP_FROM,
    REPLICATES,
    Floats,
    Interval,
    freedom,
    interquartile_mean,
    percentiles,
    ratio,
    t_interval,
)

RANDOM = ("random", "lru")
"""The anchor that scores 0 against the frontier: agent and evictor."""
REFERENCE = ("lbgr_code", "rlt_code")
"""What J is compared with: agent and evictor."""
TRAINING_SEEDS = 5
"""That a learned agent needs for a ranked row, and for an interval."""
FEWEST_SCENARIOS = 8
"""From which there are intervals for other scenarios of the same kind."""
PROFILE = tuple(round(float(x), 3) for x in np.geomspace(0.5, 8.0, 41))
"""Where performance profiles are taken: J over that of the frontier."""

K = TypeVar("K", bound=Hashable)
_NOTHING = float("nan")


@dataclass(frozen=True)
class Results(Generic[K]):
    """J (s) per test seed on one scenario, the same seeds in the same order everywhere.

    Attributes:
        random: Of the random anchor.
        reference: Of the reference.
        frontier: Of the best known causal pair; None where that is not known for these seeds.
        costs: Of each agent.
        training: Of learned agents, which of its training seeds played each episode.
    """

    random: Floats
    reference: Floats
    frontier: Floats | None
    costs: Mapping[K, Floats]
    training: Mapping[K, NDArray[np.int64]] = field(default_factory=dict)


class Score(NamedTuple):
    """What an agent comes to over several scenarios; NaN where it is not known.

    Attributes:
        reference: J_reference / J, geometric mean: 1 = as fast, 2 = twice as fast. The interval is for other seeds (for
            a learned agent: other training seeds) of these scenarios.
        frontier: 100 x mean log(J_random / J) / mean log(J_random / J_frontier): 0 is random + lru, 100 the frontier.
        reference_elsewhere: As `reference`, with the interval for other scenarios of the same kind; NaN for learned
            agents, whose scenarios and training seeds would have to be drawn at once.
        frontier_elsewhere: As `frontier`, likewise.
        middle: J_reference / J, geometric mean over the middle half of the scenarios (interquartile mean of logs).
        wins_reference: Share of the episodes in which J is below the reference's (a tie is half), mean over scenarios.
        wins_frontier: The same for the frontier.
        worst_training: `reference` of the worst training seed of a learned agent.
    """

    reference: Interval
    frontier: Interval
    reference_elsewhere: Interval
    frontier_elsewhere: Interval
    middle: float
    wins_reference: float
    wins_frontier: float
    worst_training: float


def compare(cost: Floats, other: Floats) -> Interval:
    """J_other / J over the seeds that both played, a geometric mean: 1 = as fast, 2 = twice as fast as the other."""
    return ratio(other, cost)


def aggregate(scenarios: Sequence[Results[K]], replicates: int = REPLICATES) -> dict[K, Score]:
    """Scores over several scenarios, with paired intervals.

    They are over what is independent: bootstraps over the seeds of each scenario, the same ones for all agents and
    anchors, and over the scenarios (`Score.reference_elsewhere`); of a learned agent Student's t over its training
    seeds, each with all episodes that it played, on all scenarios at once.

    Args:
        scenarios: What was played on each.
        replicates: Of each bootstrap.

    Returns:
        The score of each agent that played all of the scenarios, the best (lowest mean of log J) first.
    """
    if not scenarios:
        return {}
    agents = [key for key in scenarios[0].costs if all(key in one.costs for one in scenarios)]
    random = np.random.default_rng(0)
    draws = [_times(len(one.reference), replicates, random) for one in scenarios]
    found = {key: _score(key, scenarios, draws) for key in agents}
    return dict(sorted(found.items(), key=lambda one: -one[1].reference.mean))


def _score(key: K, scenarios: Sequence[Results[K]], draws: Sequence[Floats]) -> Score:
    logs = [_logs(one, key) for one in scenarios]
    means = np.stack([values.mean(axis=0) for values in logs])
    if key in scenarios[0].training:
        networks = _by_training(logs, [one.training[key] for one in scenarios])
        found, elsewhere = _over_training(means, networks), [Interval(*[_NOTHING] * 3)] * 2
        worst = float(np.exp(networks[:, 0].min()))
    else:
        found, elsewhere, worst = _over_seeds(logs, draws), _elsewhere(means, len(draws[0])), _NOTHING
    cost = [one.costs[key] for one in scenarios]
    return Score(
        reference=found[0],
        frontier=found[1],
        reference_elsewhere=elsewhere[0],
        frontier_elsewhere=elsewhere[1],
        middle=float(np.exp(interquartile_mean(means[:, 0]))),
        wins_reference=float(np.mean([_wins(own, one.reference) for own, one in zip(cost, scenarios, strict=True)])),
        wins_frontier=float(np.mean([_wins(own, one.frontier) for own, one in zip(cost, scenarios, strict=True)])),
        worst_training=worst,
    )


def _over_seeds(logs: Sequence[Floats], draws: Sequence[Floats]) -> list[Interval]:
    """Both scores, with intervals over the seeds of each scenario."""
    means = np.mean([values.mean(axis=0) for values in logs], axis=0)
    drawn = np.mean([weights @ one for weights, one in zip(draws, logs, strict=True)], axis=0)
    # What an episode changes: of the speed-up, and of the ratio of two means to first order.
    free = [freedom([values[:, 0] for values in logs]), freedom([values @ _influence(means) for values in logs])]
    n = min(len(values) for values in logs)
    both = zip(_both(means), _both(drawn), free, strict=True)
    return [_interval(value, part, n, df, n >= BOOTSTRAP_FROM) for value, part, df in both]


def _by_training(logs: Sequence[Floats], groups: Sequence[NDArray[np.int64]]) -> Floats:
    """Means over scenarios of the `_logs` of each training seed: (training seeds, 3)."""
    seeds = np.unique(np.concatenate(groups))
    return np.array(
        [
            np.mean([one[own == seed].mean(axis=0) for one, own in zip(logs, groups, strict=True)], axis=0)
            for seed in seeds
        ]
    )


def _over_training(means: Floats, networks: Floats) -> list[Interval]:
    """Both scores, with intervals over training seeds: Student's t, since bootstraps of five values hold too little."""
    both = _both(over := means.mean(axis=0))
    if len(networks) < TRAINING_SEEDS:
        return [Interval(float(value), _NOTHING, _NOTHING) for value in both]
    of_log, of_ratio = t_interval(networks[:, 0]), t_interval(networks @ _influence(over))
    factor, half = np.exp(of_log.high - of_log.mean), 100 * (of_ratio.high - of_ratio.mean) / over[2] ** 2
    speed_up, score = map(float, both)
    return [
        Interval(speed_up, float(speed_up / factor), float(speed_up * factor)),
        Interval(score, float(score - half), float(score + half)),
    ]


def _logs(one: Results[K], key: K) -> Floats:
    """Of each seed: log J_reference / J, log J_random / J and log J_random / J_frontier: (n, 3)."""
    cost = one.costs[key]
    frontier = np.full(len(cost), _NOTHING) if one.frontier is None else one.frontier
    return np.log(np.stack([one.reference / cost, one.random / cost, one.random / frontier], axis=1))


def _both(means: Floats) -> tuple[Floats, Floats]:
    """Score against the reference and against the frontier, of means of `_logs` over scenarios: (.., 3)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.exp(means[..., 0]), 100 * means[..., 1] / means[..., 2]


def _influence(means: Floats) -> Floats:
    """How the ratio of two means changes with each of the `_logs`, to first order, times the square of the second."""
    return np.array([0.0, means[2], -means[1]])


def _times(n: int, replicates: int, random: np.random.Generator) -> Floats:
    """How often each of n values is drawn, as shares, in samples of n with replacement: (replicates, n)."""
    return random.multinomial(n, [1 / n] * n, replicates) / n


def _elsewhere(means: Floats, replicates: int) -> list[Interval]:
    """Both scores, with intervals over scenarios that are drawn."""
    n = len(means)
    drawn = _times(n, replicates, np.random.default_rng(1)) @ means
    both = zip(_both(means.mean(axis=0)), _both(drawn), strict=True)
    return [_interval(value, part, n, n - 1.0, n >= FEWEST_SCENARIOS) for value, part in both]


def _interval(value: Floats, replicates: Floats, n: int, free: float, checked: bool) -> Interval:
    """The value with the interval of its replicates; without one where its coverage was not checked."""
    if not np.isfinite(value):
        return Interval(_NOTHING, _NOTHING, _NOTHING)
    if n > 1 and np.ptp(replicates) <= 1e-12 * abs(value):  # what an agent scores that is an anchor
        return Interval(float(value), float(value), float(value))
    ends = percentiles(replicates, n, free) if checked else (_NOTHING, _NOTHING)
    return Interval(float(value), *ends)


def _wins(cost: Floats, other: Floats | None) -> float:
    return _NOTHING if other is None else float(np.mean((cost < other) + 0.5 * (cost == other)))


def profile(scenarios: Sequence[Results[K]], key: K) -> Floats:
    """The performance profile: share of the episodes with J <= x times the frontier's, for each x of `PROFILE`.

    Dolan and Moré, "Benchmarking optimization software with performance profiles", Mathematical Programming 91 (2002),
    with the frontier in the place of the best of those that are compared. Scenarios count alike.
    """
    parts = [one.costs[key] / one.frontier for one in scenarios if one.frontier is not None]
    if not parts:
        return np.full(len(PROFILE), _NOTHING)
    return np.asarray(np.mean([(part[:, None] <= np.array(PROFILE)).mean(axis=0) for part in parts], axis=0))


def leave_one_out(scenarios: Sequence[Results[K]], agents: Sequence[K]) -> Floats:
    """Kendall's tau-b between the order of agents over all scenarios and that without one of them: (scenarios,).

    NaN where there are fewer than two agents or scenarios.
    """
    if len(scenarios) < 2 or len(agents) < 2:
        return np.full(len(scenarios), _NOTHING)
    means = np.array([[np.log(one.costs[key]).mean() for key in agents] for one in scenarios])
    total = means.sum(axis=0)
    return np.array([kendall(total, total - one) for one in means])


def kendall(first: Floats, second: Floats) -> float:
    """Kendall's tau-b of two rows of numbers: 1 where they order alike, -1 where they do the opposite."""
    upper = np.triu_indices(len(first), 1)
    a, b = (np.sign(np.subtract.outer(x, x))[upper] for x in (np.asarray(first), np.asarray(second)))
    size = np.sqrt(float((a != 0).sum()) * float((b != 0).sum()))
    return float(a @ b / size) if size else _NOTHING

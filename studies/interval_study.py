"""How often the leaderboard's 95 % intervals hold what they are for, on made-up latencies whose scores are known.

`python -m studies.interval_study` prints the table of docs/leaderboard.md (six minutes on one core), --trials N a
shorter one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from tabulate import tabulate

from kvgym import _check, _command
from kvgym.evaluation.scoring import Results, aggregate, compare
from kvgym.evaluation.statistics import Floats, Interval

Generator = np.random.Generator

TAILS: dict[str, Callable[[Generator, int], Floats]] = {
    "normal": lambda random, n: random.normal(size=n),
    "heavy": lambda random, n: random.standard_t(5, n) / np.sqrt(5 / 3),
    "skewed": lambda random, n: (random.gamma(4, 1, n) - 4) / 2,
}
"""Of log J_reference / J over the seeds, with mean 0 and deviation 1. Measured on the suite with random + lru: skewness
up to 0.9 and excess kurtosis up to 1.9; "heavy" has kurtosis 6, "skewed" has skewness 1 and kurtosis 1.5."""
SPREAD_OF_J = 0.75
"""Deviation of log J over the seeds: its coefficient of variation is 0.87, as on the wildest scenario of the suite."""
REPLICATES = 2000
"""Of each bootstrap: fewer than the leaderboard's, so that there may be more trials."""


class Case(NamedTuple):
    """What is drawn in each trial.

    Attributes:
        what: "scenario": one comparison; "seeds", "training", "elsewhere": scores over scenarios, and what they hold
            for.
        tail: A name of `TAILS`.
        scenarios: How many.
        seeds: Test seeds of each.
    """

    what: str
    tail: str
    scenarios: int
    seeds: int


CASES = (
    *(Case("scenario", tail, 1, seeds) for tail in TAILS for seeds in (3, 10, 32)),
    *(Case("seeds", tail, n, seeds) for tail in TAILS for n, seeds in ((1, 10), (4, 10), (12, 10), (12, 32))),
    *(Case("training", "normal", n, seeds) for n, seeds in ((4, 20), (12, 10), (12, 32))),
    *(Case("elsewhere", "normal", n, 10) for n in (8, 12, 16)),
)


def coverage(case: Case, trials: int, seed: int = 0) -> tuple[float, ...]:
    """Shares of the trials in which the intervals of x ref and of the score hold the true value.

    Of those that gave one; NaN where none did.
    """
    random = np.random.default_rng(seed)
    held = np.array([_trial(case, random) for _ in range(trials)])
    with np.errstate(invalid="ignore"):
        return tuple(float(np.nansum(own) / np.isfinite(own).sum()) for own in held.T)


def _trial(case: Case, random: Generator) -> tuple[float, float]:
    speed, frontier, worst = _truth(case, random)
    networks = random.normal(0, 0.2, 5) if case.what == "training" else np.zeros(1)
    played = [_played(case, random, *one, networks) for one in zip(speed, frontier, worst, _noise(case), strict=True)]
    if case.what == "scenario":
        return _holds(compare(played[0].costs["a"], played[0].reference), np.exp(speed.mean())), np.nan
    score = aggregate(played, REPLICATES)["a"]
    if case.what == "elsewhere":  # of all scenarios that there might have been
        fast, best, poor = _MEANS
        found = score.reference_elsewhere, score.frontier_elsewhere
    else:
        fast, best, poor = (float(one.mean()) for one in (speed, frontier, worst))
        found = score.reference, score.frontier
    return _holds(found[0], np.exp(fast)), _holds(found[1], 100 * (fast + poor) / (best + poor))


_MEANS = (0.4, 0.6, 1.5)
"""Of log J_reference / J, of the same of the frontier, and of log J_random / J_reference, over scenarios."""


def _truth(case: Case, random: Generator) -> list[Floats]:
    """Those of each scenario: drawn anew where other scenarios are asked for, else the same in each trial."""
    source = random if case.what == "elsewhere" else np.random.default_rng(1)
    return [source.normal(mean, 0.3, case.scenarios) for mean in _MEANS]


def _noise(case: Case) -> Floats:
    """Deviations of log J_reference / J over the seeds: scenarios differ nine-fold."""
    return np.geomspace(0.05, 0.45, case.scenarios) if case.scenarios > 1 else np.array([0.2])


def _played(
    case: Case, random: Generator, speed: float, frontier: float, worst: float, noise: float, networks: Floats
) -> Results[str]:
    """One scenario. The seeds have loads of their own, which all agents feel."""
    n, tail = case.seeds, TAILS[case.tail]
    turn = np.arange(n) % len(networks)
    reference = random.lognormal(0, SPREAD_OF_J, n)
    own = reference * np.exp(-(speed + networks[turn] + noise * tail(random, n)))
    best = reference * np.exp(-(frontier + noise / 2 * tail(random, n)))
    poor = reference * np.exp(worst + noise * tail(random, n))
    return Results(poor, reference, best, {"a": own}, {"a": turn} if len(networks) > 1 else {})


def _holds(interval: Interval, value: float) -> float:
    _, low, high = interval
    return float(low <= value <= high) if np.isfinite(low) else np.nan


def rows(cases: Sequence[Case], trials: int) -> Iterator[tuple[str, ...]]:
    """Rows of the table, as they come."""
    for case in cases:
        shares = (f"{100 * share:.1f}" if np.isfinite(share) else "" for share in coverage(case, trials))
        yield case.what, case.tail, str(case.scenarios), str(case.seeds), *shares


def main() -> None:
    """Prints the table."""
    parser = _command.parser("studies.interval_study", __doc__)
    parser.add_argument("--trials", type=int, default=1000, metavar="N", help="of each row (1000)")
    options = parser.parse_args()
    try:
        trials = _check.whole("--trials", options.trials, 1)
    except ValueError as error:
        parser.error(str(error))
    head = ("interval over", "tail", "scenarios", "seeds", "x ref %", "score %")
    print(tabulate(list(rows(CASES, trials)), head, "github", disable_numparse=True))


if __name__ == "__main__":
    _command.run(main)

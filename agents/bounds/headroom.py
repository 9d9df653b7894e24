"""How much is left to gain on a scenario: the best of some pairs beside a planner that knows the future.

    python -m agents.bounds.headroom --scenario gsp-stable --agent lpwl_aged lbgr_code --evictor lru ghost_slru

Every router plays with every evictor. The planner begins with all of these routers, with the evictor of the best pair
and with `belady`, and counts with the better of the two on each seed: so it is never above the best pair. Costs are
compared seed by seed, with a 95 % interval where there are enough seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate
from tqdm import tqdm

from kvgym import _check, _command
from kvgym.evaluation import Interval, play
from kvgym.evaluation.report import number, ranged
from kvgym.evaluation.statistics import ratio
from kvgym.scenarios import SPLITS, ScenarioLike, get_scenario
from kvgym.sim import EVICTORS

from .. import make_agent
from .pooled import pooled_hit_rate

Floats = NDArray[np.float64]
Pair = tuple[str, str]
ROUTERS = ("lpwl_aged", "lmetric", "lbgr_code", "chwbl")
CAUSAL = ("ghost_slru", "lfu", "lru")


@dataclass(frozen=True)
class Headroom:
    """What was played on a scenario.

    Attributes:
        scenario: Its name.
        costs: J of each pair of router and evictor, one per seed (s).
        hits: Their hit rates.
        planner: J of the planner (s), the better one of those of `planners`.
        planners: J of the planner with each evictor.
        blind: J of `planner_blind` with the best pair's evictor; None where it did not play.
        bound: J_bound of the best pair, see `kvgym.envs.metrics`.
        pooled: Hit rate of one cache of all pages with `belady`, see `pooled_hit_rate`.
    """

    scenario: str
    costs: Mapping[Pair, Floats]
    hits: Mapping[Pair, Floats]
    planner: Floats
    planners: Mapping[str, Floats]
    blind: Floats | None
    bound: Floats
    pooled: Floats

    @property
    def best(self) -> Pair:
        """The pair with the lowest geometric mean of J."""
        return best_of(self.costs)

    @property
    def ratio(self) -> Interval:
        """J of the planner over that of the best pair: geometric mean, with its interval."""
        return ratio(self.planner, self.costs[self.best])

    @property
    def blind_ratio(self) -> Interval | None:
        """The same of the planner that does not know the future."""
        return None if self.blind is None else ratio(self.blind, self.costs[self.best])


def best_of(costs: Mapping[Pair, Floats]) -> Pair:
    """The pair with the lowest geometric mean."""
    return min(costs, key=lambda pair: float(np.log(costs[pair]).mean()))


def headroom(
    scenario: ScenarioLike,
    routers: Sequence[str] = ROUTERS,
    evictors: Sequence[str] = CAUSAL,
    seeds: Sequence[int] = (0, 1),
    *,
    overrides: Mapping[str, Any] | None = None,
    split: str = "validation",
    blind: bool = False,
    planner: Mapping[str, Any] | None = None,
) -> Headroom:
    """Plays pairs of router and evictor, and the planner, on the same episodes.

    Args:
        scenario: Name of a scenario, or what else `kvgym.get_scenario` takes.
        routers: Names that `agents.make_agent` knows.
        evictors: Names of `kvgym.sim.EVICTORS`.
        seeds: Of the episodes.
        overrides: Fields of the scenario to change, `episode_requests` for shorter episodes.
        split: "train", "validation" or "test".
        blind: Whether `planner_blind` plays, too.
        planner: Further arguments of the planner.

    Raises:
        ValueError: If there is no router, evictor or seed, or one that is not allowed.
    """
    for name, values in (("routers", routers), ("evictors", evictors), ("seeds", seeds)):
        if not values:
            raise ValueError(f"{name} must hold at least one, got none")
    for evictor in evictors:
        _check.choice("evictors", evictor, EVICTORS)
    played = get_scenario(scenario, overrides)

    def all_seeds(name: str, evictor: str, what: str, **arguments: Any) -> list[dict[str, float]]:
        progress = tqdm(seeds, f"{played.name}: {what} + {evictor}", disable=None, leave=False)
        return [play(make_agent(name, **arguments), played, s, evictor=evictor, split=split).metrics for s in progress]

    metrics = {(name, evictor): all_seeds(name, evictor, name) for name in routers for evictor in evictors}
    costs = {pair: _column(rows, "J") for pair, rows in metrics.items()}
    best = best_of(costs)
    known = {"incumbents": tuple(routers), **(planner or {})}
    planners = {
        e: _column(all_seeds("planner", e, "planner", **known), "J") for e in dict.fromkeys((best[1], "belady"))
    }
    return Headroom(
        played.name,
        costs,
        {pair: _column(rows, "hit_rate") for pair, rows in metrics.items()},
        np.min(list(planners.values()), axis=0),
        planners,
        _column(all_seeds("planner_blind", best[1], "planner_blind"), "J") if blind else None,
        _column(metrics[best], "J_bound"),
        np.array([pooled_hit_rate(played, seed, split) for seed in seeds]),
    )


def _column(rows: Sequence[Mapping[str, float]], name: str) -> Floats:
    return np.array([row[name] for row in rows])


def row_of(found: Headroom) -> list[str]:
    """A row of the table, with the columns of `HEAD`."""
    best = found.best
    blind = "-" if found.blind_ratio is None else ranged(found.blind_ratio)
    hits = f"{100 * found.hits[best].mean():.1f} / {100 * found.pooled.mean():.1f}"
    costs = [number(float(values.mean())) for values in (found.costs[best], found.planner, found.bound)]
    return [found.scenario, " + ".join(best), *costs, ranged(found.ratio), blind, hits]


HEAD = (
    "scenario",
    "best pair",
    "J [s]",
    "planner [s]",
    "bound [s]",
    "planner / pair",
    "blind / pair",
    "hit / pooled %",
)


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = _command.parser("agents.bounds.headroom", __doc__)
    add = parser.add_argument
    add("--scenario", nargs="+", default=["gsp-stable"], metavar="NAME|FILE|module:name", help="(gsp-stable)")
    add("--agent", nargs="+", default=list(ROUTERS), metavar="NAME", help=f"routers ({' '.join(ROUTERS)})")
    add("--evictor", nargs="+", default=list(CAUSAL), metavar="NAME", help=f"evictors ({' '.join(CAUSAL)})")
    add("--seeds", type=int, default=2, metavar="N", help="seeds 0 to N - 1 (2)")
    add("--requests", type=int, metavar="N", help="requests of an episode (the scenario's)")
    add("--ahead", type=int, nargs="+", metavar="N", help="look-aheads of the planner's passes (the planner's own)")
    add("--split", choices=SPLITS, default="validation", help="(validation)")
    add("--blind", action="store_true", help="planner_blind plays, too: ten milliseconds and more a decision")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    parser = make_parser()
    options = parser.parse_args(argv)
    overrides = {} if options.requests is None else {"episode_requests": options.requests}
    planner = {} if options.ahead is None else {"ahead": tuple(options.ahead)}
    try:
        seeds = range(_check.whole("--seeds", options.seeds, 1))
        found = [
            headroom(
                get_scenario(name, argument="--scenario"),
                options.agent,
                options.evictor,
                seeds,
                overrides=overrides,
                split=options.split,
                blind=options.blind,
                planner=planner,
            )
            for name in options.scenario
        ]
    except ValueError as error:
        parser.error(str(error))
    print(tabulate(map(row_of, found), HEAD, disable_numparse=True))
    return 0


if __name__ == "__main__":
    _command.run(main)

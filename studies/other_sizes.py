"""A router on held-out scenarios with other numbers of workers and other loads, beside hand-made ones.

    python -m studies.other_sizes [--router learned:router] [--seeds N] [--workers N ..] [--loads X ..]

Plays test seeds with the evictor of each scenario's best known pair. Arrivals follow the number of workers (of GPUs of
several kinds there are as many times each as fit), times the load, 1 being the scenario's own. Columns: J of the router
(s), and what J of others is times that, above 1 where the router is faster: of the best known pair's router, and of the
best of all of `OTHERS` in that very place, which nobody can know beforehand. Then geometric means by size.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

from agents import make_agent
from kvgym import _check, _command
from kvgym.evaluation import anchors
from kvgym.evaluation.episode import play_all
from kvgym.evaluation.statistics import ratio
from kvgym.scenarios import get_scenario

SCENARIOS = ("drift", "bursts", "new-model", "new-gpus")
OTHERS = ("dynamo_tuned", "lpwl_tuned")
"""Beside the best known pair's router."""


def fleet(name: str, workers: int, load: float) -> dict[str, Any]:
    """Overrides that give a scenario about so many workers, and arrivals to match."""
    scenario = get_scenario(name)
    size = len(scenario.cluster)
    if len(scenario.workers) == 1:
        return {"n_workers": workers, "rate_scale": load * workers / size}
    times = max(1, round(workers / size))
    grown = [{**worker, "count": worker.get("count", 1) * times} for worker in scenario.workers]
    return {"workers": grown, "rate_scale": load * times}


def row(name: str, workers: int, load: float, router: str, seeds: int) -> dict[str, Any]:
    """A row of the table, as numbers."""
    known = anchors.load()[name].frontier
    assert known is not None
    routers: dict[str, Mapping[str, Any]] = {router: {}, known.pair.agent: known.pair.args} | {o: {} for o in OTHERS}
    overrides = fleet(name, workers, load)
    J = {
        agent: play_all(
            partial(make_agent, agent, **args), name, range(seeds), overrides=overrides, evictor=known.pair.evictor
        )["J"]
        for agent, args in routers.items()
    }
    own = J.pop(router)
    best = min(J, key=lambda agent: float(J[agent].mean()))
    pairs = {"best known / J": J[known.pair.agent], "best here / J": J[best]}
    found = {title: ratio(values, own).mean for title, values in pairs.items()}
    return {"scenario": name, "workers": workers, "load": load, "J (s)": own.mean(), **found, "best here": best}


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = _command.parser("studies.other_sizes", __doc__)
    parser.add_argument("--router", default="learned:router", help="an agent (learned:router)")
    parser.add_argument("--seeds", type=int, default=3, help="test seeds (3)")
    parser.add_argument("--workers", type=int, nargs="+", default=[4, 16, 64], metavar="N")
    parser.add_argument("--loads", type=float, nargs="+", default=[0.7, 1.0], metavar="X")
    options = parser.parse_args(argv)
    try:
        seeds = _check.whole("--seeds", options.seeds, 2)
        make_agent(options.router)
        sizes = [_check.whole("--workers", n, 1) for n in options.workers]
        loads = [_check.finite("--loads", x, 0.01) for x in options.loads]
    except ValueError as error:
        sys.exit(f"studies.other_sizes: {error}")
    places = tqdm(list(product(SCENARIOS, sizes, loads)), disable=None)
    rows = [row(*place, options.router, seeds) for place in places]
    print(tabulate(rows, headers="keys", floatfmt=".3f"))
    for n in sizes:
        means = [
            np.exp(np.mean([np.log(one[title]) for one in rows if one["workers"] == n]))
            for title in ("best known / J", "best here / J")
        ]
        print(f"{n} workers: best known / J {means[0]:.3f}, best here / J {means[1]:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

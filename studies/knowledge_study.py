"""What kind of knowledge would pay on each scenario: the best known pair, and the same pair when it is told something.

    python -m studies.knowledge_study [--scenario NAME ..] [--seeds 4]

Rows are those of `TOLD`. Seeds are those of the validation split, the same for all rows. What was found goes into
docs/site/knowledge.json, scenario by scenario; the site shows it on each scenario's page.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from agents import make_agent
from kvgym import _atomic, _check, _command
from kvgym.evaluation import anchors, files, play_all
from kvgym.evaluation.anchors import Pair
from kvgym.evaluation.statistics import Floats, Interval, ratio
from kvgym.scenarios import SUITE_SCENARIOS

FILE = Path(__file__).parents[1] / "docs" / "site" / "knowledge.json"
_EXACT = {"view": "exact", "metrics_period_s": 0.0}


class Told(NamedTuple):
    """What a pair is told.

    Attributes:
        text: In words.
        pair: The pair that is played, of the best known one.
        overrides: Fields of the scenario that show it.
    """

    text: str
    pair: Callable[[Pair], Pair]
    overrides: Mapping[str, Any]


TOLD = {
    "nothing": Told("as it is", lambda best: best, {}),
    "view": Told("what is in the caches and queues, now", lambda best: best, _EXACT),
    "lengths": Told(
        "how long answers will be, but nothing of caches: `least_work` routes",
        lambda best: Pair("least_work", best.evictor),
        {},
    ),
    "reuse": Told("when pages will be used again: `belady` evicts", lambda best: Pair(best.agent, "belady"), {}),
}
"""The rows, by name."""


def measure(name: str, seeds: range) -> dict[str, Any]:
    """J of every row on the seeds; of a scenario whose frontier is known.

    Raises:
        ValueError: If it is not.
    """
    scenario = SUITE_SCENARIOS[_check.choice("--scenario", name, SUITE_SCENARIOS)]
    known = anchors.frozen(scenario)
    if known is None or known.frontier is None:
        raise ValueError(f"--scenario {name}: its best pair is not known, see python -m agents.leaderboard anchors")
    best = known.frontier.pair
    rows = {told: _costs(name, one, best, seeds).tolist() for told, one in TOLD.items()}
    return {"version": scenario.version, "pair": str(best), "seeds": list(seeds), "rows": rows}


def _costs(name: str, told: Told, best: Pair, seeds: range) -> Floats:
    pair = told.pair(best)
    played = play_all(
        lambda: make_agent(pair.agent, **pair.args),
        name,
        seeds,
        overrides=told.overrides,
        evictor=pair.evictor,
        split="validation",
    )
    return played["J"]


def load() -> dict[str, dict[str, Any]]:
    """What was found, by scenario; nothing where there is no file yet."""
    return dict(files.read(FILE)["scenarios"]) if FILE.is_file() else {}


def gain(found: Mapping[str, Any], told: str) -> Interval:
    """J of a row over J of the pair that is told nothing, a geometric mean."""
    return ratio(np.array(found["rows"][told]), np.array(found["rows"]["nothing"]))


def main(argv: list[str] | None = None) -> None:
    """Runs the command line."""
    parser = _command.parser("studies.knowledge_study", "What kind of knowledge would pay on each scenario.")
    parser.add_argument("--scenario", nargs="+", metavar="NAME", help="default: all whose best pair is known")
    parser.add_argument("--seeds", type=int, default=4, metavar="N", help="validation seeds (4)")
    given = parser.parse_args(argv)
    known = [name for name, one in SUITE_SCENARIOS.items() if (has := anchors.frozen(one)) and has.frontier]
    try:
        seeds = range(_check.whole("--seeds", given.seeds, 2))
        found = load()
        for name in tqdm(given.scenario or known, unit="scenario"):
            found[name] = measure(name, seeds)
            _atomic.write(FILE, json.dumps({"split": "validation", "scenarios": found}, indent=1) + "\n")
    except ValueError as error:
        sys.exit(f"studies.knowledge_study: {error}")
    for name in given.scenario or known:
        shares = ", ".join(f"{told} {gain(found[name], told).mean:.2f}" for told in TOLD if told != "nothing")
        print(f"{name:18} {shares}")


if __name__ == "__main__":
    main()

"""What makes a router learn: one change at a time to one recipe, with the same decisions, on validation seeds.

python -m studies.learning_study                                # all variants, two training seeds: an hour of one core
python -m studies.learning_study --variant recipe repeats --seeds 1 --decisions 100000

The recipe is that of the first shipped router, shortened. Each variant is `agents.train` with some other words; one
network learns three scenarios at once. What is trained already, in --out, is not trained again. Needs torch.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tabulate import tabulate

from agents import make_agent, train
from agents.learned import pretrained, ship
from agents.learned.network import Actor, Shape
from agents.learned.router import ShippedRouter
from kvgym import _atomic, _check, _command
from kvgym.evaluation import anchors
from kvgym.evaluation.episode import play
from kvgym.evaluation.statistics import Floats, Interval, ratio

SCENARIOS = ("gsp-stable+arc", "mixed-fleet+s3_fifo", "multi-turn")
SCORED = {name: (name, 0.0) for name in SCENARIOS} | {"multi-turn, drawn": ("multi-turn", 0.3)}
"""Columns of the table -> what is played, with which temperature: see docs/learned.md about multi-turn."""
SEEDS = range(1000, 1008)
"""Of validation."""
RECIPE = {
    "--set": "view=exact",
    "--corrects": "",
    "--width": "32",
    "--num-envs": "48",
    "--repeats": "4",
    "--steps": "128",
    "--epochs": "5",
    "--batch": "1536",
    "--rate": "1.5e-3",
    "--decay": "0.98",
    "--flights": "2",
    "--max-kl": "0.03",
    "--critic-first": "25000",
}
"""Words of `agents.train smdp`: the first shipped router's, with fewer decisions between two updates."""


class Variant(NamedTuple):
    """A change to the recipe.

    Attributes:
        text: What is different.
        words: Options that are other than the recipe's; None: left out. Of "es" they are all that there are.
        algorithm: Of `agents.train`.
    """

    text: str
    words: Mapping[str, str | None]
    algorithm: str = "smdp"


FROM_NOTHING: Mapping[str, str | None] = {"--corrects": None, "--critic-first": None}
EVOLUTION = {"--set": "view=exact", "--corrects": "", "--width": "32", "--pairs": "8", "--requests": "512"}
VARIANTS = {
    "recipe": Variant("the recipe", {}),
    "flights": Variant("lambda looks 50 requests ahead everywhere", {"--flights": None}),
    "seconds": Variant("discount by time, 0.1 s counts as a request", {"--second": "0.1"}),
    "repeats": Variant("no repeated arrivals", {"--repeats": "1"}),
    "nothing": Variant("no rule to begin with", FROM_NOTHING),
    "loads": Variant("no rule, 0.6, 0.8 and 1 times the load", {**FROM_NOTHING, "--loads": "0.6 0.8 1"}),
    "imitate": Variant(
        "no rule in the scores, the frontier's imitated first",
        {**FROM_NOTHING, "--critic-first": "25000", "--imitate": "frontier", "--imitate-decisions": "45000"},
    ),
    "es": Variant("evolution strategies from the rule on", EVOLUTION, "es"),
}


def trained(name: str, seed: int, decisions: int, out: Path) -> dict[str, Any]:
    """Trains a variant, or takes what is there; J (s) by scenario and validation seed, and processor seconds."""
    folder = out / f"{name}-{seed}"
    place = folder / "scores.json"
    if not place.exists():
        variant, began = VARIANTS[name], time.process_time()
        recipe = RECIPE if variant.algorithm == "smdp" else {}
        words = {"--total": str(decisions), **recipe, **variant.words}
        given = [word for key, value in words.items() if value is not None for word in (key, *value.split())]
        run = ["--seed", str(seed), "--out", str(folder)]
        train.main([variant.algorithm, "--scenario", *SCENARIOS, *given, *run])
        cost = time.process_time() - began
        scores = {one: scored(folder / "policy.pt", *played) for one, played in SCORED.items()}
        _atomic.write(place, json.dumps({"seconds": cost, "J": scores}))
    held: dict[str, Any] = json.loads(place.read_text())
    return held


def scored(path: Path, name: str, temperature: float) -> list[float]:
    """J (s) of a trained file on the validation seeds."""
    scenario, _, evictor = name.partition("+")
    router = ShippedRouter(ship.read(path), temperature)
    return [play(router, scenario, seed, evictor=evictor or None, split="validation").J for seed in SEEDS]


def others() -> dict[str, list[list[float]]]:
    """J (s) of the best known pairs and of the rule alone, by column and validation seed."""
    silent = Actor(Shape(width=1, corrects=True))
    weights = {name: weight.numpy() * (name == "of_work") for name, weight in silent.state_dict().items()}
    rule = ShippedRouter(pretrained.Shipped(weights, {"env_kwargs": {"view": "exact"}}))
    found: dict[str, list[list[float]]] = {"the best known pair's router": [], "the rule alone": []}
    for name, _ in SCORED.values():
        scenario, _, evictor = name.partition("+")
        frontier = anchors.load()[scenario].frontier
        assert frontier is not None
        best = make_agent(frontier.pair.agent, **frontier.pair.args)
        for agent, rows in zip((best, rule), found.values(), strict=True):
            rows.append([play(agent, scenario, seed, evictor=evictor or None, split="validation").J for seed in SEEDS])
    return found


def table(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Rows of others and variants: J of each training seed, J of the recipe over J, processor seconds; Markdown."""
    rows: list[list[str]] = []
    for title, by_column in others().items():
        rows.append([title])
        for column, J in zip(SCORED, by_column, strict=True):
            beside = f" {_said(ratio(_mean(found['recipe'], column), np.array(J)))}" if "recipe" in found else ""
            rows[-1].append(f"{np.mean(J):.3g}{beside}")
    for name, runs in found.items():
        row = [VARIANTS[name].text]
        for column in SCORED:
            each = ", ".join(f"{np.mean(run['J'][column]):.3g}" for run in runs)
            other = name != "recipe" and "recipe" in found
            said = _said(ratio(_mean(found["recipe"], column), _mean(runs, column))) if other else ""
            row.append(f"{each} {said}".strip())
        rows.append([*row, f"{np.mean([run['seconds'] for run in runs]):.0f}"])
    return tabulate(rows, ["", *SCORED, "processor seconds"], tablefmt="github")


def _mean(runs: Sequence[Mapping[str, Any]], scenario: str) -> Floats:
    """J by validation seed, a mean over training seeds."""
    means: Floats = np.array([run["J"][scenario] for run in runs]).mean(0)
    return means


def _said(found: Interval) -> str:
    return f"**{found.mean:.2f}** ({found.low:.2f} to {found.high:.2f})"


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = _command.parser("studies.learning_study", __doc__)
    parser.add_argument("--variant", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="which (all)")
    parser.add_argument("--seeds", type=int, default=2, help="training seeds (2)")
    parser.add_argument("--decisions", type=int, default=200_000, help="of each run (200000)")
    parser.add_argument("--out", type=Path, default=Path("runs/learning"), help="folder of the runs (runs/learning)")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Trains what is not there, and prints the table."""
    given = make_parser().parse_args(argv)
    try:
        for name in ("seeds", "decisions"):
            _check.whole(f"--{name}", getattr(given, name), 1)
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in given.variant}
        for seed in range(given.seeds):
            for name in given.variant:
                found[name].append(trained(name, seed, given.decisions, given.out))
    except (ValueError, OSError) as error:
        sys.exit(f"studies.learning_study: {error}")
    print(table(found))


if __name__ == "__main__":
    main()

"""How good PPO gets with the shipped hyper-parameters, and how fast: against the rules, on the same seeds.

    python -m benchmarks.learning [--minutes 5] [--training-seeds 3] [--runs DIR] [--out FILE]

Each training seed trains for so many minutes at most (`python -m agents.train`), and keeps the network that was best on
8 validation seeds. What is compared are 32 other validation seeds, pairwise: J of a rule over J of PPO, the geometric
mean with its 95 % interval; above 1 PPO is faster. Runs are kept in DIR, and gone on with.
"""

from __future__ import annotations

import argparse
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from agents import make_agent, train
from agents.training.run import read_curve
from benchmarks.timing import report
from kvgym.evaluation.episode import play
from kvgym.evaluation.scoring import ratio

RULES: dict[str, tuple[str, str | None]] = {
    "JSQ": ("least_loaded", None),
    "cache-aware": ("cache_aware", None),
    "LPWL": ("lpwl", None),
    "LMetric": ("lmetric", None),
    "LBGR": ("lbgr", None),
    "LBGR + RLT": ("lbgr_code", "rlt_code"),
}
"""Agent and evictor; None = the scenario's, which PPO has, too."""
CHOOSING = range(8)
"""Validation seeds that choose the network."""


def trained(scenario: str, seed: int, minutes: float, steps: int | None, folder: Path) -> tuple[Path, Path]:
    """The trained file and the run's folder of a training seed, trained if it isn't there."""
    place = folder / f"{scenario}-{seed}"
    argv = ["ppo", "--scenario", scenario, "--seed", str(seed), "--minutes", str(minutes), "--out", str(place)]
    argv += ["--total-steps", str(steps)] if steps else []
    train.main([*argv, *(["--resume"] if (place / "config.json").exists() else [])])
    return place / f"ppo-{scenario}-{seed}.pt", place


def costs(agent: Any, scenario: str, evictor: str | None, seeds: range) -> np.ndarray[Any, Any]:
    """J by seed."""
    return np.array([play(agent, scenario, seed, evictor=evictor, split="validation").J for seed in seeds])


def first_below(curve: list[dict[str, Any]], level: float) -> float | None:
    """Seconds of training until a validation was below `level`."""
    return next((line["seconds"] for line in curve if line["J"] < level), None)


def curve_rows(scenario: str, curves: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """J on the choosing seeds along the way: a row after 1, 2, 4, .. validations and after the last one."""
    n = min(map(len, curves))
    at = [i for i in range(n) if (i + 1) & i == 0 or i == n - 1]
    return [
        {
            "scenario": scenario,
            "steps": curves[0][i]["steps"],
            "s": float(np.mean([curve[i]["seconds"] for curve in curves])),
            **{f"J of training seed {seed} (s)": curve[i]["J"] for seed, curve in enumerate(curves)},
        }
        for i in at
    ]


def measure(scenario: str, args: argparse.Namespace, folder: Path) -> tuple[list[dict[str, Any]], ...]:
    """Rows of the training seeds, rows of the rules, and rows of the curves."""
    seeds = range(1000, 1000 + args.compared)
    rules = {name: costs(make_agent(agent), scenario, evictor, seeds) for name, (agent, evictor) in RULES.items()}
    levels = {
        name: costs(make_agent(RULES[name][0]), scenario, None, CHOOSING).mean() for name in ("JSQ", "cache-aware")
    }
    rows, learned, curves = [], [], []
    for seed in range(args.training_seeds):
        path, place = trained(scenario, seed, args.minutes, args.total_steps, folder)
        curve = read_curve(place)
        curves.append(curve)
        found = costs(make_agent("learned", path=str(path)), scenario, None, seeds)
        learned.append(found)
        row = {"scenario": scenario, "training seed": seed, "steps": curve[-1]["steps"], "s": curve[-1]["seconds"]}
        row["J (s)"] = float(found.mean())
        for name, level in levels.items():
            row[f"{name} / PPO"] = _said(rules[name], found)
            row[f"s until below {name}"] = first_below(curve, level)
        rows.append(row)
    mean = np.mean(learned, axis=0)
    compared = [
        {"scenario": scenario, "rule": name, "J (s)": float(cost.mean()), "J / J of PPO (95 %)": _said(cost, mean)}
        for name, cost in rules.items()
    ]
    return rows, compared, curve_rows(scenario, curves)


def _said(slow: Any, fast: Any) -> str:
    found = ratio(slow, fast)
    return f"{found.mean:.2f} ({found.low:.2f} to {found.high:.2f})"


def main(argv: list[str] | None = None) -> None:
    """Measures and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", nargs="+", default=["gsp-stable", "multi-turn"])
    parser.add_argument("--minutes", type=float, default=5.0, help="of training, at most (5)")
    parser.add_argument("--total-steps", type=int, help="decisions in training (what the hyper-parameters say)")
    parser.add_argument("--training-seeds", type=int, default=3)
    parser.add_argument("--compared", type=int, default=32, help="validation seeds that are compared (32)")
    parser.add_argument("--runs", type=Path, default=Path("runs") / "learning", help="folder of the training runs")
    parser.add_argument("--quick", action="store_true", help="the smallest form, which shows nothing but that it runs")
    parser.add_argument("--out", type=Path, help="write the tables here as JSON")
    args = parser.parse_args(argv)
    title = f"PPO with the shipped hyper-parameters, at most {args.minutes:g} minutes"
    if find_spec("stable_baselines3") is None:
        report(title, [{"scenario": 'not installed: pip install "kvgym[train]"'}], args.out)
        return
    if args.quick:
        args.scenario, args.total_steps, args.training_seeds, args.compared = ["sanity"], 8192, 1, 2
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if args.quick else args.runs
        tables = [measure(name, args, folder) for name in tqdm(args.scenario, desc="scenarios", disable=None)]
    rows, compared, curves = ([row for table in tables for row in table[part]] for part in range(3))
    more = {
        "the rules on the same seeds, beside the mean of the training seeds": compared,
        "the curves: validation while training, on the seeds that choose the network": curves,
    }
    report(title, rows, args.out, more)


if __name__ == "__main__":
    main()

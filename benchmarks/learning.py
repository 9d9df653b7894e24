"""How good a network gets with the shipped hyper-parameters, and how fast: against rules, on the same seeds.

    python -m benchmarks.learning [--env ID] [--scenario ..] [--minutes 5] [--training-seeds 3] [--runs DIR]
    python -m benchmarks.learning --single-file        PPO of agents.learned.ppo instead of Stable-Baselines3's

Each training seed trains for so many minutes at most (`python -m agents.train`), and keeps the network that was best on
8 validation seeds. What is compared are 32 other validation seeds, pairwise: J of a rule over J of the network, the
geometric mean with its 95 % interval; above 1 the network is faster. Runs are kept in DIR, and gone on with.
`--plot FILE` draws the curves (extra "plot").
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from agents import make_agent, train
from agents.learned.run import read_curve
from benchmarks.timing import command, report
from kvgym.evaluation.episode import play
from kvgym.evaluation.statistics import ratio


class Rival(NamedTuple):
    """A rule, in the environment that it plays."""

    agent: str
    evictor: str | None = None  # where the agent only routes; None = the scenario's, which a network has, too
    arguments: Mapping[str, Any] = MappingProxyType({})


class Study(NamedTuple):
    """An agent that is trained in an environment, and rules beside it."""

    algorithm: str  # what `agents.train` is asked for
    rivals: dict[str, Rival]  # by the name that tables give them
    levels: tuple[str, ...]  # those of them for which the time is noted at which the network was better


EVICTORS = ("lru", "rlt", "lfu", "ghost_slru", "belady")
STUDIES = {
    "KVGym/Route-v0": Study(
        "ppo",
        {
            "JSQ": Rival("least_loaded"),
            "cache-aware": Rival("cache_aware"),
            "LPWL": Rival("lpwl"),
            "LMetric": Rival("lmetric"),
            "LBGR": Rival("lbgr"),
            "LBGR + RLT": Rival("lbgr_code", "rlt_code"),
        },
        ("JSQ", "cache-aware"),
    ),
    "KVGym/Evict-v0": Study(
        "ppo_mask",
        {
            "random leaf": Rival("random_leaf"),
            **{name: Rival("least_loaded", name) for name in EVICTORS},  # least_loaded: the router of Evict-v0
        },
        ("lru", "rlt"),
    ),
    "KVGym/Joint-v0": Study(
        "ppo_mask",
        {
            "LMetric + random leaf": Rival("pair", None, {"router": "lmetric", "evictor": "random_leaf"}),
            **{f"LMetric + {name}": Rival("lmetric", name) for name in EVICTORS},
            "LBGR + RLT": Rival("lbgr_code", "rlt_code"),
        },
        ("LMetric + lru", "LBGR + RLT"),
    ),
}
CHOOSING = range(8)
"""Validation seeds that choose the network."""


def trained(env_id: str, scenario: str, seed: int, args: argparse.Namespace, folder: Path) -> tuple[Path, Path]:
    """The trained file and the run's folder of a training seed, trained if it isn't there."""
    algorithm = "smdp" if args.single_file else STUDIES[env_id].algorithm
    place = folder / f"{algorithm}-{env_id.partition('/')[2]}-{scenario}-{seed}"
    if args.single_file:
        return single_file(scenario, seed, args, place), place
    argv = [algorithm, "--env", env_id, "--scenario", scenario, "--seed", str(seed), "--out", str(place)]
    argv += ["--overrides", json.dumps(args.overrides), "--minutes", str(args.minutes)]
    argv += ["--total-steps", str(args.total_steps)] if args.total_steps else []
    train.main([*argv, *(["--resume"] if (place / "config.json").exists() else [])])
    return place / f"{algorithm}-{scenario}-{seed}.pt", place


def single_file(scenario: str, seed: int, args: argparse.Namespace, place: Path) -> Path:
    """The trained file of `agents.learned.ppo` with SB3's settings: batch, epochs, network, lengths of episodes."""
    fields = [f"{name}={json.dumps(value)}" for name, value in {"episode_requests": 512, **args.overrides}.items()]
    argv = ["smdp", "--scenario", scenario, "--seed", str(seed), "--out", str(place), "--minutes", str(args.minutes)]
    argv += ["--set", *fields, *(["--total", str(args.total_steps)] if args.total_steps else [])]
    train.main([*argv, *(["--resume"] if (place / "checkpoint.pt").exists() else [])])
    return place / "policy.pt"


def curve_of(place: Path) -> list[dict[str, Any]]:
    """Steps, seconds and mean J along the way: of validation, or of the training episodes of the single file."""
    lines = [
        {**line, "J": [*line["J"].values()]} if isinstance(line["J"], dict) else line for line in read_curve(place)
    ]
    return [{**line, "J": float(np.mean(line["J"]))} for line in lines if line["J"]]


def costs(rival: Rival, scenario: str, overrides: dict[str, Any], seeds: range) -> np.ndarray[Any, Any]:
    """J by seed."""
    agent = make_agent(rival.agent, **rival.arguments)
    settings: dict[str, Any] = {"overrides": overrides, "evictor": rival.evictor, "split": "validation"}
    return np.array([play(agent, scenario, seed, **settings).J for seed in seeds])


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


def measure(env_id: str, scenario: str, args: argparse.Namespace, folder: Path) -> tuple[list[dict[str, Any]], ...]:
    """Rows of the training seeds, rows of the rules, rows of the curves, and the curves."""
    seeds, study = range(1000, 1000 + args.compared), STUDIES[env_id]
    rules = {name: costs(rival, scenario, args.overrides, seeds) for name, rival in study.rivals.items()}
    levels = {name: costs(study.rivals[name], scenario, args.overrides, CHOOSING).mean() for name in study.levels}
    rows, learned, curves = [], [], []
    for seed in range(args.training_seeds):
        path, place = trained(env_id, scenario, seed, args, folder)
        curve = curve_of(place)
        curves.append(curve)
        found = costs(Rival("learned", None, {"path": str(path)}), scenario, args.overrides, seeds)
        learned.append(found)
        row = {"scenario": scenario, "training seed": seed, "steps": curve[-1]["steps"], "s": curve[-1]["seconds"]}
        row["decisions/s"] = curve[-1]["steps"] / curve[-1]["seconds"]
        row["J (s)"] = float(found.mean())
        for name, level in levels.items():
            row[f"{name} / network"] = _said(rules[name], found)
            row[f"s until below {name}"] = first_below(curve, level)
        rows.append(row)
    mean = np.mean(learned, axis=0)
    compared = []
    for name, cost in rules.items():
        row = {"scenario": scenario, "rule": name, "J (s)": float(cost.mean())}
        compared.append(row | {"J / J of the network (95 %)": _said(cost, mean)})
    drawn = [{"scenario": scenario, "curves": curves, "rules": {name: float(c.mean()) for name, c in rules.items()}}]
    return rows, compared, curve_rows(scenario, curves), drawn


def draw(studies: list[dict[str, Any]], title: str, place: Path) -> None:
    """Draws the curves of the training seeds beside the rules, a panel per scenario."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5 * len(studies), 4.2), layout="constrained")
    for axis, study in zip(figure.subplots(1, len(studies), squeeze=False)[0], studies, strict=True):
        end = max(curve[-1]["seconds"] for curve in study["curves"])
        for seed, curve in enumerate(study["curves"]):
            axis.plot([p["seconds"] for p in curve], [p["J"] for p in curve], marker="o", ms=3, label=f"seed {seed}")
        for name, cost in study["rules"].items():
            axis.axhline(cost, color="#999999", lw=0.8, ls=(0, (4, 3)), zorder=0)
            axis.annotate(name, (end, cost), fontsize=7, va="bottom", ha="right", color="#555555")
        axis.set(title=study["scenario"], xlabel="seconds of training and validation", ylabel="J (s)", yscale="log")
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("{x:g}")
        axis.tick_params(which="both", labelsize=8)
        axis.legend(fontsize=7, loc="lower left")
    figure.suptitle(title, fontsize=9)
    figure.savefig(place, dpi=120)


def _said(slow: Any, fast: Any) -> str:
    found = ratio(slow, fast)
    return f"{found.mean:.2f} ({found.low:.2f} to {found.high:.2f})"


def main(argv: list[str] | None = None) -> None:
    """Measures and prints the tables."""
    parser = command("learning", __doc__)
    parser.add_argument("--env", choices=STUDIES, default="KVGym/Route-v0")
    parser.add_argument("--scenario", nargs="+", default=["gsp-stable", "multi-turn"])
    parser.add_argument("--overrides", type=json.loads, default={}, metavar="JSON", help="fields to change in all")
    parser.add_argument("--minutes", type=float, default=5.0, help="of training and validation, at most (5)")
    parser.add_argument("--total-steps", type=int, help="decisions in training (what the hyper-parameters say)")
    parser.add_argument("--training-seeds", type=int, default=3)
    parser.add_argument("--compared", type=int, default=32, help="validation seeds that are compared (32)")
    parser.add_argument("--runs", type=Path, default=Path("runs") / "learning", help="folder of the training runs")
    parser.add_argument("--single-file", action="store_true", help="PPO of agents.learned.ppo (KVGym/Route-v0 alone)")
    parser.add_argument("--quick", action="store_true", help="the smallest form, which shows nothing but that it runs")
    parser.add_argument("--plot", type=Path, help="draw the curves into this file")
    args = parser.parse_args(argv)
    title = f"{args.env} with the shipped hyper-parameters, at most {args.minutes:g} minutes"
    if args.single_file and args.env != "KVGym/Route-v0":
        parser.error(f"--single-file is for KVGym/Route-v0, got --env {args.env}")
    if find_spec("stable_baselines3") is None:
        report(title, [{"scenario": 'not installed: pip install "kvgym[train]"'}], args.out)
        return
    if args.quick:
        args.scenario, args.total_steps, args.training_seeds, args.compared = ["sanity"], 8192, 1, 2
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if args.quick else args.runs
        studies = tqdm(args.scenario, desc="scenarios", disable=None)
        tables = [measure(args.env, name, args, folder) for name in studies]
    rows, compared, curves, drawn = ([row for table in tables for row in table[part]] for part in range(4))
    more = {
        "the rules on the same seeds, beside the mean of the training seeds": compared,
        "the curves: validation while training, on the seeds that choose the network": curves,
    }
    report(title, rows, args.out, more)
    if args.plot is not None:
        draw(drawn, title, args.plot)


if __name__ == "__main__":
    main()

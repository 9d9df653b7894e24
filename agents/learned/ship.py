"""Ships a trained router: its weights as plain arrays, and its model card with scores on the test seeds.

    python -m agents.learned.ship RUN/policy.pt router [--seeds 10] [--out FOLDER]

Plays every scenario that has a frozen frontier, with the evictor of that pair, and compares J with the frozen ones of
the reference and of the frontier, seed by seed. Writes NAME.npz and NAME.md. Needs torch, to read the file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from kvgym import _atomic, _check, _command
from kvgym.evaluation import anchors, scoring
from kvgym.evaluation.episode import play
from kvgym.evaluation.statistics import Interval, ratio
from kvgym.scenarios import SUITE_SCENARIOS
from kvgym.scenarios.library import FAMILIES, family_of

from . import pretrained
from .router import ShippedRouter

_COLUMNS = (
    "| scenario | evictor | J (s) | reference / J | frontier / J | frontier / J of the rule | the frontier |\n"
    "|---|---|---:|---|---|---|---|"
)

_SCORES = "of_worker.score.weight"


class Played:
    """J of the network on a scenario, beside that of others on the same seeds.

    Attributes:
        name: Of the scenario.
        pair: The frontier's.
        ranked: Whether scores count the scenario.
        J: Of the network (s), by seed.
        rule: Of the rule that it corrects, or of chance where there is none.
        reference: Of the reference.
        frontier: Of the frontier.
        random: Of the random router with `lru`.
        planner: J of the planner over that of the frontier.
    """

    def __init__(self, name: str, shipped: pretrained.Shipped, seeds: range) -> None:
        """Plays."""
        found = anchors.load()[name]
        assert found.frontier is not None
        on = tuple(seeds)
        rows = [found.on(on, row) for row in (found.random, found.reference, found.frontier)]
        self.name, self.pair, self.ranked = name, found.frontier.pair, not found.why_not_ranked
        self.random, self.reference, self.frontier = (row for row in rows if row is not None)
        self.planner = found.planner.ratio.mean if found.planner else float("nan")
        silent = {**shipped.weights, _SCORES: np.zeros_like(shipped.weights[_SCORES])}
        self.J, self.rule = (
            np.array([play(ShippedRouter(one), name, seed, evictor=self.pair.evictor).J for seed in seeds])
            for one in (shipped, pretrained.Shipped(silent, shipped.origin))
        )

    @property
    def held_out(self) -> bool:
        """Whether its family is for testing alone."""
        return FAMILIES[family_of(self.name)].held_out


def read(path: Path) -> pretrained.Shipped:
    """The network of a trained file.

    Raises:
        ValueError: If it is not one that routes alone.
        OSError: If it can't be read.
    """
    from . import file
    from .network import Shape

    trained = file.read(path)
    shape = trained.actor.shape
    if shape != Shape(width=shape.width, fetches=shape.fetches, corrects=shape.corrects):
        raise ValueError(f"{path}: a shipped network routes and does nothing else, this one has {shape}")
    weights = {name: weight.numpy() for name, weight in trained.actor.state_dict().items()}
    return pretrained.Shipped(weights, {**trained.origin, "env_kwargs": dict(trained.env_kwargs)})


def card(name: str, shipped: pretrained.Shipped, scenarios: list[Played]) -> str:
    """The model card, as Markdown."""
    origin = shipped.origin
    n_weights = sum(value.size for value in shipped.weights.values())
    n = len(scenarios[0].J)
    lines = [
        f"# {name}",
        "",
        f"A router: {n_weights:,} weights, trained with {origin['steps']:,} decisions in {origin['seconds'] / 60:.0f} "
        f"minutes ({origin['algorithm']}). It asks for {json.dumps(origin['env_kwargs'])}.",
        "",
        f"    {command_line(name, origin)}",
        "",
        "",
        f"Test seeds 0 to {n - 1}, the evictor of the frontier; other J over that of the network, geometric means "
        "with 95 % intervals: above 1 the network is faster.",
        "",
        *_table("Families that are not held out", [one for one in scenarios if not one.held_out]),
        *_table("Held-out families", [one for one in scenarios if one.held_out]),
        *_overall(scenarios),
    ]
    return "\n".join(lines)


def command_line(name: str, origin: Mapping[str, Any]) -> str:
    """The command that trains such a network; fields that are drawn stand in NAME.toml, beside it."""
    from .ppo import Settings

    words = ["python -m agents.train smdp --scenario", origin["scenario"]]
    words += [
        f"--set {key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in origin["overrides"].items()
    ]
    if origin["ranges"]:
        words.append(f"--randomise agents/learned/pretrained/{name}.toml")
    default = asdict(Settings())
    for key, value in origin["settings"].items():
        if value != default[key]:
            words.append(f"--{key.replace('_', '-')}" + ("" if value is True else f" {value}"))
    return " ".join([*words, f"--minutes {origin['seconds'] / 60:.0f} --seed {origin['seed']}"])


def _table(title: str, scenarios: list[Played]) -> list[str]:
    rows = []
    for one in scenarios:
        pairs = (one.reference, one.J), (one.frontier, one.J), (one.frontier, one.rule)
        ratios = " | ".join(_said(ratio(*pair)) for pair in pairs)
        star = "" if one.ranked else " (not ranked)"
        rows.append(f"| {one.name}{star} | `{one.pair.evictor}` | {one.J.mean():.3g} | {ratios} | {one.pair} |")
    return [f"## {title}", "", _COLUMNS, *rows, ""]


def _overall(scenarios: Iterable[Played]) -> list[str]:
    """Geometric means over the ranked scenarios, with bootstraps over the seeds of each."""
    ranked = [one for one in scenarios if one.ranked]
    rows = []
    for title, chosen in (
        ("not held out", [one for one in ranked if not one.held_out]),
        ("held out", [one for one in ranked if one.held_out]),
        ("all", ranked),
    ):
        if chosen:
            said = [
                _said(_over(chosen, *pair)) for pair in (("reference", "J"), ("frontier", "J"), ("frontier", "rule"))
            ]
            rows.append(f"| {title} | {len(chosen)} | {' | '.join(said)} | {_way(chosen):.0%} |")
    losers = [one.name for one in ranked if ratio(one.frontier, one.J).high < 1]
    return [
        "## Overall, ranked scenarios",
        "",
        "The way is that from the reference to the planner, which knows the future, by logarithms of J; the planner "
        "has been played beside the frontier on fewer seeds, see docs/leaderboard.md.",
        "",
        "| families | scenarios | reference / J | frontier / J | frontier / J of the rule | way to the planner |",
        "|---|---:|---|---|---|---:|",
        *rows,
        "",
        f"Slower than the frontier, the interval included: {', '.join(losers) or 'nowhere'}.",
        "",
    ]


def _way(scenarios: list[Played]) -> float:
    """Share of the way from the reference to the planner, a ratio of means over scenarios."""
    done = [np.log(one.reference / one.J).mean() for one in scenarios]
    whole = [np.log(one.reference / one.frontier).mean() - np.log(one.planner) for one in scenarios]
    return float(np.sum(done) / np.sum(whole))


def _over(scenarios: list[Played], other: str, own: str) -> Interval:
    results = [
        scoring.Results(one.random, getattr(one, other), one.frontier, {own: getattr(one, own)}) for one in scenarios
    ]
    return scoring.aggregate(results)[own].reference


def _said(found: Interval) -> str:
    return f"{found.mean:.3f} ({found.low:.3f} to {found.high:.3f})"


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = _command.parser("agents.learned.ship", __doc__)
    parser.add_argument("file", type=Path, help="the trained file")
    parser.add_argument("name", help="of the network")
    parser.add_argument("--seeds", type=int, default=10, help="test seeds (10)")
    parser.add_argument("--out", type=Path, default=pretrained.FOLDER, help="folder (that of the suite)")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Ships as the command line says."""
    given: Any = make_parser().parse_args(argv)
    try:
        seeds = range(_check.whole("--seeds", given.seeds, 1))
        shipped = read(given.file)
        place = given.out / f"{given.name}.npz"
        pretrained.write(place, shipped)
        names = [name for name in SUITE_SCENARIOS if name in anchors.load() and anchors.load()[name].frontier]
        scenarios = [Played(name, shipped, seeds) for name in tqdm(names, desc="scenarios", disable=None)]
        _atomic.write(place.with_suffix(".md"), card(given.name, shipped, scenarios))
    except (ValueError, OSError) as error:
        sys.exit(f"agents.learned.ship: {error}")


if __name__ == "__main__":
    main()

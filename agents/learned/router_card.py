"""The model card of a shipped router: its scores on the test seeds, beside the frozen ones of others.

Plays every scenario that has a frozen frontier, with the evictor of that pair, and compares J with the frozen ones of
the reference and of the frontier, seed by seed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from tqdm import tqdm

from kvgym.evaluation import anchors, scoring
from kvgym.evaluation.episode import play
from kvgym.evaluation.statistics import Interval, ratio
from kvgym.scenarios import SUITE_SCENARIOS
from kvgym.scenarios.library import FAMILIES, family_of

from . import pretrained
from .router import ShippedRouter

NAMES = [name for name in SUITE_SCENARIOS if name in anchors.load() and anchors.load()[name].frontier]
"""Scenarios that have a frontier."""
_COLUMNS = (
    "| scenario | evictor | J (s) | reference / J | frontier / J | frontier / J of the rule | the frontier |\n"
    "|---|---|---:|---|---|---|---|"
)

_SCORES = "of_worker.score.weight"


def held_out(name: str) -> bool:
    """Whether the family of a scenario is for testing alone."""
    return FAMILIES[family_of(name)].held_out


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
        return held_out(self.name)


def play_all(shipped: pretrained.Shipped, names: list[str], seeds: range) -> list[Played]:
    """Plays scenarios, of `NAMES`."""
    return [Played(name, shipped, seeds) for name in tqdm(names, desc="scenarios", disable=None)]


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
    from . import es, ppo

    command, settings = {"es": ("es", es.Settings), "smdp-ppo": ("smdp", ppo.Settings)}[origin["algorithm"]]
    words = [f"python -m agents.train {command} --scenario", origin["scenario"]]
    words += [
        f"--set {key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in origin["overrides"].items()
    ]
    if origin["ranges"]:
        words.append(f"--randomise agents/learned/pretrained/{name}.toml")
    if "loads" in origin:
        words.append(f"--loads {' '.join(map(str, origin['loads']))}")
    default = asdict(settings())
    for key, value in origin["settings"].items():
        if value != default[key]:
            words.append(f"--{key.replace('_', '-')}" + ("" if value is True else f" {value}"))
    return " ".join([*words, f"--minutes {origin['seconds'] / 60:.0f} --seed {origin['seed']}"])


def _table(title: str, scenarios: list[Played]) -> list[str]:
    rows = []
    for one in scenarios:
        pairs = (one.reference, one.J), (one.frontier, one.J), (one.frontier, one.rule)
        ratios = " | ".join(said(ratio(*pair)) for pair in pairs)
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
            cells = [
                said(_over(chosen, *pair)) for pair in (("reference", "J"), ("frontier", "J"), ("frontier", "rule"))
            ]
            rows.append(f"| {title} | {len(chosen)} | {' | '.join(cells)} | {_way(chosen):.0%} |")
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


def said(found: Interval) -> str:
    """A mean with its interval."""
    return f"{found.mean:.3f} ({found.low:.3f} to {found.high:.3f})"

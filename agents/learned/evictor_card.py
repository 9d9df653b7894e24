"""The model card of a shipped evictor: J on the test seeds, beside that of simple rules and of the oracle `belady`.

All play behind one router, that of the leaderboard's track `evict`.
"""

from __future__ import annotations

import json

import numpy as np
from tqdm import tqdm

from kvgym.evaluation.episode import play
from kvgym.evaluation.statistics import Floats, ratio

from ..routing.lbgr_code import LbgrCode
from .evictor import LearnedEvictor
from .leaf_scorer import LeafScorer
from .router_card import held_out, said

ROUTER = "agents:lbgr_code"
RULES = ("lru", "rlt_code", "ghost_slru", "arc", "gdsf", "wlfu", "lhd", "random")
ORACLE = "belady"
_COLUMNS = (
    "| scenario | J (s) | lru / J | best rule | best rule / J | belady / J | of the gap |\n"
    "|---|---:|---|---|---|---|---:|"
)


class Played:
    """J (s) by seed on a scenario.

    Attributes:
        name: Of the scenario.
        trained: Whether the network was trained on it.
        J: Of the network.
        others: Of the rules and the oracle, by name.
    """

    def __init__(self, name: str, scorer: LeafScorer, seeds: range) -> None:
        """Plays."""
        self.name, self.trained = name, name in str(scorer.origin["scenario"]).split()
        self.J = np.array([play(LearnedEvictor(scorer), name, seed, router=ROUTER).J for seed in seeds])
        self.others: dict[str, Floats] = {
            rule: np.array([play(LbgrCode(), name, seed, evictor=rule).J for seed in seeds])
            for rule in (*RULES, ORACLE)
        }

    @property
    def best(self) -> str:
        """The rule that is best on these seeds."""
        return min(RULES, key=lambda rule: float(np.log(self.others[rule]).mean()))

    @property
    def closed(self) -> str:
        """Share of the gap between the best rule and the oracle that the network closes, by geometric means."""
        own, rule, oracle = (np.exp(np.log(J).mean()) for J in (self.J, self.others[self.best], self.others[ORACLE]))
        return f"{(rule - own) / (rule - oracle):.0%}" if rule > oracle else "no gap"


def play_all(scorer: LeafScorer, names: list[str], seeds: range) -> list[Played]:
    """Plays scenarios."""
    return [Played(name, scorer, seeds) for name in tqdm(names, desc="scenarios", disable=None)]


def card(name: str, scorer: LeafScorer, scenarios: list[Played]) -> str:
    """The model card, as Markdown."""
    origin = scorer.origin
    settings = ", ".join(f"{key} {origin[key]}" for key in ("rounds", "steps", "horizon", "seed"))
    n_weights = sum(value.size for layer in scorer.weights for value in layer)
    known = [one for one in scenarios if one.trained]
    lines = [
        f"# {name}",
        "",
        f"An evictor: {n_weights:,} weights, trained on {origin['scenario']} by imitation of belady behind "
        f"`{origin['router']}`, in {origin['seconds'] / 60:.0f} minutes.",
        "",
        f"Settings: {settings}; of the scenarios: {json.dumps(origin.get('overrides', {}))}. It asks for "
        f"{json.dumps(dict(scorer.env_kwargs))}.",
        "",
        f"Test seeds 0 to {len(scenarios[0].J) - 1}, behind `{ROUTER}`; other J over that of the network, geometric "
        "means with 95 % intervals: above 1 the network is faster. The best rule is the best on these very seeds of "
        f"{', '.join(f'`{rule}`' for rule in RULES)}; the gap is that between its J and that of the oracle.",
        "",
        *_table("Trained on", known),
        *_table("Not trained on", [one for one in scenarios if not (one.trained or held_out(one.name))]),
        *_table("Held-out families", [one for one in scenarios if held_out(one.name)]),
        *_overall(known),
    ]
    return "\n".join(lines)


def _table(title: str, scenarios: list[Played]) -> list[str]:
    rows = []
    for one in scenarios:
        over = [said(ratio(one.others[rule], one.J)) for rule in ("lru", one.best, ORACLE)]
        rows.append(
            f"| {one.name} | {one.J.mean():.3g} | {over[0]} | `{one.best}` | {over[1]} | {over[2]} | {one.closed} |"
        )
    return [f"## {title}", "", _COLUMNS, *rows, ""] if rows else []


def _overall(scenarios: list[Played]) -> list[str]:
    """Each rule over the network, geometric means over scenarios; the intervals are over seeds."""
    if not scenarios:
        return []
    rows = []
    for rule in (*RULES, ORACLE):
        each = np.mean([np.log(one.others[rule] / one.J) for one in scenarios], 0)
        rows.append(f"| `{rule}` | {said(ratio(np.exp(each), np.ones(len(each))))} |")
    best = np.mean([np.log(one.others[one.best] / one.J) for one in scenarios], 0)
    rows.append(f"| the best rule of each | {said(ratio(np.exp(best), np.ones(len(best))))} |")
    return ["## Overall, scenarios that it was trained on", "", "| rule | its J / J |", "|---|---|", *rows, ""]

"""The behaviours that have a name, so that datasets of different people are the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kvgym.evaluation import anchors
from kvgym.scenarios import Scenario


@dataclass(frozen=True)
class Recipe:
    """Who plays the episodes of a dataset.

    Attributes:
        text: What it is, in a line.
        agents: Names of the agents, with their arguments.
        weights: How often each decides.
        epsilon: Share of decisions that are drawn uniformly.
        evictor: For those who route: which pages go; "": the scenario's own evictor.
    """

    text: str
    agents: tuple[tuple[str, dict[str, Any]], ...]
    weights: tuple[float, ...] = (1.0,)
    epsilon: float = 0.0
    evictor: str = ""


RECIPES = {
    "random": Recipe("any worker, uniformly", (("random", {}),)),
    # Rules that go by the observation alone, so that it does not matter to them whether they are followed.
    "mixed": Recipe(
        "three rules and random routing, a quarter of the decisions each, drawn at every decision",
        (("random", {}), ("least_loaded", {}), ("lmetric", {}), ("lpwl_aged", {})),
        weights=(1.0, 1.0, 1.0, 1.0),
    ),
    # Of all rules the one that was tuned, on validation seeds (agents.PRESETS).
    "best": Recipe("the best known rule: the scenario's frozen frontier, or else lpwl_aged", (("lpwl_aged", {}),)),
}
"""Name -> recipe, of KVGym/Route-v0: a new one is a row here."""


def recipe_for(name: str, scenario: Scenario) -> Recipe:
    """A recipe as it is on a scenario: of "best" the pair that the anchors of the scenario name, where they do."""
    found = anchors.frozen(scenario) if name == "best" else None
    if found is None or found.frontier is None:
        return RECIPES[name]
    pair = found.frontier.pair
    return Recipe(RECIPES[name].text, ((pair.agent, dict(pair.args)),), evictor=pair.evictor)

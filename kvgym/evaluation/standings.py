"""Comparison of what was played on a scenario: a row for each agent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from kvgym.evaluation import anchors, scoring
from kvgym.evaluation.episode import Episode
from kvgym.evaluation.scoring import Comparison, Score
from kvgym.evaluation.statistics import Floats, Interval
from kvgym.scenarios import SUITE_SCENARIOS, Scenario

PARTS_FOR_INTERVALS = 8
"""Parts of one trace from which a table gives intervals: they are stretches of one recording, not draws."""


@dataclass(frozen=True)
class Player:
    """An agent with an evictor, as a table names them.

    Attributes:
        agent: Name and arguments of the agent.
        evictor: Name of the evictor; "own" where it is each scenario's own.
        oracle: It knows the future.
        training: What a learned agent was trained on.
    """

    agent: str
    evictor: str
    oracle: bool = False
    training: str = ""

    @property
    def evictor_text(self) -> str:
        """The evictor, marked where it belongs to an oracle."""
        return f"{self.evictor} (oracle)" if self.oracle else self.evictor

    def __str__(self) -> str:
        """Agent and evictor in words."""
        return f"{self.agent} + {self.evictor_text}"


class Failure(NamedTuple):
    """Why a player has no row: it did what a ranked agent may not do, or it failed."""

    reason: str
    broke_rule: bool = False

    @property
    def verdict(self) -> str:
        """In a word or two."""
        return "NOT RANKED" if self.broke_rule else "FAILED"


@dataclass(frozen=True)
class Standing:
    """A player's row on one scenario.

    Attributes:
        player: Who; an evictor is named here even where it is the scenario's own.
        label: "anchor: 0", "anchor: 100", "oracle", what a learned agent was trained on, or nothing.
        counts: Whether the scenario counts: where it does not, the score says little.
        n: Seeds.
        J: Mean over the seeds of the mean latency (s).
        score: See `kvgym.evaluation.scoring.score`.
        versus: Comparison with the reference.
        metrics: Means over the seeds of all metrics of an episode, and of decision_us and n_invalid.
    """

    player: Player
    label: str
    counts: bool
    n: int
    J: float
    score: Score
    versus: Comparison
    metrics: dict[str, float]


@dataclass(frozen=True)
class Board:
    """All rows of one scenario, the lowest J first.

    Attributes:
        scenario: The scenario, with its overrides.
        overrides: Its changed fields.
        tier: See `kvgym.evaluation.scoring.tier`; with "own, " before it where the scenario is not one of the suite, so
            that no score over the suite has a part in it.
        separation: J_random / J_reference of the anchors that decide the tier, with its 95 % interval.
        frozen: Whether those are the frozen anchors.
        n_dropped: Requests that fit on no worker, over all seeds.
        rows: The rows.
        errors: What went wrong, by player.
        costs: J per seed of each player without an error.
        notes: What a reader should know.
    """

    scenario: Scenario
    overrides: Mapping[str, Any]
    tier: str
    separation: Interval
    frozen: bool
    n_dropped: int
    rows: list[Standing]
    errors: Mapping[Player, Failure]
    costs: Mapping[Player, Floats]
    notes: list[str] = field(default_factory=list)


def board(
    scenario: Scenario,
    overrides: Mapping[str, Any],
    split: str,
    played: Mapping[Player, Sequence[Episode]],
    errors: Mapping[Player, Failure],
    random: Player,
    reference: Player,
    parts: int | None = None,
) -> Board:
    """Compares what was played on a scenario.

    Args:
        scenario: The scenario.
        overrides: Its changed fields.
        split: Whose seeds were played.
        played: Episodes of each player, all with the same seeds in the same order; both anchors among them.
        errors: What went wrong, by player.
        random: The anchor that scores 0.
        reference: The anchor that scores 100.
        parts: Of a trace: how many of its parts were played. Fewer than `PARTS_FOR_INTERVALS` give no intervals.
    """
    costs = {player: np.array([episode.J for episode in episodes]) for player, episodes in played.items()}
    means = {player: _means(episodes) for player, episodes in played.items()}
    seeds = tuple(episode.seed for episode in played[reference])
    here = anchors.Anchors(scenario.version, seeds, costs[random], costs[reference], means[random]["utilisation"])
    known = anchors.frozen(scenario) if split == "test" else None
    notes = []
    if known is not None and not known.agree(seeds, here.random, here.reference):
        notes.append(
            "the anchors played here are not the frozen ones: this code is not the code of the published table"
        )
        known = None
    decisive = known or here
    spread = parts is None or parts >= PARTS_FOR_INTERVALS
    if not spread:
        notes.append(f"no intervals, and not counted: {parts} of {PARTS_FOR_INTERVALS} parts of a trace that they need")
    place = decisive.tier if spread else "not counted"
    if scenario.name not in SUITE_SCENARIOS and place != "not counted":
        place = f"own, {place}"
    labels = {random: "anchor: 0", reference: "anchor: 100"}

    def shown(found: Interval) -> Interval:
        return found if spread else Interval(found.mean, math.nan, math.nan)

    rows = [
        Standing(
            player=player,
            label="oracle" if player.oracle else labels.get(player, player.training),
            counts=place != "not counted",
            n=len(episodes),
            J=float(costs[player].mean()),
            score=scoring.score(costs[player], here.random, here.reference),
            versus=scoring.Comparison(*map(shown, scoring.compare(costs[player], here.reference))),
            metrics=means[player],
        )
        for player, episodes in played.items()
    ]
    rows.sort(key=lambda row: row.J)
    ratio = shown(scoring.ratio(decisive.random, decisive.reference))
    n_dropped = sum(episode.n_dropped for episode in played[reference])
    return Board(scenario, overrides, place, ratio, known is not None, n_dropped, rows, errors, costs, notes)


def _means(episodes: Sequence[Episode]) -> dict[str, float]:
    names = {name: [episode.metrics[name] for episode in episodes] for name in episodes[0].metrics}
    names["n_invalid"] = [float(episode.n_invalid) for episode in episodes]
    names["decision_us"] = [episode.decision_us for episode in episodes]
    return {name: float(np.mean(values)) for name, values in names.items()}

"""Comparison of what was played on a scenario: a row for each agent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from kvgym.evaluation import anchors, scoring
from kvgym.evaluation.anchors import Anchors
from kvgym.evaluation.episode import Episode
from kvgym.evaluation.scoring import TRAINING_SEEDS, Results
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
        training_seeds: How many of its training seeds take turns, by test seed; 0: it has not learned.
    """

    agent: str
    evictor: str
    oracle: bool = False
    training: str = ""
    training_seeds: int = 0

    @property
    def is_ranked(self) -> bool:
        """Whether it has a rank: oracles are shown without one, and learned agents with too few training seeds."""
        return not self.oracle and (self.training_seeds == 0 or self.training_seeds >= TRAINING_SEEDS)

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
        label: "anchor: random", "anchor: reference", "oracle", what a learned agent was trained on, or nothing.
        n: Seeds.
        J: Mean over the seeds of the mean latency (s).
        speed_up: J_reference / J, see `kvgym.evaluation.scoring.compare`.
        of_frontier: J_frontier / J, likewise; NaN where the frontier is not known for these seeds.
        metrics: Means over the seeds of all metrics of an episode, and of decision_us and n_invalid.
    """

    player: Player
    label: str
    n: int
    J: float
    speed_up: Interval
    of_frontier: Interval
    metrics: dict[str, float]


@dataclass(frozen=True)
class Board:
    """All rows of one scenario, the lowest J first.

    Attributes:
        scenario: The scenario, with its overrides.
        overrides: Its changed fields.
        load: Which load this is, where a scenario has several: scores are over the scenarios of one load.
        not_ranked: Why the scenario has no part in the scores; "" where it has.
        anchors: The frozen ones; None where there are none, or those played here are others.
        n_dropped: Requests that fit on no worker, over all seeds.
        rows: The rows.
        errors: What went wrong, by player.
        results: J per seed of each player without an error, and of the anchors.
        workloads: Content hash of the workload of each seed.
        notes: What a reader should know.
    """

    scenario: Scenario
    overrides: Mapping[str, Any]
    load: str
    not_ranked: str
    anchors: Anchors | None
    n_dropped: int
    rows: list[Standing]
    errors: Mapping[Player, Failure]
    results: Results[Player]
    workloads: tuple[str, ...]
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
    load: str = "",
    charged: bool = False,
) -> Board:
    """Compares what was played on a scenario.

    Args:
        scenario: The scenario.
        overrides: Its changed fields.
        split: Whose seeds were played.
        played: Episodes of each player, all with the same seeds in the same order; both anchors among them.
        errors: What went wrong, by player.
        random: The random anchor.
        reference: The reference.
        parts: Of a trace: how many of its parts were played. Fewer than `PARTS_FOR_INTERVALS` give no intervals.
        load: Which load this is.
        charged: Decisions took time on the simulated clock, where they took none when the anchors were frozen.
    """
    costs = {player: np.array([episode.J for episode in episodes]) for player, episodes in played.items()}
    seeds = tuple(episode.seed for episode in played[reference])
    known, notes = anchors.frozen(scenario), []
    if charged and known is not None:
        notes.append("decisions took time here: there is no frozen frontier to compare with")
        known = None
    if known is not None and split == "test" and not known.agree(seeds, costs[random], costs[reference]):
        notes.append(
            "the anchors played here are not the frozen ones: this code is not the code of the published table"
        )
        known = None
    has_intervals = parts is None or parts >= PARTS_FOR_INTERVALS
    if not has_intervals:
        notes.append(f"no intervals: {parts} of {PARTS_FOR_INTERVALS} parts of a trace that they need")
    frontier = known.on(seeds, known.frontier) if known and known.frontier and split == "test" else None
    # An agent with a file of its own is not told the plain seed: whose turn it was is not known.
    taught = [player for player in played if player.training_seeds and ".py:" not in str(player)]
    training = {player: np.array(seeds) % player.training_seeds for player in taught}
    results = Results(costs[random], costs[reference], frontier, costs, training)
    return Board(
        scenario=scenario,
        overrides=overrides,
        load=load,
        not_ranked=_why_not_ranked(scenario, known),
        anchors=known,
        n_dropped=sum(episode.n_dropped for episode in played[reference]),
        rows=_rows(played, results, random, reference, has_intervals),
        errors=errors,
        results=results,
        workloads=tuple(episode.workload_sha256 for episode in played[reference]),
        notes=notes,
    )


def _rows(
    played: Mapping[Player, Sequence[Episode]],
    results: Results[Player],
    random: Player,
    reference: Player,
    has_intervals: bool,
) -> list[Standing]:
    labels = {random: "anchor: random", reference: "anchor: reference"}

    def versus(player: Player, other: Floats | None) -> Interval:
        if other is None:
            return Interval(math.nan, math.nan, math.nan)
        found = scoring.compare(results.costs[player], other)
        return found if has_intervals else Interval(found.mean, math.nan, math.nan)

    rows = [
        Standing(
            player=player,
            label="oracle" if player.oracle else labels.get(player, player.training),
            n=len(episodes),
            J=float(results.costs[player].mean()),
            speed_up=versus(player, results.reference),
            of_frontier=versus(player, results.frontier),
            metrics=_means(episodes),
        )
        for player, episodes in played.items()
    ]
    return sorted(rows, key=lambda row: row.J)


def _why_not_ranked(scenario: Scenario, known: Anchors | None) -> str:
    if scenario.name not in SUITE_SCENARIOS:
        return "it is not of the suite"
    if known is None:
        changed = anchors.name_of(scenario) is None
        return "its fields were changed" if changed else "there are no frozen anchors of what was played"
    return known.why_not_ranked


def _means(episodes: Sequence[Episode]) -> dict[str, float]:
    names = {name: [episode.metrics[name] for episode in episodes] for name in episodes[0].metrics}
    names["n_invalid"] = [float(episode.n_invalid) for episode in episodes]
    names["decision_us"] = [episode.decision_us for episode in episodes]
    return {name: float(np.mean(values)) for name, values in names.items()}

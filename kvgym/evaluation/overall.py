"""Scores of all players over the ranked scenarios of one load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from kvgym.evaluation import scoring
from kvgym.evaluation.scoring import Results, Score
from kvgym.evaluation.standings import Board, Player
from kvgym.evaluation.statistics import Floats


class Total(NamedTuple):
    """A player's row over several scenarios.

    Attributes:
        player: Who; the evictor is "own" where it is each scenario's own.
        rank: Among those that are ranked, from 1; 0 for others.
        score: See `kvgym.evaluation.scoring.Score`.
        attainment: Share of the requests that met their latency targets (those that count for goodput), mean over the
            scenarios.
        profile: See `kvgym.evaluation.scoring.profile`.
    """

    player: Player
    rank: int
    score: Score
    attainment: float
    profile: Floats


@dataclass(frozen=True)
class Overall:
    """Scores over the ranked scenarios of one load.

    Attributes:
        load: See `Board`.
        scenarios: Names.
        n_seeds: Of each.
        totals: A row for each player that played all of them, the best first.
        leave_one_out: Kendall's tau between this order of the ranked ones and that without a scenario, by scenario.
    """

    load: str
    scenarios: tuple[str, ...]
    n_seeds: int
    totals: list[Total]
    leave_one_out: Mapping[str, float]


Named = Mapping[Player, Player]
"""How a player is named over several scenarios -> how it is named on one, where its evictor is the scenario's."""


def overall(boards: Sequence[tuple[Board, Named]]) -> list[Overall]:
    """Scores over the ranked scenarios among the boards, one table for each load."""
    ranked = [one for one in boards if not one[0].not_ranked]
    loads = dict.fromkeys(board.load for board, _ in ranked)
    return [_of_load(load, [one for one in ranked if one[0].load == load]) for load in loads]


def _of_load(load: str, boards: Sequence[tuple[Board, Named]]) -> Overall:
    results = [_renamed(board.results, names) for board, names in boards]
    scores = scoring.aggregate(results)
    order = [player for player in scores if player.is_ranked]
    ranks = {player: place for place, player in enumerate(order, 1)}
    names = tuple(board.scenario.name for board, _ in boards)
    return Overall(
        load=load,
        scenarios=names,
        n_seeds=len(results[0].reference),
        totals=[
            Total(player, ranks.get(player, 0), score, _attainment(player, boards), scoring.profile(results, player))
            for player, score in scores.items()
        ],
        leave_one_out=dict(zip(names, scoring.leave_one_out(results, order).tolist(), strict=True)),
    )


def _renamed(results: Results[Player], names: Named) -> Results[Player]:
    costs = {one: results.costs[here] for one, here in names.items() if here in results.costs}
    training = {one: results.training[here] for one, here in names.items() if here in results.training}
    return replace(results, costs=costs, training=training)


def _attainment(player: Player, boards: Sequence[tuple[Board, Named]]) -> float:
    shares = [
        row.metrics["slo_attainment"] for board, names in boards for row in board.rows if row.player == names[player]
    ]
    return float(np.mean(shares))

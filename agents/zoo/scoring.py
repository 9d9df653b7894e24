"""The score of an entry: a leaderboard in its folder, on test seeds, its training seeds taking turns."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from kvgym.envs.evict import EvictSettings
from kvgym.evaluation.runs import Store
from kvgym.evaluation.scoring import Results, aggregate
from kvgym.evaluation.stage import EVICT
from kvgym.evaluation.standings import Board, Player

from ..leaderboard import __main__ as leaderboard
from ..leaderboard import folder as results
from ..leaderboard.entries import TRACKS
from ..leaderboard.tables import board_of
from .table import Row
from .training import QUICK_FIELDS, Failed

OVERALL = "all of them"


def command(row: Row, paths: Sequence[Path], n_seeds: int, workers: int | None, quick: bool) -> list[str]:
    """The words for `agents.leaderboard`, without the folder."""
    track = {environment: name for name, environment in TRACKS.items()}[row.environment]
    files = json.dumps({"path": [str(path) for path in paths]})
    words = ["--track", track, "--agent", "learned", "--agent-args", files]
    words += ["--router", EvictSettings.router] if row.environment == EVICT else []  # who routes in training, too
    words += ["--evictor", row.evictor] if row.evictor else []
    words += ["--scenario", *row.scenarios, "--seeds", str(n_seeds)]
    words += [] if workers is None else ["--workers", str(workers)]
    return words + (["--set", *QUICK_FIELDS] if quick else [])


def score(words: list[str], folder: Path) -> list[dict[str, Any]]:
    """Plays what a leaderboard in a folder lacks; a row for each scenario, and one for all where they are several.

    Raises:
        Failed: If an episode failed.
    """
    with redirect_stdout(io.StringIO()):  # its tables are in the folder
        try:
            leaderboard.main([*words, "--out", str(folder)])
        except SystemExit as stop:
            raise Failed(f"agents.leaderboard ended with {stop.code}") from None
    kept, store = results.read(folder), Store(folder / results.RUNS)
    if kept.errors:
        raise Failed("; ".join(failure.reason for failure in kept.errors.values()))
    found: list[dict[str, Any]] = []
    alone: list[Results[str]] = []
    for case in kept.plan.cases:
        names, board = board_of(case, kept.plan, store, kept.errors)
        if isinstance(board, str):
            raise Failed(board)
        (player,) = (one for entry, one in names.items() if entry.training_seeds)
        alone.append(_alone(board, player))
        costs = {"J": board.results.costs[player], "J_reference": alone[-1].reference, "J_frontier": alone[-1].frontier}
        means = {name: None if values is None else float(values.mean()) for name, values in costs.items()}
        best = board.anchors.frontier if board.anchors and alone[-1].frontier is not None else None
        pair = str(best.pair) if best else None
        found.append({"scenario": case.scenario.name, **means, "frontier": pair, **_ratios(alone[-1:])})
    return found + ([{"scenario": OVERALL, **_ratios(alone)}] if len(alone) > 1 else [])


def _alone(board: Board, player: Player) -> Results[str]:
    """What the entry, and nobody else, played on a scenario."""
    whole = board.results
    costs, training = {"it": whole.costs[player]}, {"it": whole.training[player]}
    return Results(whole.random, whole.reference, whole.frontier, costs, training)


def _ratios(parts: Sequence[Results[str]]) -> dict[str, Any]:
    """J of the reference, and of the frontier, over J, see `kvgym.evaluation.scoring.Score`."""
    against_frontier = [replace(one, reference=one.frontier) for one in parts if one.frontier is not None]
    return {
        "reference_ratio": _ratio(parts),
        "frontier_ratio": _ratio(against_frontier) if len(against_frontier) == len(parts) else None,
    }


def _ratio(parts: Sequence[Results[str]]) -> dict[str, float]:
    found = aggregate(parts)["it"]
    return {**found.reference._asdict(), "worst": found.worst_training}

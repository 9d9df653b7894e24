"""The leaderboard as plain values: what its JSON file and its page hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from kvgym.evaluation import files
from kvgym.evaluation.overall import Overall, Total
from kvgym.evaluation.report import Report
from kvgym.evaluation.scoring import PROFILE
from kvgym.evaluation.standings import Board, Player, Standing
from kvgym.evaluation.statistics import Interval
from kvgym.scenarios import SUITE_SCENARIOS

SCHEMA_VERSION = 2


def as_dict(report: Report) -> dict[str, Any]:
    """All numbers of all tables, for other programs."""
    return {
        "schema_version": SCHEMA_VERSION,
        "suite_version": report.suite_version,
        "track": report.track,
        "matrix": report.axes and {name: list(names) for name, names in report.axes._asdict().items()},
        "split": report.split,
        "seeds": report.n_seeds,
        "smoke_test": report.smoke,
        "notes": report.notes,
        "provenance": dict(report.provenance),
        "players": [
            _player_dict(player, report) for player in dict.fromkeys(one for names in report.names for one in names)
        ],
        "scenarios": [_board_dict(board) for board in report.boards],
        "overall": [_overall_dict(one) for one in report.overall],
    }


def interval(value: Mapping[str, Any]) -> Interval:
    """An interval that was read from JSON, which has null for NaN."""
    return Interval(*(math.nan if value[name] is None else value[name] for name in Interval._fields))


def _player_dict(player: Player, report: Report) -> dict[str, Any]:
    """A player, and which row of each scenario is its own; None where it has none."""
    rows = [{row.player: place for place, row in enumerate(board.rows)} for board in report.boards]
    own = [
        places.get(names[player]) if player in names else None for names, places in zip(report.names, rows, strict=True)
    ]
    return {**_who(player), "on": own}


def _overall_dict(one: Overall) -> dict[str, Any]:
    return {
        "load": one.load,
        "scenarios": list(one.scenarios),
        "leave_one_out": dict(one.leave_one_out),
        "profile_at": list(PROFILE),
        "rows": [_total_dict(row) for row in one.totals],
    }


def _total_dict(row: Total) -> dict[str, Any]:
    score = {
        name: value._asdict() if isinstance(value, Interval) else value for name, value in row.score._asdict().items()
    }
    return {
        **_who(row.player),
        "rank": row.rank or None,
        **score,
        "attainment": row.attainment,
        "profile": row.profile.tolist(),
    }


def _board_dict(board: Board) -> dict[str, Any]:
    own = board.scenario.name not in SUITE_SCENARIOS
    return {
        "name": board.scenario.name,
        "version": board.scenario.version,
        "text": board.scenario.text,
        "overrides": board.overrides,
        "fields": files.without_folders(board.scenario.to_dict()) if own else None,
        "objective": board.scenario.objective,
        "load": board.load,
        "ranked": not board.not_ranked,
        "not_ranked": board.not_ranked,
        "anchors": _anchors_dict(board),
        "dropped_requests": board.n_dropped,
        "workloads_sha256": list(board.workloads),
        "notes": board.notes,
        "rows": [_row_dict(row) for row in board.rows],
        "errors": [
            {**_who(player), "error": failure.reason, "broke_rule": failure.broke_rule}
            for player, failure in board.errors.items()
        ],
    }


def _anchors_dict(board: Board) -> dict[str, Any] | None:
    """The frozen anchors: means over their seeds, and what the planner has over the frontier."""
    if board.anchors is None:
        return None
    value: dict[str, Any] = {
        name: {"pair": str(row.pair), "J": float(row.J.mean())} for name, row in board.anchors.rows.items()
    }
    planner = board.anchors.planner
    if planner is not None:
        value["planner"] = {
            "pair": str(planner.pair),
            "J": float(planner.J.mean()),
            "frontier": float(planner.frontier.mean()),
            "ratio": planner.ratio._asdict(),
            "seeds": len(planner.seeds),
            "overrides": planner.overrides,
        }
    return value


def _row_dict(row: Standing) -> dict[str, Any]:
    return {
        **_who(row.player),
        "label": row.label,
        "seeds": row.n,
        "J": row.J,
        "speed_up": row.speed_up._asdict(),
        "of_frontier": row.of_frontier._asdict(),
        "metrics": row.metrics,
    }


def _who(player: Player) -> dict[str, Any]:
    return {"agent": player.agent, "evictor": player.evictor, "oracle": player.oracle}

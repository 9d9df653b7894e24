"""The leaderboard as text for the terminal, as Markdown, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tabulate import tabulate

from kvgym.evaluation import files
from kvgym.evaluation.columns import COLUMNS, Column
from kvgym.evaluation.standings import Board, Overall, Player, Standing
from kvgym.evaluation.statistics import Interval, method
from kvgym.scenarios import SUITE_SCENARIOS

SCHEMA_VERSION = 1
_TIERS = {
    "main": "Score over the main tier",
    "overloaded": "Score over the overloaded tier (random + lru can't keep up: J grows with the episode's length)",
    "own, main": "Score over the scenarios that are not the suite's",
    "own, overloaded": "Score over the overloaded scenarios that are not the suite's",
}


_LEGEND = """J: mean latency, what counts (lower is better). Score: 0 = random + lru, 100 = reference, logarithmic in J.
Evictor "own": the one that the scenario names. An oracle may know the future: it is shown and not ranked.
Latencies in seconds. TTFT: time to first token. hit %: prompt tokens found in a cache. us/act: time per decision."""
_EVICTORS = """Evictor "agents:NAME": an agent of the suite, which chooses among leaves offered; path.py:Class: yours;
"joint": the agent that routes evicts as well; all others are evictors of the simulator."""


@dataclass(frozen=True)
class Axes:
    """Standings in a matrix.

    Attributes:
        routers: Its rows, by `Player.agent`.
        evictors: Its columns, by `Player.evictor`.
    """

    routers: tuple[str, ...]
    evictors: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """Report of a run of the leaderboard.

    Attributes:
        suite_version: Of kvgym.
        split: Whose seeds were played.
        n_seeds: How many.
        smoke: A smoke test: few seeds.
        boards: A table for each scenario.
        overall: Scores over the scenarios of each tier.
        notes: What a reader should know.
        track: "route", "evict" or "joint".
        axes: Of the matrices of scores, if there are any.
    """

    suite_version: str
    split: str
    n_seeds: int
    smoke: bool
    boards: Sequence[Board]
    overall: dict[str, list[Overall]]
    notes: list[str] = field(default_factory=list)
    track: str = "route"
    axes: Axes | None = None


def terminal(report: Report, width: int) -> str:
    """Tables with the columns that fit into `width` characters."""
    blocks = [_banner(report), *report.notes]
    for board in report.boards:
        table = _fit(board, width)
        blocks.append("\n".join([*_heading(board), "", table, *_errors(board)]))
        blocks += _matrix(report, _board_scores(board), "simple")
    for tier, rows in report.overall.items():
        table = tabulate(_overall_rows(report, rows), _OVERALL, "simple", disable_numparse=True, colalign=_ALIGN)
        blocks.append("\n".join([_tier_heading(report, tier), "", table]))
        blocks += _matrix(report, _overall_scores(rows), "simple")
    blocks.append(_LEGEND if report.track == "route" else f"{_LEGEND}\n{_EVICTORS}")
    return "\n\n".join(blocks) + "\n"


def markdown(report: Report) -> str:
    """Tables with all columns, and a legend."""
    lines = ["# KVGym leaderboard", "", _banner(report), ""]
    lines += [f"{note}\n" for note in report.notes]
    for tier, rows in report.overall.items():
        table = tabulate(_overall_rows(report, rows), _OVERALL, "github", disable_numparse=True, colalign=_ALIGN)
        lines += [f"## {_tier_heading(report, tier)}", "", table, ""]
        lines += [f"{table}\n" for table in _matrix(report, _overall_scores(rows), "github")]
    for board in report.boards:
        title, *rest = _heading(board)
        lines += [f"## {title}", ""] + [f"{line}\n" for line in rest]
        lines += [f"{table}\n" for table in _matrix(report, _board_scores(board), "github")]
        lines += [_table(board, COLUMNS, "github"), "", *(f"- {line}" for line in _errors(board)), ""]
    lines += ["## Columns", ""] + [f"- **{column.title}**: {column.text}" for column in COLUMNS]
    lines += ["", _EVICTORS] if report.track != "route" else []
    return "\n".join(lines).rstrip() + "\n"


def as_dict(report: Report) -> dict[str, Any]:
    """All numbers of all tables, for other programs."""
    return {
        "schema_version": SCHEMA_VERSION,
        "suite_version": report.suite_version,
        "track": report.track,
        "matrix": None
        if report.axes is None
        else {"routers": list(report.axes.routers), "evictors": list(report.axes.evictors)},
        "split": report.split,
        "seeds": report.n_seeds,
        "smoke_test": report.smoke,
        "notes": report.notes,
        "scenarios": [
            {
                "name": board.scenario.name,
                "version": board.scenario.version,
                "overrides": board.overrides,
                "fields": None
                if board.scenario.name in SUITE_SCENARIOS
                else files.without_folders(board.scenario.to_dict()),
                "objective": board.scenario.objective,
                "tier": board.tier,
                "separation": board.separation._asdict(),
                "frozen_anchors": board.frozen,
                "dropped_requests": board.n_dropped,
                "notes": board.notes,
                "rows": [_row_dict(row) for row in board.rows],
                "errors": [
                    {**_who(player), "error": failure.reason, "broke_rule": failure.broke_rule}
                    for player, failure in board.errors.items()
                ],
            }
            for board in report.boards
        ],
        "overall": {
            tier: [{**_who(row.player), "score": row.score._asdict()} for row in rows]
            for tier, rows in report.overall.items()
        },
    }


def _matrix(report: Report, scores: Mapping[tuple[str, str], float], style: str) -> list[str]:
    return [] if report.axes is None else [matrix(report.axes, scores, style)]


def matrix(axes: Axes, scores: Mapping[tuple[str, str], float], style: str) -> str:
    """A table in a style of tabulate of scores by (router, evictor), "-" where there is none."""
    rows = [[router, *(_cell(scores.get((router, evictor))) for evictor in axes.evictors)] for router in axes.routers]
    align = ["left", *("right" for _ in axes.evictors)]
    return tabulate(rows, ["score", *axes.evictors], style, disable_numparse=True, colalign=align)


def _cell(score: float | None) -> str:
    return "-" if score is None else f"{score:.0f}"


def _board_scores(board: Board) -> dict[tuple[str, str], float]:
    return {row.player.key: row.score.value for row in board.rows}


def _overall_scores(rows: Sequence[Overall]) -> dict[tuple[str, str], float]:
    return {row.player.key: row.score.mean for row in rows}


def _who(player: Player) -> dict[str, Any]:
    return {"agent": player.agent, "evictor": player.evictor, "oracle": player.oracle}


def _row_dict(row: Standing) -> dict[str, Any]:
    return {
        **_who(row.player),
        "label": row.label,
        "seeds": row.n,
        "J": row.J,
        "score": row.score.value,
        "raw_score": row.score.raw,
        "difference": row.versus.difference._asdict(),
        "speed_up": row.versus.speed_up._asdict(),
        "metrics": row.metrics,
    }


def _banner(report: Report) -> str:
    seeds = (
        f"{report.n_seeds} {report.split} seed{'s' if report.n_seeds > 1 else ''} per scenario, the same for all agents"
    )
    track = "" if report.track == "route" else f", {report.track} track"
    text = f"kvgym {report.suite_version}{track}: {seeds}; 95 % intervals by {method(report.n_seeds)}"
    return f"SMOKE TEST, not a result. {text}" if report.smoke else text


def _heading(board: Board) -> list[str]:
    scenario = board.scenario
    kind = "" if scenario.name in SUITE_SCENARIOS else ", not of the suite"
    name = f"{scenario.name} (version {scenario.version}{kind}{', with overrides' if board.overrides else ''})"
    low, high = board.separation.low, board.separation.high
    seeds = "frozen anchors" if board.frozen else "anchors played here"
    lines = [
        f"{name}: {scenario.text}" if scenario.text else name,
        f"tier: {board.tier}; J_random / J_reference = {board.separation.mean:.2f} [{low:.2f}, {high:.2f}] ({seeds})",
    ]
    if board.n_dropped:
        lines.append(f"{board.n_dropped} requests fit on no worker and were left out (over all seeds)")
    return lines + [f"note: {note}" for note in board.notes]


def _errors(board: Board) -> list[str]:
    return [f"{failure.verdict} {player}: {failure.reason}" for player, failure in board.errors.items()]


def _table(board: Board, columns: Sequence[Column], style: str) -> str:
    cells = [[column.show(row) for column in columns] for row in board.rows]
    # Players that failed have a row too: their place in the table is where a reader looks for them.
    blank = [""] * (len(columns) - 3)
    cells += [[player.agent, player.evictor, failure.verdict, *blank] for player, failure in board.errors.items()]
    align = ["left" if column.title in ("agent", "evictor") else "right" for column in columns]
    return tabulate(cells, [column.title for column in columns], style, disable_numparse=True, colalign=align)


def _fit(board: Board, width: int) -> str:
    """The table without the columns that would make it wider than `width`."""
    columns = list(COLUMNS)
    while True:
        table = _table(board, columns, "simple")
        last = max(columns, key=lambda column: column.rank)
        if max(map(len, table.splitlines())) <= width or last.rank == 0:
            return table
        columns.remove(last)


_OVERALL = ["agent", "evictor", "score", "95 %"]
_ALIGN = ["left", "left", "right", "right"]


def _tier_heading(report: Report, tier: str) -> str:
    names = ", ".join(board.scenario.name for board in report.boards if board.tier == tier)
    return f"{_TIERS[tier]}: {names}"


def _overall_rows(report: Report, rows: Sequence[Overall]) -> list[list[str]]:
    cells = []
    for row in rows:
        evictor = f"{row.player.evictor} (oracle)" if row.player.oracle else row.player.evictor
        # A bootstrap over very few seeds says nothing.
        spread = "-" if method(report.n_seeds) != "bootstrap" else _range(row.score)
        cells.append([row.player.agent, evictor, f"{row.score.mean:.1f}", spread])
    return cells


def _range(score: Interval) -> str:
    return f"[{score.low:.1f}, {score.high:.1f}]"

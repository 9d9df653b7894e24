"""The leaderboard as text for the terminal, as Markdown (both from one list of columns), and as JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tabulate import tabulate

from kvgym.evaluation import files
from kvgym.evaluation.standings import Board, Player, Standing
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
Latencies in seconds. TTFT: time to first token. hit %: prompt tokens found in a cache. us/act: time per decision.
busy: share of the time; how much more a router could take, `kvgym capacity` says."""
_EVICTORS = """Evictor "agents:NAME": an agent of the suite, which chooses among leaves offered; path.py:Class: yours;
"joint": the agent that routes evicts as well; all others are evictors of the simulator."""


class Axes(NamedTuple):
    """Rows and columns of a matrix of scores, by `Player.agent` and `Player.evictor`."""

    routers: tuple[str, ...]
    evictors: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """A run of the leaderboard on `n_seeds` seeds of a split: a table per scenario, scores over those of each tier."""

    suite_version: str
    split: str
    n_seeds: int
    smoke: bool
    boards: Sequence[Board]
    overall: dict[str, dict[Player, Interval]]
    notes: list[str] = field(default_factory=list)
    track: str = "route"
    axes: Axes | None = None


@dataclass(frozen=True)
class Column:
    """A heading, a text for the legend, the cell of a row, and a rank: a narrow terminal leaves out the highest."""

    title: str
    text: str
    show: Callable[[Standing], str]
    rank: int


def number(value: float, digits: int = 3) -> str:
    """A number with that many significant digits, without exponents; "-" for NaN."""
    if not math.isfinite(value):
        return "-"
    size = math.floor(math.log10(abs(value))) if value else 0
    return f"{value:.{min(max(digits - 1 - size, 0), 4)}f}"


def signed(value: Interval) -> str:
    """A difference with its interval, to two significant digits of the interval's half width."""
    half = (value.high - value.low) / 2
    if not math.isfinite(half):
        return f"{value.mean:+.3f}"
    decimals = len(number(half, 2).partition(".")[2]) if half else 2
    return f"{value.mean:+.{decimals}f} [{value.low:+.{decimals}f}, {value.high:+.{decimals}f}]"


def _metric(name: str, digits: int = 3) -> Callable[[Standing], str]:
    return lambda row: number(row.metrics[name], digits)


def _pair(name: str) -> Callable[[Standing], str]:
    return lambda row: f"{number(row.metrics[f'{name}_p50'])} / {number(row.metrics[f'{name}_p95'])}"


def _difference(row: Standing) -> str:
    return "reference" if row.label == "anchor: 100" else signed(row.versus.difference)


def _score(row: Standing) -> str:
    return f"{row.score.value:.0f}" if row.counts else f"({row.score.value:.0f})"


def _percent(name: str) -> Callable[[Standing], str]:
    return lambda row: f"{100 * row.metrics[name]:.1f}"


COLUMNS = (
    Column("agent", "who routes", lambda row: row.player.agent, 0),
    Column(
        "evictor",
        "which cached pages go; an oracle knows the future and is not ranked",
        lambda row: row.player.evictor_text,
        0,
    ),
    Column("J [s]", "mean latency of the objective, what counts", lambda row: number(row.J, 4), 0),
    Column("score", "0 = random + lru, 100 = reference, logarithmic; in brackets: not counted", _score, 0),
    Column("J - reference [s], 95 %", "paired difference on the same seeds", _difference, 1),
    Column("speed-up", "J_reference / J, geometric mean", lambda row: f"{row.versus.speed_up.mean:.2f}", 5),
    Column("TTFT p50 / p95", "time to first token (s)", _pair("ttft"), 2),
    Column("E2E p50 / p95", "time to last token (s)", _pair("e2e"), 7),
    Column("TPOT", "mean time per output token after the first (s)", _metric("tpot_mean"), 8),
    Column("hit %", "prompt tokens found in a cache", _percent("hit_rate"), 3),
    Column("req/s", "finished requests per second", _metric("request_throughput"), 9),
    Column("good/s", "requests per second inside the latency objectives", _metric("goodput"), 10),
    Column("imbal", "requests of the busiest worker over the mean", _metric("imbalance"), 11),
    Column(
        "busy", "busy share: busy seconds of the workers over those in which requests arrive", _metric("utilisation"), 6
    ),
    Column("inval", "actions per episode that the mask did not allow", _metric("n_invalid"), 12),
    Column("us/act", "microseconds per decision", _metric("decision_us"), 4),
)


def columns_of(board: Board) -> list[Column]:
    """The columns, and one for each service class where there are several."""
    names = [one.name for one in board.scenario.service_classes]
    text = "requests of class {} that met its targets"
    own = [Column(f"{one} ok %", text.format(one), _percent(f"slo_attainment/{one}"), 13) for one in names]
    return [*COLUMNS, *(own if len(own) > 1 else ())]


def terminal(report: Report, width: int) -> str:
    """Tables with the columns that fit into `width` characters."""
    blocks = [_banner(report), *report.notes]
    for board in report.boards:
        blocks.append("\n".join([*_heading(board), "", _fit(board, width), *_errors(board)]))
        blocks += matrix(report.axes, {row.player: row.score.value for row in board.rows}, "simple")
    for tier, scores in report.overall.items():
        blocks.append("\n".join([_tier_heading(report, tier), "", _overall(report, scores, "simple")]))
        blocks += matrix(report.axes, {player: score.mean for player, score in scores.items()}, "simple")
    blocks.append(_LEGEND if report.track == "route" else f"{_LEGEND}\n{_EVICTORS}")
    return "\n\n".join(blocks) + "\n"


def markdown(report: Report) -> str:
    """Tables with all columns, and a legend."""
    lines = ["# KVGym leaderboard", "", _banner(report), ""]
    lines += [f"{note}\n" for note in report.notes]
    for tier, scores in report.overall.items():
        means = {player: score.mean for player, score in scores.items()}
        lines += [f"## {_tier_heading(report, tier)}", "", _overall(report, scores, "github"), ""]
        lines += [f"{table}\n" for table in matrix(report.axes, means, "github")]
    for board in report.boards:
        title, *rest = _heading(board)
        lines += [f"## {title}", ""] + [f"{line}\n" for line in rest]
        means = {row.player: row.score.value for row in board.rows}
        lines += [f"{table}\n" for table in matrix(report.axes, means, "github")]
        lines += [_table(board, columns_of(board), "github"), "", *(f"- {line}" for line in _errors(board)), ""]
    texts = {column.title: column.text for board in report.boards for column in columns_of(board)}
    lines += ["## Columns", ""] + [f"- **{title}**: {text}" for title, text in texts.items()]
    lines += ["", _EVICTORS] if report.track != "route" else []
    return "\n".join(lines).rstrip() + "\n"


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
        "scenarios": [_board_dict(board) for board in report.boards],
        "overall": {
            tier: [{**_who(player), "score": score._asdict()} for player, score in scores.items()]
            for tier, scores in report.overall.items()
        },
    }


def _board_dict(board: Board) -> dict[str, Any]:
    own = board.scenario.name not in SUITE_SCENARIOS
    return {
        "name": board.scenario.name,
        "version": board.scenario.version,
        "overrides": board.overrides,
        "fields": files.without_folders(board.scenario.to_dict()) if own else None,
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


def _who(player: Player) -> dict[str, Any]:
    return {"agent": player.agent, "evictor": player.evictor, "oracle": player.oracle}


def matrix(axes: Axes | None, scores: Mapping[Player, float], style: str) -> list[str]:
    """A table of scores in a style of tabulate, if there are axes: "-" where there is no score."""
    if axes is None:
        return []
    cells = {(player.agent, player.evictor): f"{score:.0f}" for player, score in scores.items()}
    routers, evictors = axes
    rows = [[router, *(cells.get((router, evictor), "-") for evictor in evictors)] for router in routers]
    align = ["left", *("right" for _ in evictors)]
    return [tabulate(rows, ["score", *evictors], style, disable_numparse=True, colalign=align)]


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
    mean, low, high = board.separation
    spread = f" [{low:.2f}, {high:.2f}]" if math.isfinite(low) else ""
    seeds = "frozen anchors" if board.frozen else "anchors played here"
    lines = [
        f"{name}: {scenario.text}" if scenario.text else name,
        f"tier: {board.tier}; J_random / J_reference = {mean:.2f}{spread} ({seeds})",
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
    columns = columns_of(board)
    while True:
        table = _table(board, columns, "simple")
        last = max(columns, key=lambda column: column.rank)
        if max(map(len, table.splitlines())) <= width or last.rank == 0:
            return table
        columns.remove(last)


def _tier_heading(report: Report, tier: str) -> str:
    names = ", ".join(board.scenario.name for board in report.boards if board.tier == tier)
    return f"{_TIERS[tier]}: {names}"


def _overall(report: Report, scores: Mapping[Player, Interval], style: str) -> str:
    cells = []
    for player, score in scores.items():
        # A bootstrap over very few seeds says nothing.
        spread = f"[{score.low:.1f}, {score.high:.1f}]" if method(report.n_seeds) == "bootstrap" else "-"
        cells.append([player.agent, player.evictor_text, f"{score.mean:.1f}", spread])
    align = ["left", "left", "right", "right"]
    return tabulate(cells, ["agent", "evictor", "score", "95 %"], style, disable_numparse=True, colalign=align)

"""The leaderboard as text for the terminal and as Markdown, both from one list of columns; see `plain` and `page`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from tabulate import tabulate

from kvgym.evaluation.overall import Named, Overall, Total
from kvgym.evaluation.standings import Board, Player, Standing
from kvgym.evaluation.statistics import Interval
from kvgym.scenarios import SUITE_SCENARIOS

R = TypeVar("R")

_LEGEND = """J: mean latency, what counts (lower is better). x ref: the reference's J over this one, 2 = twice as fast.
x best: the same for the best known causal pair of the scenario. Score: 0 = random + lru, 100 = those pairs.
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
    """A run of the leaderboard on `n_seeds` seeds of a split: a table per scenario, scores over those that are ranked.

    Attributes:
        names: For each board, how the players of the whole run are named there.
        provenance: What it takes to repeat it, as plain values: command, hash of the code, versions.
    """

    suite_version: str
    split: str
    n_seeds: int
    smoke: bool
    boards: Sequence[Board]
    names: Sequence[Named]
    overall: Sequence[Overall]
    notes: list[str] = field(default_factory=list)
    track: str = "route"
    axes: Axes | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Column(Generic[R]):
    """A heading, a text for the legend, the cell of a row, and a rank: a narrow terminal leaves out the highest."""

    title: str
    text: str
    show: Callable[[R], str]
    rank: int


def number(value: float, digits: int = 3) -> str:
    """A number with that many significant digits, without exponents; "-" for NaN."""
    if not math.isfinite(value):
        return "-"
    size = math.floor(math.log10(abs(value))) if value else 0
    return f"{value:.{min(max(digits - 1 - size, 0), 4)}f}"


def ranged(value: Interval, few: str = "too few seeds") -> str:
    """A value with its interval; where there is none, why."""
    if not math.isfinite(value.mean):
        return "-"
    ends = f"{number(value.low)}, {number(value.high)}" if math.isfinite(value.low) else few
    return f"{number(value.mean)} [{ends}]"


def _metric(name: str, digits: int = 3) -> Callable[[Standing], str]:
    return lambda row: number(row.metrics[name], digits)


def _pair(name: str) -> Callable[[Standing], str]:
    return lambda row: f"{number(row.metrics[f'{name}_p50'])} / {number(row.metrics[f'{name}_p95'])}"


def _share(value: float) -> str:
    return f"{100 * value:.1f}" if math.isfinite(value) else "-"


def _percent(name: str) -> Callable[[Standing], str]:
    return lambda row: _share(row.metrics[name])


COLUMNS: tuple[Column[Standing], ...] = (
    Column("agent", "who routes", lambda row: row.player.agent, 0),
    Column(
        "evictor",
        "which cached pages go; an oracle knows the future and is not ranked",
        lambda row: row.player.evictor_text,
        0,
    ),
    Column("J [s]", "mean latency, mean over the seeds", lambda row: number(row.J), 0),
    Column("x ref", "J_reference / J, geometric mean over the seeds, 95 %", lambda row: ranged(row.speed_up), 1),
    Column("x best", "J of the best known causal pair / J, likewise", lambda row: ranged(row.of_frontier), 6),
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
    Column(
        "bound [s]",
        "a bound below J: each request alone on the fastest worker, all cached that can be",
        lambda row: number(row.metrics.get("J_bound", math.nan)),
        13,
    ),
    Column("inval", "actions per episode that the mask did not allow", _metric("n_invalid"), 12),
    Column("us/act", "microseconds per decision", _metric("decision_us"), 4),
)


TOTALS: tuple[Column[Total], ...] = (
    Column("#", "rank; - for what is shown and not ranked", lambda row: str(row.rank or "-"), 0),
    Column("agent", "who routes", lambda row: row.player.agent, 0),
    Column("evictor", "which cached pages go", lambda row: row.player.evictor_text, 0),
    Column(
        "x ref", "J_reference / J, geometric mean over the scenarios, 95 %", lambda row: ranged(row.score.reference), 0
    ),
    Column(
        "score",
        "0: random + lru, 100: the best known causal pairs; a ratio of means of log J, 95 %",
        lambda row: ranged(row.score.frontier),
        1,
    ),
    Column("wins %", "episodes with a lower J than the reference's", lambda row: _share(row.score.wins_reference), 4),
    Column("over best %", "the same for the best pairs", lambda row: _share(row.score.wins_frontier), 3),
    Column("middle", "x ref over the middle half of the scenarios", lambda row: number(row.score.middle), 5),
    Column("in time %", "requests that met their latency targets", lambda row: _share(row.attainment), 2),
    Column(
        "elsewhere",
        "the 95 % interval of x ref for other scenarios of the same kind",
        lambda row: ranged(row.score.reference_elsewhere, "too few scenarios").partition(" ")[2],
        7,
    ),
    Column("worst training", "x ref of the worst training seed", lambda row: number(row.score.worst_training), 6),
)


def columns_of(board: Board) -> list[Column[Standing]]:
    """The columns, and one for each service class where there are several."""
    names = [one.name for one in board.scenario.service_classes]
    text = "requests of class {} that met its targets"
    own: list[Column[Standing]] = [
        Column(f"{one} ok %", text.format(one), _percent(f"slo_attainment/{one}"), 13) for one in names
    ]
    return [*COLUMNS, *(own if len(own) > 1 else ())]


def terminal(report: Report, width: int) -> str:
    """Tables with the columns that fit into `width` characters."""
    blocks = [_banner(report), *report.notes]
    for board in report.boards:
        blocks.append("\n".join([*_heading(board), "", _fit(board.rows, columns_of(board), width, board.errors)]))
        blocks[-1] = "\n".join([blocks[-1], *_errors(board)])
        blocks += matrix(report.axes, {row.player: row.speed_up.mean for row in board.rows}, "simple")
    for one in report.overall:
        blocks.append("\n".join([_title(one), "", _fit(one.totals, _columns_of(one), width), *_below(one)]))
        blocks += matrix(report.axes, {row.player: row.score.reference.mean for row in one.totals}, "simple")
    blocks.append(_LEGEND if report.track == "route" else f"{_LEGEND}\n{_EVICTORS}")
    return "\n\n".join(blocks) + "\n"


def markdown(report: Report) -> str:
    """Tables with all columns, and a legend."""
    lines = ["# KVGym leaderboard", "", _banner(report), ""]
    lines += [f"{note}\n" for note in report.notes]
    for one in report.overall:
        lines += [f"## {_title(one)}", "", _table(one.totals, _columns_of(one), "github"), ""]
        lines += [f"{line}\n" for line in _below(one)]
        means = {row.player: row.score.reference.mean for row in one.totals}
        lines += [f"{table}\n" for table in matrix(report.axes, means, "github")]
    for board in report.boards:
        title, *rest = _heading(board)
        lines += [f"## {title}", ""] + [f"{line}\n" for line in rest]
        speeds = {row.player: row.speed_up.mean for row in board.rows}
        lines += [f"{table}\n" for table in matrix(report.axes, speeds, "github")]
        lines += [_table(board.rows, columns_of(board), "github", board.errors), ""]
        lines += [*(f"- {line}" for line in _errors(board)), ""]
    texts = {column.title: column.text for one in report.overall for column in _columns_of(one)}
    texts |= {column.title: column.text for board in report.boards for column in columns_of(board)}
    lines += ["## Columns", ""] + [f"- **{title}**: {text}" for title, text in texts.items()]
    lines += ["", _EVICTORS] if report.track != "route" else []
    return "\n".join(lines).rstrip() + "\n"


def matrix(axes: Axes | None, scores: Mapping[Player, float], style: str) -> list[str]:
    """A table of J_reference / J in a style of tabulate, if there are axes: "-" where there is no score."""
    if axes is None:
        return []
    cells = {(player.agent, player.evictor): f"{number(score)}" for player, score in scores.items()}
    routers, evictors = axes
    rows = [[router, *(cells.get((router, evictor), "-") for evictor in evictors)] for router in routers]
    align = ["left", *("right" for _ in evictors)]
    return [tabulate(rows, ["x ref", *evictors], style, disable_numparse=True, colalign=align)]


def _banner(report: Report) -> str:
    seeds = (
        f"{report.n_seeds} {report.split} seed{'s' if report.n_seeds > 1 else ''} per scenario, the same for all agents"
    )
    track = "" if report.track == "route" else f", {report.track} track"
    text = f"kvgym {report.suite_version}{track}: {seeds}; intervals at 95 %"
    return f"SMOKE TEST, not a result. {text}" if report.smoke else text


def _heading(board: Board) -> list[str]:
    scenario = board.scenario
    kind = "" if scenario.name in SUITE_SCENARIOS else ", not of the suite"
    load = f", load {board.load}" if board.load else ""
    name = f"{scenario.name} (version {scenario.version}{load}{kind}{', with overrides' if board.overrides else ''})"
    lines = [
        f"{name}: {scenario.text}" if scenario.text else name,
        f"not ranked: {board.not_ranked}" if board.not_ranked else "ranked",
        *_bounds(board),
    ]
    if board.n_dropped:
        lines.append(f"{board.n_dropped} requests fit on no worker and were left out (over all seeds)")
    return lines + [f"note: {note}" for note in board.notes]


def _bounds(board: Board) -> list[str]:
    """What the frozen anchors say of how low J can be, in a line."""
    if board.anchors is None or board.anchors.frontier is None:
        return []
    row, planner, n = board.anchors.frontier, board.anchors.planner, len(board.anchors.seeds)
    line = f"best known causal pair: {row.pair}, {number(float(row.J.mean()))} s on {n} test seeds"
    if planner is None:
        return [line]
    mean, low, high = planner.ratio
    whole = board.scenario.episode_requests
    shorter = planner.overrides.get("episode_requests", whole) < whole
    there = f"{len(planner.seeds)} seeds{' of shorter episodes' if shorter else ''}"
    return [f"{line}; {planner.pair} needs {mean:.2f} [{low:.2f}, {high:.2f}] of its J ({there})"]


def _errors(board: Board) -> list[str]:
    return [f"{failure.verdict} {player}: {failure.reason}" for player, failure in board.errors.items()]


def _table(
    rows: Sequence[R], columns: Sequence[Column[R]], style: str, errors: Mapping[Player, Any] | None = None
) -> str:
    cells = [[column.show(row) for column in columns] for row in rows]
    # Players that failed have a row too: their place in the table is where a reader looks for them.
    blank = [""] * (len(columns) - 3)
    cells += [[player.agent, player.evictor, failure.verdict, *blank] for player, failure in (errors or {}).items()]
    align = ["left" if column.title in ("agent", "evictor") else "right" for column in columns]
    return tabulate(cells, [column.title for column in columns], style, disable_numparse=True, colalign=align)


def _fit(
    rows: Sequence[R], columns: Sequence[Column[R]], width: int, errors: Mapping[Player, Any] | None = None
) -> str:
    """The table without the columns that would make it wider than `width`."""
    left = list(columns)
    while True:
        table = _table(rows, left, "simple", errors)
        last = max(left, key=lambda column: column.rank)
        if max(map(len, table.splitlines())) <= width or last.rank == 0:
            return table
        left.remove(last)


def _columns_of(one: Overall) -> list[Column[Total]]:
    """The columns, without those of learned agents where there is none."""
    learned = any(row.player.training_seeds for row in one.totals)
    return [column for column in TOTALS if learned or column.title != "worst training"]


def _title(one: Overall) -> str:
    load = f", load {one.load}" if one.load else ""
    return f"Scores over the ranked scenarios{load}: {', '.join(one.scenarios)}"


def _below(one: Overall) -> list[str]:
    """What a reader should know of the order."""
    taus = {name: tau for name, tau in one.leave_one_out.items() if math.isfinite(tau)}
    if not taus:
        return []
    name = min(taus, key=lambda name: taus[name])
    what = "order of the ranked ones with a scenario left out"
    return [f"{what}: Kendall's tau {taus[name]:.2f} or more (without {name})"]

"""The columns of a leaderboard table: one list, from which the terminal shows what fits and Markdown shows all."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from kvgym.evaluation.standings import Standing
from kvgym.evaluation.statistics import Interval


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        title: Its heading.
        text: What it is, for the legend.
        show: The cell of a row.
        rank: The terminal leaves out the highest first when a table is too wide.
    """

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


def _evictor(row: Standing) -> str:
    return f"{row.player.evictor} (oracle)" if row.player.oracle else row.player.evictor


COLUMNS = (
    Column("agent", "who routes", lambda row: row.player.agent, 0),
    Column("evictor", "which cached pages go; an oracle knows the future and is not ranked", _evictor, 0),
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
    Column("util", "busy share of the workers while requests arrive; above 1 = overload", _metric("utilisation"), 6),
    Column("inval", "actions per episode that the mask did not allow", _metric("n_invalid"), 12),
    Column("us/act", "microseconds per decision", _metric("decision_us"), 4),
)

"""Plots of the sweeps, where matplotlib is there."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kvgym import _atomic

SHOWN = ("e2e_p50", "hit_rate", "error")


def draw(results: Mapping[str, Any], folder: Path) -> None:
    """A file `reproduction-NAME.png` in `folder` for each part with sweeps; nothing without matplotlib."""
    if find_spec("matplotlib") is None:
        return
    for name, part in results["parts"].items():
        shown = [(sweep, metrics) for sweep in part["sweeps"] if (metrics := _metrics(sweep))]
        if shown:
            _draw_part(shown, folder / f"reproduction-{name}.png")


def _metrics(sweep: Mapping[str, Any]) -> list[str]:
    return [metric for metric in SHOWN if metric in sweep["metrics"]]


def _draw_part(shown: list[tuple[Mapping[str, Any], list[str]]], path: Path) -> None:
    """A column for each sweep, a row for each metric."""
    from matplotlib.figure import Figure

    n_rows = max(len(metrics) for _, metrics in shown)
    figure = Figure(figsize=(2.6 * len(shown) + 0.6, 2.3 * n_rows + 0.5), layout="constrained")
    places = figure.subplots(n_rows, len(shown), squeeze=False)
    labels: dict[str, Any] = {}
    for column, (sweep, metrics) in enumerate(shown):
        for row, metric in enumerate(metrics):
            labels |= _draw(places[row][column], sweep, metric)
        places[0][column].set_title(textwrap.fill(sweep["title"], 36), fontsize=8)
    figure.legend(labels.values(), labels.keys(), loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    with _atomic.replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=80)


def _draw(place: Any, sweep: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """A line for each pair; returns them by name."""
    lines = {}
    points = list(dict.fromkeys(row["at"] for row in sweep["rows"]))
    for number, pair in enumerate(dict.fromkeys(row["who"] for row in sweep["rows"])):
        rows = [row for row in sweep["rows"] if row["who"] == pair]
        x = [points.index(row["at"]) for row in rows]
        mean, low, high = zip(*([math.nan if end is None else end for end in row[metric]] for row in rows), strict=True)
        (lines[pair],) = place.plot(x, mean, marker="osv^D"[number % 5], ms=3, lw=1)
        place.fill_between(x, low, high, color=lines[pair].get_color(), alpha=0.15, lw=0)
    long = max(map(len, points)) > 8
    place.set_xticks(range(len(points)), points, rotation=30 if long else 0, ha="right" if long else "center")
    place.tick_params(labelsize=6)
    if metric.endswith("_p50"):
        place.set_yscale("log")
    place.set_ylabel(re.sub("_", " ", metric), fontsize=7)
    place.set_xlabel(sweep["axis"], fontsize=7)
    place.grid(alpha=0.3)
    return lines

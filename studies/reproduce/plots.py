"""Plots of the sweeps, where matplotlib is there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kvgym import _atomic

SHOWN = ("e2e_p50", "hit_rate")


def draw(results: Mapping[str, Any], folder: Path) -> None:
    """A file `reproduction-NAME.png` in `folder` for each part with sweeps; nothing without matplotlib."""
    if find_spec("matplotlib") is None:
        return
    for name, part in results["parts"].items():
        if part["sweeps"]:
            _draw_part(part, folder / f"reproduction-{name}.png")


def _draw_part(part: Mapping[str, Any], path: Path) -> None:
    """A column for each sweep, a row for each metric."""
    from matplotlib.figure import Figure

    sweeps = part["sweeps"]
    metrics = [metric for metric in SHOWN if metric in sweeps[0]["metrics"]]
    figure = Figure(figsize=(2.6 * len(sweeps) + 0.6, 2.3 * len(metrics) + 0.5), layout="constrained")
    places = figure.subplots(len(metrics), len(sweeps), squeeze=False)
    labels: dict[str, Any] = {}
    for column, sweep in enumerate(sweeps):
        for row, metric in enumerate(metrics):
            labels |= _draw(places[row][column], sweep, metric)
        places[0][column].set_title(sweep["title"], fontsize=8)
    figure.legend(labels.values(), labels.keys(), loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    with _atomic.replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=90)


def _draw(place: Any, sweep: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """A line for each pair; returns them by name."""
    lines = {}
    points = list(dict.fromkeys(row["at"] for row in sweep["rows"]))
    for number, pair in enumerate(dict.fromkeys(row["pair"] for row in sweep["rows"])):
        rows = [row for row in sweep["rows"] if row["pair"] == pair]
        x = [points.index(row["at"]) for row in rows]
        cells = [row[metric] for row in rows]
        (lines[pair],) = place.plot(x, [cell["mean"] for cell in cells], marker="osv^D"[number % 5], ms=3, lw=1)
        if all(cell["low"] is not None for cell in cells):
            low, high = ([cell[end] for cell in cells] for end in ("low", "high"))
            place.fill_between(x, low, high, color=lines[pair].get_color(), alpha=0.15)
    long = max(map(len, points)) > 8
    place.set_xticks(range(len(points)), points, rotation=30 if long else 0, ha="right" if long else "center")
    place.tick_params(labelsize=6)
    if metric.endswith("_p50"):
        place.set_yscale("log")
    place.set_ylabel(re.sub("_", " ", metric), fontsize=7)
    place.set_xlabel(sweep["axis"], fontsize=7)
    place.grid(alpha=0.3)
    return lines

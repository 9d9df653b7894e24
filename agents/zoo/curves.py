"""J while training: what runs noted, and a picture with the mean and the range of the training seeds."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvgym import _atomic

from ..learned.run import CURVE, read_curve
from .table import Row

Curve = list[dict[str, float]]
"""Points with steps (decisions), seconds and J (s)."""


def curves_of(row: Row, folders: Sequence[Path]) -> dict[str, list[Curve]]:
    """By scenario, the curve of each run: of validation, or of the training episodes where those are noted."""
    found: dict[str, list[Curve]] = {}
    for folder in folders:
        own: dict[str, Curve] = {}
        for line in _lines(folder):
            by_scenario = line["J"] if isinstance(line["J"], dict) else {row.names[0]: line["J"]}
            for name, J in by_scenario.items():
                own.setdefault(name.partition("+")[0], []).append(
                    {"steps": line["steps"], "seconds": line["seconds"], "J": J}
                )
        for name, curve in own.items():
            found.setdefault(name, []).append(sorted(curve, key=lambda point: point["steps"]))
    return found


def _lines(folder: Path) -> list[dict[str, Any]]:
    return read_curve(folder) if (folder / CURVE).is_file() else []  # every validation may have been given up


def end(folder: Path) -> dict[str, float]:
    """Decisions and seconds of a run when its curve was last noted; nothing where it has none."""
    return {name: line[name] for line in _lines(folder)[-1:] for name in ("steps", "seconds")}


def band(curves: Sequence[Curve]) -> NDArray[np.float64]:
    """Steps, mean, lowest and highest J, float64 (4, n), at all steps within every curve; straight lines between."""
    first, last = max(curve[0]["steps"] for curve in curves), min(curve[-1]["steps"] for curve in curves)
    steps = np.array(sorted({point["steps"] for curve in curves for point in curve if first <= point["steps"] <= last}))
    if not len(steps):
        return np.empty((4, 0))
    columns = [(np.array([p["steps"] for p in curve]), np.array([p["J"] for p in curve])) for curve in curves]
    values = np.array([np.interp(steps, at, J) for at, J in columns])
    return np.array([steps, values.mean(0), values.min(0), values.max(0)])


def can_draw() -> bool:
    """Whether matplotlib, which is an extra, is there."""
    return find_spec("matplotlib") is not None


def draw(curves: dict[str, list[Curve]], title: str, path: Path) -> None:
    """Draws a panel per scenario as PNG. Needs matplotlib."""
    from matplotlib.figure import Figure

    across = min(3, len(curves))
    down = -(-len(curves) // across)
    figure = Figure(figsize=(4.6 * across, 3.4 * down), layout="constrained")
    places = figure.subplots(down, across, squeeze=False).ravel()
    for place, (scenario, runs) in zip(places, curves.items(), strict=False):
        for curve in runs:
            place.plot([p["steps"] for p in curve], [p["J"] for p in curve], color="#999999", lw=0.6, marker=".", ms=3)
        steps, mean, low, high = band(runs)
        place.plot(steps, mean, color="#1f5fa8", lw=1.6)
        place.fill_between(steps, low, high, color="#1f5fa8", alpha=0.15)
        place.set(title=scenario, xlabel="decisions", ylabel="J (s)", yscale="log")
        place.xaxis.set_major_formatter("{x:,.0f}")
        place.yaxis.set_major_formatter("{x:g}")
        place.yaxis.set_minor_formatter("{x:g}")
        place.tick_params(which="both", labelsize=7)
        place.grid(alpha=0.3)
    for place in places[len(curves) :]:
        place.remove()
    figure.suptitle(title, fontsize=9)
    with _atomic.replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)

"""The page docs/reproduction.md, from the results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tabulate import tabulate

from .results import PARTS

FILE = Path(__file__).parents[2] / "docs" / "site" / "reproduction.json"
"""What the page of the docs is written from."""
UNITS = {
    "e2e_p50": "P50 latency (s)",
    "ttft_p50": "P50 TTFT (s)",
    "hit_rate": "hit rate",
    "request_throughput": "requests/s",
}


def text(results: Mapping[str, Any]) -> str:
    """The page, in Markdown; `results` as JSON has them."""
    parts = [_part(results["parts"][name]) for name in PARTS if name in results["parts"]]
    return "\n\n".join(["# The paper, reproduced", *parts]) + "\n"


def _part(part: Mapping[str, Any]) -> str:
    return "\n\n".join([f"## {part['title']}", _claims(part["claims"]), *map(_sweep, part["sweeps"])])


def _claims(claims: list[Mapping[str, Any]]) -> str:
    headers = ["claim", "theirs", "how sure", "ours", "single episodes", "setting", "note"]
    rows = [
        [
            one["name"],
            one["theirs"] or "-",
            one["sure"] or "-",
            *ours(one["ours"], one["unit"]),
            one["setting"],
            one["note"],
        ]
        for one in claims
    ]
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def ours(measured: Mapping[str, Any], unit: str = "") -> tuple[str, str]:
    """A mean with its interval, and the range of single episodes; null is infinite, or no interval."""
    if measured["mean"] is None:
        return "no bound", "-"
    shown = number(measured["mean"], unit)
    if measured["low"] is not None:
        shown += f" ({number(measured['low'], unit)} to {number(measured['high'], unit)})"
    return shown, f"{number(measured['least'], unit)} to {number(measured['most'], unit)}"


def number(value: float, unit: str = "") -> str:
    """Three digits, at least two after the point where it is small."""
    return f"{value:.1f}" if value >= 100 else f"{value:.2f}" if unit or value >= 10 else f"{value:.3f}"


def _sweep(sweep: Mapping[str, Any]) -> str:
    rows = [
        [row["at"], row["pair"], *(_cell(row[metric], metric) for metric in sweep["metrics"])] for row in sweep["rows"]
    ]
    headers = [sweep["axis"], "pair", *(UNITS.get(metric, metric) for metric in sweep["metrics"])]
    return f"### {sweep['title']}\n\n" + tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def _cell(cell: Mapping[str, Any], metric: str) -> str:
    digits = 3 if metric == "hit_rate" else 2
    return (
        f"{cell['mean']:.{digits}f} ({cell['low']:.{digits}f} to {cell['high']:.{digits}f})"
        if cell["low"] is not None
        else f"{cell['mean']:.{digits}f}"
    )

"""The page docs/reproduction.md, from the results."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tabulate import tabulate

from .paper_table import NAMES, THEIRS
from .results import PARTS
from .settings import CA_LRU, LBGR_RLT, MEAN_PROMPT, PREFILL_TOKENS_S

Results = Mapping[str, Any]
_TEMPLATE = Path(__file__).with_name("page.md")
FILE = Path(__file__).parents[2] / "docs" / "site" / "reproduction.json"
"""What the page of the docs is written from."""
HEADERS = {
    "e2e_p50": "P50 latency (s)",
    "e2e_p95": "P95 latency (s)",
    "ttft_p50": "P50 TTFT (s)",
    "ttft_p95": "P95 TTFT (s)",
    "hit_rate": "hit rate",
    "request_throughput": "requests/s",
    "lost later": "lost later (s)",
}


def text(results: Results) -> str:
    """The page, in Markdown; `results` as JSON has them."""
    head, *sections = re.split(r"<!-- part (\w+) -->\n", _TEMPLATE.read_text(encoding="utf-8"))
    said = dict(zip(sections[::2], sections[1::2], strict=True))
    parts = [_part(name, said[name], results) for name in PARTS if name in results["parts"]]
    return "\n\n".join([_filled(head, results), *parts]) + "\n"


def _part(name: str, said: str, results: Results) -> str:
    part = results["parts"][name]
    return "\n\n".join(
        [f"## {part['title']}", _filled(said, results), _claims(part["claims"]), *map(_sweep, part["sweeps"])]
    )


def _filled(template: str, results: Results) -> str:
    """A part of the template with its figures, in lines of 120 columns.

    In braces: a name of `_facts`; part|claim|digits, a mean of ours; where|part|claim, its setting.
    """
    facts = _facts(results)

    def fill(match: re.Match[str]) -> str:
        first, *rest = match[1].split("|")
        if not rest:
            return facts[first]
        if first == "where":
            return str(_claim(results, *rest)["setting"])
        mean = _claim(results, first, rest[0])["ours"]["mean"]
        return "no bound" if mean is None else f"{mean:.{rest[1]}f}"

    return "\n".join(map(_wrapped, re.sub(r"\{([^}]+)\}", fill, template).strip().splitlines()))


def _wrapped(line: str) -> str:
    """A paragraph, or an item of a list, in lines of its own; the rest as it is."""
    if line.startswith((" ", "#", "!", "|")) or not line:
        return line
    indent = "  " if line.startswith("- ") else ""
    return textwrap.fill(line, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _claim(results: Results, part: str, name: str) -> Mapping[str, Any]:
    """A row of a part's table; an empty one where the part was not played."""
    rows = results["parts"].get(part, {"claims": []})["claims"]
    none = {"ours": {"mean": math.nan}, "setting": ""}
    return next((one for one in rows if one["name"] == name), none)


def _facts(results: Results) -> dict[str, str]:
    """Figures that are made of several rows."""
    inside: dict[str, list[bool]] = {}
    hits = [0.0]
    for pair, theirs in THEIRS.items():
        for metric, figure in theirs.items():
            ours = _claim(results, "table1", f"{pair}: {NAMES[metric]}")["ours"]
            inside.setdefault(NAMES[metric], []).append(ours.get("least", 0) <= figure <= ours.get("most", 0))
            hits += [abs(ours["mean"] - figure)] if metric == "hit_rate" else []
    low = 0.774 / (1.774 * 6.92 - 1)  # of h and 6.92 h, for which (1 - h) / (1 - 6.92 h) = 1.774
    return {
        **{name: str(results[name]) for name in ("seeds", "sweep_seeds", "split")},
        "parts": ", ".join(f"`{name}`" for name in PARTS),
        "inside": ", ".join(f"{name} in {sum(fits)} of {len(fits)} rows" for name, fits in inside.items()),
        "hits_differ": f"{max(hits):.3f}",
        "both_low": f"{100 * low:.1f}",
        "both_high": f"{692 * low:.1f}",
        "load_rival": _load(results, CA_LRU),
        "load_best": _load(results, LBGR_RLT),
    }


def _load(results: Results, pair: str) -> str:
    """Prompt tokens that have to be computed over those that can be, at Table 1's setting."""
    hit = _claim(results, "table1", f"{pair}: {NAMES['hit_rate']}")["ours"]["mean"]
    return f"{12 * MEAN_PROMPT * (1 - hit) / (4 * PREFILL_TOKENS_S):.2f}"


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
    """A column for each metric, or, of a single metric, for each point."""
    metrics, rows = sweep["metrics"], sweep["rows"]
    if len(metrics) > 1:
        headers = [sweep["axis"], "", *(HEADERS.get(metric, metric) for metric in metrics)]
        cells = [[row["at"], row["who"], *(_cell(row[metric]) for metric in metrics)] for row in rows]
    else:
        points = list(dict.fromkeys(row["at"] for row in rows))
        headers = ["", *(f"{point} {sweep['axis']}" for point in points)]
        who = dict.fromkeys(row["who"] for row in rows)
        cells = [[one, *(_cell(row[metrics[0]]) for row in rows if row["who"] == one)] for one in who]
    return f"### {sweep['title']}\n\n" + tabulate(cells, headers, tablefmt="github", disable_numparse=True)


def _cell(cell: list[Any]) -> str:
    """A mean with its interval; null where there is none."""
    mean, low, high = cell
    if mean is None:
        return "-"
    return number(mean) if low is None else f"{number(mean)} ({number(low)} to {number(high)})"

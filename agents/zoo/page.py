"""The zoo as JSON and Markdown: every entry of the table that is scored, in the table's order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tabulate import tabulate

from kvgym import _atomic
from kvgym.evaluation import files, plain
from kvgym.evaluation.report import number, ranged
from kvgym.evaluation.scoring import TRAINING_SEEDS

ENTRY, CURVE = "entry.json", "curve.png"
_FEW = "too few"
_LEGEND = f"""J is the mean latency (s) of the scenario's objective on test seeds, the training seeds taking turns. A
ratio is a geometric mean over test seeds, above 1 the entry is faster. The reference is lbgr_code + rlt_code, the
frontier the best known causal pair of the scenario. Brackets: 95 % interval over training seeds (Student's t), from
{TRAINING_SEEDS} of them on. Worst seed: J_reference / J of the training seed that has least of it."""


def write(out: Path, names: Iterable[str]) -> list[dict[str, Any]]:
    """Writes zoo.json and zoo.md of the entries that are there, and returns them."""
    places = [out / name / ENTRY for name in names]
    entries = [json.loads(place.read_text(encoding="utf-8")) for place in places if place.is_file()]
    _atomic.write(out / "zoo.json", files.to_text({"entries": entries}))
    _atomic.write(out / "zoo.md", markdown(entries, out))
    return entries


def markdown(entries: list[dict[str, Any]], out: Path) -> str:
    """A table of all entries, and what each is with its curves."""
    parts = ["# Zoo", tabulate(rows(entries), headers="keys", tablefmt="github", disable_numparse=True), _LEGEND]
    for entry in entries:
        row, seen = entry["row"], entry["curves_are"]
        runs = ", ".join(f"{run['steps']:,} in {run['seconds']:.0f} s" if run else "no curve" for run in entry["runs"])
        parts += [f"## {row['name']}", f"Decisions of training seeds 0, 1, ..: {runs}."]
        if row["evictor"]:
            parts.append(f"Evictor: {row['evictor']}.")
        parts.append("\n".join(f"    python -m {words}" for words in (entry["train"], entry["leaderboard"])))
        if (out / row["name"] / CURVE).is_file():
            parts.append(f"![J while training]({row['name']}/{CURVE})")
            parts.append(f"J of {seen}: each training seed, their mean, and their range.")
    return "\n\n".join(parts) + "\n"


def rows(entries: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Rows of the table: one per entry and scenario."""
    return [_row(entry, score) for entry in entries for score in entry["scores"]]


def _row(entry: Mapping[str, Any], score: Mapping[str, Any]) -> dict[str, str]:
    row, reference = entry["row"], score["reference_ratio"]
    return {
        "entry": row["name"],
        "algorithm": row["algorithm"],
        "environment": row["environment"].removeprefix("KVGym/"),
        "scenario": score["scenario"],
        "training seeds": str(len(entry["runs"])),
        "test seeds": str(entry["test_seeds"]),
        "J (s)": _number(score.get("J")),
        "J_reference / J": _ranged(reference),
        "worst seed": _number(reference["worst"]),
        "J_frontier / J": _ranged(score["frontier_ratio"]),
        "frontier": score.get("frontier") or "-",
    }


def _number(value: float | None) -> str:
    return "-" if value is None else number(value)


def _ranged(value: Mapping[str, float | None] | None) -> str:
    return "-" if value is None else ranged(plain.interval(value), _FEW)

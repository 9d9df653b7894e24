"""Interleaved timing: rivals take turns in one process, so that a noisy machine is noisy for all of them."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tabulate import tabulate

import kvgym
from kvgym import _atomic, _command
from kvgym.evaluation.runs import processor

OPTIONAL = {
    "torch": "torch",
    "stable-baselines3": "stable_baselines3",
    "ai-dynamo-runtime": "dynamo",
    "envpool": "envpool",
}
"""Package: module, of those that some figures depend on."""


def command(module: str, description: str | None, rounds: int | None = None) -> argparse.ArgumentParser:
    """The command line of a benchmark: `--out`, and `--rounds` where it has a default number of them."""
    parser = _command.parser(f"benchmarks.{module}", description)
    if rounds is not None:
        parser.add_argument("--rounds", type=int, default=rounds, help=f"rounds that count ({rounds})")
    parser.add_argument("--out", type=Path, help="write the tables here as JSON")
    return parser


def rates(rivals: Mapping[str, Callable[[], int]], rounds: int) -> dict[str, list[float]]:
    """Things done per second, per rival and round.

    Args:
        rivals: Each call does some work and returns how much. A first call of each is not counted.
        rounds: Counted calls of each, in turn.
    """
    for work in rivals.values():
        work()
    result: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(rounds):
        for name, work in rivals.items():
            began = time.perf_counter()
            done = work()
            result[name].append(done / (time.perf_counter() - began))
    return result


def ratios(measured: Mapping[str, list[float]], beside: str) -> dict[str, float]:
    """Median over the rounds of each rival's rate over that of `beside` in the same round."""
    return {
        name: statistics.median(x / y for x, y in zip(values, measured[beside], strict=True))
        for name, values in measured.items()
    }


def rate_rows(measured: Mapping[str, list[float]], ratio: Mapping[str, float], unit: str) -> list[dict[str, Any]]:
    """A row per environment for `report`: the median rate in `unit`, and its ratio to CartPole-v1."""
    return [
        {"environment": name, unit: round(statistics.median(values)), "ratio to CartPole-v1": ratio[name]}
        for name, values in measured.items()
    ]


def report(
    title: str, rows: list[dict[str, Any]], out: Path | None, more: Mapping[str, list[dict[str, Any]]] | None = None
) -> None:
    """Prints a table, and writes it as JSON with the machine and the versions if `out` is given.

    Args:
        title: Of the table.
        rows: Its rows.
        out: File to write.
        more: Further tables by title, printed and written after it.
    """
    further = more or {}
    for name, table in {title: rows, **further}.items():
        print(f"\n{name}\n" + render(table, "simple"))
    if out is not None:
        payload = {"title": title, "rows": rows, "machine": machine()} | ({"more": further} if further else {})
        _atomic.write(out, json.dumps(payload, indent=1) + "\n")


def render(rows: list[dict[str, Any]], form: str) -> str:
    """A table in a form of tabulate."""
    return tabulate(rows, headers="keys", tablefmt=form, floatfmt=",.2f", intfmt=",")


def machine() -> dict[str, Any]:
    """The machine and versions that the figures depend on."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "kvgym": kvgym.__version__,
        **{name: version(name) for name in ("numpy", "numba", "gymnasium")},
        **{name: version(name) for name in OPTIONAL if find_spec(OPTIONAL[name]) is not None},
    }

"""RESULTS.md from the JSON files of the benchmarks; nothing is measured here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.timing import render
from kvgym import _atomic

Payload = dict[str, Any]


def markdown(payloads: Sequence[Payload]) -> str:
    """The page: machines, then a section with command and tables for each payload.

    Args:
        payloads: As `benchmarks.timing.report` writes them; `python -m benchmarks` adds "command" and "seconds".
    """
    machines: list[dict[str, Any]] = []
    for payload in payloads:
        if payload["machine"] not in machines:
            machines.append(payload["machine"])
    lines = [
        "# Benchmarks",
        "",
        "Written by `python -m benchmarks`. Figures depend on the machine; ratios less so.",
        "",
    ]
    for number, machine in enumerate(machines, 1):
        facts = ", ".join(f"{name} {value}" for name, value in machine.items())
        lines.append(f"- Machine {number}: {facts}")
    for payload in payloads:
        lines += ["", *section(payload, machines.index(payload["machine"]) + 1)]
    return "\n".join(lines) + "\n"


def section(payload: Payload, machine: int) -> list[str]:
    """Lines of one benchmark."""
    lines = [
        f"## {payload['title'][:1].upper()}{payload['title'][1:]}",
        "",
        f"`{payload['command']}` ({payload['seconds']:.0f} s, machine {machine})",
        "",
        *render(payload["rows"], "github").splitlines(),
    ]
    for title, rows in payload.get("more", {}).items():
        lines += ["", f"{title[:1].upper()}{title[1:]}:", "", *render(rows, "github").splitlines()]
    return lines


def write(payloads: Sequence[Payload], path: Path) -> None:
    """Writes the page, whole or not at all."""
    _atomic.write(path, markdown(payloads))

"""The form of a claim, and of a sweep: what a part of the study is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .measures import Mean, Measure, Quotient
from .settings import Run, Setting

METRICS = ("e2e_p50", "ttft_p50", "hit_rate", "request_throughput")
"""What a sweep shows."""

ABSTRACT = "abstract"
TWO, ONE = "two reports", "one report"
CODE = "released code"
NONE = ""
"""How sure a figure of theirs is: in the abstract of the paper; in two independent reports of its body, or in one; read
in the released code; there is none. The body itself was not at hand."""


class Claim(NamedTuple):
    """A row of the table.

    Attributes:
        name: What is claimed, in words.
        theirs: Their figure, or what they say, as text; "" where they say nothing.
        sure: How sure that is.
        setting: Ours, in words; "" where the measure chooses it.
        measure: Measures ours.
        unit: "", "s" or "x" (times).
        note: How the settings differ, or what to keep in mind.
    """

    name: str
    theirs: str
    sure: str
    setting: str
    measure: Measure
    unit: str = ""
    note: str = ""


class Sweep(NamedTuple):
    """Metrics over the values of something: a table, and a plot.

    Attributes:
        title: In words.
        axis: What changes.
        cells: What is measured, by value, by who plays, and by metric.
    """

    title: str
    axis: str
    cells: Mapping[tuple[str, str, str], Measure]


def sweep(
    title: str, axis: str, points: Mapping[str, Setting], pairs: Sequence[str], metrics: Sequence[str] = METRICS
) -> Sweep:
    """Pairs over settings: latencies are geometric means."""
    cells: dict[tuple[str, str, str], Measure] = {}
    for point, setting in points.items():
        for pair in pairs:
            for metric in metrics:
                run = Run(pair, setting)
                is_time = metric.partition("_")[0] in ("e2e", "ttft")
                cells[point, pair, metric] = Quotient(((run, metric),)) if is_time else Mean(run, metric)
    return Sweep(title, axis, cells)


class Part(NamedTuple):
    """A part of the study.

    Attributes:
        title: Of its section.
        claims: Its table.
        sweeps: Its other tables.
    """

    title: str
    claims: tuple[Claim, ...]
    sweeps: tuple[Sweep, ...] = ()

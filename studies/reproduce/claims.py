"""The form of a claim, and of a sweep: what a part of the study is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .measures import Measure
from .settings import Setting

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
    """Pairs over the values of something: a table, and a plot.

    Attributes:
        title: In words.
        axis: What changes.
        points: Setting by value.
        pairs: Who plays.
        metrics: What is shown.
    """

    title: str
    axis: str
    points: Mapping[str, Setting]
    pairs: tuple[str, ...]
    metrics: tuple[str, ...] = ("e2e_p50", "ttft_p50", "hit_rate", "request_throughput")


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

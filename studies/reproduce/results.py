"""What the parts of the study come to, as JSON has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from . import bursts, caveats, change, headlines, models, overhead, paper_table, trends
from .claims import Claim, Part, Sweep
from .jobs import Found, Job
from .measures import Extreme, all_jobs, rounded

PARTS: Mapping[str, Part] = {
    "table1": paper_table.PART,
    "headlines": headlines.PART,
    "trends": trends.PART,
    "models": models.PART,
    "caveats": caveats.PART,
    "bursts": bursts.PART,
    "overhead": overhead.PART,
    "change": change.PART,
}
"""By the name that the command line has for them."""

SEEDS = 10
"""Episodes of a claim."""
SWEEP_SEEDS = 6
"""Episodes of each point of a sweep, and of what a claim chooses among."""
SHORT = 128
"""Requests of an episode in quick form."""


class Plan:
    """What is played of a part, and what it comes to."""

    def __init__(self, part: Part, quick: bool) -> None:
        """Quick: two short episodes of each, and of what has many points the first and the last one."""
        self._title = part.title
        self._quick = quick
        self._short = SHORT if quick else None
        self._claims = [_quick(one) if quick else one for one in part.claims]
        self._sweeps = [_ends(one) if quick else one for one in part.sweeps]

    def jobs(self) -> list[Job]:
        """What has to be played."""
        found = [job for one in self._claims for job in one.measure.jobs(self._seeds(one), self._short)]
        cells = [measure for one in self._sweeps for measure in one.cells.values()]
        return found + all_jobs(cells, self._sweep_seeds, self._short)

    def of(self, found: Found) -> dict[str, Any]:
        """The part's tables."""
        claims = [self._claim(one, found) for one in self._claims]
        return {
            "title": self._title,
            "claims": claims,
            "sweeps": [self._sweep(one, found) for one in self._sweeps],
        }

    def _seeds(self, claim: Claim) -> range:
        return range(2) if self._quick else range(SWEEP_SEEDS if claim.setting == "" else SEEDS)

    @property
    def _sweep_seeds(self) -> range:
        return range(2 if self._quick else SWEEP_SEEDS)

    def _claim(self, claim: Claim, found: Found) -> dict[str, Any]:
        ours = claim.measure.of(found, self._seeds(claim), self._short)
        row = claim._asdict() | {"setting": claim.setting or ours.where, "ours": ours.as_dict()}
        del row["measure"]
        return row

    def _sweep(self, sweep: Sweep, found: Found) -> dict[str, Any]:
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        for (point, who, metric), measure in sweep.cells.items():
            one = measure.of(found, self._sweep_seeds, self._short)
            row = rows.setdefault((point, who), {"at": point, "who": who})
            row[metric] = [rounded(one.mean), rounded(one.low), rounded(one.high)]
        metrics = list(dict.fromkeys(metric for _, _, metric in sweep.cells))
        return {"title": sweep.title, "axis": sweep.axis, "metrics": metrics, "rows": list(rows.values())}


def _ends(sweep: Sweep) -> Sweep:
    """The first and the last point."""
    points = [point for point, _, _ in sweep.cells]
    ends = points[0], points[-1]
    return sweep._replace(cells={at: one for at, one in sweep.cells.items() if at[0] in ends})


def _quick(claim: Claim) -> Claim:
    """To choose among two is enough to see whether it runs."""
    one = claim.measure
    if not isinstance(one, Extreme):
        return claim
    return claim._replace(measure=replace(one, among=(one.among[0], one.among[-1])))

"""What the parts of the study come to, as JSON has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import headlines, paper_table, trends
from .claims import Claim, Part, Sweep
from .jobs import Found, Job
from .measures import Mean, Measure, Quotient, all_jobs
from .settings import Run

PARTS: Mapping[str, Part] = {
    "table1": paper_table.PART,
    "headlines": headlines.PART,
    "trends": trends.PART,
}
"""By the name that the command line has for them."""

SEEDS = 10
"""Episodes of a claim."""
SWEEP_SEEDS = 6
"""Episodes of each point of a sweep, and of what a claim chooses among."""


def cell(sweep: Sweep, point: str, pair: str, metric: str) -> Measure:
    """What a sweep shows."""
    run = Run(pair, sweep.points[point])
    return Quotient(((run, metric),)) if metric.endswith("_p50") else Mean(run, metric)


class Plan:
    """What is played of a part, and what it comes to."""

    def __init__(self, part: Part, quick: bool) -> None:
        """Quick: two short episodes of each, the first and the last point of each sweep."""
        self._part = part
        self._short = 256 if quick else None
        self._quick = quick
        self._sweeps = [_ends(sweep) if quick else sweep for sweep in part.sweeps]

    def jobs(self) -> list[Job]:
        """What has to be played."""
        found = [job for one in self._part.claims for job in one.measure.jobs(self._seeds(one), self._short)]
        cells = [cell(one, *at) for one in self._sweeps for at in _cells(one)]
        return found + all_jobs(cells, self._sweep_seeds, self._short)

    def of(self, found: Found) -> dict[str, Any]:
        """The part's tables."""
        claims = [self._claim(one, found) for one in self._part.claims]
        return {
            "title": self._part.title,
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
        for point, pair, metric in _cells(sweep):
            one = cell(sweep, point, pair, metric).of(found, self._sweep_seeds, self._short)
            row = rows.setdefault((point, pair), {"at": point, "pair": pair})
            row[metric] = {"mean": one.mean, "low": one.low, "high": one.high}
        return {"title": sweep.title, "axis": sweep.axis, "metrics": sweep.metrics, "rows": list(rows.values())}


def _cells(sweep: Sweep) -> list[tuple[str, str, str]]:
    return [(point, pair, metric) for point in sweep.points for pair in sweep.pairs for metric in sweep.metrics]


def _ends(sweep: Sweep) -> Sweep:
    names: Sequence[str] = list(sweep.points)
    return sweep._replace(points={name: sweep.points[name] for name in (names[0], names[-1])})

"""Table 1 of the paper: cache-aware routing and LBGR, each with LRU and with RLT."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from .claims import NONE, ONE, Claim, Part
from .jobs import Kept, play_jobs
from .measures import Mean, Measure, Measured, Quotient, all_jobs, times
from .settings import CA_LRU, CA_RLT, GSP, LBGR_LRU, LBGR_RLT, Run

METRICS = ("hit_rate", "ttft_p50", "e2e_p50")
THEIRS: Mapping[str, Mapping[str, float]] = {
    CA_LRU: {"hit_rate": 0.2389, "ttft_p50": 25.022, "e2e_p50": 26.680},
    CA_RLT: {"hit_rate": 0.2636, "ttft_p50": 14.332, "e2e_p50": 19.191},
    LBGR_LRU: {"hit_rate": 0.3333, "ttft_p50": 2.958, "e2e_p50": 6.025},
    LBGR_RLT: {"hit_rate": 0.3731, "ttft_p50": 1.088, "e2e_p50": 2.263},
}
"""What the paper reports: shares and seconds, by pair and metric."""


ROUTING_S = 0.56e-3
"""What they say that LBGR adds to a decision."""


class Row(NamedTuple):
    """A row of the table.

    Attributes:
        pair: Router and evictor.
        theirs: By metric.
        ours: Likewise; latencies are geometric means.
    """

    pair: str
    theirs: Mapping[str, float]
    ours: Mapping[str, Measured]


def measure(pair: str, metric: str) -> Measure:
    """A cell of the table."""
    run = Run(pair, GSP)
    return Mean(run, metric) if metric == "hit_rate" else Quotient(((run, metric),))


def table1(seeds: Iterable[int] = range(10), *, requests: int | None = None, workers: int = 1) -> list[Row]:
    """Plays the table: the paper's load on four L40, all rules in the form of the authors' code.

    Args:
        seeds: Of the episodes, the same for each pair.
        requests: Of an episode, at most; default: 4,096, as in the authors' driver. Fewer see less of the overload,
            and their latencies are shorter.
        workers: Processes; 1: this one.
    """
    seeds = list(seeds)
    cells = {(pair, metric): measure(pair, metric) for pair in THEIRS for metric in METRICS}
    found = play_jobs(all_jobs(list(cells.values()), seeds, requests), Kept(None), workers)
    ours = {key: one.of(found, seeds, requests) for key, one in cells.items()}
    return [Row(pair, theirs, {metric: ours[pair, metric] for metric in METRICS}) for pair, theirs in THEIRS.items()]


NAMES = {"hit_rate": "hit rate", "ttft_p50": "P50 TTFT", "e2e_p50": "P50 latency"}
_DEFAULTS = "the paper does not state its setting; these are the defaults of its code"
_SCHEDULE = "a queue that is never empty starves decodes under strict prefill-first scheduling, see caveats"


def _claims() -> tuple[Claim, ...]:
    claims = [
        Claim(
            f"{pair}: {NAMES[metric]}",
            f"{figures[metric]:.4f}" if metric == "hit_rate" else f"{figures[metric]:.2f}",
            ONE,
            GSP.text,
            measure(pair, metric),
            "" if metric == "hit_rate" else "s",
            _SCHEDULE if metric == "e2e_p50" else _DEFAULTS,
        )
        for pair, figures in THEIRS.items()
        for metric in METRICS
    ]
    ends = {metric: times(Run(CA_LRU, GSP), Run(LBGR_RLT, GSP), metric) for metric in METRICS[1:]}
    for metric, one in ends.items():
        theirs = THEIRS[CA_LRU][metric] / THEIRS[LBGR_RLT][metric]
        claims.append(Claim(f"first row over last: {NAMES[metric]}", f"{theirs:.1f}", ONE, GSP.text, one, "x"))
    charged = replace(GSP, text=f"{GSP.text}, a decision takes 0.56 ms", overrides={"decision_s": ROUTING_S})
    added = times(Run(LBGR_RLT, charged), Run(LBGR_RLT, GSP), "ttft_p50")
    claims.append(
        Claim(
            "routing takes 0.56 ms more: P50 TTFT with it over that without",
            "",
            NONE,
            charged.text,
            added,
            "x",
            "RLT's 0.58 ms an eviction are not simulated: evictions take no time",
        )
    )
    return tuple(claims)


PART = Part("Table 1", _claims())

"""What routing costs: the mean latency with the measured seconds of each decision on the simulated clock, and without.

    python -m studies.decision_overhead [--seeds N] [--routers NAME ..] [--workers N ..]

Plays conversations with a small and a large model (scenarios chat and chat-70b) on clusters of several sizes, with as
many times the requests. Columns: microseconds of a decision; the share of the time that the router is busy; the mean
latency without charge (s), and what the charge adds to it (ms, and as a share). Routers are the suite's, rules in
Python and a network: figures are those of this machine.
"""

from __future__ import annotations

import sys
from itertools import product
from typing import Any

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

from agents import AGENTS, make_agent
from kvgym import _check, _command
from kvgym.evaluation import play
from kvgym.scenarios import get_scenario

SCENARIOS = ("chat", "chat-70b")
ROUTERS = ("random", "lpwl", "lbgr", "learned:router")
WORKERS = (4, 16, 64)
SHORT = {"warmup_requests": 512, "episode_requests": 2048}


def row(scenario: str, router: str, workers: int, seeds: int) -> dict[str, Any]:
    """A row of the table."""
    overrides = {**SHORT, "n_workers": workers, "rate_scale": workers / len(get_scenario(scenario).cluster)}
    free, charged = (
        [
            play(make_agent(router), scenario, seed, overrides=overrides, split="validation", charges=charges)
            for seed in range(seeds)
        ]
        for charges in (False, True)
    )
    added = np.array([one.J - other.J for one, other in zip(charged, free, strict=True)])
    taken_s = np.mean([one.decision_us for one in charged]) * 1e-6
    rate = np.mean([one.metrics["request_throughput"] for one in charged])
    J = np.mean([one.J for one in free])
    return {
        "scenario": scenario,
        "router": router,
        "workers": workers,
        "us": f"{taken_s * 1e6:.0f}",
        "busy": f"{100 * rate * taken_s:.2g} %",
        "J (s)": f"{J:.3f}",
        "added (ms)": f"{1e3 * added.mean():+.2f}",
        "added": f"{100 * added.mean() / J:+.2f} %",
    }


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = _command.parser("studies.decision_overhead", __doc__)
    parser.add_argument("--seeds", type=int, default=4, help="episodes of each cell (4)")
    parser.add_argument("--routers", nargs="+", choices=[*AGENTS, ROUTERS[-1]], default=ROUTERS, metavar="NAME")
    parser.add_argument("--workers", nargs="+", type=int, default=WORKERS, metavar="N")
    options = parser.parse_args(argv)
    _check.whole("--seeds", options.seeds, 1)
    cells = list(product(SCENARIOS, options.routers, options.workers))
    rows = [row(*cell, options.seeds) for cell in tqdm(cells, unit="cell", disable=None)]
    print(tabulate(rows, headers="keys", disable_numparse=True, colalign=("left", "left", *["right"] * 6)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

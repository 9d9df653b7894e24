"""Table 1 of arXiv 2601.18999 again: cache-aware routing and LBGR, each with whole-node LRU and with RLT.

    python -m studies.paper_table [--seeds 10]

Plays the scenario "gsp" (the paper's load on four L40 workers, all rules in the form of the authors' code) and prints,
beside the paper's figures, those of an independent simulation of the same setting (three seeds). The paper does not
state the setting of its table; load, cluster and the order of the rows follow from its code and its other figures.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

from agents import make_agent
from kvgym import _command
from kvgym._check import whole
from kvgym.evaluation import play_all

# Hit rate and P50 TTFT (s) that the paper reports, and hit rate and P50 TTFT of the independent simulation.
ROWS = {
    ("cache_aware", "lru_node"): (0.2389, 25.0, 0.264, 19.9),
    ("cache_aware", "rlt_code"): (0.2636, 14.3, 0.297, 11.5),
    ("lbgr_code", "lru_node"): (0.3333, 2.96, 0.338, 3.4),
    ("lbgr_code", "rlt_code"): (0.3731, 1.09, 0.370, 1.8),
}


def measure(agent: str, evictor: str, seeds: range) -> tuple[float, float, float]:
    """Mean hit rate, geometric mean of P50 TTFT and of P50 end-to-end latency (s) over the seeds."""
    found = play_all(partial(make_agent, agent), "gsp", seeds, evictor=evictor)
    ttft, e2e = (float(np.exp(np.log(found[name]).mean())) for name in ("ttft_p50", "e2e_p50"))
    return float(found["hit_rate"].mean()), ttft, e2e


def main(argv: list[str] | None = None) -> None:
    """Plays and prints."""
    parser = _command.parser("studies.paper_table", __doc__)
    parser.add_argument("--seeds", type=int, default=10, help="episodes per row")
    args = parser.parse_args(argv)
    try:
        n = whole("--seeds", args.seeds, 1)
    except ValueError as error:
        parser.error(str(error))
    rows: list[list[Any]] = []
    for (agent, evictor), (paper_hit, paper_ttft, other_hit, other_ttft) in tqdm(ROWS.items(), unit="row"):
        hit, ttft, e2e = measure(agent, evictor, range(n))
        hits = [hit, other_hit, hit - other_hit, paper_hit, hit - paper_hit]
        rows.append([f"{agent} + {evictor}", *hits, ttft, other_ttft, paper_ttft, e2e])
    headers = ["row", "hit rate", "independent", "difference", "paper", "to paper"]
    headers += ["P50 TTFT (s)", "independent (s)", "paper (s)", "P50 E2E (s)"]
    print(tabulate(rows, headers, floatfmt=".3f"))
    print(f"\nP50 TTFT, first row over last: {rows[0][6] / rows[-1][6]:.1f} ({n} seeds)")


if __name__ == "__main__":
    _command.run(main)

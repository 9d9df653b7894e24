"""How routers fare on real clusters: transfers, mixed fleets, stragglers, crashes. Prints tables of docs/clusters.md.

python -m studies.fleet_study transfers|ranking|change [--seeds 32]

transfers: `auto` beside `never` on multi-node-agents, over three links between the nodes. ranking: mean latency and
rank of each router on mixed-fleet, straggler and failover beside the calm form of each. change: how far off LBGR's
estimate of the latency is before, during and after a worker changes. Seeds are those of the validation split; intervals
are 95 %, of differences or ratios seed by seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate
from tqdm import tqdm

from agents import make_agent
from kvgym import _command
from kvgym.evaluation import play
from kvgym.evaluation.statistics import Interval, interval
from kvgym.scenarios import get_scenario
from studies.fleet_change import change

Floats = NDArray[np.float64]
Overrides = Mapping[str, Any] | None

LINKS = {
    "10 Gb/s Ethernet": "ethernet-10g",
    "100 Gb/s Ethernet": "ethernet-100g",
    "eight RDMA cards": "rdma-8x-cx7",
}
TRANSFER_ROUTERS = ("random", "least_loaded", "cache_aware", "lmetric", "lbgr")
ROUTERS = (
    *("random", "round_robin", "power_of_two", "least_loaded", "session_affinity"),
    *("cache_aware", "llmd", "dynamo", "lmetric", "lpwl", "lbgr", "lbgr_code"),
)
CALM: dict[str, dict[str, Any]] = {
    "mixed-fleet": {"workers": [{"model": "llama-3.1-8b", "gpu": "a100-80g", "count": 6}]},
    "straggler": {"faults": {}},
    "failover": {"faults": {}},
}
"""The calm form of a scenario: six equal workers, no slow-downs, no crashes."""


def runs(router: str, scenario: str, overrides: Overrides, seeds: int) -> list[dict[str, float]]:
    """The metrics of a router's episodes, one per seed."""
    options: dict[str, Any] = {"overrides": overrides, "split": "validation"}
    return [play(make_agent(router), scenario, seed, **options).metrics for seed in range(seeds)]


def column(episodes: Sequence[Mapping[str, float]], name: str) -> Floats:
    """One metric of all episodes."""
    return np.array([episode[name] for episode in episodes])


def written(found: Interval, digits: int = 2) -> str:
    """A mean with its interval."""
    return f"{found.mean:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"


def transfers(seeds: int) -> str:
    """Per router and link: what `auto` changes, as ratios to `never` on the same seeds."""
    rows = []
    for router in tqdm(TRANSFER_ROUTERS, disable=None):
        never = runs(router, "multi-node-agents", {"transfer": "never"}, seeds)
        rows.append([router, "never", f"{column(never, 'ttft_mean').mean():.3f}", "", *_costs(never)])
        for name, link in LINKS.items():
            network = {"per_node": 4, "inside": "nvlink-h100", "between": link}
            auto = runs(router, "multi-node-agents", {"network": network}, seeds)
            ttft = column(auto, "ttft_mean")
            ratio = interval(column(never, "ttft_mean") / ttft)
            rows.append(["", name, f"{ttft.mean():.3f}", written(ratio), *_costs(auto)])
    headers = ["router", "between nodes", "TTFT (s)", "never / auto", "GPU s", "hit rate"]
    headers += ["inside (GB)", "(s)", "between (GB)", "(s)", "given up"]
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def _costs(episodes: Sequence[Mapping[str, float]]) -> list[str]:
    """GPU seconds, hit rate, and what went over the links, means over the seeds."""
    formats = {"busy_s": ".0f", "hit_rate": ".3f"} | dict.fromkeys(("inside_gb", "between_gb", "given_up"), ".0f")
    names = ("busy_s", "hit_rate", "inside_gb", "inside_s", "between_gb", "between_s", "given_up")
    return [format(float(column(episodes, name).mean()), formats.get(name, ".1f")) for name in names]


def ranking(seeds: int) -> str:
    """Per scenario: mean latency and rank of each router, calm and as it is, and by how much it is behind the best."""
    for scenario, calm in CALM.items():
        get_scenario(scenario, calm)  # what is not allowed is said before hours of play
    tables = []
    for scenario, calm in CALM.items():
        found: dict[str, tuple[Floats, Floats]] = {}
        for router in tqdm(ROUTERS, desc=scenario, disable=None):
            settings = (calm, None)
            calm_j, own_j = (column(runs(router, scenario, overrides, seeds), "J") for overrides in settings)
            found[router] = calm_j, own_j
        tables.append(f"{scenario}\n\n{_ranking_table(found)}")
    return "\n\n".join(tables)


def _ranking_table(found: Mapping[str, tuple[Floats, Floats]]) -> str:
    order = [sorted(found, key=lambda router: float(found[router][form].mean())) for form in (0, 1)]
    best = [found[order[form][0]][form] for form in (0, 1)]
    rows = []
    for router in order[1]:
        row: list[str] = [router]
        for form in (0, 1):
            behind = interval(found[router][form] / best[form])
            row += [f"{found[router][form].mean():.2f}", str(order[form].index(router) + 1), written(behind)]
        rows.append(row)
    headers = ["router", "calm: J (s)", "rank", "J / best", "as it is: J (s)", "rank", "J / best"]
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def main() -> None:
    """Prints a table."""
    tables = {"transfers": transfers, "ranking": ranking, "change": change}
    parser = _command.parser("studies.fleet_study", __doc__)
    parser.add_argument("table", choices=tables)
    parser.add_argument("--seeds", type=int, default=32, help="episodes per cell: seeds 0 .. seeds - 1 (default 32)")
    arguments = parser.parse_args()
    if arguments.seeds < 2:
        parser.error(f"--seeds must be at least 2, or there is no interval; got {arguments.seeds}")
    print(tables[arguments.table](arguments.seeds))


if __name__ == "__main__":
    _command.run(main)

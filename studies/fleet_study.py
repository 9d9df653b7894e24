"""How routers fare on real clusters: transfers, mixed fleets, stragglers, crashes. Prints tables of docs/clusters.md.

python -m studies.fleet_study transfers|overlap|ranking|change [--seeds 32]

transfers: `auto` beside `never` on multi-node-agents, over three links between the nodes. overlap: the same, with
prefill that overlaps with transfers beside prefill that waits, and with a cost per page. ranking: mean latency and rank
of each router on mixed-fleet, straggler and failover beside the calm form of each. change: how far off LBGR's estimate
of the latency is before, during and after a worker changes. Seeds are those of the validation split; intervals are
95 %, of differences or ratios seed by seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

from agents import make_agent
from kvgym import _command
from kvgym.evaluation import Interval, interval, play_all
from kvgym.evaluation.statistics import Floats
from kvgym.scenarios import get_scenario

from .reproduce.probes import watched

Overrides = Mapping[str, Any] | None

LINKS = {
    "10 Gb/s Ethernet": "ethernet-10g",
    "100 Gb/s Ethernet": "ethernet-100g",
    "eight RDMA cards": "rdma-8x-cx7",
}
PAGED_LINKS = {"cards, 48 us a page": "mooncake-layers", "cards, 390 us a page": "nixl-layers"}
TRANSFER_ROUTERS = ("random", "least_loaded", "cache_aware", "lmetric", "lbgr")
ROUTERS = (
    *("random", "round_robin", "power_of_two", "least_loaded", "session_affinity"),
    *("cache_aware", "llmd_scenario", "dynamo_scenario", "lmetric", "lpwl", "lbgr", "lbgr_code"),
)
CALM: dict[str, dict[str, Any]] = {
    "mixed-fleet": {"workers": [{"model": "llama-3.1-8b", "gpu": "a100-80g", "count": 6}]},
    "straggler": {"faults": {}},
    "failover": {"faults": {}},
}
"""The calm form of a scenario: six equal workers, no slow-downs, no crashes."""

START_S, LENGTH_S = 60.0, 20.0
CHANGES: dict[str, dict[str, Any]] = {
    "none": {},
    "slow": {"kind": "slow-down", "worker": 0, "time_s": START_S, "duration_s": LENGTH_S, "factor": 4.0},
    "crash": {"kind": "crash", "worker": 0, "time_s": START_S, "down_s": LENGTH_S},
}
WINDOWS = {
    "30 s before": (START_S - 30.0, START_S),
    "first 5 s": (START_S, START_S + 5.0),
    "rest of 20 s": (START_S + 5.0, START_S + LENGTH_S),
    "5 s after": (START_S + LENGTH_S, START_S + LENGTH_S + 5.0),
    "25 s after that": (START_S + LENGTH_S + 5.0, START_S + LENGTH_S + 30.0),
}
"""When a request was sent."""
LBGR_FORMS: dict[str, dict[str, Any]] = {
    "default": {},
    "no regression": {"rate": 0.0},
    "ten times the step": {"rate": 0.2},
    "no bound": {"bound": None},
}
"""Row of the table -> arguments of LBGR."""


def played(router: str, scenario: str, overrides: Overrides, seeds: int) -> dict[str, Floats]:
    """The metrics of a router's episodes, a value per seed."""
    return play_all(partial(make_agent, router), scenario, range(seeds), overrides=overrides, split="validation")


def written(found: Interval, digits: int = 2) -> str:
    """A mean with its interval."""
    return f"{found.mean:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"


def fetching(router: str, between: str, seeds: int, overlap: bool = False) -> dict[str, Floats]:
    """Metrics of multi-node-agents with this link between its nodes."""
    links = {
        name: {"link": link, "overlap": overlap} for name, link in (("inside", "nvlink-h100"), ("between", between))
    }
    return played(router, "multi-node-agents", {"network": {"per_node": 4, **links}}, seeds)


def transfers(seeds: int) -> str:
    """Per router and link: what `auto` changes, as ratios to `never` on the same seeds."""
    rows = []
    for router in tqdm(TRANSFER_ROUTERS, disable=None):
        never = played(router, "multi-node-agents", {"transfer": "never"}, seeds)
        rows.append([router, "never", f"{never['ttft_mean'].mean():.3f}", "", *_costs(never)])
        for name, link in LINKS.items():
            auto = fetching(router, link, seeds)
            ratio = interval(never["ttft_mean"] / auto["ttft_mean"])
            rows.append(["", name, f"{auto['ttft_mean'].mean():.3f}", written(ratio), *_costs(auto)])
    headers = ["router", "between nodes", "TTFT (s)", "never / auto", "GPU s", "hit rate"]
    headers += ["inside (GB)", "(s)", "between (GB)", "(s)", "given up"]
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def overlaps(seeds: int) -> str:
    """Per router and link: TTFT and GPU seconds without overlap and with it, and the ratio of the TTFT seed by seed."""
    rows = []
    for router in tqdm(("least_loaded", "lmetric", "lbgr"), disable=None):
        for name, link in (LINKS | PAGED_LINKS).items():
            plain, layered = (fetching(router, link, seeds, overlap) for overlap in (False, True))
            row = [router, name, *(f"{found['ttft_mean'].mean():.3f}" for found in (plain, layered))]
            row.append(written(interval(plain["ttft_mean"] / layered["ttft_mean"]), 3))
            row += [f"{found[key].mean():.0f}" for key in ("busy_s", "between_gb") for found in (plain, layered)]
            rows.append(row)
    headers = ["router", "between nodes", "TTFT (s)", "overlap", "ratio", "GPU s", "overlap", "between (GB)", "overlap"]
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def _costs(found: Mapping[str, Floats]) -> list[str]:
    """GPU seconds, hit rate, and what went over the links, means over the seeds."""
    formats = {"busy_s": ".0f", "hit_rate": ".3f"} | dict.fromkeys(("inside_gb", "between_gb", "given_up"), ".0f")
    names = ("busy_s", "hit_rate", "inside_gb", "inside_s", "between_gb", "between_s", "given_up")
    return [format(found[name].mean(), formats.get(name, ".1f")) for name in names]


def ranking(seeds: int) -> str:
    """Per scenario: mean latency and rank of each router, calm and as it is, and by how much it is behind the best."""
    for scenario, calm in CALM.items():
        get_scenario(scenario, calm)  # what is not allowed is said before hours of play
    tables = []
    for scenario, calm in CALM.items():
        found: dict[str, tuple[Floats, Floats]] = {}
        for router in tqdm(ROUTERS, desc=scenario, disable=None):
            calm_j, own_j = (played(router, scenario, overrides, seeds)["J"] for overrides in (calm, None))
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


def errors(form: Mapping[str, Any], fault: Mapping[str, Any], seed: int) -> dict[str, tuple[Floats, Floats]]:
    """Per window the relative errors |estimate - latency| / latency on the worker that changes, and on the others."""
    worker, sent_s, error = watched(form, {"faults": {"schedule": [dict(fault)]} if fault else {}}, seed)
    return {
        name: (error[inside & (worker == 0)], error[inside & (worker != 0)])
        for name, (low, high) in WINDOWS.items()
        for inside in [(sent_s >= low) & (sent_s < high)]
    }


def change(seeds: int) -> str:
    """Median relative error per window, its mean over the seeds, in per cent."""
    tables = []
    for name, fault in CHANGES.items():
        rows = []
        for form, arguments in tqdm(LBGR_FORMS.items(), desc=name, disable=None):
            found = [errors(arguments, fault, seed) for seed in range(seeds)]
            for which, who in enumerate(("worker 0", "others")):
                row = [form if which == 0 else "", who]
                for window in WINDOWS:
                    medians = np.array([np.median(one[window][which]) for one in found if len(one[window][which])])
                    row.append(written(interval(100.0 * medians), 0) if len(medians) else "-")
                rows.append(row)
        table = tabulate(rows, ["form", "sent to", *WINDOWS], tablefmt="github", disable_numparse=True)
        tables.append(f"{name}\n\n{table}")
    return "\n\n".join(tables)


def main() -> None:
    """Prints a table."""
    tables = {"transfers": transfers, "overlap": overlaps, "ranking": ranking, "change": change}
    parser = _command.parser("studies.fleet_study", __doc__)
    parser.add_argument("table", choices=tables)
    parser.add_argument("--seeds", type=int, default=32, help="episodes per cell: seeds 0 .. seeds - 1 (default 32)")
    arguments = parser.parse_args()
    if arguments.seeds < 2:
        parser.error(f"--seeds must be at least 2, or there is no interval; got {arguments.seeds}")
    print(tables[arguments.table](arguments.seeds))


if __name__ == "__main__":
    _command.run(main)

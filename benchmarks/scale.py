"""Time and peak memory against the numbers of workers, of requests, and the size of a page, on one thread.

    python -m benchmarks.scale [--quick | --full] [--out FILE]

Load: prompts of "gsp-stable" with the fitted L40 workers, 2.25 requests/s for each worker, 37 prompts to a prefix.
Columns: the simulator alone (`Simulator.run`, the router "prefix_affinity" inside the kernel), Route-v0 with actions in
turn through `gym.make`, the seconds that making the workload and running the simulator take together, and the peak
resident memory of a process that does only this (with the simulator alone; interpreter and numba included).

The last row, 256 workers and 200,000 requests, has a bar: 20 s and 1 GB. Each cell is a process of its own. Without a
flag cells of up to 100,000 requests are measured; --full adds those of a million, --quick takes less than a minute.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import gymnasium as gym
from tqdm import tqdm

from benchmarks.cells import in_process, memory_mb
from benchmarks.timing import command, report
from kvgym.scenarios import get_scenario

PER_WORKER_RATE = 2.25  # "gsp-stable" has 9 requests/s for 4 workers
PROMPTS_PER_GROUP = 37
MOST_DECISIONS = 20_000  # that Route-v0 is timed for
WORKERS, REQUESTS, PAGES = (4, 16, 64, 256, 1024), (1000, 10_000, 100_000, 1_000_000), (1, 16, 64)
BAR = {"workers": 256, "requests": 200_000, "page": 16}
QUICK = [
    {"workers": 4, "requests": 1000, "page": 16},
    {"workers": 64, "requests": 1000, "page": 1},
    {"workers": 256, "requests": 10_000, "page": 16},
]

Cell = dict[str, int]


def overrides(cell: Cell) -> dict[str, Any]:
    """The load of a cell, as overrides of "gsp-stable"."""
    return {
        "n_workers": cell["workers"],
        "engine": {"page_size": cell["page"]},
        "warmup_requests": 0,
        "episode_requests": cell["requests"],
        "recipe_args": {
            "rate": PER_WORKER_RATE * cell["workers"],
            "prompts_per_group": PROMPTS_PER_GROUP,
            "groups": -(-(cell["requests"] + 1) // PROMPTS_PER_GROUP),
        },
    }


def measure_simulator(cell: Cell) -> dict[str, float]:
    """The simulator alone."""
    import numpy as np

    scenario = get_scenario("gsp-stable", overrides(cell))
    warm = get_scenario("gsp-stable", overrides({**cell, "requests": 50}))
    sim = scenario.simulator(router="prefix_affinity")
    sim.reset(warm.workload(np.random.SeedSequence(0)))
    sim.run()  # kernels are loaded
    began = time.perf_counter()
    sim.reset(scenario.workload(np.random.SeedSequence(0)))
    ready = time.perf_counter()
    sim.run()
    ended = time.perf_counter()
    return {
        "us/request": 1e6 * (ended - ready) / cell["requests"],
        "seconds": ended - began,
        "peak MB": memory_mb("VmHWM"),
    }


def measure_route(cell: Cell) -> dict[str, float]:
    """Decisions of Route-v0 through `gym.make`, the first ones of an episode."""
    n, m = min(cell["requests"], MOST_DECISIONS), cell["workers"]
    env = gym.make("kvgym:KVGym/Route-v0", scenario_overrides=overrides(cell))
    env.reset(seed=0)
    step = env.step
    step(0)
    began = time.perf_counter()
    for t in range(1, n - 1):  # the last one would drain the cluster
        step(t % m)
    return {"us/decision": 1e6 * (time.perf_counter() - began) / (n - 2)}


def cells(quick: bool, full: bool) -> list[Cell]:
    """Figures of a run."""
    if quick:
        return QUICK
    most = max(REQUESTS) if full else 100_000
    grid = [{"workers": m, "requests": n, "page": 16} for m in WORKERS for n in REQUESTS if n <= most]
    pages = [{"workers": 16, "requests": n, "page": p} for p in PAGES if p != 16 for n in REQUESTS if n <= most]
    return [*grid, *pages, BAR]


def measure(wanted: list[Cell]) -> tuple[list[dict[str, Any]], bool]:
    """A row per cell, and whether all were measured: an interruption keeps those that are done."""
    rows: list[dict[str, Any]] = []
    try:
        for cell in tqdm(wanted, unit="cell", disable=None):
            row: dict[str, Any] = {**cell}
            for part in ("measure_simulator", "measure_route"):
                row |= in_process("benchmarks.scale", part, cell)
            rows.append(row)
    except KeyboardInterrupt:
        return rows, False
    return rows, True


def main(argv: list[str] | None = None) -> int:
    """Measures and prints the table."""
    parser = command("scale", __doc__)
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--quick", action="store_true", help="three small cells")
    extent.add_argument("--full", action="store_true", help="cells of a million requests, too")
    args = parser.parse_args(argv)
    rows, complete = measure(cells(args.quick, args.full))
    report("scale, gsp, one thread (bar of the last row: 20 s, 1 GB)", rows, args.out if complete else None)
    return 0 if complete else 130


if __name__ == "__main__":
    sys.exit(main())

"""Requests per second of the simulator alone, with a router inside the kernel, on one thread.

    python -m benchmarks.simulate [--rounds 5] [--out FILE]

The reset (workload ready, tables made anew) is timed apart; CartPole-v1 beside it tells how fast the machine is.
"""

from __future__ import annotations

import statistics
import time

import gymnasium as gym
import numpy as np

from benchmarks.step_rate import player
from benchmarks.timing import command, rates, report
from kvgym.scenarios import get_scenario

CASES = {
    "16-token pages, lru": {"engine": {"page_size": 16}, "evictor": "lru"},
    "16-token pages, rlt": {"engine": {"page_size": 16}, "evictor": "rlt"},
    "token pages, lru": {"engine": {"page_size": 1}, "evictor": "lru"},
    "token pages, rlt": {"engine": {"page_size": 1}, "evictor": "rlt"},
}


def measure(overrides: dict, router: str, rounds: int) -> dict:
    scenario = get_scenario("gsp-stable", {**overrides, "n_workers": 8})
    workload = scenario.workload(np.random.SeedSequence(0))
    sim = scenario.simulator(router=router)
    reset_s, run_s = [], []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        sim.reset(workload)
        ready = time.perf_counter()
        sim.run()
        reset_s.append(ready - began)
        run_s.append(time.perf_counter() - ready)
    iterations = int(sim.totals()["iterations"].sum())
    run = statistics.median(run_s[1:])
    return {
        "requests per second": round(len(workload) / run),
        "iterations per second": round(iterations / run),
        "reset (ms)": 1e3 * statistics.median(reset_s[1:]),
        "hit rate": float(sim.records()["hit_tokens"].sum() / sim.records()["prompt_tokens"].sum()),
    }


def main(argv: list[str] | None = None) -> None:
    args = command("simulate", __doc__, 5).parse_args(argv)
    rows = [
        {"case": name, "router": router, **measure(overrides, router, args.rounds)}
        for name, overrides in CASES.items()
        for router in ("least_loaded", "prefix_affinity")
    ]
    report("simulator alone, gsp-stable, 8 workers, one thread", rows, args.out)
    cartpole = statistics.median(rates({"c": player(gym.make("CartPole-v1"))}, args.rounds)["c"])
    print(f"\nCartPole-v1 on the same machine: {cartpole:,.0f} steps per second")


if __name__ == "__main__":
    main()

"""Bytes of one environment's state by table, and resident memory per environment of native batches.

    python -m benchmarks.memory [--quick] [--out FILE]

State: the tables of Route-v0's simulator in "gsp-stable" at the start of an episode, with 512 requests (as for
training, no warm-up) or whole. Batches: resident memory after 64 steps of the native form, SameStep, less that of the
same process with the kernels loaded and one environment; each batch is a process of its own. Up to 64 episodes that are
made ahead are part of it.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from tqdm import tqdm

import kvgym
from benchmarks.cells import in_process, memory_mb
from benchmarks.timing import command, report

TRAINING = {"episode_requests": 512, "warmup_requests": 0}
EPISODES: dict[str, dict[str, Any]] = {"training, 512 requests": TRAINING, "whole, 4,608 requests": {}}
SMALL = 10_000  # bytes; smaller tables share a row


def table_rows() -> list[dict[str, Any]]:
    """A row per table, the largest first, with bytes in training and in whole episodes."""
    columns: dict[str, dict[str, int]] = {}
    for name, overrides in EPISODES.items():
        env: Any = gym.make("kvgym:KVGym/Route-v0", scenario_overrides=overrides).unwrapped
        env.reset(seed=0)
        columns[name] = {table: array.nbytes for table, array in env.simulator.tables.items()}
    first, second = columns.values()
    large = sorted((table for table in first if second[table] >= SMALL), key=lambda table: -second[table])
    rows = [{"table": table, **{name: sizes[table] for name, sizes in columns.items()}} for table in large]
    others = {name: sum(sizes[t] for t in sizes if t not in large) for name, sizes in columns.items()}
    totals = {name: sum(sizes.values()) for name, sizes in columns.items()}
    return [*rows, {"table": "(all others)", **others}, {"table": "(sum)", **totals}]


def measure_batch(cell: dict[str, Any]) -> dict[str, float]:
    """Resident memory per environment of a batch, in MB."""
    num_envs, overrides = cell["environments"], EPISODES[cell["episodes"]]

    def stepped(n: int) -> Any:
        envs = kvgym.make_vec("KVGym/Route-v0", n, autoreset_mode="SameStep", scenario_overrides=overrides)
        envs.reset(seed=0)
        for _ in range(64):
            envs.step(envs.action_space.sample())
        return envs

    one = stepped(1)
    before = memory_mb("VmRSS")
    many = stepped(num_envs)
    grown = memory_mb("VmRSS") - before
    one.close()
    many.close()
    return {"MB per environment": grown / num_envs, "MB in all": before + grown}


def main(argv: list[str] | None = None) -> None:
    """Measures and prints both tables."""
    parser = command("memory", __doc__)
    parser.add_argument("--quick", action="store_true", help="batches of 8 only")
    args = parser.parse_args(argv)
    sizes = (8,) if args.quick else (64, 1024)
    batches = [{"episodes": name, "environments": n} for name in EPISODES for n in sizes]
    batches = [batch for batch in batches if batch["environments"] < 1024 or batch["episodes"].startswith("training")]
    measured = tqdm(batches, unit="batch", disable=None)
    rows = [{**batch, **in_process("benchmarks.memory", "measure_batch", batch)} for batch in measured]
    more = {"resident memory of native batches": rows}
    report("bytes of the state of one environment by table, Route-v0, gsp-stable", table_rows(), args.out, more)


if __name__ == "__main__":
    main()

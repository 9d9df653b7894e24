"""Pictures per second of render_mode="rgb_array", by workers and size.

python -m benchmarks.render_rate [--rounds 7] [--out FILE]

Needs the extra `render`. 600 decisions after gsp-stable's warm-up have been played: the caches are full.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym

from benchmarks.timing import rates, report

PICTURES = 100
CASES: dict[str, tuple[int, tuple[int, int] | None]] = {
    f"{workers} workers, {'default size' if size is None else f'{size[0]} x {size[1]}'}": (workers, size)
    for workers, size in ((1, None), (4, None), (8, None), (16, None), (64, None), (8, (640, 320)), (8, (84, 84)))
}


def painter(workers: int, size: tuple[int, int] | None) -> Callable[[], int]:
    """Work for `rates`: the picture of a step, which is drawn anew however often it is asked for."""
    overrides: dict[str, Any] = {"n_workers": workers}
    env = gym.make(
        "kvgym:KVGym/Route-v0", scenario_overrides=overrides, render_mode="rgb_array", render_size=size
    ).unwrapped
    env.reset(seed=0)
    for t in range(600):
        env.step(t % workers)

    def draw() -> int:
        for _ in range(PICTURES):
            env.render()
        return PICTURES

    return draw


def main(argv: list[str] | None = None) -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, help="write the table here as JSON")
    args = parser.parse_args(argv)
    measured = rates({name: painter(*case) for name, case in CASES.items()}, args.rounds)
    rows = [{"picture": name, "pictures per second": round(statistics.median(v))} for name, v in measured.items()]
    report("pictures of KVGym/Route-v0, gsp-stable", rows, args.out)


if __name__ == "__main__":
    main()

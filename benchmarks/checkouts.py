"""Speed of two checkouts of the project, in turn: what a change costs.

python -m benchmarks.checkouts OTHER [--starts 9] [--rounds 5] [--settings JSON] [--out FILE]

OTHER is the folder of the other checkout. Each is played in a process of its own, on its own kernels, and only one of
them at a time. A process keeps a bias of some per cent for as long as it lives (where its memory lies), so they are
started several times; what is compared is the median over all rounds of all starts.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from benchmarks.timing import command, rates, ratios, report

# Played by both, so it needs only what both have. One line on its standard input makes it play once, and answer.
PLAYER = """
import json, sys, time
import numpy as np
import gymnasium as gym
import kvgym
form, steps, settings = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
if form == "single":
    env = gym.make("kvgym:KVGym/Route-v0", **settings)
    n = int(env.action_space.n)
    env.reset(seed=0)
    def play():
        for i in range(steps):
            *_, terminated, truncated, _ = env.step(i % n)
            if terminated or truncated:
                env.reset()
else:
    size = int(form)
    env = kvgym.make_vec("KVGym/Route-v0", num_envs=size, autoreset_mode="SameStep", **settings)
    env.reset(seed=0)
    turns = [np.roll(np.arange(size), i) % env.single_action_space.n for i in range(8)]
    def play():
        for i in range(steps // size):
            env.step(turns[i % 8])
for _ in sys.stdin:
    began = time.perf_counter()
    play()
    print(time.perf_counter() - began, flush=True)
"""
FORMS = {"Route-v0, single": ("single", 20_000), "Route-v0, 64 in a batch": ("64", 64_000)}


def start(checkout: Path, form: str, steps: int, settings: str) -> subprocess.Popen[str]:
    """A process that plays a checkout, once for each line that it is sent."""
    return subprocess.Popen(
        [sys.executable, "-c", PLAYER, form, str(steps), settings],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        cwd=checkout,
        text=True,
    )


def player(process: subprocess.Popen[str], steps: int) -> Callable[[], int]:
    """Work for `rates`: lets a process play once."""
    assert process.stdin is not None and process.stdout is not None
    told, heard = process.stdin, process.stdout

    def play() -> int:
        told.write("\n")
        told.flush()
        if not heard.readline():
            raise RuntimeError(f"a player has ended with exit status {process.wait()}")
        return steps

    return play


def main(argv: list[str] | None = None) -> None:
    """Measures and prints the table."""
    parser = command("checkouts", __doc__, 5)
    parser.add_argument("other", type=Path, help="folder of the other checkout")
    parser.add_argument("--starts", type=int, default=9)
    parser.add_argument("--settings", default="{}", help="arguments of the environment as JSON, the same for both")
    args = parser.parse_args(argv)
    json.loads(args.settings)
    if not (args.other / "kvgym").is_dir():
        parser.error(f"other must be a folder with a checkout of the project, got {args.other}")
    here = Path(__file__).resolve().parent.parent
    rows = []
    for name, (form, steps) in FORMS.items():
        folders = {"this": here, "other": args.other.resolve()}
        measured: dict[str, list[float]] = {who: [] for who in folders}
        for _ in tqdm(range(args.starts), desc=name, disable=None):
            processes = {who: start(folder, form, steps, args.settings) for who, folder in folders.items()}
            rivals = {who: player(process, steps) for who, process in processes.items()}
            for who, values in rates(rivals, args.rounds).items():
                measured[who] += values
            for process in processes.values():
                process.communicate()
        medians = {who: round(statistics.median(values)) for who, values in measured.items()}
        rows.append({"environment": name, **medians, "this / other": ratios(measured, "other")["this"]})
    report("decisions per second of this checkout and another one", rows, args.out)


if __name__ == "__main__":
    main()
